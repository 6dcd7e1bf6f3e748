"""The nearest feature of any good part from anywhere on it: for a surface, and for parts that lie anyhow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.usual import UsualDistances

__all__ = ["AnywhereBank"]

_AT_ONCE = 1024
"""Places of the part that are compared at a time: few products, for at the end of each the threads meet."""


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

    @classmethod
    def of(
        cls, features: NDArray[np.floating], places: NDArray[np.bool_], projection: NDArray[np.float32]
    ) -> AnywhereBank:
        """The bank of features (n, m, d) of any precision. Raises ValueError where they do not fit the projection."""
        if features.ndim != 3 or not features.size or features.shape[2] != len(projection) or not places.any():
            raise ValueError(f"features {features.shape}, a projection of {projection.shape}, {places.sum()} places")
        projected = features.reshape(-1, features.shape[2]).astype(np.float32) @ projection
        squares = np.einsum("br,br->b", projected, projected)
        bank = np.ascontiguousarray(np.concatenate([-2.0 * projected, squares[:, None]], axis=1).T, np.float32)
        return cls(places, projection, len(features), bank)

    @property
    def looked_at(self) -> NDArray[np.bool_]:
        """The places (h, w) of a part whose features are needed."""
        return self.places

    def without(self, part: int) -> AnywhereBank:
        """The bank of all other good parts."""
        each = self._bank.shape[1] // self.parts
        rest = np.delete(self._bank, np.s_[part * each : (part + 1) * each], axis=1)
        return replace(self, parts=self.parts - 1, _bank=rest)

    def to_each(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P, n) of each place that counts of a part (h, w, d) to each good part, anywhere on it.

        A place that is not finite anywhere makes all NaN. Raises ValueError for features of another shape.
        """
        return self._nearest(features, self.parts)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P) of each place that counts to the nearest good part. NaN in, NaN out."""
        return self._nearest(features, 1)[:, 0]

    def furthest_out(self, features: NDArray[np.float32], usual: UsualDistances, count: int) -> NDArray[np.float32]:
        """The ``count`` places (all, where there are fewer) of a part (h, w, d) that are furthest out by what is usual.

        NaN in, NaN out.
        """
        return np.sort(usual(self.distances(features)))[-count:]

    def _nearest(self, features: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
        """Of each place (P, groups) to each of so many equal runs of the bank."""
        height, width = self.places.shape
        if features.shape != (height, width, len(self.projection)):
            raise ValueError(
                f"the part has features {features.shape}, the bank {(height, width, len(self.projection))}"
            )
        if not np.isfinite(features).all():
            return np.full((int(self.places.sum()), groups), np.nan, np.float32)
        seen = np.ones((int(self.places.sum()), len(self._bank)), np.float32)
        seen[:, :-1] = features[self.places] @ self.projection
        squared = np.empty((len(seen), groups), np.float32)
        for begin in range(0, len(seen), _AT_ONCE):
            here = slice(begin, begin + _AT_ONCE)
            found = seen[here] @ self._bank
            squared[here] = found.reshape(len(found), groups, -1).min(axis=2)
        squared += np.einsum("pr,pr->p", seen[:, :-1], seen[:, :-1])[:, None]
        return np.sqrt(np.maximum(squared, 0.0))
