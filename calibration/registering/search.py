"""How far to search for the part: the good parts themselves say whether they lie turned, or nowhere in particular."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.registering.gate import RELIABLE
from calibration.workers import ONE_THREAD, Work
from edge_agent.errors import CalibrationRefused, DataError, UsageError
from edge_agent.inspection.registration.register import Registration, RegistrationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from calibration.workers import Workers
    from edge_agent.domain import Alignment

    Progress = Callable[[int, int], None]

__all__ = [
    "REGISTRATION",
    "Registered",
    "SearchWishes",
    "as_they_come",
    "overview",
    "register_by_range",
    "search",
    "wishes_from",
]

REGISTRATION = ("auto", "on", "off")
"""Whether parts are registered: the good images decide, always, never."""
_UNMOVED = "images are compared as they come, without registration"

# Tried first: a wider search costs time on every part, and offers more wrong poses to parts that look nearly alike
# from several sides (docs/decisions/0005).
_SMALL_DEG = 10.0
_MOST_SCALE = 0.3
_OVERVIEW_PX = 256
# The worst six: if parts lie turned, most of these do.
_TRIED = 6
# An image that registers so well has nothing to gain on the full circle.
_CERTAIN = 0.9
# By a third of what lacks to 1, but by 0.05 at least and by 0.12 where much lacks (docs/decisions/0005).
_LEAST_GAIN = 0.05
_CLEAR_GAIN = 0.12
_GAP_SHARE = 1 / 3
# Five per cent nearer is the least that motion has to bring; a surface is not nearer anywhere (docs/decisions/0005).
_HELPS = 0.95
# Further out of view an image was moved by chance and not by what it shows.
_MOST_UNSEEN = 0.4


@dataclass(frozen=True, slots=True)
class SearchWishes:
    """How parts may lie. ``max_angle_deg`` None: the good images decide. ``max_scale`` 0.1: a tenth larger or smaller.

    ``mask`` is a picture that is white where the reference may be trusted. ``pose_tolerance`` widens or narrows how
    far a part may lie from where good parts lie; None judges no place. ``left_out_share`` of the good images may fail
    to register: they are left out, and named; more are refused. ``registration`` is one of REGISTRATION.
    """

    max_angle_deg: float | None = None
    max_scale: float = 0.0
    mask: Path | None = None
    pose_tolerance: float | None = 1.0
    left_out_share: float = 0.02
    registration: str = "auto"

    def __post_init__(self) -> None:
        if self.registration not in REGISTRATION:
            raise UsageError(f"registration {self.registration!r}", hint=f"--registration {', '.join(REGISTRATION)}")
        if self.registration == "off" and (self.max_angle_deg is not None or self.max_scale):
            hint = "leave out --registration off, or --max-angle and --max-scale"
            raise UsageError("a range to search, and registration off", hint=hint)
        if self.max_angle_deg is not None and not 0.0 <= self.max_angle_deg <= 180.0:
            raise UsageError(f"a largest angle of {self.max_angle_deg} degrees", hint="0 to 180, or auto")
        if not 0.0 <= self.max_scale <= _MOST_SCALE:
            raise UsageError(f"a largest change of scale of {self.max_scale:.0%}", hint=f"0 to {_MOST_SCALE:.0%}")
        if self.pose_tolerance is not None and not 0.0 < self.pose_tolerance < math.inf:
            raise UsageError(f"a pose tolerance of {self.pose_tolerance}", hint="a factor above 0, or off")

    @property
    def settings(self) -> RegistrationSettings:
        """What is searched first, if not only."""
        angle = _SMALL_DEG if self.max_angle_deg is None else self.max_angle_deg
        return RegistrationSettings(max_angle_deg=angle, max_scale=self.max_scale, off=self.registration == "off")


def wishes_from(
    max_angle: str, max_scale_percent: float, mask: Path | None, pose_tolerance: str, registration: str = "auto"
) -> SearchWishes:
    """The wishes in a person's words: "auto" or degrees, percent, a file, "off" or a factor. Raises UsageError."""
    try:
        angle = None if max_angle == "auto" else float(max_angle)
        tolerance = None if pose_tolerance == "off" else float(pose_tolerance)
    except ValueError as err:
        hint = "--max-angle auto or degrees, --pose-tolerance off or a factor"
        raise UsageError(f"not a number: {err}", hint=hint) from err
    return SearchWishes(angle, max_scale_percent / 100.0, mask, tolerance, registration=registration)


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """All good images by one registration, and what they show in the reference's frame, at reduced size, in [0, 1].

    ``mean`` (h, w, C) is their mean, ``least`` and ``most`` the darkest and lightest value of each pixel. ``closer`` is
    the usual difference to the reference after registration, as a share of that before.
    """

    registration: Registration
    alignments: tuple[Alignment, ...]
    mean: NDArray[np.float32]
    least: NDArray[np.float32]
    most: NDArray[np.float32]
    closer: float

    def usual_quality(self, reference: int) -> float:
        """The median of all images but the reference itself."""
        return float(np.median([a.quality for i, a in enumerate(self.alignments) if i != reference]))


