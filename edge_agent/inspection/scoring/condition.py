"""The condition of an image, measured on the part beside its score: brightness, contrast, colour, sharpness.

Light and lens drift. A part that is seen in another light than the good parts were is rejected for the light, in words,
and how much of the room is used up is told for every part, so that a person can clean the lens before parts are lost.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edge_agent.domain import Reason
from edge_agent.inspection.scoring.quantity import Quantity, is_focus, look_at, moved_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Allowed", "ConditionFault", "ConditionLimits", "measure_condition", "quantities_for"]

# 5 ms for 1600 x 1200 px on one core (docs/decisions/0057).
_WORKING_PX: Final = 512
_CELL_PX: Final = 16
_TRIM: Final = 0.1
"""The share of a part's pixels that is cut off at the dark and at the light end: a defect or a glint that covers less
has no say in how bright the part is.
"""
_LEAST_GREY: Final = 1.0
"""Nothing is divided by less than one grey value: black has no colour, and flat grey no sharpness."""
_FULL_SCALE: Final = 255.0
# Blurs, whose differences are bands of structure: a lens out of focus takes the finest one first.
_FINE_PX, _MIDDLE_PX, _COARSE_PX = 0.8, 1.6, 4.0
_HALF: Final = 0.5
# Of fewer pixels every one is taken: every fourth would leave too few for a tenth at either end.
_FEW: Final = 1000


_COLOURS: Final = (Quantity.RED, Quantity.BLUE)
_DIGITS: Final = {Quantity.BRIGHTNESS: 1, Quantity.CONTRAST: 1}


@dataclass(frozen=True, slots=True)
class Allowed:
    """One quantity: ``usual`` among good parts, which lay from ``low`` to ``high``; allowed is ``least`` to ``most``.

    ``most`` is None where more is never wrong. Raises ValueError for numbers that are not in this order.
    """

    usual: float
    low: float
    high: float
    least: float
    most: float | None

    def __post_init__(self) -> None:
        most = math.inf if self.most is None else self.most
        ends = -math.inf < self.least <= self.low <= self.usual <= self.high < math.inf
        if not (ends and self.high <= most and self.least < self.usual < most):
            raise ValueError(f"no range of good parts: {self}")

    def share(self, value: float) -> float:
        """How much of the room is used: 0 as usual, -1 at the least, 1 at the most that is allowed. NaN in, NaN out."""
        if value < self.usual:
            return (value - self.usual) / (self.usual - self.least)
        if self.most is None:
            return value * 0.0  # NaN stays NaN
        return (value - self.usual) / (self.most - self.usual)


@dataclass(frozen=True, slots=True)
class ConditionFault:
    """Why an image is in no condition to judge the part by: LIGHT or FOCUS, and the words for a person."""

    reason: Reason
    words: str


@dataclass(frozen=True, slots=True)
class ConditionLimits:
    """What is allowed of each quantity. One that is absent is not judged."""

    allowed: Mapping[Quantity, Allowed]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ConditionLimits:
        """What ``to_json`` gave. Raises TypeError or ValueError for anything else."""
        unknown = sorted(set(content) - set(Quantity))
        if unknown:
            raise ValueError(f"a condition of unknown quantities: {unknown}")
        return cls({Quantity(name): Allowed(**dict(one)) for name, one in content.items()})

    def to_json(self) -> dict[str, dict[str, float | None]]:
        """Plain numbers, for the manifest."""
        return {str(quantity): asdict(one) for quantity, one in self.allowed.items()}

    def shares(self, measured: Mapping[Quantity, float]) -> dict[str, float]:
        """Of each quantity how much of its room is used, and to which side; beyond -1 and 1 the image is refused."""
        return {str(quantity): one.share(measured[quantity]) for quantity, one in self.allowed.items()}

    def judge(self, measured: Mapping[Quantity, float]) -> ConditionFault | None:
        """None where the image is as good parts' images are, else what is wrong, the worst first."""
        shares = self.shares(measured)
        wrong = [q for q in self.allowed if not abs(shares[q]) <= 1.0]  # a NaN is neither within nor without
        if not wrong:
            return None
        # A NaN comes first: what cannot be measured is worse than any number.
        wrong.sort(key=lambda q: -abs(shares[q]) if math.isfinite(shares[q]) else -math.inf)
        reason = Reason.FOCUS if is_focus(wrong[0]) else Reason.LIGHT
        return ConditionFault(reason, "; ".join(_said(q, measured[q], self.allowed[q]) for q in wrong))


def quantities_for(channels: int) -> tuple[Quantity, ...]:
    """What is measured of grey (1) or colour (3) images."""
    return tuple(q for q in Quantity if channels == 3 or q not in _COLOURS)


