"""All good images in the reference's frame: where each lies, which crop is inspected, at which working size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.good_parts.spread import evenly
from calibration.registering.gate import (
    NO_GATE,
    RELIABLE,
    gate_warnings,
    gate_words,
    likeness_gate,
    likeness_words,
    moved_elsewhere,
    quality_gate,
    unregistered,
    wrong_qualities,
)
from calibration.registering.part_mask import part_and_rim, part_mask
from calibration.registering.reference import (
    Box,
    check_in_view,
    clip_to_valid,
    explicit_crop,
    medoid,
    part_box,
    parts_box,
    read_mask,
)
from calibration.registering.search import overview, search
from calibration.registering.tails import dark_ground, filled_with_zeros
from calibration.workers import ONE_THREAD, Work
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.networks.anomaly_map import to_working
from edge_agent.inspection.networks.channels import Plane
from edge_agent.inspection.networks.extractor import NATIVE_PIXELS, size_within
from edge_agent.inspection.networks.patches import PatchGrid
from edge_agent.inspection.registration.likeness import Likeness
from edge_agent.inspection.registration.pose import PoseLimits
from edge_agent.inspection.registration.seen_area import SeenArea, crop_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from calibration.registering.search import Registered, SearchWishes
    from calibration.workers import Workers
    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration.register import Registration
    from edge_agent.inspection.registration.tail import DarkGround

__all__ = ["RegisteredSet", "grid_for", "register_all"]

_WORKING_PX = 256
_THUMBNAIL_PX = 200
# Turned further, parts have hardly a rectangle in common: then each has to show most of the crop, and not all of it.
_TURNED_DEG = 20.0
_MOST_UNSEEN = 0.4
# Beyond what the good part that is furthest out hides of the crop.
_UNSEEN_SLACK = 0.02
# Good images that are moved elsewhere, eight ways each: enough for the quantile that the gate wants.
_MOVED = 6
_HALF = 0.5
_NOT_JUDGED: tuple[str, ...] = ("no part is rejected for where it lies: the score alone judges it",)


@dataclass(frozen=True, slots=True, eq=False)
class LikenessGate:
    """How like the reference, as a whole, a part must be: ``least``, over ``part`` (h, w) of the working crop.

    None is all of it. ``words`` say what good parts have.
    """

    least: float = NO_GATE
    part: NDArray[np.bool_] | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredSet:
    """The registered good images. Pixels are read again at every use: full-size pictures never pile up in memory.

    ``notes`` say what was chosen and what the quality gate can stop, ``warnings`` what it cannot; ``mask`` is where the
    reference may be trusted; ``dark`` is where good parts are black. ``is_tied``: a place of a part is compared with
    the same place of good parts. ``plane``: what the filtered view looks at, if any. ``part`` (h, w) is where in the
    crop the part is, or anywhere that some part lies; None: all of it counts. ``native`` is the
    (height, width) at which views look at the crop, every pixel of which is looked at (``sees_all``) where the
    autoencoder has a voice.
    """

    images: tuple[GoodImage, ...]
    reference: int
    reference_pixels: NDArray[np.uint8]
    registration: Registration
    alignments: tuple[Alignment, ...]
    crop: Box
    grid: PatchGrid
    quality_min: float
    unseen_max: float
    pose: PoseLimits
    notes: tuple[str, ...]
    mask: NDArray[np.uint8] | None
    dark: DarkGround
    whole: LikenessGate
    part: NDArray[np.bool_] | None
    native: tuple[int, int]
    is_tied: bool = True
    plane: Plane = Plane.ALL
    sees_all: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def seen_area(self) -> SeenArea:
        """What is looked at of a part."""
        return SeenArea.whole(self.crop) if self.sees_all else SeenArea(self.crop, *self.native)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.reference_pixels.ndim == 2 else 3

    @property
    def align(self) -> dict[str, object]:
        """The manifest's section on when an image counts as registered, and on what was chosen, in words."""
        return {
            "quality_min": self.quality_min,
            "likeness_min": self.whole.least,
            "unseen_max": self.unseen_max,
            "pose": self.pose.to_json(),
            "notes": [*self.notes, *self.warnings],
        }

    @property
    def part_region(self) -> NDArray[np.uint8] | None:
        """Where a part's likeness as a whole is taken (H, W), 255, else 0; None: all of the crop."""
        if self.whole.part is None:
            return None
        x, y, width, height = self.crop
        found = np.zeros(self.reference_pixels.shape[:2], np.uint8)
        part = self.whole.part.astype(np.uint8) * 255
        found[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST)
        return found

    @property
    def asked(self) -> NDArray[np.bool_] | None:
        """Where over the crop (h, w) a person's mask is white; None: everywhere."""
        if self.mask is None:
            return None
        return crop_of(self.mask.astype(np.float32), self.crop)[..., 0] > 0.0

    def cropped(self, index: int) -> NDArray[np.float32]:
        """What is looked at (h, w, C) of one of the images, in [0, 1]."""
        return self.seen(self.images[index].pixels(), self.alignments[index])

    def seen(self, pixels: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.float32]:
        """What is looked at (h, w, C) of an image that lies so, in [0, 1]."""
        return self.seen_area.of(self.registration, pixels, alignment)

    def likeness(self) -> Likeness:
        """How like the reference, as a whole, a working image is."""
        return Likeness(to_working(self.cropped(self.reference), self.grid), self.whole.part)

    def working(self, progress: Callable[[int, int], None], *, workers: Workers = ONE_THREAD) -> NDArray[np.float32]:
        """All working images (n, h, w, C)."""
        found = []
        for image in workers.each(Work(_working, (self,)), range(len(self.images))):
            found.append(image)
            progress(len(found), len(self.images))
        return np.stack(found)


