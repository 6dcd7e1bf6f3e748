"""One view's memory, and what each good part scores in it as if it were new.

Nothing that judges a held-out part has seen it: the scale of distances is found without its fold, its own features are
not in the bank, and what is usual at each place is found from the other parts' distances, each to a bank without both
(taken in scales that have seen it: of that much they know).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.whitened import Whitening, folds_of
from edge_agent.inspection.nearest import PlaceBank, around
from edge_agent.inspection.usual import UsualDistances, top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["FEWEST_KEPT", "HeldOut", "ViewMemory"]

FEWEST_KEPT = 3
"""A part, its nearest and its second nearest."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """``scores`` (n) float64 of good parts as if each were new, and what is ``usual`` among all of them."""

    scores: NDArray[np.float64]
    usual: UsualDistances


class ViewMemory:
    """Features (n, K, d) float16 of good parts at the places ``around`` those that count; the bank holds ``kept``.

    Of the parts three at least are kept. ``borne`` (d, d) is what disturbances add to a place's features.
    """

    def __init__(
        self,
        features: NDArray[np.float16],
        places: NDArray[np.bool_],
        kept: Sequence[int],
        borne: NDArray[np.float64] | None = None,
    ) -> None:
        self._features, self.places, self._kept = features, places, list(kept)
        self._folds = folds_of(len(features))
        self._whitening = Whitening(features, self._folds, borne)
        self.projection = self._whitening.projection()
        self._least = self._whitening.least_spread(self.projection)

    @property
    def stored(self) -> NDArray[np.float16]:
        """The features (m, K, d) of the parts that the bank holds."""
        return self._features[self._kept]

    def held_out(self, progress: Callable[[int], None] = lambda _done: None) -> HeldOut:
        """Every part's held-out score; ``progress(done)`` counts parts."""
        nearest, second, owner = self._two_nearest(progress)
        scores = np.empty(len(nearest))
        for part in range(len(nearest)):
            others = np.arange(len(nearest)) != part
            # Where this part is another's nearest, the other's distance without it is that to its second nearest.
            without = np.where(owner[others] == part, second[others], nearest[others])
            scores[part] = top_mean(UsualDistances.of(without, self._least)(nearest[part]))
        return HeldOut(scores, UsualDistances.of(nearest, self._least))

    def _two_nearest(
        self, progress: Callable[[int], None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Of each part at each place (n, P): distance to the nearest other part and to the second, and the nearest."""
        n, count = len(self._features), int(self.places.sum())
        nearest, second = np.empty((n, count), np.float32), np.empty((n, count), np.float32)
        owner = np.empty((n, count), np.int64)
        kept = np.array(self._kept)
        whole = np.zeros((*self.places.shape, self._features.shape[2]), np.float32)
        done = 0
        for fold in np.unique(self._folds):
            bank = PlaceBank.of(self.stored, self.places, self._whitening.projection(int(fold)))
            for part in np.flatnonzero(self._folds == fold):
                whole[around(self.places)] = self._features[part]
                distances = bank.to_each(whole)
                distances[:, kept == part] = np.inf
                order = np.argpartition(distances, 1, axis=1)[:, :2]
                found = np.take_along_axis(distances, order, axis=1)
                first = found.argmin(axis=1)
                rows = np.arange(count)
                nearest[part], second[part] = found[rows, first], found[rows, 1 - first]
                owner[part] = kept[order[rows, first]]
                done += 1
                progress(done)
        return nearest, second, owner
