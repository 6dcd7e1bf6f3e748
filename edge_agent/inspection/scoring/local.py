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
# Good parts that are asked first, for an upper bound: few enough to be quick, enough for the bound to be near.
_SOME = 8
_TO_SOME, _TO_ALL, _TO_ALL_AROUND = range(3)
"""How well a place's distance is known so far: to some good parts, to all of them at its place, to all of them within
one cell. The number is also the reach, in cells, of the search that leads on to the next of these."""
# Further out one odd part of a few dozen would say what is odd (docs/decisions/0028).
_ODD = 0.75
# Good parts that happen to be alike must not make an outlier of any other one: see ``Scale``.
_LEAST_SPREAD = 0.1
_UPPER_TENTH = 0.9
_LEAST_TENTH = 0.02
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

        Branch and bound: the distance to any good part at the same place is an upper bound. A bound is made tighter,
        first over all good parts, then over the nine cells, only where the place may still be among the largest.
        """
        projected = self._projected(features)
        own = np.einsum("hwd,hwd->hw", projected, projected)
        if not np.isfinite(own).all():
            return float("nan")
        bounds = (self._to_some(projected, without) + own).ravel()
        # The heap holds only places that were looked at: thousands that never come into question stay in this list.
        untouched = iter(np.argsort(-bounds, kind="stable").tolist())
        following = next(untouched)
        tried: list[tuple[float, int, int]] = []  # a heap of (-bound, how far it is known, place)
        found: list[float] = []
        # The largest bound is looked at next: once it is exact, no other place can be further out.
        while len(found) < min(_TOP_PLACES, own.size):
            if following is not None and (not tried or bounds[following] > -tried[0][0]):
                heapq.heappush(tried, (-float(bounds[following]), _TO_SOME, following))
                following = next(untouched, None)
            negative, known, place = heapq.heappop(tried)
            if known == _TO_ALL_AROUND:
                found.append(max(-negative, 0.0))
                continue
            row, column = divmod(place, own.shape[1])
            tighter = self._to_nearest(projected[row, column], row, column, known, without) + float(own[row, column])
            # Never above the bound before it, which rounding might make of it.
            heapq.heappush(tried, (max(negative, -tighter), known + 1, place))
        return float(np.sqrt(found).mean())

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
                # ``fmin``, for beyond the border there are NaN, and nothing to compare with.
                np.fmin(target, squared[:, index], out=target)
        return np.sqrt(np.maximum(nearest[1:-1, 1:-1], 0.0))

    def _projected(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        expected = (*self.places.shape[:2], len(self.projection))
        if features.shape != expected:
            raise ValueError(f"the part has features {features.shape}, the bank {expected}")
        return np.asarray(features @ self.projection, np.float32)

    def _to_some(self, projected: NDArray[np.float32], without: int | None) -> NDArray[np.float32]:
        """Squared distance (h, w) of each place to the same place of some good parts, less the place's own square."""
        squared = self._squares[:, :, :_SOME] - 2.0 * np.matmul(self.places[:, :, :_SOME], projected[..., None])[..., 0]
        if without is not None:
            squared[:, :, without : without + 1] = np.inf  # nothing, where it is not among them
        return np.asarray(squared.min(axis=2), np.float32)

    def _to_nearest(self, place: NDArray[np.float32], row: int, column: int, reach: int, without: int | None) -> float:
        """Squared distance of one place to the nearest within ``reach`` cells, less the place's own square."""
        around = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        squared = self._squares[around] - 2.0 * np.matmul(self.places[around], place)
        if without is not None:
            squared[..., without] = np.inf
        return float(squared.min())


@dataclass(frozen=True, slots=True)
class Scale:
    """What a channel's scores (``LocalBank.score``) mean: 0 is the median good part, 1 one that is a little ``odd``.

    Channels on this scale are fused by their maximum: a channel in which good parts differ much cannot blunt one in
    which they do not.
    """

    usual: float
    odd: float

    @classmethod
    def of(cls, scores: NDArray[np.float64], weight: float = 1.0) -> Scale:
        """From held-out scores (n,) of good parts: their median, and what three in four of them stay below.

        Quartiles, because the oddest parts of a few dozen say more about themselves than about the channel. Never finer
        than a tenth of the usual score: a dozen parts that happen to be alike would else make any other good part an
        outlier. A channel of half the ``weight`` has to see a part twice as far out to count as much.
        """
        usual = float(np.median(scores))
        spread = max(float(np.quantile(scores, _ODD)) - usual, _LEAST_SPREAD * max(usual, _LEAST_USUAL))
        return cls(usual, usual + spread / weight)

    @classmethod
    def to_upper_tenth(cls, scores: NDArray[np.float64]) -> Scale:
        """From held-out scores (n,) of good parts: their median, and what nine in ten of them stay below.

        For views that are averaged: no single one hands its oddest part to the limit, so that more of its law may
        speak. Never finer than a fiftieth of the usual score.
        """
        usual = float(np.median(scores))
        floor = _LEAST_TENTH * max(abs(usual), _LEAST_USUAL)
        return cls(usual, usual + max(float(np.quantile(scores, _UPPER_TENTH)) - usual, floor))

    def __call__(self, value: float) -> float:
        """A score on this scale. NaN in, NaN out."""
        return (value - self.usual) / (self.odd - self.usual)

    def at(self, scaled: float) -> float:
        """The score, or the distance of one place, that a value on this scale stands for."""
        return self.usual + scaled * (self.odd - self.usual)
