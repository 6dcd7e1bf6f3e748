"""Results as files: JSON with every raw score, CSV with a row a trial or a row a test image, and the report."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING

from calibration.baselines.published import published_note
from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.drift import DRIFT_COLUMNS, drift_cells
from calibration.evaluation.result import COLUMNS, cells_of
from calibration.evaluation.several import points_of
from edge_agent.report.evaluation import write_evaluation_report, write_sets_report
from edge_agent.report.evaluation_facts import EvaluationFacts, LearningPoint, MethodFacts, SetFacts, SetsFacts
from edge_agent.report.head import Head
from edge_agent.store.fs import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from calibration.evaluation.result import Evaluation, MethodResult, Trial
    from calibration.evaluation.several import SeveralSets
    from edge_agent.report.head import Paper

    Found = Evaluation | LearningCurve

__all__ = ["IMAGE_COLUMNS", "set_parts", "write_drift", "write_images", "write_results", "write_several"]

IMAGE_COLUMNS = (
    "set",
    "method",
    "train_images",
    "draw",
    "seed",
    "kind",
    "file",
    "label",
    "score",
    "limit",
    "rejected",
    "reason",
    "channel",
    "detail",
    "sha256",
)
"""The columns of the CSV of the images, in their order: a promise to who reads the file. New ones come at the end."""

_PACKAGES = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "scikit-learn", "torch")
DRIFT_FILE = "drift.csv"
_FILES = ("report.html", "results.csv", "results.json", "images.csv")
_TRIAL = (
    "seed",
    "draw",
    "auc",
    "ap",
    "good_passed_at_zero_misses",
    "limit",
    "expected_false_rejects",
    "false_reject_bound_95",
    "good",
    "good_rejected",
    "defective",
    "defective_passed",
    "pixel_auroc",
    "pro",
    "describe_ms",
    "score_ms",
)


def write_results(folder: Path, found: Found, *, paper: Paper = "A4") -> list[Path]:
    """Write results.json, results.csv, images.csv and report.html; returns their paths.

    Raises OSError if that cannot be.
    """
    evaluations = points_of(found)
    write_durably(folder / "results.json", json.dumps(found.to_json(with_scores=True), indent=1).encode())
    write_durably(folder / "results.csv", _csv([found]).encode())
    write_images(folder / "images.csv", [found])
    drift = write_drift(folder / DRIFT_FILE, [found])
    verdicts = found.verdicts if isinstance(found, LearningCurve) else ()
    write_evaluation_report(folder / "report.html", facts=_facts(evaluations, verdicts, paper))
    return [*(folder / name for name in _FILES), *drift]


def write_several(folder: Path, several: SeveralSets, *, paper: Paper = "A4") -> list[Path]:
    """The same files of several data sets: the report is a table with a link to each set's own folder.

    What ``write_results`` writes of a set lies below ``folder`` in ``set_parts``. Raises OSError if that cannot be.
    """
    write_durably(folder / "results.json", json.dumps(several.to_json(with_scores=True), indent=1).encode())
    write_durably(folder / "results.csv", _csv(several.found).encode())
    write_images(folder / "images.csv", several.found)
    drift = write_drift(folder / DRIFT_FILE, several.found)
    titles, rows = several.table
    facts = SetsFacts(
        head=replace(_sets_head(several), paper=paper),
        versions=_versions(),
        columns=titles,
        rows=tuple(rows),
        sets=tuple(
            SetFacts(last.dataset, "/".join([*set_parts(last.dataset), "report.html"]), last.introduction)
            for last in (points_of(found)[-1] for found in several.found)
        ),
    )
    write_sets_report(folder / "report.html", facts=facts)
    return [*(folder / name for name in _FILES), *drift]


def set_parts(dataset: str) -> tuple[str, ...]:
    """The folders, one below the other, that hold a set's own files."""
    path = PurePath(dataset)
    return tuple(part for part in path.parts if part != path.anchor)


