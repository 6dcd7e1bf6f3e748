"""Typical distances: how far good parts are from each other at each place, and how far out another part is by that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TOP_PLACES", "TypicalDistances", "top_mean"]

TOP_PLACES = 9
"""What a point-like defect covers once features are averaged 3 x 3: fewer would hang on one noisy place."""
# On ten part types a place's own figures gained from 100 good images on, and lost with 31 to 48 (docs/decisions/0055).
_PRIOR = 30.0
"""The common spread counts as much as that of so many good parts, beside the spread that a place has of its own."""
# Of the common spread. Chosen on good parts and synthetic defects, where 0.5 and 1 did not differ
# (docs/decisions/0055).
_FLOOR = 0.5
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class TypicalDistances:
    """``usual`` and ``spread`` (P) of good parts' distances at each place, and of all places together.

    A distance is measured twice, against its own place and against all places. By its own place what good parts
    differ in is forgiven and what they never show stands out. That takes many parts: a spread found from a few dozen
    is itself uncertain, and the plain distance steadies it. ``place_share`` is the place's share in the mean of both.
    """

    usual: NDArray[np.float32]
    spread: NDArray[np.float32]
    usual_anywhere: float
    spread_anywhere: float
    place_share: float

    @classmethod
    def of(cls, distances: NDArray[np.float32], least: float = _LEAST_SPREAD) -> TypicalDistances:
        """From the distances (n, P) of good parts, each to the others.

        A place's spread is drawn towards the common one, the median over places: n parts speak for the place,
        30 for what is common. Half the common spread is added, so that no place is without any. The place's share in
        the mean is drawn in the same way. ``least`` is a spread that every place has at least: where good parts are all
        black or all saturated, they have none of their own.
        """
        n = len(distances)
        usual = distances.mean(axis=0, dtype=np.float64)
        variance = distances.var(axis=0, ddof=min(1, n - 1), dtype=np.float64)
        # The median over places: the few in which good parts differ much must not make all the others deaf.
        common = float(np.median(variance))
        # A weighted mean of variances, as if 30 more parts had differed by what is common.
        drawn = np.sqrt((variance * (n - 1) + common * _PRIOR) / (n - 1 + _PRIOR))
        spread = np.maximum(drawn + _FLOOR * np.sqrt(common), least)
        # Over all places two things vary: parts at a place, and places among each other.
        anywhere = max((1.0 + _FLOOR) * float(np.sqrt(common + usual.var())), least)
        # The fewer the parts, the less a place's own mean and spread are worth (docs/decisions/0055).
        share = n / (n + _PRIOR)
        return cls(usual.astype(np.float32), spread.astype(np.float32), float(usual.mean()), anywhere, share)

    @classmethod
    def anywhere(cls, distances: NDArray[np.float32], least: float = _LEAST_SPREAD) -> TypicalDistances:
        """From the same distances (n, P) where a place says nothing: one usual distance and one spread for all."""
        spread = max((1.0 + _FLOOR) * float(distances.std(dtype=np.float64)), least)
        return cls.common(float(distances.mean(dtype=np.float64)), spread, distances.shape[1])

    @classmethod
    def common(cls, usual: float, spread: float, places: int) -> TypicalDistances:
        """These two figures at each of so many places."""
        return cls(np.full(places, usual, np.float32), np.full(places, spread, np.float32), usual, spread, 0.0)

    def at(self, places: NDArray[np.intp]) -> TypicalDistances:
        """The typical distances of some of the P places alone, by their numbers (p,)."""
        return replace(self, usual=self.usual[places], spread=self.spread[places])

    def __call__(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far out each distance (P) is: 0 is usual. NaN in, NaN out."""
        by_place = (distances - self.usual) / self.spread
        anywhere = (distances - np.float32(self.usual_anywhere)) / np.float32(self.spread_anywhere)
        share = np.float32(self.place_share)
        return np.asarray(share * by_place + (1 - share) * anywhere, np.float32)


def top_mean(values: NDArray[np.float32]) -> float:
    """The mean of the nine largest of values (P,), of all where there are fewer. NaN in, NaN out."""
    return float(np.sort(values)[-TOP_PLACES:].mean(dtype=np.float64))  # a NaN is sorted to the end
