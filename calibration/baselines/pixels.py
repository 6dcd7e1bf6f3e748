"""Detectors that compare pixels: the nearest training image, and the spread of each pixel (paper, section 4.4).

Both look at the crop at the autoencoder's working size.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from calibration.baselines.base import AtWorkingSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["NearestImage", "Variation"]

_LEAST_DEVIATION = 1.0 / 255.0
"""One grey value: where all good parts are saturated alike, the deviation is that of a finer camera, not none."""


class NearestImage(AtWorkingSize):
    """Root mean square distance to the most similar training image."""

    def __init__(self, grid: PatchGrid) -> None:
        super().__init__(grid)
        self._good = np.empty((0, 0, 0, 0), np.float32)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Keep the training images: the score looks for the nearest of them."""
        self._good = good

    def score(self, described: NDArray[np.float32]) -> float:
        """The distance, in grey values of 0 to 1."""
        return math.sqrt(min(_mean_square(image - described) for image in self._good))

    def held_out_scores(self) -> NDArray[np.float64]:
        """The distance of each training image to the nearest other one."""
        n = len(self._good)
        distances = np.full((n, n), np.inf)
        for i, j in combinations(range(n), 2):
            distances[i, j] = distances[j, i] = _mean_square(self._good[i] - self._good[j])
        return np.asarray(np.sqrt(distances.min(axis=1)), np.float64)

    def heat_map(self, described: NDArray[np.float32]) -> None:
        """None: the nearest image differs from part to part."""
        del described


class Variation(AtWorkingSize):
    """Mean over all pixels of the squared distance to the pixel's mean, relative to its standard deviation."""

    def __init__(self, grid: PatchGrid) -> None:
        super().__init__(grid)
        self._good = self._mean = self._variance = np.empty(0, np.float32)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Mean and variance of each pixel and channel."""
        self._good, self._mean = good, good.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._variance = np.square(good - self._mean).mean(axis=0, dtype=np.float64).astype(np.float32)

    def score(self, described: NDArray[np.float32]) -> float:
        """The mean over pixels and channels."""
        return float(self._relative(described).mean(dtype=np.float64))

    def held_out_scores(self) -> NDArray[np.float64]:
        """Each training image against mean and deviation of the others, in closed form."""
        n = len(self._good)
        scores = []
        for image in self._good:
            centred = (image - self._mean).astype(np.float64)
            mean = -centred / (n - 1)
            variance = (n * self._variance - centred**2) / (n - 1) - mean**2
            scores.append(float(((centred - mean) ** 2 / np.maximum(variance, _LEAST_DEVIATION**2)).mean()))
        return np.array(scores)

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each pixel (h, w) what the score is the mean of, the mean over channels."""
        return np.asarray(self._relative(described).mean(axis=2), np.float32)

    def _relative(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        variance = np.maximum(self._variance, np.float32(_LEAST_DEVIATION**2))
        return np.asarray(np.square(described - self._mean) / variance, np.float32)


def _mean_square(difference: NDArray[np.float32]) -> float:
    flat = difference.ravel()
    return float(np.dot(flat, flat)) / flat.size
