"""The scale in which a view takes distances, found from all good parts or without one fold of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOLDS", "MOST_ANYWHERE", "MOST_FEATURES", "Whitening", "folds_of"]

FOLDS = 12
MOST_FEATURES = 128
"""In which distances are taken: what a place of the bank takes in memory."""
MOST_ANYWHERE = 64
"""The same for a bank that is free of the place: each of its features is compared with every place."""
# Of few parts a covariance has no inverse: drawn towards the identity it has one. A rarely excited feature must not
# drown all others (docs/decisions/0003).
_SHRINKAGE = 0.1
_LEAST_SHARE = 0.1
_LEAST_SCALE = 1e-6
_NOTHING = 1 / 12
"""The share of the root of all that the disturbances add up to that counts as no distance at all. There are up to
eleven of them, and the root of eleven is about three: so it is a quarter of what a single one adds.
"""
_NUISANCE_SHARE = 0.3
"""Of what disturbances add, beside how good parts differ: docs/decisions/0057."""


def folds_of(n: int) -> NDArray[np.int64]:
    """The fold (n,) of each of n parts: twelve, one a part where there are fewer. Neighbours in time lie apart.

    With three folds a third of the parts is missing from what scales a held-out part, and the limit comes out too high.
    """
    return np.arange(n) % min(n, FOLDS)


class Whitening:
    """Sums over features (n, K, d) of good parts, by fold: what a projection without any one fold is made of.

    ``is_tied`` to the place: how good parts differ is how they differ at the same place. Else it is how any places
    of any of them do. ``nuisance`` (d, d) are the mean outer products of what disturbances add to a place's features;
    None: of none.
    """

    def __init__(
        self,
        features: NDArray[np.float16],
        folds: NDArray[np.int64],
        *,
        is_tied: bool = True,
        nuisance: NDArray[np.float64] | None = None,
    ) -> None:
        self._folds, self._nuisance = folds, nuisance
        count, depth = int(folds.max()) + 1, features.shape[2]
        self._each: int = 1 if is_tied else features.shape[1]
        self._most = MOST_FEATURES if is_tied else MOST_ANYWHERE
        # Taken away before anything is squared: in float32 a large mean would drown small differences.
        self._centre = features.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        self._totals = np.zeros((count, features.shape[1] // self._each, depth))
        self._products = np.zeros((count, depth, depth))
        for fold, part in zip(folds, features, strict=True):
            values = part.astype(np.float32) - self._centre
            self._totals[fold] += values if is_tied else values.sum(axis=0, dtype=np.float64)
            self._products[fold] += values.T @ values

    def least_spread(self, projection: NDArray[np.float32]) -> float:
        """The distance, in that projection, that means nothing: a share of what disturbances add, about one grey value.

        None of them is less than two grey values. 1e-6 where nothing was disturbed.
        """
        if self._nuisance is None:
            return _LEAST_SCALE
        added = float(np.einsum("ij,ik,jk->", self._nuisance, projection, projection, dtype=np.float64, optimize=True))
        return max(_NOTHING * math.sqrt(max(added, 0.0)), _LEAST_SCALE)

    def projection(self, without: int | None = None) -> NDArray[np.float32]:
        """The (d, r) projection from all parts, or from those outside one fold.

        What is left once each place's mean is taken away is divided by each feature's spread, then whitened by its
        covariance over all places, drawn towards the identity by a tenth. A feature's spread is at least a tenth of
        what is usual among them (docs/decisions/0003). Of more than 128 features (64, free of the place) the directions
        in which good parts differ least are left out. What disturbances add counts as if good parts differed by a share
        of it.
        """
        used = np.ones(len(self._totals), bool)
        if without is not None:
            used[without] = False
        n, places = int(used[self._folds].sum()) * self._each, self._totals.shape[1]
        totals = self._totals[used].sum(axis=0)
        # From sums by fold: one pass over the features, and leaving a fold out is a subtraction.
        # Sum of squares less the square of the sum: each place's own mean is taken away, so that only what good parts
        # differ in is left.
        within = (self._products[used].sum(axis=0) - totals.T @ totals / n) / (places * max(1, n - 1))
        if self._nuisance is not None:
            within += _NUISANCE_SHARE * self._nuisance
        deviation = np.sqrt(np.maximum(np.diagonal(within), 0.0))
        floor = max(_LEAST_SHARE * float(np.sqrt((deviation**2).mean())), _LEAST_SCALE)
        scale = 1.0 / np.maximum(deviation, floor)
        # Each feature by its own spread first: the shrinkage below draws all towards one variance, which would be wrong
        # for features of different size.
        standardised = within * np.outer(scale, scale)
        usual = float(np.trace(standardised)) / len(scale)
        shrunk = (1.0 - _SHRINKAGE) * standardised + _SHRINKAGE * usual * np.eye(len(scale))
        # Dividing each direction by the root of its variance is the whitening: a distance then counts in spreads of
        # good parts, whatever the direction.
        values, vectors = np.linalg.eigh(shrunk)  # ascending
        kept = slice(-self._most, None)
        projection = scale[:, None] * vectors[:, kept] / np.sqrt(np.maximum(values[kept], _LEAST_SCALE**2))
        return np.asarray(projection, np.float32)
