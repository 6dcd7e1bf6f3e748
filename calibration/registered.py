"""All good images in the reference's frame: where each lies, which crop is inspected, at which working size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.images import read_pixels
from calibration.reference import Box, clip_to_valid, explicit_crop, medoid, part_box, quality_gate
from edge_agent.inspection.anomaly_map import to_working
from edge_agent.inspection.inspector import crop_of, unseen_fraction
from edge_agent.inspection.patches import PatchGrid
from edge_agent.inspection.pose import PoseLimits
from edge_agent.inspection.registration import Registration, RegistrationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.images import GoodImage
    from edge_agent.domain import Alignment

__all__ = ["RegisteredSet", "grid_for", "register_all"]

_WORKING_PX = 256
_THUMBNAIL_PX = 200
_OVERVIEW_PX = 256
_UNSEEN_SLACK = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredSet:
    """The registered good images. Pixels are read again at every use: full-size pictures never pile up in memory."""

    images: tuple[GoodImage, ...]
    reference: int
    reference_pixels: NDArray[np.uint8]
    registration: Registration
    alignments: tuple[Alignment, ...]
    crop: Box
    grid: PatchGrid
    quality_min: float
    unseen_max: float

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.reference_pixels.ndim == 2 else 3

    @property
    def align(self) -> dict[str, float]:
        """The manifest's numbers that say when an image counts as registered."""
        return {"quality_min": self.quality_min, "unseen_max": self.unseen_max}

    def pose_limits(self, tolerance: float | None) -> PoseLimits:
        """Where good parts lie; without a tolerance nothing is judged by it."""
        if tolerance is None:
            return PoseLimits({})
        return PoseLimits.of(self.alignments, max(self.reference_pixels.shape[:2]), tolerance)

    def cropped(self, index: int) -> NDArray[np.float32]:
        """The crop (H, W, C) of one registered image, in [0, 1]."""
        pixels = read_pixels(self.images[index].path)
        return crop_of(self.registration.warp(pixels, self.alignments[index]), self.crop)

    def working(self, progress: Callable[[int, int], None]) -> NDArray[np.float32]:
        """All working images (n, h, w, C)."""
        found = []
        for index in range(len(self.images)):
            found.append(to_working(self.cropped(index), self.grid))
            progress(index + 1, len(self.images))
        return np.stack(found)


def register_all(
    images: Sequence[GoodImage],
    settings: RegistrationSettings,
    crop: str | Box,
    progress: Callable[[int, int], None],
) -> RegisteredSet:
    """Register every image to the most usual one and settle the crop. Raises CalibrationRefused, UsageError."""
    reference = medoid(images)
    pixels = read_pixels(images[reference].path)
    registration = Registration(pixels, settings)
    alignments, total = [], np.zeros(0, np.float64)
    for number, image in enumerate(images, start=1):
        current = read_pixels(image.path)
        alignments.append(registration.register(current))
        overview = _overview(registration.warp(current, alignments[-1]))
        total = overview.astype(np.float64) if number == 1 else total + overview
        progress(number, len(images))
    names = [image.path.name for image in images]
    others = {n: a.quality for i, (n, a) in enumerate(zip(names, alignments, strict=True)) if i != reference}
    gate = quality_gate(others)
    valid = {n: registration.valid_region(a) for n, a in zip(names, alignments, strict=True)}
    box = _settle_crop(crop, (total / len(images)).astype(np.float32), pixels.shape, valid)
    unseen = max(unseen_fraction(region, box) for region in valid.values())
    return RegisteredSet(
        images=tuple(images),
        reference=reference,
        reference_pixels=pixels,
        registration=registration,
        alignments=tuple(alignments),
        crop=box,
        grid=grid_for(box[3], box[2]),
        quality_min=gate,
        unseen_max=unseen + _UNSEEN_SLACK,
    )


def grid_for(height: int, width: int) -> PatchGrid:
    """Working size and patches for a crop: long side 256 px, patches of 64 px every 32 px.

    Small images are halved instead, and thumbnails keep their size; below 96 px patches are 32 px every 16 px.
    """
    long_side, short_side = max(height, width), min(height, width)
    scale = _WORKING_PX / long_side if long_side > _THUMBNAIL_PX else 0.5
    scale = min(1.0, max(scale, 40 / short_side))
    h, w = max(32, round(height * scale)), max(32, round(width * scale))
    patch = 64 if min(h, w) >= 96 else 32
    return PatchGrid(height=h, width=w, patch=patch, stride=patch // 2)


def _settle_crop(
    crop: str | Box, mean: NDArray[np.float32], shape: tuple[int, ...], valid: dict[str, tuple[int, int, int, int]]
) -> Box:
    height, width = shape[:2]
    if not isinstance(crop, str):
        return explicit_crop(crop, height, width)
    found = part_box(mean, width / mean.shape[1]) if crop == "auto" else None
    return clip_to_valid(found or (0, 0, width, height), valid)


def _overview(image: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    scale = min(1.0, _OVERVIEW_PX / max(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(h, w, -1)
