"""Results as files: JSON with every raw score, CSV with a row a trial, and the report."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from calibration.evaluation.curve import LearningCurve
from edge_agent.store.fs import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.evaluation.result import Evaluation

__all__ = ["write_results"]

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
    written = {
        "results.json": json.dumps(found.to_json(with_scores=True), indent=1).encode(),
        "results.csv": _csv(evaluations).encode(),
    }
    for name, data in written.items():
        write_durably(folder / name, data)
    return [folder / name for name in written]


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
