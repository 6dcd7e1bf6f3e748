"""What every detector to compare with is: it learns from crops of good parts and gives any crop a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from edge_agent.inspection.networks.anomaly_map import to_working

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["AtWorkingSize", "Detector", "shrunk", "squared"]


class Detector(Protocol):
    """A one-class detector on registered crops, (H, W, C) float32 in [0, 1]. Higher scores are more anomalous.

    A crop is first described; learning and scoring see descriptions alone. Everything that is learned, mean and scale
    included, comes from the descriptions given to ``fit``. A class is a detector by naming this one as its base: what
    is said of a method here holds there too.
    """

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the detector looks at of a crop (H, W, C): the same shape (...) for every crop of one size."""
        ...

    def fit(self, good: NDArray[np.float32]) -> None:
        """Learn from the descriptions (n, ...) of the training crops, in their order."""
        ...

    def score(self, described: NDArray[np.float32]) -> float:
        """The anomaly score of one description (...); no unit of its own. May raise ValueError before ``fit``."""
        ...

    def held_out_scores(self) -> NDArray[np.float64] | None:
        """Scores (n) of the training crops, each as if it were new; None where that costs a training each."""
        ...

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """How anomalous each place of the crop is, (h, w) at any size; None if the detector does not know."""
        ...


class AtWorkingSize(Detector):
    """A detector that looks at the crop at the autoencoder's working size."""

    def __init__(self, grid: PatchGrid) -> None:
        self._grid = grid

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The working image (h, w, C)."""
        return to_working(crop, self._grid)


def shrunk(crop: NDArray[np.float32], most_px: int) -> NDArray[np.float32]:
    """The crop (H, W, C), any scale of values, with its long side at ``most_px`` at most, by area."""
    height, width, channels = crop.shape
    scale = most_px / max(height, width)
    if scale >= 1.0:
        return crop
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.float32).reshape(*size[::-1], channels)


def squared(crop: NDArray[np.float32], px: int) -> NDArray[np.float32]:
    """The crop as a square (px, px, C) by area, whatever its sides are: what networks without a patch grid look at."""
    found = cv2.resize(crop, (px, px), interpolation=cv2.INTER_AREA)
    return np.asarray(found, np.float32).reshape(px, px, crop.shape[2])