def register_all(
    images: Sequence[GoodImage],
    wishes: SearchWishes,
    crop: str | Box,
    progress: Callable[[int, int], None],
    *,
    workers: Workers = ONE_THREAD,
) -> RegisteredSet:
    """Register every image to the most usual one and settle the crop. Raises CalibrationRefused, UsageError.

    Of many images, a few that do not register are left out, and named.
    """
    reference = medoid(images)
    mask = None if wishes.mask is None else read_mask(wishes.mask, images[reference].shape)
    found, words = search(images, reference, wishes, mask, progress, workers=workers)
    qualities = {i.path.name: a.quality for i, a in zip(images, found.alignments, strict=True)}
    # The reference lies on itself exactly, which says nothing of the others.
    del qualities[images[reference].path.name]
    is_off = found.registration.settings.off
    odd = () if is_off else unregistered(qualities, wishes.left_out_share, _likeness_of(images, found))
    kept = [i for i, image in enumerate(images) if image.path.name not in odd]
    kept_images, alignments = [images[i] for i in kept], [found.alignments[i] for i in kept]
    # Before anything is made of the images: one that lost its end is no good part, and would be one more kind of
    # normal.
    dark = _dark_ground(kept_images, found.registration, alignments, workers)
    try:
        box = _settle_crop(crop, found, dict(zip((i.path.name for i in kept_images), alignments, strict=True)))
    except CalibrationRefused as err:
        # Out of view by a registration that fits badly anyhow: the image was moved by chance (docs/decisions/0058).
        is_open = wishes.registration == "auto" and wishes.max_angle_deg is None
        if is_open and found.usual_quality(reference) < RELIABLE:
            return register_all(
                images, replace(wishes, registration="off", max_scale=0.0), crop, progress, workers=workers
            )
        raise CalibrationRefused(str(err), hint=f"{err.hint}; or calibrate with --registration off") from err
    gate, gate_notes = NO_GATE, _NOT_JUDGED
    warnings: tuple[str, ...] = ()
    whole = LikenessGate()
    crops = _working_crops(kept_images, found.registration, alignments, box, workers)
    part = part_mask(np.mean(crops, axis=0), (np.min(crops, axis=0), np.max(crops, axis=0)) if is_off else None)
    if not is_off:
        wrong = wrong_qualities(found.registration, kept_images, alignments, workers)
        gate = quality_gate([q for name, q in qualities.items() if name not in odd], wrong)
        whole = _whole(crops, part, box, (kept.index(reference), mask))
        gate_notes = (*gate_words(gate, qualities.values(), wrong), whole.words)
        warnings = gate_warnings(gate, wrong)
    return RegisteredSet(
        images=tuple(kept_images),
        reference=kept.index(reference),
        reference_pixels=images[reference].pixels(),
        registration=found.registration,
        alignments=tuple(alignments),
        crop=box,
        grid=grid_for(box[3], box[2]),
        native=size_within(box[3], box[2], NATIVE_PIXELS),
        quality_min=gate,
        unseen_max=max(found.registration.unseen_fraction(a, box) for a in alignments) + _UNSEEN_SLACK,
        notes=(words, *_left_out(odd, len(images)), *gate_notes),
        warnings=warnings,
        mask=mask,
        dark=dark,
        whole=whole,
        part=part,
        pose=_pose_limits(alignments, found.registration, None if is_off else wishes.pose_tolerance),
    )


def _likeness_of(images: Sequence[GoodImage], found: Registered) -> Callable[[str], float]:
    """How like the mean of all an image is, by its name."""
    # The mean and not the reference: one part has glints and marks of its own.
    likeness = Likeness(found.mean, part_and_rim(part_mask(found.mean)))
    by_name = {image.path.name: (image, a) for image, a in zip(images, found.alignments, strict=True)}

    def of(name: str) -> float:
        image, alignment = by_name[name]
        return likeness(overview(found.registration.warp(image.pixels(), alignment)))

    return of


