"""What a calibration found, for a person: lines, JSON, and the report that an engineer signs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.facts import CalibrationFacts, GoodPartScore, PartPictures, RegistrationRow, TrainingStep
from edge_agent.report.html import write_calibration_report

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.calibrate import CalibrationResult

__all__ = ["calibration_json", "calibration_lines", "write_report"]

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
        "reference": result.reference,
        "crop": list(result.crop),
        "quality_min": result.quality_min,
        "heldout_error": _finite(result.heldout_error),
        "mean_image_error": _finite(result.mean_image_error),
        "own_variance": result.own_variance,
        "oddest": [{"file": name, "score": score} for name, score in result.scores[:_ODDEST]],
        "timings_s": {stage: round(seconds, 2) for stage, seconds in result.timings_s.items()},
    }


def calibration_lines(result: CalibrationResult) -> list[str]:
    """The result in a few lines for a person."""
    worst = min(result.registration, key=lambda row: row.quality)
    return [
        f"bundle {result.bundle_id[:16]} from {result.images} good images -> {result.path}",
        f"reference {result.reference}; registration quality at least {worst.quality:.3f} ({worst.name})",
        (
            f"autoencoder: error on unseen good images {result.heldout_error:.2e}, "
            f"the mean image alone {result.mean_image_error:.2e}, the images' own variance {result.own_variance:.2e}"
        ),
        f"limit {result.limit:.4g}: {result.statement}",
        "oddest good parts (confirm them): " + ", ".join(f"{name} {score:.4g}" for name, score in result.scores[:3]),
        "seconds: " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in result.timings_s.items()),
    ]


def write_report(path: Path, result: CalibrationResult, images: Path) -> None:
    """Write the HTML report; ``images`` is the folder of good images, for pictures of the oddest."""
    bundle = Bundle.load(result.path)
    height, width = bundle.reference.shape[:2]
    facts = CalibrationFacts(
        part=bundle.part,
        program=bundle.program,
        camera=bundle.camera,
        bundle_id=bundle.id,
        created_utc=bundle.created,
        versions=bundle.manifest["versions"],
        image_count=result.images,
        image_width_px=width,
        image_height_px=height,
        reference=bundle.reference,
        crop_px=result.crop,
        registrations=tuple(
            RegistrationRow(row.name, row.shift_x_px, row.shift_y_px, row.angle_deg, row.quality)
            for row in result.registration
        ),
        training=tuple(TrainingStep(p.step, p.train, _finite(p.heldout)) for p in result.curve),
        scores=tuple(GoodPartScore(name, score) for name, score in result.scores),
        limit=result.limit,
        limit_statement=result.statement,
        seed=bundle.manifest["seed"],
        own_variance=result.own_variance,
        mean_image_error=_finite(result.mean_image_error),
        oddest=_oddest(result, bundle, images),
        timings_s=result.timings_s,
    )
    write_calibration_report(path, title=f"Calibration of {bundle.part}", facts=facts)


def _oddest(result: CalibrationResult, bundle: Bundle, images: Path) -> tuple[PartPictures, ...]:
    inspector = Inspector(bundle)
    shown = []
    for name, score in result.scores[:_ODDEST]:
        _, pictures = inspector.explain((images / name).read_bytes())
        if pictures is not None:
            shown.append(
                PartPictures(
                    label=name,
                    caption=f"score {score:.4g} when judged as an unseen part, limit {result.limit:.4g}",
                    image=pictures.input,
                    reconstruction=pictures.reconstruction,
                    anomaly_map=pictures.anomaly_map,
                )
            )
    return tuple(shown)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
