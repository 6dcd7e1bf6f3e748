"""The local score: each place of a part's anomaly map against the same place of good parts' maps.

The paper pools the features of the anomaly map over the whole image before its k-NN; a small defect then has to
outweigh the whole part. Here the k-NN looks at each place on its own (k = 1, within one cell, which forgives what
registration leaves over); the score is the mean distance of the few most anomalous places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LocalBank"]

_TOP_PLACES = 9
"""What a point-like defect covers once features are averaged 3 x 3: fewer would hang on one noisy place."""
_LEAST_SCALE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LocalBank:
    """The memory bank: ``places`` (h, w, n, d) float32, features of n good parts at each place, divided by ``scale``.

    ``scale`` (d) float32 is their standard deviation over all places and parts.
    """

    places: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> LocalBank:
        """The bank of n good parts' features (n, h, w, d)."""
        scale = np.maximum(features.std(axis=(0, 1, 2), dtype=np.float64), _LEAST_SCALE).astype(np.float32)
        return cls.scaled_by(features, scale)

    @classmethod
    def scaled_by(cls, features: NDArray[np.float32], scale: NDArray[np.float32]) -> LocalBank:
        """The bank of features (n, h, w, d) with a given scale."""
        return cls(np.ascontiguousarray(np.moveaxis(features / scale, 0, 2)), scale)

    @property
    def dimensions(self) -> int:
        """Features of a place."""
        return int(self.places.shape[3])

    def score(self, features: NDArray[np.float32], *, without: int | None = None) -> float:
        """The anomaly score of a part's features (h, w, d); ``without`` leaves one of the n out. NaN in, NaN out."""
        values = self.distances(features, without=without).astype(np.float64).ravel()
        if not np.isfinite(values).all():
            return float("nan")
        top = min(_TOP_PLACES, values.size)
        return float(np.partition(values, values.size - top)[-top:].mean())

    def distances(self, features: NDArray[np.float32], *, without: int | None = None) -> NDArray[np.float32]:
        """Distance (h, w) float32 of each place of a part to the nearest good part's, within one cell around it.

        One pass over the memory: each place of the bank is compared with the nine places of the part around it.
        """
        height, width, depth = features.shape
        padded = np.full((height + 2, width + 2, depth), np.nan, np.float32)
        padded[1:-1, 1:-1] = features / self.scale
        nearest = np.full((height + 2, width + 2), np.nan, np.float32)
        for row in range(height):  # a row at a time keeps what is worked on in the cache
            bank = self.places[row]
            around = np.stack([padded[row + dy, dx : dx + width] for dy in range(3) for dx in range(3)], axis=2)
            of_bank = np.einsum("wnd,wnd->wn", bank, bank)
            if without is not None:
                of_bank[:, without] = np.inf
            squared = (of_bank[:, :, None] - 2.0 * np.matmul(bank, around)).min(axis=1)
            squared += np.einsum("wdk,wdk->wk", around, around)
            for index in range(9):
                dy, dx = divmod(index, 3)
                target = nearest[row + dy, dx : dx + width]
                np.fmin(target, squared[:, index], out=target)
        return np.sqrt(np.maximum(nearest[1:-1, 1:-1], 0.0))
