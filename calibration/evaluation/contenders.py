"""Methods in a test, the product's and those to compare with, behind one face: a test image in, a sight of it out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.limits.limit import choose_limit
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.baselines import Detector
    from calibration.limits.limit import Limit
    from calibration.registering.registered import RegisteredSet
    from calibration.result import CalibrationResult
    from edge_agent.domain import Alignment
    from edge_agent.inspection.inspector import Inspector

__all__ = ["Baseline", "Product", "RegisteredCrop", "Sight"]

_NOT_THE_SCORING = frozenset({"decode", "register", "score"})


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One test image as one method saw it. ``heat`` is (H, W) in image coordinates, None where there is none.

    ``score`` is infinite where the image was refused before it had one: no limit passes it. ``reason`` is the line's
    own word, empty for a method without a limit; ``channel`` is where a score of several channels was highest.
    """

    score: float
    is_rejected: bool | None
    reason: str
    describe_ms: float | None
    score_ms: float | None
    heat: NDArray[np.float32] | None
    channel: str = ""
    detail: str = ""

    @property
    def is_unregistered(self) -> bool:
        """Whether the part was rejected for how it lies."""
        return self.reason == Reason.ALIGN


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredCrop:
    """A test image as the baselines see it: laid on the reference and cropped, (H, W, C) float32 in [0, 1]."""

    crop: NDArray[np.float32]
    alignment: Alignment
    registered: RegisteredSet

    @classmethod
    def of(cls, image: NDArray[np.uint8], registered: RegisteredSet) -> RegisteredCrop:
        """Register and cut as the inspection does."""
        alignment = registered.registration.register(image)
        return cls(registered.seen(image, alignment), alignment, registered)

    def over_image(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map of the crop (h, w) of any size, laid over the image (H, W); 0 where the crop does not reach."""
        x, y, width, height = self.registered.crop
        frame = np.zeros(self.registered.reference_pixels.shape[:2], np.float32)
        frame[y : y + height, x : x + width] = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
        return self.registered.registration.warp_back(frame, self.alignment)


class Product:
    """A method of the product: its bundle, written and loaded again, judged by the inspector of the line."""

    def __init__(self, inspector: Inspector, result: CalibrationResult) -> None:
        self.inspector, self.limit = inspector, result.choice
        self.notes, self.odd_part = (*result.notes, *result.warnings), result.odd_part

    def look(self, data: bytes, *, with_heat: bool) -> Sight:
        """Judge one image file, as the line would."""
        inspection, pictures = self.inspector.explain(data) if with_heat else (self.inspector.inspect(data), None)
        has_score, shares = math.isfinite(inspection.score), inspection.shares
        described = sum(ms for stage, ms in inspection.timings_ms.items() if stage not in _NOT_THE_SCORING)
        return Sight(
            score=inspection.score if has_score else math.inf,
            is_rejected=inspection.outcome is not Outcome.OK,
            reason=str(inspection.reason),
            describe_ms=described if has_score else None,
            score_ms=inspection.timings_ms["score"] if has_score else None,
            heat=pictures.heat_map if pictures is not None else None,
            channel=str(max(shares, key=shares.__getitem__, default="")),
            detail=inspection.detail,
        )


class Baseline:
    """A detector to compare with, and the limit that its held-out scores set by the product's own rule."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        held_out = detector.held_out_scores()
        self.limit: Limit | None = None if held_out is None else choose_limit(held_out)

    def look(self, path: Path, seen: RegisteredCrop, *, with_heat: bool) -> Sight:
        """Score one registered crop. Raises DataError where it has no score."""
        begin = time.perf_counter()
        described = self._detector.describe(seen.crop)
        between = time.perf_counter()
        score = self._detector.score(described)
        end = time.perf_counter()
        if not math.isfinite(score):
            raise DataError(f"{path} has no score", hint="remove it or copy it again")
        heat = self._detector.heat_map(described) if with_heat else None
        is_rejected = None if self.limit is None else score >= self.limit.value
        return Sight(
            score=score,
            is_rejected=is_rejected,
            reason="" if is_rejected is None else str(Reason.SCORE if is_rejected else Reason.OK),
            describe_ms=(between - begin) * 1000.0,
            score_ms=(end - between) * 1000.0,
            heat=None if heat is None else seen.over_image(heat),
        )
