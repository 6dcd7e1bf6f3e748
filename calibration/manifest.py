"""What a calibration writes into its bundle's manifest."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from calibration.asked import asked_of
from edge_agent.drift.known import MANIFEST_SECTION
from edge_agent.drift.quantities import SCORE, pose_of, resolution
from edge_agent.drift.usual import FEWEST, Usual
from edge_agent.inspection.bundle.learned import LEARNED
from edge_agent.inspection.bundle.manifest import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calibration.gathered import Prepared
    from calibration.limits.limit import Limit
    from calibration.options import CalibrationOptions
    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.scored import Scored

__all__ = ["manifest_of", "package_versions"]

_PACKAGES = ("edge-agent", "numpy", "onnx", "onnxruntime", "opencv-python-headless", "torch")


def manifest_of(options: CalibrationOptions, prepared: Prepared, limit: Limit, scored: Scored) -> dict[str, Any]:
    """All that is known before the bundle is tried: its golden values, its parity and its id are added later."""
    registered, learned = prepared.gathered.registered, prepared.learned
    height, width = registered.reference_pixels.shape[:2]
    grid = registered.grid
    return {
        "schema_version": SCHEMA_VERSION,
        "part": options.part,
        "program": options.program,
        "camera": options.camera,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "seed": options.seed,
        "image": {
            "height": height,
            "width": width,
            "channels": registered.channels,
            "zero_tail_rows": max(image.zero_tail.rows for image in registered.images),
            "stray_share": registered.dark.stray_share,
        },
        "reference_image": _name(registered.images[registered.reference].path),
        "training_images": [
            {"name": _name(image.path), "sha256": image.sha256, "heldout_score": float(score)}
            for image, score in zip(registered.images, scored.scores, strict=True)
        ],
        "left_out_images": [{"name": _name(i.path), "sha256": i.sha256} for i in prepared.gathered.left_out],
        "kept_images": [{"name": _name(i.path), "sha256": i.sha256} for i in prepared.gathered.kept],
        "asked": asked_of(options),
        **({} if options.learned is None else {LEARNED: dict(options.learned)}),
        "registration": asdict(registered.registration.settings),
        "questions": {answer.question.name: answer.to_json() for answer in prepared.gathered.answers},
        **_when_judged(registered, scored),
        "crop": list(registered.crop),
        "patches": {
            "working_height": grid.height,
            "working_width": grid.width,
            "patch": grid.patch,
            "stride": grid.stride,
        },
        "method": scored.method,
        "backbone": options.backbone.facts,
        "autoencoder": {
            "heldout_error": learned.heldout_error,
            "mean_image_error": learned.mean_image_error,
            "own_variance": learned.own_variance,
        },
        "limit": limit.to_json(),
        MANIFEST_SECTION: _usual(registered, scored),
    }


def _usual(registered: RegisteredSet, scored: Scored) -> dict[str, object]:
    """How the good parts' own quantities lay: a drift on the line is told against that. Empty for too few."""
    found: dict[str, Sequence[float]] = {SCORE: scored.scores.tolist(), **scored.measured}
    if not registered.registration.settings.off:
        laid = [pose_of(alignment) for alignment in registered.alignments]
        found |= {name: [one[name] for one in laid] for name in laid[0]}
    if len(registered.images) < FEWEST:
        return {}
    return {name: Usual.of(values, resolution(name)).to_json() for name, values in found.items()}


def _when_judged(registered: RegisteredSet, scored: Scored) -> dict[str, Any]:
    """The sections on when an image is judged at all: how the part lies, and in which light, where that is measured."""
    align = registered.align
    if scored.condition is None:
        return {"align": align}
    pose = registered.pose.without("gain", "offset")  # the condition says the same of the part, in better words
    return {"align": align | {"pose": pose.to_json()}, "condition": scored.condition.to_json()}


def _name(path: Path) -> str:
    """A file's name for people: what is no character in it, or one that a screen obeys, is written out."""
    text = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) == "Cc" else c for c in text)


def package_versions() -> dict[str, str]:
    """The versions of what a calibration computes with, by the package's name."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
