"""Results as files: JSON with every raw score, CSV with a row a trial, and the report."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from calibration.baselines.published import published_note
from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.result import COLUMNS, cells_of
from edge_agent.report.evaluation import EvaluationFacts, LearningPoint, MethodFacts, write_evaluation_report
from edge_agent.store.fs import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.evaluation.result import Evaluation

__all__ = ["write_results"]

_PACKAGES = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "scikit-learn", "torch")
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


def write_results(folder: Path, found: Evaluation | LearningCurve) -> list[Path]:
    """Write results.json, results.csv and report.html; returns their paths. Raises OSError if that cannot be."""
    evaluations = found.evaluations if isinstance(found, LearningCurve) else (found,)
    write_durably(folder / "results.json", json.dumps(found.to_json(with_scores=True), indent=1).encode())
    write_durably(folder / "results.csv", _csv(evaluations).encode())
    verdicts = found.verdicts if isinstance(found, LearningCurve) else ()
    write_evaluation_report(folder / "report.html", facts=_facts(evaluations, verdicts))
    return [folder / name for name in ("report.html", "results.csv", "results.json")]


def _facts(evaluations: tuple[Evaluation, ...], verdicts: tuple[str, ...]) -> EvaluationFacts:
    last = evaluations[-1]
    gallery = last.gallery
    return EvaluationFacts(
        dataset=last.dataset,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in _PACKAGES},
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
        shown_method=gallery.method if gallery else "",
        parts=gallery.parts if gallery else (),
        latent=gallery.latent if gallery else None,
        embedding=gallery.embedding if gallery else None,
    )


def _csv(evaluations: tuple[Evaluation, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "method", "source", "train_images", "chance_ap", *_TRIAL])
    for evaluation in evaluations:
        for method in evaluation.methods:
            for trial in method.trials:
                common = [evaluation.dataset, method.method, "measured", evaluation.train_images, evaluation.chance_ap]
                writer.writerow([*common, *(getattr(trial, name) for name in _TRIAL)])
    last = evaluations[-1]
    for row in last.published:
        common = [last.dataset, row.method, f"published: {row.source}", None, None]
        writer.writerow([*common, None, None, row.auc, row.ap])
    return text.getvalue()
