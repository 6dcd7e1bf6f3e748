"""Defects that calibration makes itself, on pictures of good parts: what its coarse questions are answered by.

They look like no defect in particular. What they are good for is to tell two ways of looking apart by a wide margin;
they do not rank good ones (docs/decisions/0058).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from calibration.registering.part_mask import part_mask
from calibration.workers import ONE_THREAD, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.workers import Workers

    Picture = NDArray[np.uint8]

__all__ = ["DefectKind", "SyntheticDefect", "clearer_half", "make_defects", "told_apart"]

_RADIUS = (0.02, 0.12)
"""Of the part's length."""
# Smaller ones would be noise to any way of looking.
_LEAST_RADIUS_PX = 3.0
# Its length to its width, at most.
_LONGEST = 3.0
_OVERVIEW_PX = 256
_RIM_PX = 3
_WAVES = 4
_OPACITY = (0.4, 1.0)


class DefectKind(StrEnum):
    """How a defect is made: each is as frequent as the others."""

    BLENDED = "blended in from another part"
    PASTED_SAME = "pasted from the same part"
    PASTED_OTHER = "pasted from another part"
    TEXTURE = "a texture of its own"
    MISSING = "a missing piece"


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticDefect:
    """A defect on the good part ``base``; ``donor`` is the part that its pixels came from, None where they did not.

    ``patch`` uint8 replaces what is at (``top``, ``left``). ``strength`` is the changed area in px times how much it
    changed, in grey values.
    """

    kind: DefectKind
    base: int
    donor: int | None
    top: int
    left: int
    patch: Picture
    strength: float

    def onto(self, pixels: Picture) -> Picture:
        """The picture of the base part with the defect."""
        found = pixels.copy()
        height, width = self.patch.shape[:2]
        found[self.top : self.top + height, self.left : self.left + width] = self.patch
        return found


def make_defects(
    pictures: Sequence[Callable[[], Picture]], count: int, *, seed: int, workers: Workers = ONE_THREAD
) -> list[SyntheticDefect]:
    """Make ``count`` defects on these pictures of good parts, of which there are two at least, all of one shape.

    The same seed gives the same defects. Each part is a base as often as the others. Radii are 2 to 12 % of the part's
    length, even on a logarithmic scale.
    """
    return list(workers.each(Work(_make, (tuple(pictures), seed)), range(count)))


def _make(pictures: Sequence[Callable[[], Picture]], seed: int, number: int) -> SyntheticDefect:
    # By its number, not one after the other: whoever makes it, it is the same defect.
    kinds, rng = list(DefectKind), np.random.default_rng((seed, number))
    base, kind = number % len(pictures), kinds[int(rng.integers(len(kinds)))]
    donor = None
    if kind in (DefectKind.BLENDED, DefectKind.PASTED_OTHER):
        donor = int((base + rng.integers(1, len(pictures))) % len(pictures))
    return _made(kind, base, donor, pictures, rng)