def _working_crops(
    images: Sequence[GoodImage],
    registration: Registration,
    alignments: Sequence[Alignment],
    box: Box,
    workers: Workers,
) -> list[NDArray[np.float32]]:
    grid = grid_for(box[3], box[2])
    return list(workers.each(Work(_working_crop, (registration, box, grid)), zip(images, alignments, strict=True)))


def _working_crop(
    registration: Registration, box: Box, grid: PatchGrid, one: tuple[GoodImage, Alignment]
) -> NDArray[np.float32]:
    return to_working(crop_of(registration.warp(one[0].pixels(), one[1]), box), grid)


def _working(registered: RegisteredSet, index: int) -> NDArray[np.float32]:
    return to_working(registered.cropped(index), registered.grid)


def _whole(
    crops: Sequence[NDArray[np.float32]],
    part: NDArray[np.bool_] | None,
    box: Box,
    trusted: tuple[int, NDArray[np.uint8] | None],
) -> LikenessGate:
    """The gate on likeness, from working images as they are and moved elsewhere; ``trusted``: reference and mask."""
    reference, mask = trusted
    grid = grid_for(box[3], box[2])
    part = part_and_rim(part)
    if mask is not None:
        white = to_working(crop_of((mask > 0).astype(np.float32), box), grid)[..., 0] > _HALF
        inside = white if part is None else white & part
        # A mask that is painted beside the part must not leave nothing to compare.
        part = inside if inside.any() else part
    likeness = Likeness(crops[reference], part)
    good = [likeness(crop) for index, crop in enumerate(crops) if index != reference]
    moved = [likeness(other) for index in evenly(len(crops), _MOVED) for other in moved_elsewhere(crops[index])]
    least = likeness_gate(good, moved)
    return LikenessGate(least, part, likeness_words(least, good, moved))


def _dark_ground(
    images: Sequence[GoodImage], registration: Registration, alignments: Sequence[Alignment], workers: Workers
) -> DarkGround:
    """Where good parts are black. Raises CalibrationRefused, naming every image whose file was cut."""
    dark, most = dark_ground(images, registration, alignments, workers=workers)
    cut = filled_with_zeros(images, registration, alignments, most)
    if cut:
        raise CalibrationRefused(
            "; ".join(f"{name}: {why}" for name, why in cut.items()), hint="remove them, or copy them again"
        )
    return dark


def grid_for(height: int, width: int) -> PatchGrid:
    """Working size and patches for a crop: long side 256 px, patches of 64 px every 32 px.

    Small images are halved instead, and thumbnails keep their size; below 96 px patches are 32 px every 16 px.
    """
    long_side, short_side = max(height, width), min(height, width)
    scale = _WORKING_PX / long_side if long_side > _THUMBNAIL_PX else 0.5
    # The short side has to hold a patch of 32 px with a little room, and nothing is made larger than it came.
    scale = min(1.0, max(scale, 40 / short_side))
    h, w = max(32, round(height * scale)), max(32, round(width * scale))
    patch = 64 if min(h, w) >= 96 else 32
    return PatchGrid(height=h, width=w, patch=patch, stride=patch // 2)


def _settle_crop(crop: str | Box, found: Registered, alignments: dict[str, Alignment]) -> Box:
    registration = found.registration
    height, width = registration.shape[:2]
    if not isinstance(crop, str):
        return explicit_crop(crop, height, width)
    scale = width / found.mean.shape[1]
    if registration.settings.off:
        return (parts_box(found.mean, found.least, found.most, scale) if crop == "auto" else None) or (
            0,
            0,
            width,
            height,
        )
    box = part_box(found.mean, scale) if crop == "auto" else None
    if max(abs(alignment.angle_deg) for alignment in alignments.values()) < _TURNED_DEG:
        valid = {name: registration.valid_region(a) for name, a in alignments.items()}
        return clip_to_valid(box or (0, 0, width, height), valid)

    def unseen(box: Box) -> dict[str, float]:
        return {name: registration.unseen_fraction(alignment, box) for name, alignment in alignments.items()}

    # A turned part has no rectangle in common with the others: the whole part is worth a corner out of view.
    candidates = [box] if box else [_middle(width, height, share) for share in (1.0, 0.9, 0.8, 0.7)]
    shown = next((c for c in candidates if max(unseen(c).values()) < _MOST_UNSEEN), candidates[-1])
    return check_in_view(shown, unseen(shown), most=_MOST_UNSEEN)


def _middle(width: int, height: int, share: float) -> Box:
    w, h = round(width * share), round(height * share)
    return (width - w) // 2, (height - h) // 2, w, h


def _pose_limits(alignments: Sequence[Alignment], registration: Registration, tolerance: float | None) -> PoseLimits:
    if tolerance is None:
        return PoseLimits({})
    return PoseLimits.of(alignments, max(registration.shape[:2]), tolerance)


def _left_out(odd: Sequence[str], count: int) -> tuple[str, ...]:
    if not odd:
        return ()
    return (f"left out: {', '.join(odd)} of {count} good images do not register, nor will such parts on the line",)
