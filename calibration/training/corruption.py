"""Corrupts patches for training: an autoencoder that has to repair what it is shown cannot learn to copy a defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Corruption"]


@dataclass(frozen=True, slots=True)
class Corruption:
    """What befalls a patch: a soft stain on ``stained`` of them, and noise on all.

    ``radii`` are the stain's half axes as shares of the patch, ``softness`` the half width of its edge as a share of
    them. ``opacity`` is how much of what lies beneath is gone, ``tint`` how much brighter or darker a translucent stain
    is, ``noise`` the largest standard deviation; both in units of the full scale of a pixel.
    """

    stained: float = 0.7
    radii: tuple[float, float] = (0.04, 0.35)
    softness: tuple[float, float] = (0.05, 0.6)
    opacity: tuple[float, float] = (0.3, 1.0)
    tint: tuple[float, float] = (0.05, 0.5)
    noise: float = 0.04

    def of(self, patches: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """``patches`` (n, C, p, p) float32, pixels in [0, 1], corrupted; a copy, which may leave that range."""
        n, shown = len(patches), patches.copy()
        for index in np.flatnonzero(rng.random(n) < self.stained).tolist():
            self._stain(shown[index], patches[rng.integers(n)], rng)
        # A field of its own for each patch would take longer than all else: they share one, at places of their own.
        pixels = patches[0].size
        field = rng.standard_normal(2 * pixels, np.float32)
        for index, begin in enumerate(rng.integers(0, pixels, n).tolist()):
            level = np.float32(rng.uniform(0.0, self.noise))
            shown[index] += level * field[begin : begin + pixels].reshape(shown[index].shape)
        return shown

    def _stain(self, patch: NDArray[np.float32], other: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Lay a soft ellipse on ``patch``: of one colour, of another patch, or brighter or darker than that place."""
        rows, columns, cover = self._ellipse(patch.shape[1], rng)
        beneath = patch[:, rows, columns]
        fill: NDArray[np.float32] | np.float32
        match rng.integers(3):
            case 0:
                fill = rng.random((len(patch), 1, 1), np.float32)
            case 1:
                fill = other[:, rows, columns]
            case _:
                fill = beneath + np.float32(rng.choice((-1, 1)) * rng.uniform(*self.tint))
        beneath += cover * (fill - beneath)

    def _ellipse(self, size: int, rng: np.random.Generator) -> tuple[slice, slice, NDArray[np.float32]]:
        """Where it is, at any place and angle, and how much of each pixel there it covers."""
        soft, angle = rng.uniform(*self.softness), rng.uniform(0.0, np.pi)
        least, most = np.log(self.radii)
        radii = size * np.exp(rng.uniform(least, most, 2))
        centre, reach = rng.uniform(0, size, 2), radii.max() * (1 + soft)
        begin, end = np.clip([centre - reach, centre + reach + 1], 0, size).astype(int)
        y, x = (np.arange(begin[axis], end[axis], dtype=np.float32) - centre[axis] for axis in (0, 1))
        y = y[:, None]
        along = (x * np.cos(angle) + y * np.sin(angle)) / radii[0]
        across = (y * np.cos(angle) - x * np.sin(angle)) / radii[1]
        cover = np.clip((1 + soft - np.hypot(along, across)) / (2 * soft), 0, 1) * rng.uniform(*self.opacity)
        return slice(begin[0], end[0]), slice(begin[1], end[1]), cover.astype(np.float32)
