"""One view's memory, and what each good part scores in it as if it were new.

Nothing that judges a held-out part has seen it: the scale of distances is found without its fold, its own features are
not in the bank, and what is usual at each place is found from the other parts' distances, each to a bank without both
(taken in scales that have seen it: of that much they know).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.memory.whitened import Whitening, folds_of
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.scoring.anywhere import AnywhereBank
from edge_agent.inspection.scoring.nearest import PlaceBank, around
from edge_agent.inspection.scoring.typical_distances import TypicalDistances, top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.workers import Workers

__all__ = ["FEWEST_KEPT", "MOST_ANYWHERE", "HeldOut", "ViewMemory", "seen_places"]

FEWEST_KEPT = 3
"""A part, its nearest and its second nearest."""
MOST_ANYWHERE = 4096
"""Features in a bank that is free of the place: with each of them every place is compared."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """``scores`` (n) float64 of good parts as if each were new, and what is ``usual`` among all of them."""

    scores: NDArray[np.float64]
    usual: TypicalDistances


def seen_places(places: NDArray[np.bool_], *, is_tied: bool) -> NDArray[np.bool_]:
    """The places (h, w) whose features a memory needs: tied to the place also those around the ones that count."""
    return around(places) if is_tied else places


class ViewMemory:
    """Features (n, K, d) float16 of good parts at ``seen_places``; the bank holds those of the parts ``kept``.

    Of the parts three at least are kept. Free of the place (not ``is_tied``) the bank holds as many features of each
    part, drawn at random, as there is room for, and what is usual is the same at each place. ``nuisance`` (d, d) is
    what disturbances add to a place's features (``scoring/nuisance_variation``).
    """

    def __init__(
        self,
        features: NDArray[np.float16],
        places: NDArray[np.bool_],
        kept: Sequence[int],
        *,
        is_tied: bool = True,
        nuisance: NDArray[np.float64] | None = None,
    ) -> None:
        self._features, self.places, self._kept, self.is_tied = features, places, list(kept), is_tied
        self._folds = folds_of(len(features))
        self._whitening = Whitening(features, self._folds, is_tied=is_tied, nuisance=nuisance)
        self.projection = self._whitening.projection()
        self._least = self._whitening.least_spread(self.projection)

    @property
    def parts(self) -> int:
        """Good parts that the bank holds."""
        return len(self._kept)

    @property
    def stored(self) -> NDArray[np.float16]:
        """The features (m, K, d) of the parts that the bank holds; free of the place some of each, drawn at random."""
        if self.is_tied:
            return self._features[self._kept]
        count = self._features.shape[1]
        each = max(1, min(count, MOST_ANYWHERE // len(self._kept)))
        # Drawn by each part's number: the same good parts give the same bundle.
        return np.stack(
            [self._features[part, np.random.default_rng(part).permutation(count)[:each]] for part in self._kept]
        )

    def fold_of(self, part: int) -> int:
        """The fold that a part lies in: a scale without it has not seen the part."""
        return int(self._folds[part])

    def bank(self, without: int | None = None) -> PlaceBank | AnywhereBank:
        """The bank, its distances in the scale found from all parts or without one fold."""
        projection = self.projection if without is None else self._whitening.projection(without)
        kind = PlaceBank if self.is_tied else AnywhereBank
        return kind.of(self.stored, self.places, projection)

    def usual_of(self, distances: NDArray[np.float32]) -> TypicalDistances:
        """What is usual among these distances (n, P)."""
        kind = TypicalDistances.of if self.is_tied else TypicalDistances.anywhere
        return kind(distances, self._least)

    def held_out(self, progress: Callable[[int], None] = lambda _done: None, workers: Workers = ONE_THREAD) -> HeldOut:
        """Every part's held-out score; ``progress(done)`` counts parts."""
        nearest, second, owner = self._two_nearest(progress, workers)
        scores = np.empty(len(nearest))
        for part in range(len(nearest)):
            others = np.arange(len(nearest)) != part
            # Where this part is another's nearest, the other's distance without it is that to its second nearest.
            without = np.where(owner[others] == part, second[others], nearest[others])
            scores[part] = top_mean(self.usual_of(without)(nearest[part]))
        return HeldOut(scores, self.usual_of(nearest))

    def _two_nearest(
        self, progress: Callable[[int], None], workers: Workers
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Of each part at each place (n, P): distance to the nearest other part and to the second, and the nearest."""
        n, count = len(self._features), int(self.places.sum())
        nearest, second = np.empty((n, count), np.float32), np.empty((n, count), np.float32)
        owner = np.empty((n, count), np.int64)
        folds, done = [int(fold) for fold in np.unique(self._folds)], 0
        for fold, found in zip(folds, workers.each(Work(_nearest_in_fold, (self,)), folds), strict=True):
            parts = np.flatnonzero(self._folds == fold)
            nearest[parts], second[parts], owner[parts] = found
            done += len(parts)
            progress(done)
        return nearest, second, owner

    def nearest_in_fold(self, fold: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Of each part of a fold at each place (m, P), in their order: as in ``_two_nearest``."""
        parts, count = np.flatnonzero(self._folds == fold), int(self.places.sum())
        nearest, second = np.empty((len(parts), count), np.float32), np.empty((len(parts), count), np.float32)
        owner = np.empty((len(parts), count), np.int64)
        kept, bank, rows = np.array(self._kept), self.bank(fold), np.arange(count)
        seen = seen_places(self.places, is_tied=self.is_tied)
        whole = np.zeros((*self.places.shape, self._features.shape[2]), np.float32)
        for row, part in enumerate(parts):
            whole[seen] = self._features[part]
            distances = bank.to_each(whole)
            # The part itself, where the bank holds it.
            distances[:, kept == part] = np.inf
            order = np.argpartition(distances, 1, axis=1)[:, :2]
            found = np.take_along_axis(distances, order, axis=1)
            first = found.argmin(axis=1)
            nearest[row], second[row] = found[rows, first], found[rows, 1 - first]
            owner[row] = kept[order[rows, first]]
        return nearest, second, owner


def _nearest_in_fold(
    memory: ViewMemory, fold: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    return memory.nearest_in_fold(fold)