def measure_condition(crop: NDArray[np.float32], places: NDArray[np.bool_] | None) -> dict[Quantity, float]:
    """The condition of a registered crop (H, W, C) in [0, 1], on the part alone.

    ``places`` (h, w) of any size says where over the crop the part is; None: everywhere. Brightness and contrast are
    the mean and the spread of grey without the tenth at either end; red and blue are measured against green; sharpness
    is the share of the finest structure in all structure, where there is most of it.
    """
    working = _working(crop)
    size = working.shape[0], working.shape[1]
    part = np.ones(size, bool) if places is None else _laid_over(places, size)
    channels = working.shape[2]
    grey = _grey(working)
    inner = _inner(grey, part)
    found = {
        Quantity.BRIGHTNESS: float(inner.mean(dtype=np.float64)) * _FULL_SCALE,
        Quantity.CONTRAST: float(inner.std(dtype=np.float64)) * _FULL_SCALE,
        Quantity.SHARPNESS: _sharpness(grey, part),
    }
    if channels == 3:
        # Brighter light multiplies all three: the ratio to green tells of its colour alone.
        means = (float(_inner(working[..., c], part).mean(dtype=np.float64)) * _FULL_SCALE for c in range(3))
        red, green, blue = (max(mean, _LEAST_GREY) for mean in means)
        found[Quantity.RED], found[Quantity.BLUE] = red / green, blue / green
    return found


def _working(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """The crop, made smaller by a whole number: four times as fast as by any other."""
    height, width, channels = crop.shape
    times = -(-max(height, width) // _WORKING_PX)
    size = max(1, height // times), max(1, width // times)
    whole = crop[: size[0] * times, : size[1] * times]
    smaller = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.float32).reshape(*size, channels)


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = image.shape[2]
    if channels == 1:
        return image[..., 0]
    return np.asarray(cv2.transform(image, np.full((1, channels), 1 / channels, np.float32)), np.float32)


def _laid_over(places: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    laid = cv2.resize(places.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return laid if laid.any() else np.ones(size, bool)  # places finer than a pixel that all fell between


def _inner(grey: NDArray[np.float32], part: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Every fourth pixel of the part, ascending, without the tenth at either end; every pixel of a small part."""
    values = grey[::2, ::2][part[::2, ::2]]
    if len(values) < _FEW:
        values = grey[part]
    cut = int(len(values) * _TRIM)
    return np.sort(values)[cut : len(values) - cut]


def _sharpness(grey: NDArray[np.float32], part: NDArray[np.bool_]) -> float:
    """The share of the finest structure in all of it, as root mean squares in cells; the median of the richer half."""
    fine, middle, coarse = (cv2.GaussianBlur(grey, (0, 0), px) for px in (_FINE_PX, _MIDDLE_PX, _COARSE_PX))
    height, width = grey.shape
    cells = max(1, round(height / _CELL_PX)), max(1, round(width / _CELL_PX))
    # A difference of two blurs keeps the structure between their sizes; squared, averaged over a cell and rooted it is
    # how much of it there is.
    strong, weak = (
        np.sqrt(cv2.resize(np.square(band), cells[::-1], interpolation=cv2.INTER_AREA))
        for band in (fine - coarse, fine - middle)
    )
    counts = cv2.resize(part.astype(np.float32), cells[::-1], interpolation=cv2.INTER_AREA) >= _HALF
    if not counts.any():
        counts[:] = True
    strong, weak = strong[counts], weak[counts]
    # Where a part shows hardly any structure its finest is the sensor's noise.
    structured = strong >= np.median(strong)
    floor = np.float32(_LEAST_GREY / _FULL_SCALE)
    return float(np.median(weak[structured] / np.maximum(strong[structured], floor)))


def _said(quantity: Quantity, value: float, allowed: Allowed) -> str:
    is_less = value < allowed.usual
    how = moved_words(quantity, is_less=is_less)
    apart = abs(value / allowed.usual - 1.0) if allowed.usual else math.nan
    digits = _DIGITS.get(quantity, 3)
    end = allowed.least if is_less else allowed.most
    edge = "" if end is None else f", allowed is {'at least' if is_less else 'at most'} {end:.{digits}f}"
    good = f"theirs have {allowed.low:.{digits}f} to {allowed.high:.{digits}f}"
    much = f"{apart:.0%} " if math.isfinite(apart) else ""
    return (
        f"the image is {much}{how} than the good parts' images (its {quantity} on the part is {value:.{digits}f}, "
        f"{good}{edge}): {look_at(quantity)}"
    )
