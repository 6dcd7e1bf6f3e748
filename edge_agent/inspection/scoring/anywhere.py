"""The nearest feature of any good part from anywhere on it: for a surface, and for parts that lie anyhow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.scoring.furthest import furthest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.scoring.typical_distances import TypicalDistances

__all__ = ["AnywhereBank"]

_AT_ONCE = 1024
"""Places of the part that are compared at a time: few products, for at the end of each the threads meet."""
_SOME = 8
"""Every so many of the features are compared with every place, to see how far out it is at most."""


@dataclass(frozen=True, slots=True, eq=False)
class AnywhereBank:
    """Features of n good parts, m of each, from any of their places; ``places`` (h, w) are those of a part that count.

    ``projection`` (d, r) brings features to the scale in which distances are taken. The bank itself is (r + 1, n m)
    float32: twice each feature, negative, and its square, so that one product compares a place with all of them.
    """

    places: NDArray[np.bool_]
    projection: NDArray[np.float32]
    parts: int
    _bank: NDArray[np.float32]
    _some: NDArray[np.float32]

    @classmethod
    def of(
        cls, features: NDArray[np.floating], places: NDArray[np.bool_], projection: NDArray[np.float32]
    ) -> AnywhereBank:
        """The bank of features (n, m, d) of any precision. Raises ValueError where they do not fit the projection."""
        if features.ndim != 3 or not features.size or features.shape[2] != len(projection) or not places.any():
            raise ValueError(f"features {features.shape}, a projection of {projection.shape}, {places.sum()} places")
        projected = features.reshape(-1, features.shape[2]).astype(np.float32) @ projection
        squares = np.einsum("br,br->b", projected, projected)
        # |a - b|² = a² - 2ab + b²: with a 1 behind each a, one product gives all of it but a².
        bank = np.ascontiguousarray(np.concatenate([-2.0 * projected, squares[:, None]], axis=1).T, np.float32)
        return cls(places, projection, len(features), bank, np.ascontiguousarray(bank[:, ::_SOME]))

    @property
    def looked_at(self) -> NDArray[np.bool_]:
        """The places (h, w) of a part whose features are needed."""
        return self.places

    def without(self, part: int) -> AnywhereBank:
        """The bank of all other good parts."""
        each = self._bank.shape[1] // self.parts
        rest = np.delete(self._bank, np.s_[part * each : (part + 1) * each], axis=1)
        return replace(self, parts=self.parts - 1, _bank=rest, _some=np.ascontiguousarray(rest[:, ::_SOME]))

    def to_each(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P, n) of each place that counts of a part (h, w, d) to each good part, anywhere on it.

        A place that is not finite anywhere makes all NaN. Raises ValueError for features of another shape.
        """
        return self._nearest(features, self.parts)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P) of each place that counts to the nearest good part. NaN in, NaN out."""
        return self._nearest(features, 1)[:, 0]

    def furthest_out(self, features: NDArray[np.float32], usual: TypicalDistances, count: int) -> NDArray[np.float32]:
        """The ``count`` places (all, where there are fewer) of a part (h, w, d) that are furthest out by what is usual.

        How far out a place is by every eighth feature is an upper bound: with all of them only those are compared that
        may be among the furthest. NaN in, NaN out.
        """
        seen = self._seen(features)
        if seen is None:
            return np.full(min(count, int(self.places.sum())), np.nan, np.float32)
        own = np.einsum("pr,pr->p", seen[:, :-1], seen[:, :-1])

        def out(places: NDArray[np.intp], bank: NDArray[np.float32]) -> NDArray[np.float32]:
            # Which feature is the nearest does not depend on a²: it is added once, behind the search.
            squared = _lowest(seen[places], bank, 1)[:, 0] + own[places]
            # Rounding may leave the square of a distance a little below zero.
            return usual.at(places)(np.sqrt(np.maximum(squared, 0.0)))

        every = np.arange(len(seen))
        # To some of the features a place is at least as far as to all of them: an upper bound (docs/decisions/0061).
        return furthest(out(every, self._some), count, lambda places: out(places, self._bank))

    def _nearest(self, features: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
        """Of each place (P, groups) to each of so many equal runs of the bank."""
        seen = self._seen(features)
        if seen is None:
            return np.full((int(self.places.sum()), groups), np.nan, np.float32)
        squared = _lowest(seen, self._bank, groups)
        squared += np.einsum("pr,pr->p", seen[:, :-1], seen[:, :-1])[:, None]
        return np.sqrt(np.maximum(squared, 0.0))

    def _seen(self, features: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The places that count (P, r + 1) in the scale of distances, 1 behind each; None where one is not finite."""
        height, width = self.places.shape
        if features.shape != (height, width, len(self.projection)):
            raise ValueError(
                f"the part has features {features.shape}, the bank {(height, width, len(self.projection))}"
            )
        if not np.isfinite(features).all():
            return None
        seen = np.ones((int(self.places.sum()), len(self._bank)), np.float32)
        seen[:, :-1] = features[self.places] @ self.projection
        return seen


def _lowest(seen: NDArray[np.float32], bank: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """Of each place the least product (P, groups) in each of so many equal runs of a bank."""
    found = np.empty((len(seen), groups), np.float32)
    for begin in range(0, len(seen), _AT_ONCE):
        here = slice(begin, begin + _AT_ONCE)
        products = seen[here] @ bank
        found[here] = products.reshape(len(products), groups, -1).min(axis=2)
    return found
