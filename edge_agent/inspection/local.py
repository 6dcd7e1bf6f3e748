"""The local score: each place of a part against the same place of good parts, in every channel.

The paper pools the features of the anomaly map over the whole image before its k-NN; a small defect then has to
outweigh the whole part. Here the k-NN looks at each place on its own (k = 1, within one cell, which forgives what
registration leaves over); a channel's score is the mean distance of its few most anomalous places.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LocalBank", "Scale"]

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
    _squares: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32], projection: NDArray[np.float32]) -> LocalBank:
        """The bank of n good parts' features (n, h, w, d)."""
        places = np.ascontiguousarray(np.moveaxis(features @ projection, 0, 2))
        return cls(places, projection, np.einsum("hwnd,hwnd->hwn", places, places))

    def score(self, features: NDArray[np.float32], *, without: int | None = None) -> float:
        """The channel's score of a part (h, w, d): the mean of its largest few ``distances``. NaN in, NaN out.

        Not all nine cells are searched everywhere: the distance to the same cell alone is an upper bound, and places
        are searched from the largest bound down until no other can be among the largest few.
        """
        projected = self._projected(features)
        bounds = self._to_same_place(projected, without).astype(np.float64).ravel()
        if not np.isfinite(bounds).all():
            return float("nan")
        most, found = min(_TOP_PLACES, bounds.size), list[float]()
        for index in np.argsort(-bounds, kind="stable"):
            if len(found) == most and bounds[index] <= found[0]:
                break
            row, column = divmod(int(index), features.shape[1])
            distance = self._to_nearest(projected, row, column, without)
            if len(found) < most:
                heapq.heappush(found, distance)
            else:
                heapq.heappushpop(found, distance)
        return float(np.sqrt(np.maximum(found, 0.0)).mean())

    def distances(self, features: NDArray[np.float32], *, without: int | None = None) -> NDArray[np.float32]:
        """Distance (h, w) float32 of each place of a part (h, w, d) to the nearest good part's, within one cell.

        ``without`` leaves one of the n out. One pass over the memory: each place of the bank is compared with the
        nine places of the part around it. Raises ValueError for features of another shape.
        """
        height, width, depth = features.shape
        padded = np.full((height + 2, width + 2, depth), np.nan, np.float32)
        padded[1:-1, 1:-1] = self._projected(features)
        nearest = np.full((height + 2, width + 2), np.nan, np.float32)
        for row in range(height):  # a row at a time keeps what is worked on in the cache
            bank = self.places[row]
            around = np.stack([padded[row + dy, dx : dx + width] for dy in range(3) for dx in range(3)], axis=2)
            of_bank = self._squares[row].copy()
            if without is not None:
                of_bank[:, without] = np.inf
            squared = (of_bank[:, :, None] - 2.0 * np.matmul(bank, around)).min(axis=1)
            squared += np.einsum("wdk,wdk->wk", around, around)
            for index in range(9):
                dy, dx = divmod(index, 3)
                target = nearest[row + dy, dx : dx + width]
                np.fmin(target, squared[:, index], out=target)
        return np.sqrt(np.maximum(nearest[1:-1, 1:-1], 0.0))

    def _projected(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        expected = (*self.places.shape[:2], len(self.projection))
        if features.shape != expected:
            raise ValueError(f"the part has features {features.shape}, the bank {expected}")
        return np.asarray(features @ self.projection, np.float32)

    def _to_same_place(self, projected: NDArray[np.float32], without: int | None) -> NDArray[np.float32]:
        """Squared distance (h, w) to the nearest of the same cell."""
        products = np.matmul(self.places, projected[..., None])[..., 0]
        squared = self._squares - 2.0 * products
        if without is not None:
            squared[..., without] = np.inf
        return np.asarray(squared.min(axis=2) + np.einsum("hwd,hwd->hw", projected, projected), np.float32)

    def _to_nearest(self, projected: NDArray[np.float32], row: int, column: int, without: int | None) -> float:
        """Squared distance of one place to the nearest within one cell."""
        around = np.s_[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        place = projected[row, column]
        squared = self._squares[around] - 2.0 * np.matmul(self.places[around], place)
        if without is not None:
            squared[..., without] = np.inf
        return float(squared.min() + place @ place)


@dataclass(frozen=True, slots=True)
class Scale:
    """What a channel's scores (``LocalBank.score``) mean: 0 is the usual good part, 1 the oddest good ones.

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
