"""The nearest good part at each place of a part: exhaustive, on the places that count, and on no others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PlaceBank", "around"]

_OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
_AT_ONCE = 64 * 112
"""Values of a part that are compared at a time, of as many places as have them: that stays in the cache."""


def around(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The places (h, w) that a search within one cell looks at: these, and all that touch one of them."""
    height, width = places.shape
    padded = np.pad(places, 1)
    reached = [padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in _OFFSETS]
    return np.asarray(np.logical_or.reduce(reached))


@dataclass(frozen=True, slots=True, eq=False)
class PlaceBank:
    """Features of n good parts at the places around those that count (``places``, h x w).

    ``projection`` (d, r) brings features to the scale in which distances are taken. The bank itself is (K, r, n)
    float32, of the K places ``around(places)`` row by row.
    """

    places: NDArray[np.bool_]
    projection: NDArray[np.float32]
    _bank: NDArray[np.float32]
    _squares: NDArray[np.float32]
    _kept: NDArray[np.intp]
    _target: NDArray[np.intp] = field(repr=False)

    @classmethod
    def of(
        cls, features: NDArray[np.floating], places: NDArray[np.bool_], projection: NDArray[np.float32]
    ) -> PlaceBank:
        """The bank of features (n, K, d) of any precision. Raises ValueError where they do not fit ``places``."""
        kept = np.argwhere(around(places))
        if features.ndim != 3 or features.shape[1:] != (len(kept), len(projection)) or not places.any():
            raise ValueError(f"features {features.shape} of {int(places.sum())} places and those around, {len(kept)}")
        bank = np.empty((len(kept), projection.shape[1], len(features)), np.float32)
        for index, part in enumerate(features):
            bank[..., index] = part.astype(np.float32) @ projection
        number = np.full(np.add(places.shape, 2), -1, np.intp)  # of each place that counts; a rim that never does
        number[1:-1, 1:-1][places] = np.arange(int(places.sum()))
        target = np.stack([number[kept[:, 0] + 1 + dy, kept[:, 1] + 1 + dx] for dy, dx in _OFFSETS], axis=1)
        return cls(places, projection, bank, np.einsum("krn,krn->kn", bank, bank), kept, target)

    @property
    def parts(self) -> int:
        """N."""
        return len(self._bank[0, 0])

    def to_each(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P, n) of each place that counts of a part (h, w, d) to each good part, within one cell.

        A place that is not finite anywhere makes all NaN. Raises ValueError for features of another shape.
        """
        height, width = self.places.shape
        if features.shape != (height, width, len(self.projection)):
            raise ValueError(
                f"the part has features {features.shape}, the bank {(height, width, len(self.projection))}"
            )
        if not np.isfinite(features).all():
            return np.full((int(self.places.sum()), self.parts), np.nan, np.float32)
        projected = np.zeros((height + 2, width + 2, self.projection.shape[1]), np.float32)
        flat = features.reshape(height * width, -1) @ self.projection  # one product: threads meet once, not once a row
        projected[1:-1, 1:-1] = flat.reshape(height, width, -1)
        own = np.einsum("hwr,hwr->hw", projected, projected)
        squared = np.full((int(self.places.sum()), self.parts), np.inf, np.float32)
        step = max(1, _AT_ONCE // self.projection.shape[1])
        for begin in range(0, len(self._kept), step):
            here = slice(begin, begin + step)
            rows, columns = self._kept[here].T + 1
            seen = np.stack([projected[rows + dy, columns + dx] for dy, dx in _OFFSETS], axis=1)
            products = np.matmul(seen, self._bank[here])  # (places, 9, n)
            for k, (dy, dx) in enumerate(_OFFSETS):
                target = self._target[here, k]
                counts = target >= 0
                found = self._squares[here] - 2.0 * products[:, k] + own[rows + dy, columns + dx][:, None]
                squared[target[counts]] = np.minimum(squared[target[counts]], found[counts])
        return np.sqrt(np.maximum(squared, 0.0))

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (P) of each place that counts to the nearest good part. NaN in, NaN out."""
        return np.asarray(self.to_each(features).min(axis=1))