def search(
    images: Sequence[GoodImage],
    reference: int,
    wishes: SearchWishes,
    mask: NDArray[np.uint8] | None,
    progress: Progress,
    *,
    workers: Workers = ONE_THREAD,
) -> tuple[Registered, str]:
    """Register as a person wishes, or as the good parts need it; and what was chosen, in words.

    Where nothing is wished: within a small range; the full circle where it serves at least half of the worst images
    clearly better; not at all where there is nothing to register by, or images register badly and motion brings them no
    closer to each other. ``mask`` (H, W) is what a person drew on the reference, not 0 on the part; None: everywhere.
    Raises CalibrationRefused where a person insists on what cannot be.
    """
    if wishes.registration == "off":
        return as_they_come(images, reference, mask, progress, workers=workers), _UNMOVED
    try:
        return _search(images, reference, wishes, mask, progress, workers=workers)
    except CalibrationRefused:
        raise
    except DataError as err:  # the reference has nothing to register by
        if wishes.registration == "on" or wishes.max_angle_deg is not None:
            raise CalibrationRefused(
                f"{images[reference].path.name}: {err}", hint=f"{err.hint}; or calibrate with --registration off"
            ) from err
        return as_they_come(images, reference, mask, progress, workers=workers), f"{err}: {_UNMOVED}"


def _search(
    images: Sequence[GoodImage],
    reference: int,
    wishes: SearchWishes,
    mask: NDArray[np.uint8] | None,
    progress: Progress,
    *,
    workers: Workers,
) -> tuple[Registered, str]:
    settings = wishes.settings
    found = register_by_range(images, reference, settings, mask, progress, workers=workers)
    if wishes.max_angle_deg is not None:
        return found, f"parts are searched within {settings.max_angle_deg:g} degrees, as asked"
    words = f"the good parts lie within {settings.max_angle_deg:g} degrees"
    if _lie_turned(images, reference, found, mask, workers=workers):
        circle = replace(settings, max_angle_deg=180.0)
        found = register_by_range(images, reference, circle, mask, progress, workers=workers)
        words = "the good parts lie turned at any angle: the full circle is searched"
    elif found.usual_quality(reference) < RELIABLE:
        words = f"parts are searched within {settings.max_angle_deg:g} degrees: a wider search serves them no better"
    # A person who says "on" has a reason that the images do not show.
    is_open = wishes.registration == "auto"
    if is_open and found.usual_quality(reference) < RELIABLE and not _helps(found):
        words = f"registration lays no good image onto another: {_UNMOVED}"
        found = as_they_come(images, reference, mask, progress, workers=workers)
    return found, words