def write_images(path: Path, found: Sequence[Found]) -> Path:
    """Write a row a test image, method and trial as CSV; returns its path. Raises OSError if that cannot be."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(IMAGE_COLUMNS)
    for one in found:
        for evaluation in points_of(one):
            for method in evaluation.methods:
                for trial in method.trials:
                    writer.writerows(_image_rows(evaluation, method, trial))
    write_durably(path, text.getvalue().encode())
    return path


def write_drift(path: Path, found: Sequence[Found]) -> list[Path]:
    """Write a row a method and disturbance as CSV; returns its path, none where nothing was disturbed.

    Raises OSError if that cannot be.
    """
    rows = [
        {"set": evaluation.dataset, "method": method.method, "train_images": evaluation.train_images, **row.to_json()}
        for one in found
        for evaluation in points_of(one)
        for method in evaluation.methods
        for trial in method.trials
        for row in trial.drift
    ]
    if not rows:
        return []
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_durably(path, text.getvalue().encode())
    return [path]


def _image_rows(evaluation: Evaluation, method: MethodResult, trial: Trial) -> Iterator[tuple[object, ...]]:
    trial_is = (evaluation.dataset, method.method, evaluation.train_images, trial.draw, trial.seed)
    images = zip(evaluation.test_images, evaluation.is_defective, evaluation.sha256, trial.judged, strict=True)
    for name, is_defective, sha256, judged in images:
        kind, file = name.split("/", 1)
        score = judged.score if math.isfinite(judged.score) else None
        rejected = None if judged.is_rejected is None else "yes" if judged.is_rejected else "no"
        label = "defective" if is_defective else "good"
        said = (rejected, judged.reason, judged.channel, judged.detail)
        yield (*trial_is, kind, file, label, score, trial.limit, *said, sha256)


def _facts(evaluations: tuple[Evaluation, ...], verdicts: tuple[str, ...], paper: Paper) -> EvaluationFacts:
    last = evaluations[-1]
    gallery = last.gallery
    return EvaluationFacts(
        head=replace(_head(last), paper=paper),
        versions=_versions(),
        lines=last.introduction,
        columns=tuple(title for title, _ in COLUMNS),
        methods=tuple(
            MethodFacts(method.title, cells_of(method), method.trials[0].scores, method.trials[0].limit)
            for method in last.methods
        ),
        is_defective=last.is_defective,
        published=tuple(
            (row.method, f"{row.auc:.2f}", "-" if row.ap is None else f"{row.ap:.2f}", row.source)
            for row in last.published
        ),
        published_note=published_note(),
        learning=tuple(
            LearningPoint(method.title, evaluation.train_images, method.auc, method.auc_sd)
            for evaluation in (evaluations if len(evaluations) > 1 else ())
            for method in evaluation.methods
        ),
        verdicts=verdicts,
        drift_columns=("method", *DRIFT_COLUMNS),
        drift=tuple(
            (method.title, *drift_cells(row))
            for method in last.methods
            for trial in method.trials
            for row in trial.drift
        ),
        shown_method=gallery.method if gallery else "",
        parts=gallery.parts if gallery else (),
        latent=gallery.latent if gallery else None,
        embedding=gallery.embedding if gallery else None,
    )


def _head(found: Evaluation) -> Head:
    """The first method's own limit says in one sentence what came out."""
    method = found.methods[0]
    trial = method.trials[0]
    result = f"{method.title} tells defective from good test images with an AUC of {method.auc:.2f} %"
    if trial.limit is not None:
        result += (
            f"; at its own limit it passed {trial.defective_passed} of {trial.defective} defective images and rejected "
            f"{trial.good_rejected} of {trial.good} good ones"
        )
    return Head(
        title=f"Evaluation on {found.dataset}",
        result=result,
        to_do=(
            (
                "Look below at the defective images with the lowest scores, and at the good ones with the highest: "
                "these are the mistakes that such a line would make."
            ),
            "Believe a figure for your parts when it was measured on your parts: one data set says little of another.",
        ),
        made_utc=_now(),
        part=found.dataset,
        version=version("edge-agent"),
    )


def _sets_head(several: SeveralSets) -> Head:
    count, failed = len(several.found), several.failed
    result = f"{count} data set{'s' * (count != 1)} measured" + (f", {len(failed)} failed" if failed else "")
    best = max(several.means, key=lambda row: row.auc, default=None)
    if best is not None:
        result += f"; the highest mean AUC is that of {best.title}: {best.auc:.2f} %"
    return Head(
        title=f"Evaluation on {count} data set{'s' * (count != 1)}",
        result=result,
        tone="bad" if failed else "note",
        to_do=("Open the report of each set below, and look at the images that were judged wrongly.",),
        warnings=tuple(one.line for one in failed),
        made_utc=_now(),
        part=", ".join(points_of(found)[-1].dataset for found in several.found),
        version=version("edge-agent"),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _csv(sets: Sequence[Found]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "method", "source", "train_images", "chance_ap", *_TRIAL])
    for found in sets:
        for evaluation in points_of(found):
            for method in evaluation.methods:
                for trial in method.trials:
                    count, chance = evaluation.train_images, evaluation.chance_ap
                    common = [evaluation.dataset, method.method, "measured", count, chance]
                    writer.writerow([*common, *(getattr(trial, name) for name in _TRIAL)])
        last = points_of(found)[-1]
        for row in last.published:
            common = [last.dataset, row.method, f"published: {row.source}", None, None]
            writer.writerow([*common, None, None, row.auc, row.ap])
    return text.getvalue()
