"""Defects as the camera sees them: small signed patterns that are added to the brightness of the part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Defect", "DefectSpec", "Pattern", "defect_catalogue", "draw_defect"]

Plane = NDArray[np.float32]

_MARGIN = 1.35
_LEAST_RADIUS_PX = 1.2


class Defect(StrEnum):
    """The kinds of surface defect of plated zipper cursors."""

    BUBBLE = "BUBBLE"
    """A round blister of the plating: highlight on one side, shadow on the other."""
    RESIDUE = "RESIDUE"
    """An irregular stain, mostly darker than the metal."""
    HALO = "HALO"
    """A soft ring or cloud of brightness."""
    SCRATCH = "SCRATCH"
    """A thin line, straight or bent."""


@dataclass(frozen=True, slots=True)
class DefectSpec:
    """Which defect, how large and how strong.

    ``size_px`` is the diameter (a scratch: the length) in px of the 1600 x 1200 frame; a smaller frame shows it
    smaller. ``contrast`` is the largest change of brightness, as a fraction of full scale.
    """

    kind: Defect
    size_px: float
    contrast: float

    def __post_init__(self) -> None:
        if not (0.0 < self.size_px <= 800.0 and 0.0 < self.contrast <= 1.0):
            raise ValueError(f"a defect has 0 < size_px <= 800 and 0 < contrast <= 1 (got {self})")


@dataclass(frozen=True, slots=True)
class Pattern:
    """``change``: (N, N) float32, peak absolute value 1; ``mask``: (N, N) bool, where the defect is to be seen."""

    change: Plane
    mask: NDArray[np.bool_]


def defect_catalogue(
    n: int,
    seed: int,
    *,
    size_px: tuple[float, float] = (28.0, 110.0),
    contrast: tuple[float, float] = (0.08, 0.35),
) -> list[DefectSpec]:
    """``n`` defects, the kinds in turn, sizes and contrasts spread evenly on a logarithmic scale and shuffled.

    Scratches are two and a half times as long as other defects are wide.
    """
    rng = np.random.default_rng(seed)
    kinds = list(Defect)
    places = (np.arange(n) + 0.5) / max(n, 1)
    sizes = np.geomspace(*size_px, 1000)[(rng.permutation(places) * 999).astype(int)]
    contrasts = np.geomspace(*contrast, 1000)[(rng.permutation(places) * 999).astype(int)]
    return [
        DefectSpec(kind, round(float(size) * (2.5 if kind is Defect.SCRATCH else 1.0), 1), round(float(strength), 3))
        for kind, size, strength in zip((kinds[at % len(kinds)] for at in range(n)), sizes, contrasts, strict=True)
    ]


def draw_defect(kind: Defect, radius_px: float, scale: float, rng: np.random.Generator) -> Pattern:
    """The pattern of a defect of that radius (half a scratch's length), in px of the frame it is drawn for."""
    radius = max(radius_px, _LEAST_RADIUS_PX)
    half = int(np.ceil(radius * _MARGIN)) + 3
    axis = np.arange(-half, half + 1, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    if kind is Defect.BUBBLE:
        change, mask = _bubble(x, y, radius, rng)
    elif kind is Defect.RESIDUE:
        change, mask = _residue(x, y, radius, rng)
    elif kind is Defect.HALO:
        change, mask = _halo(x, y, radius, rng)
    else:
        change, mask = _scratch(half, radius, scale, rng)
    peak = float(np.abs(change).max())
    return Pattern(np.ascontiguousarray(change / peak, dtype=np.float32), mask)


def _bubble(x: Plane, y: Plane, radius: float, rng: np.random.Generator) -> tuple[Plane, NDArray[np.bool_]]:
    squeeze, turn = rng.uniform(0.88, 1.0), rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    r = np.hypot(u, v / squeeze) / radius
    lit = rng.uniform(-0.6, 0.6) + 0.9
    towards = np.cos(np.arctan2(y, x) - lit)
    # The flank mirrors the ring light all around, most on the light's side; the foot lies in its own shadow.
    flank = np.exp(-(((r - 0.62) / 0.2) ** 2)) * (0.62 + 0.38 * towards)
    foot = np.exp(-(((r - 0.98) / 0.11) ** 2)) * (0.45 - 0.3 * towards)
    top = np.exp(-((r / 0.3) ** 2)) * 0.18
    return np.asarray(flank - foot - top, np.float32), r <= 1.1


def _clouds(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Plane:
    noise = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), max(sigma, 0.5))
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _residue(x: Plane, y: Plane, radius: float, rng: np.random.Generator) -> tuple[Plane, NDArray[np.bool_]]:
    stretch, turn = rng.uniform(0.55, 0.95), rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    r = np.hypot(u, v / stretch) / radius + 0.2 * _clouds(x.shape, 0.22 * radius, rng)
    body = 1.0 / (1.0 + np.exp((r - 0.78) / 0.06))
    rim = np.exp(-(((r - 0.78) / 0.09) ** 2))
    mottle = 1.0 + 0.28 * _clouds(x.shape, 0.09 * radius, rng)
    sign = -1.0 if rng.random() < 0.75 else 1.0
    within = np.clip((1.3 - np.hypot(x, y) / radius) / 0.1, 0.0, 1.0)
    return np.asarray(sign * within * (body * mottle + 0.35 * rim), np.float32), (body * within) > 0.4


def _halo(x: Plane, y: Plane, radius: float, rng: np.random.Generator) -> tuple[Plane, NDArray[np.bool_]]:
    squeeze = rng.uniform(0.75, 1.0)
    r = np.hypot(x, y / squeeze) / radius + 0.05 * _clouds(x.shape, 0.3 * radius, rng)
    angle = np.arctan2(y, x)
    uneven = 1.0 + 0.35 * np.cos(angle - rng.uniform(0, 2 * np.pi)) + 0.15 * np.cos(2 * angle)
    ring = np.exp(-(((r - 0.66) / 0.24) ** 2)) * uneven
    cloud = np.exp(-((r / 0.75) ** 2))
    share = rng.uniform(0.0, 0.6)
    change = np.asarray((1 - share) * ring + share * cloud, np.float32)
    fade = np.clip((_MARGIN - np.hypot(x, y) / radius) / 0.2, 0.0, 1.0).astype(np.float32)
    change *= fade
    return change, change > 0.35 * change.max()


def _scratch(half: int, radius: float, scale: float, rng: np.random.Generator) -> tuple[Plane, NDArray[np.bool_]]:
    turn = rng.uniform(0, np.pi)
    bend = rng.uniform(-0.35, 0.35) if rng.random() < 0.5 else 0.0
    t = np.linspace(-1.0, 1.0, 41)
    along, across = t * radius, bend * radius * (t**2 - 0.5)
    points = np.stack(
        [half + along * np.cos(turn) - across * np.sin(turn), half + along * np.sin(turn) + across * np.cos(turn)],
        axis=1,
    )
    width_px = max(1.0, rng.uniform(2.0, 4.5) * scale)
    line = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    fixed = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(
        line, [fixed], isClosed=False, color=255, thickness=max(1, round(width_px)), lineType=cv2.LINE_AA, shift=4
    )
    bright = cv2.GaussianBlur(line.astype(np.float32) / 255.0, (0, 0), max(0.45, 0.9 * scale))
    # A burr: the far side of the groove lies in shadow.
    lee = np.array([[1, 0, 1.3 * width_px * np.sin(turn)], [0, 1, -1.3 * width_px * np.cos(turn)]])
    dark = cv2.warpAffine(bright, lee, (line.shape[1], line.shape[0]))
    # The tool presses hardest in the middle and skips a little.
    centre = np.hypot(*(np.indices(line.shape, dtype=np.float32) - half)) / radius
    pressure = np.clip(1.15 - 0.6 * centre**2, 0.3, 1.0) * (1.0 + 0.12 * _clouds(line.shape, 0.08 * radius, rng))
    change = np.asarray((bright - 0.35 * dark) * pressure, np.float32)
    return change, bright > 0.3
