"""The local score: each place of a part against the same place of good parts, in every channel.

The paper pools the features of the anomaly map over the whole image before its k-NN; a small defect then has to
outweigh the whole part. Here the k-NN looks at each place on its own (k = 1, within one cell, which forgives what
registration leaves over); a channel's score is the mean distance of its few most anomalous places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LocalBank", "Scale", "score_of"]

_TOP_PLACES = 9
"""What a point-like defect covers once features are averaged 3 x 3: fewer would hang on one noisy place."""
_LEAST_SPREAD = 0.25
_LEAST_USUAL = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LocalBank:
    """The memory bank of one channel: ``places`` (h, w, n, d) float32, projected features of n good parts.

    ``projection`` (d, d) float32 brings features to the scale in which distances are taken.
    """

    places: NDArray[np.float32]
    projection: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32], projection: NDArray[np.float32]) -> LocalBank:
        """The bank of n good parts' features (n, h, w, d)."""
        return cls(np.ascontiguousarray(np.moveaxis(features @ projection, 0, 2)), projection)

    def distances(self, features: NDArray[np.float32], *, without: int | None = None) -> NDArray[np.float32]:
        """Distance (h, w) float32 of each place of a part (h, w, d) to the nearest good part's, within one cell.

        ``without`` leaves one of the n out. One pass over the memory: each place of the bank is compared with the
        nine places of the part around it. Raises ValueError for features of another shape.
        """
        height, width, depth = self.places.shape[0], self.places.shape[1], len(self.projection)
        if features.shape != (height, width, depth):
            raise ValueError(f"the part has features {features.shape}, the bank {(height, width, depth)}")
        padded = np.full((height + 2, width + 2, depth), np.nan, np.float32)
        padded[1:-1, 1:-1] = features @ self.projection
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


@dataclass(frozen=True, slots=True)
class Scale:
    """What a channel's scores (``score_of``) mean: 0 is the usual good part, 1 the oddest good ones.

    Channels on this scale are fused by their maximum: each then has its own limit, and a channel in which good parts
    differ much cannot blunt one in which they do not.
    """

    usual: float
    odd: float

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Scale:
        """From the held-out scores of good parts: their median, and above all but one in fifty of them.

        Never finer than a quarter of the usual score: a dozen parts that happen to be alike would else make any other
        good part an outlier beside which a defect in another channel looks small.
        """
        usual = float(np.median(scores))
        rank = max(1, round(len(scores) / 50))
        odd = float(np.sort(scores)[-rank])
        return cls(usual, max(odd, usual + _LEAST_SPREAD * max(usual, _LEAST_USUAL)))

    def __call__(self, value: float) -> float:
        """A score on this scale. NaN in, NaN out."""
        return (value - self.usual) / (self.odd - self.usual)

    def at(self, scaled: float) -> float:
        """The score, or the distance of one place, that a value on this scale stands for."""
        return self.usual + scaled * (self.odd - self.usual)


def score_of(distances: NDArray[np.float32]) -> float:
    """A channel's score: the mean of the largest few distances. NaN in, NaN out."""
    values = distances.astype(np.float64).ravel()
    if not np.isfinite(values).all():
        return float("nan")
    top = min(_TOP_PLACES, values.size)
    return float(np.partition(values, values.size - top)[-top:].mean())