def as_they_come(
    images: Sequence[GoodImage],
    reference: int,
    mask: NDArray[np.uint8] | None,
    progress: Progress,
    *,
    workers: Workers = ONE_THREAD,
) -> Registered:
    """Every image where it lies; ``mask`` (H, W) as in ``search``. Raises CalibrationRefused for an unreadable file."""
    return register_by_range(images, reference, RegistrationSettings(off=True), mask, progress, workers=workers)


def register_by_range(
    images: Sequence[GoodImage],
    reference: int,
    settings: RegistrationSettings,
    mask: NDArray[np.uint8] | None,
    progress: Progress,
    *,
    workers: Workers = ONE_THREAD,
) -> Registered:
    """Register every image within exactly these settings; ``mask`` (H, W) as in ``search``.

    Raises CalibrationRefused for an unreadable file, DataError for a reference without structure.
    """
    pixels = images[reference].pixels()
    registration = Registration(pixels, settings, mask)
    still = overview(pixels * np.float32(1.0 / 255.0))
    alignments, before, after, total = [], [], [], np.zeros(still.shape, np.float64)
    least, most = still.copy(), still.copy()
    laid = workers.each(Work(_laid, (registration, still)), images)
    for number, (alignment, small, apart) in enumerate(laid, start=1):
        alignments.append(alignment)
        total += small
        np.minimum(least, small, out=least)
        np.maximum(most, small, out=most)
        before.append(apart)
        after.append(_rms(small, still))
        progress(number, len(images))
    # Without the reference: it lies on itself exactly.
    closer = float(np.median(np.delete(after, reference)) / max(np.median(np.delete(before, reference)), 1e-6))
    mean = (total / len(images)).astype(np.float32)
    return Registered(registration, tuple(alignments), mean, least, most, closer)


def _laid(
    registration: Registration, still: NDArray[np.float32], image: GoodImage
) -> tuple[Alignment, NDArray[np.float32], float]:
    """Where an image lies, what it shows there at reduced size, and how far it differs from ``still`` where it lay."""
    current = image.pixels()
    found = registration.register(current)
    unmoved = overview(current * np.float32(1.0 / 255.0))
    return found, overview(registration.warp(current, found)), _rms(unmoved, still)


def _lie_turned(
    images: Sequence[GoodImage], reference: int, found: Registered, mask: NDArray[np.uint8] | None, *, workers: Workers
) -> bool:
    """Whether the images that registered worst do so far better somewhere on the full circle."""
    # Only the worst: on the full circle each takes about twice the time (docs/decisions/0005, Measured).
    worst = sorted((a.quality, i) for i, a in enumerate(found.alignments) if i != reference)[:_TRIED]
    worst = [(quality, i) for quality, i in worst if quality < _CERTAIN]
    if not worst:
        return False
    settings = replace(found.registration.settings, max_angle_deg=180.0)
    circle = Registration(images[reference].pixels(), settings, mask)
    turned = workers.each(Work(_quality, (circle,)), [images[i] for _, i in worst])
    better = [
        quality > q + min(_CLEAR_GAIN, max(_LEAST_GAIN, (1.0 - q) * _GAP_SHARE))
        for quality, (q, _) in zip(turned, worst, strict=True)
    ]
    # Half of six, also where fewer than six registered badly: then most of them have to gain.
    return 2 * sum(better) >= _TRIED


def _quality(registration: Registration, image: GoodImage) -> float:
    return registration.register(image.pixels()).quality


def _helps(found: Registered) -> bool:
    height, width = found.registration.shape[:2]
    unseen = [found.registration.unseen_fraction(a, (0, 0, width, height)) for a in found.alignments]
    return found.closer < _HELPS and max(unseen) < _MOST_UNSEEN


def overview(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image (H, W) or (H, W, C) at a long side of 256 px at most, as (h, w, C)."""
    height, width = image.shape[:2]
    scale = min(1.0, _OVERVIEW_PX / max(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(h, w, -1)


def _rms(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2, dtype=np.float64)))