def clearer_half(defects: Sequence[SyntheticDefect]) -> list[SyntheticDefect]:
    """The half with the larger area times contrast: faint and tiny ones mislead."""
    order = np.argsort([-defect.strength for defect in defects], kind="stable")
    return [defects[index] for index in sorted(order[: (len(defects) + 1) // 2])]


def told_apart(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """How often the score of a defect (m,) is above that of a good part (n,), from 0 to 1: their AUC.

    Of two that score the same each is above in half of the cases.
    """
    # Every defect with every good part: a few thousand pairs need no sorting.
    above = (bad[:, None] > good).mean(dtype=np.float64)
    level = (bad[:, None] == good).mean(dtype=np.float64)
    return float(above + level / 2)


def _made(
    kind: DefectKind,
    base: int,
    donor: int | None,
    pictures: Sequence[Callable[[], Picture]],
    rng: np.random.Generator,
) -> SyntheticDefect:
    pixels = pictures[base]()
    part = _part_of(pixels)
    cover = _shape(_radius(part, pixels.shape, rng), rng)
    top, left = _window(part, pixels.shape, len(cover), rng)
    beneath = pixels[top : top + len(cover), left : left + len(cover)]
    if kind is DefectKind.TEXTURE:
        fill: NDArray[Any] = _texture(beneath, rng)
    elif kind is DefectKind.MISSING:
        fill = np.broadcast_to(_ground(pixels, part, beneath), beneath.shape)
    else:
        source = pixels if donor is None else pictures[donor]()
        row, column = _window(part if donor is None else _part_of(source), source.shape, len(cover), rng)
        fill = source[row : row + len(cover), column : column + len(cover)]
    patch = _blended(fill, beneath, cover) if kind is DefectKind.BLENDED else _mixed(fill, beneath, cover)
    change = np.abs(patch.astype(np.float32) - beneath)
    strength = float(change.sum()) / (1 if change.ndim == 2 else change.shape[2])
    return SyntheticDefect(kind, base, donor, top, left, patch, strength)


def _part_of(pixels: Picture) -> NDArray[np.bool_] | None:
    """Where the part is in one picture, at reduced size; None where nothing tells it from what is around."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _OVERVIEW_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255.0)
    return part_mask(small.reshape(*small.shape[:2], -1))


def _radius(part: NDArray[np.bool_] | None, shape: tuple[int, ...], rng: np.random.Generator) -> float:
    """In px: a share of the part's length, or of the picture's."""
    length = float(max(shape[:2]))
    if part is not None:
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        length *= max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) / max(part.shape)
    # As many small ones as large ones, by their ratio.
    drawn = length * float(np.exp(rng.uniform(*np.log(_RADIUS))))
    fits = (min(shape[:2]) / 2 - _RIM_PX - 1) / _LONGEST  # nothing reaches out of the picture
    return min(max(drawn, _LEAST_RADIUS_PX), fits)


def _shape(radius: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of each pixel of a square is covered: by a spot with a wavy outline, long or round, and a bare rim."""
    # The root, because one axis is made longer by it and the other one shorter: the area stays.
    stretch = float(np.sqrt(rng.uniform(1.0, _LONGEST)))
    half = int(np.ceil(radius * stretch * 1.5)) + _RIM_PX
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    turn = rng.uniform(0.0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    around = np.arctan2(across, along)
    waves = [
        rng.uniform(0.0, 0.25 / k) * np.cos(k * around + rng.uniform(0.0, 2 * np.pi)) for k in range(2, 2 + _WAVES)
    ]
    outline = 1.0 + np.clip(sum(waves), -0.4, 0.4)
    distance = np.hypot(along / (radius * stretch), across / (radius / stretch)) / outline
    cover = np.clip(0.5 + (1.0 - distance) * radius / stretch, 0.0, 1.0)
    # Poisson's blend takes the values at the border of the patch as given: it needs a rim that is not covered.
    cover[:_RIM_PX], cover[-_RIM_PX:], cover[:, :_RIM_PX], cover[:, -_RIM_PX:] = 0.0, 0.0, 0.0, 0.0
    return np.asarray(cover, np.float32)


def _window(
    part: NDArray[np.bool_] | None, shape: tuple[int, ...], side: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Top and left of a square whose middle is on the part, moved into the picture where it reaches out."""
    height, width = shape[:2]
    middle = rng.uniform(0.0, 1.0, 2)
    if part is not None:
        rows, columns = np.nonzero(part)
        chosen = int(rng.integers(len(rows)))
        middle = (np.array([rows[chosen], columns[chosen]]) + rng.uniform(0.0, 1.0, 2)) / part.shape
    top, left = (int(m * size) - side // 2 for m, size in zip(middle, (height, width), strict=True))
    return min(max(top, 0), height - side), min(max(left, 0), width - side)


def _ground(pixels: Picture, part: NDArray[np.bool_] | None, beneath: Picture) -> NDArray[np.float64]:
    """What shows where a piece is missing: the background, or where there is none what is usual around the place."""
    if part is None:
        return np.asarray(np.median(beneath, axis=(0, 1)))
    outside = cv2.resize(part.astype(np.uint8), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST) == 0
    return np.asarray(np.median(pixels[outside], axis=0))


def _texture(beneath: Picture, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of several sizes (Perlin's, from random values) over what is beneath, lighter or darker than it."""
    side = len(beneath)
    noise = np.zeros((side, side), np.float32)
    for octave in range(3):
        cells = min(side, 2 + (3 << octave))
        drawn = rng.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32)
        noise += cv2.resize(drawn, (side, side), interpolation=cv2.INTER_CUBIC) / (1 << octave)
    value = rng.uniform(0.0, 255.0, beneath.shape[2:]).astype(np.float32)
    opacity = np.float32(rng.uniform(*_OPACITY))
    flecks = noise * np.float32(60.0) if beneath.ndim == 2 else noise[..., None] * np.float32(60.0)
    return np.asarray((1 - opacity) * beneath.astype(np.float32) + opacity * (value + flecks), np.float32)


def _mixed(fill: NDArray[Any], beneath: Picture, cover: NDArray[np.float32]) -> Picture:
    """The fill laid over what is beneath."""
    share = cover if beneath.ndim == 2 else cover[..., None]
    mixed = beneath * (1 - share) + fill.astype(np.float32) * share
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _blended(fill: Picture, beneath: Picture, cover: NDArray[np.float32]) -> Picture:
    """The fill's structure in the light and colour of what is around (Poisson)."""
    mask = np.where(cover > 0.5, 255, 0).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    source, target = (
        np.ascontiguousarray(p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2)) for p in (fill, beneath)
    )
    found = cv2.seamlessClone(source, target, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
    return np.ascontiguousarray(found if beneath.ndim == 3 else found[..., 0])
