"""The memory of one view: the good parts' features, what distances are usual, and the scale of the view's score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.networks.channels import Plane
from edge_agent.inspection.scoring.typical_distances import TOP_PLACES, top_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.scoring.anywhere import AnywhereBank
    from edge_agent.inspection.scoring.local import Scale
    from edge_agent.inspection.scoring.nearest import PlaceBank
    from edge_agent.inspection.scoring.typical_distances import TypicalDistances

__all__ = ["ViewBank"]


@dataclass(frozen=True, slots=True, eq=False)
class ViewBank:
    """One view's ``bank``, the ``usual`` distances in it and the ``scale`` of its score beside the others.

    It counts in the mean of the views, or (``is_beside``) stands beside that mean: the larger one is the score.
    ``plane`` is what the filtered view looks at.
    """

    bank: PlaceBank | AnywhereBank
    usual: TypicalDistances
    scale: Scale
    is_beside: bool = False
    plane: Plane = Plane.ALL

    def without(self, features: NDArray[np.float32]) -> ViewBank:
        """The memory of all good parts but the one that is nearest at most of the places of a part (h, w, d).

        A part that is among them is that one, also where only some of its features are remembered.
        """
        nearest = self.bank.to_each(features).argmin(axis=1)
        return replace(self, bank=self.bank.without(int(np.bincount(nearest).argmax())))

    def outness(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far out each place (P) that counts of a part (h, w, d) is. NaN in, NaN out."""
        return self.usual(self.bank.distances(features))

    def score(self, features: NDArray[np.float32]) -> float:
        """The mean of a part's (h, w, d) few places furthest out, on the view's scale. NaN in, NaN out."""
        return self.scale(top_mean(self.bank.furthest_out(features, self.usual, TOP_PLACES)))

    @property
    def least(self) -> float:
        """The least score that any part can have: that of a part which equals a good part at every place."""
        # Distance 0 at every place: a bound by arithmetic, not by what good parts scored (docs/decisions/0083).
        nothing = np.zeros(int(self.bank.places.sum()), np.float32)
        return self.scale(top_mean(self.usual(nothing)))

    def heat(self, features: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
        """Each place (h, w) as a share of what stands for the ``limit`` in this view; 0 where no place counts."""
        found = np.zeros(self.bank.places.shape, np.float32)
        found[self.bank.places] = np.maximum(self._of_limit(self.outness(features), limit), 0.0)
        return found

    def _of_limit(self, outness: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
        """1 at the limit. Where the limit is below what is usual there is no share of it: then by the scale's unit."""
        at_limit = self.scale.at(limit)
        if at_limit > 0.0:
            return outness / np.float32(at_limit)
        return 1.0 + (outness - np.float32(at_limit)) / np.float32(self.scale.odd - self.scale.usual)
