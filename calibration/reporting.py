"""What a calibration found, for a person: lines and JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.result import CalibrationResult
    from calibration.suspects.stand_apart import Suspicion

__all__ = ["calibration_json", "calibration_lines", "doubts_json"]

_ODDEST = 6


def calibration_json(result: CalibrationResult) -> dict[str, object]:
    """The ``--json`` object of calibrate-reference."""
    return {
        "schema_version": 1,
        "bundle": str(result.path),
        "bundle_id": result.bundle_id,
        "images": result.images,
        "limit": result.limit,
        "expected_false_rejects": result.expected_false_rejects,
        "false_reject_bound_95": result.false_reject_bound_95,
        "choice": result.choice.to_json(),
        "odd_part": result.odd_part,
        "left_out": [{"file": image.path.name, "sha256": image.sha256} for image in result.left_out],
        "kept": [{"file": image.path.name, "sha256": image.sha256} for image in result.kept],
        "defective": None if result.findings is None else result.findings.to_json(),
        "reference": result.reference,
        "crop": list(result.crop),
        "quality_min": result.quality_min,
        "registration_notes": list(result.notes),
        "warnings": list(result.warnings),
        "questions": {answer.question.name: answer.to_json() for answer in result.answers},
        "heldout_error": _finite(result.heldout_error),
        "mean_image_error": _finite(result.mean_image_error),
        "own_variance": result.own_variance,
        "oddest": [{"file": name, "oddity": oddity, "score": score} for name, oddity, score in _oddest(result)],
        "more_parts": None if result.parts_curve is None else result.parts_curve.to_json(),
        "light_and_lens": None if result.tolerance is None else result.tolerance.to_json(),
        "time": None if result.time is None else result.time.to_json(),
        "cost_of_time": None if result.cost is None else {**result.cost.to_json(), "statement": result.cost.words},
        "timings_s": {stage: round(seconds, 2) for stage, seconds in result.timings_s.items()},
    }


def calibration_lines(result: CalibrationResult) -> list[str]:
    """The result in a few lines for a person."""
    worst = min(result.registration, key=lambda row: row.quality, default=None)
    lay = "no registration" if worst is None else f"registration quality at least {worst.quality:.3f} ({worst.name})"
    lines = [
        f"bundle {result.bundle_id[:16]} from {result.images} good images -> {result.path}",
        f"reference {result.reference}; {lay}",
        *(f"  {note}" for note in result.notes),
        *(f"WARNING: {warning}" for warning in result.warnings),
        *(f"  {answer.question.name} {answer.answer}: {answer.line}" for answer in result.answers),
        (
            f"autoencoder: error on unseen good images {result.heldout_error:.2e}, "
            f"the mean image alone {result.mean_image_error:.2e}, the images' own variance {result.own_variance:.2e}"
        ),
        f"limit {result.limit:.4g}: {result.statement}",
    ]
    if result.left_out:
        lines.append("left out as not good: " + ", ".join(image.path.name for image in result.left_out))
    if result.kept:
        lines.append("kept as good, confirmed by name: " + ", ".join(image.path.name for image in result.kept))
    if result.findings is not None:
        lines.append(f"known defects: {result.findings.statement}")
    if result.odd_part:
        lines.append(f"ONE SCORE IS LEFT ASIDE: {result.odd_part}")
    if result.parts_curve is not None:
        lines.append(f"more good parts: {result.parts_curve.statement}")
    if result.tolerance is not None:
        lines.append(f"light and lens: {result.tolerance.statement}")
    if result.time is not None:
        lines.append(f"time: {result.time.words}")
    if result.cost is not None:
        lines.append(f"what that time costs: {result.cost.words}")
    if oddest := _oddest(result):
        lines += [
            "oddest good parts: " + ", ".join(f"{name} {oddity:.1f}" for name, oddity, _ in oddest),
            "  look at each of them once, in the report; if one is not good, calibrate again with --leave-out NAME",
        ]
    return [
        *lines,
        "seconds: " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in result.timings_s.items()),
    ]


def _oddest(result: CalibrationResult) -> list[tuple[str, float, float]]:
    """Name, oddity and held-out score of the good parts that are least like the others, the oddest first."""
    if result.suspicion is None:
        return []
    scores, suspicion = dict(result.scores), result.suspicion
    found = [(suspicion.image(part).path.name, suspicion.oddity_of(part)) for part in suspicion.oddest(_ODDEST)]
    return [(name, oddity, scores[name]) for name, oddity in found]


def doubts_json(suspicion: Suspicion) -> dict[str, object]:
    """The ``--json`` object of a calibration that stopped for a person to look: no bundle, and why."""
    suspects = [(suspicion.image(part), suspicion.oddity_of(part)) for part in suspicion.suspects]
    return {
        "schema_version": 1,
        "bundle": None,
        "stopped": suspicion.statement,
        "images": len(suspicion.registered.images),
        "suspects": [{"file": image.path.name, "sha256": image.sha256, "oddity": oddity} for image, oddity in suspects],
        "next_oddity": suspicion.next_oddity,
        "kept": [suspicion.image(part).path.name for part in suspicion.kept],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
