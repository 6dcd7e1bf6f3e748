"""The nearest good part at each place of a part: exhaustive, on the places that count, and on no others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.scoring.furthest import furthest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.scoring.typical_distances import TypicalDistances

__all__ = ["PlaceBank", "around"]

# One cell to each side: what registration leaves over moves a feature by less than a place of 16 px.
_OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
_ITSELF = _OFFSETS.index((0, 0))
_AT_ONCE = 64 * 112
"""Values of a part that are compared at a time, of as many places as have them: that stays in the cache."""
_SOME = 32
"""Good parts that are asked first how far out a place is at most."""


_FEW_FEATURES = 8
"""Of brightness and colour: a product of so few is no work for BLAS."""


def around(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The places (h, w) that a search within one cell looks at: these, and all that touch one of them."""
    height, width = places.shape
    padded = np.pad(places, 1)
    reached = [padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in _OFFSETS]
    return np.asarray(np.logical_or.reduce(reached))


@dataclass(frozen=True, slots=True, eq=False)
class PlaceBank:
    """Features of n good parts at the places around those that count (``places``, h x w).

    ``projection`` (d, r) brings features to the scale in which distances are taken. The bank itself is (K, n, r)
    float32, of the K places ``around(places)`` row by row; some of its parts stand once more beside each other.
    """

    places: NDArray[np.bool_]
    projection: NDArray[np.float32]
    _bank: NDArray[np.float32]
    _squares: NDArray[np.float32]
    _some: NDArray[np.float32]
    _kept: NDArray[np.intp]
    _target: NDArray[np.intp] = field(repr=False)
    _around: NDArray[np.intp] = field(repr=False)

    @classmethod
    def of(
        cls, features: NDArray[np.floating], places: NDArray[np.bool_], projection: NDArray[np.float32]
    ) -> PlaceBank:
        """The bank of features (n, K, d) of any precision. Raises ValueError where they do not fit ``places``."""
        kept = np.argwhere(around(places))
        if features.ndim != 3 or features.shape[1:] != (len(kept), len(projection)) or not places.any():
            raise ValueError(f"features {features.shape} of {int(places.sum())} places and those around, {len(kept)}")
        bank = np.empty((len(kept), len(features), projection.shape[1]), np.float32)
        for index, part in enumerate(features):
            bank[:, index] = part.astype(np.float32) @ projection
        number = np.full(np.add(places.shape, 2), -1, np.intp)  # of each place that counts; a rim that never does
        number[1:-1, 1:-1][places] = np.arange(int(places.sum()))
        # For each place of the bank, and each of nine steps from it, the number of the place that counts there, or -1.
        # So the bank is gone through once, in its order in memory, and serves all nine neighbours.
        target = np.stack([number[kept[:, 0] + 1 + dy, kept[:, 1] + 1 + dx] for dy, dx in _OFFSETS], axis=1)
        of_bank = np.full(np.add(places.shape, 2), -1, np.intp)
        of_bank[1:-1, 1:-1][around(places)] = np.arange(len(kept))
        rows, columns = np.nonzero(places)
        # The other way round, for a search that begins at a place of the part.
        beside = np.stack([of_bank[rows + 1 + dy, columns + 1 + dx] for dy, dx in _OFFSETS], axis=1)
        # Beyond the border there is nothing: the place itself stands there once more.
        beside = np.where(beside < 0, beside[:, _ITSELF, None], beside)
        squares = np.einsum("knr,knr->kn", bank, bank)
        return cls(places, projection, bank, squares, _some_of(bank, beside), kept, target, beside)

    @property
    def looked_at(self) -> NDArray[np.bool_]:
        """The places (h, w) of a part whose features are needed."""
        return around(self.places)

    @property
    def parts(self) -> int:
        """How many good parts the bank holds."""
        return len(self._bank[0])

    def without(self, part: int) -> PlaceBank:
        """The bank of all other good parts."""
        bank, squares = np.delete(self._bank, part, axis=1), np.delete(self._squares, part, axis=1)
        return replace(self, _bank=bank, _squares=squares, _some=_some_of(bank, self._around))

    def to_each(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P, n) of each place that counts of a part (h, w, d) to each good part, within one cell.

        A place that is not finite anywhere makes all NaN. Raises ValueError for features of another shape.
        """
        projected = self._projected(features)
        if projected is None:
            return np.full((int(self.places.sum()), self.parts), np.nan, np.float32)
        own = np.einsum("hwr,hwr->hw", projected, projected)
        squared = np.full((int(self.places.sum()), self.parts), np.inf, np.float32)
        step = max(1, _AT_ONCE // self.projection.shape[1])
        for begin in range(0, len(self._kept), step):
            here = slice(begin, begin + step)
            rows, columns = self._kept[here].T + 1
            seen = np.stack([projected[rows + dy, columns + dx] for dy, dx in _OFFSETS], axis=1)
            products = np.matmul(seen, self._bank[here].transpose(0, 2, 1))  # (places, 9, n)
            for k, (dy, dx) in enumerate(_OFFSETS):
                target = self._target[here, k]
                counts = target >= 0
                found = self._squares[here] - 2.0 * products[:, k] + own[rows + dy, columns + dx][:, None]
                # Of one offset every target occurs once, so that no minimum is lost in the assignment.
                squared[target[counts]] = np.minimum(squared[target[counts]], found[counts])
        return _root(squared)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P) of each place that counts to the nearest good part. NaN in, NaN out."""
        return np.asarray(self.to_each(features).min(axis=1))

    def furthest_out(self, features: NDArray[np.float32], usual: TypicalDistances, count: int) -> NDArray[np.float32]:
        """The ``count`` places (all, where there are fewer) of a part (h, w, d) that are furthest out by what is usual.

        How far out a place is by some good parts at that very place is an upper bound. All of them are asked there,
        and then in the places around, only where it may be among the furthest. NaN in, NaN out. Raises ValueError as
        ``to_each`` does.
        """
        self._check_shape(features)
        if not np.isfinite(features).all():
            return np.full(min(count, int(self.places.sum())), np.nan, np.float32)
        seen = features[self.places] @ self.projection
        own = np.einsum("pr,pr->p", seen, seen)

        def out(places: NDArray[np.intp], cells: NDArray[np.intp]) -> NDArray[np.float32]:
            """How far out these places are, by all good parts in so many cells (p, c) of the bank."""
            squared = self._squares[cells] - 2.0 * _products(self._bank[cells], seen[places][:, None])
            return usual.at(places)(_root(squared.min(axis=(1, 2)) + own[places]))

        itself, some = self._around[:, _ITSELF, None], self._some.shape[1]
        # To the nearest of all parts, one cell around, it is no further than to some at the very place
        # (docs/decisions/0061).
        at_most = self._squares[itself[:, 0], :some] - 2.0 * _products(self._some, seen)
        bounds = usual(_root(at_most.min(axis=1) + own))
        # Brightness and colour were compared with all parts at the place already: only the cells around it are left.
        if seen.shape[1] <= _FEW_FEATURES:
            return furthest(bounds, count, lambda places: out(places, self._around[places]), values_are_dear=False)
        return furthest(
            bounds,
            count,
            lambda places: out(places, itself[places]),
            # One by one: what a search around takes of the memory does not fit the cache twice.
            lambda places: np.concatenate([out(place, self._around[place]) for place in places[:, None]]),
        )

    def _projected(self, features: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The part's features in the scale of distances (h + 2, w + 2, r), a rim of zeros around; None: not finite."""
        self._check_shape(features)
        if not np.isfinite(features).all():
            return None
        height, width = self.places.shape
        projected = np.zeros((height + 2, width + 2, self.projection.shape[1]), np.float32)
        flat = features.reshape(height * width, -1) @ self.projection  # one product: threads meet once, not once a row
        projected[1:-1, 1:-1] = flat.reshape(height, width, -1)
        return projected

    def _check_shape(self, features: NDArray[np.float32]) -> None:
        height, width = self.places.shape
        if features.shape != (height, width, len(self.projection)):
            raise ValueError(
                f"the part has features {features.shape}, the bank {(height, width, len(self.projection))}"
            )


def _some_of(bank: NDArray[np.float32], beside: NDArray[np.intp]) -> NDArray[np.float32]:
    """What is asked first: some good parts at each place that counts, all of them where that is little."""
    count = bank.shape[1] if bank.shape[2] <= _FEW_FEATURES else _SOME
    return bank[beside[:, _ITSELF], :count]


def _products(bank: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each place's features (..., r) with those of good parts (..., n, r): (..., n)."""
    features = seen.shape[-1]
    if features > _FEW_FEATURES:
        return np.asarray(np.matmul(bank, seen[..., None])[..., 0])
    found = bank[..., 0] * seen[..., None, 0]
    for feature in range(1, features):
        found += bank[..., feature] * seen[..., None, feature]
    return found


def _root(squared: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), np.float32)
