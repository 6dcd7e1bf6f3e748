"""One channel's memory bank: what it holds, the scale in which it takes distances, and held-out scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_agent.inspection.networks.channels import Projection
from edge_agent.inspection.scoring.local import LocalBank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Projecting = Callable[[NDArray[np.float16]], NDArray[np.float32]]

__all__ = ["PROJECTIONS", "Memory", "most_different", "standardising", "whitening"]

_LEAST_SCALE = 1e-6
_SHRINKAGE = 0.1


class Memory:
    """Features (n, h, w, d) float16 of n good parts, of which the bank holds those ``kept``.

    ``projecting`` finds the (d, d) projection from features; a held-out score uses one found without the part's fold.
    """

    def __init__(self, features: NDArray[np.float16], kept: Sequence[int], projecting: Projecting) -> None:
        self._features, self._kept, self._projecting = features, list(kept), projecting
        self.projection = projecting(features)

    def held_out_scores(self, fold_of: Sequence[int]) -> NDArray[np.float64]:
        """Each part's score (n) against the others, in a scale found without its fold."""
        folds = np.asarray(fold_of)
        stored = self._features[self._kept].astype(np.float32)
        place_of = {part: place for place, part in enumerate(self._kept)}
        scores = np.empty(len(folds))
        for fold in np.unique(folds):
            # In a scale that has seen the part it would lie closer than a new part does (docs/decisions/0004).
            bank = LocalBank.of(stored, self._projecting(self._features[folds != fold]))
            for part in np.flatnonzero(folds == fold):
                own = self._features[part].astype(np.float32)
                scores[part] = bank.score(own, without=place_of.get(int(part)))
        return scores


def standardising(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Each feature by its standard deviation over all places and parts: (d, d), diagonal."""
    return np.diag(1.0 / _deviation(features)).astype(np.float32)


def whitening(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Standardising, then whitening by how good parts differ at the same place: (d, d).

    The covariance within places, pooled over all of them, is drawn towards a multiple of the identity by a tenth.
    Directions in which good parts hardly differ then count as much as those in which they do: a faint defect shows
    there first (Rippel et al., 2020).
    """
    scale = 1.0 / _deviation(features)
    mean, depth = features.mean(axis=0, dtype=np.float32), features.shape[-1]
    total = np.zeros((depth, depth))
    for part in features:
        residual = ((part.astype(np.float32) - mean) * scale.astype(np.float32)).reshape(-1, depth)
        total += residual.T @ residual
    within = total / (mean.size // depth * max(1, len(features) - 1))
    # Of few parts the covariance has no inverse: drawn towards the identity it has one.
    shrunk = (1.0 - _SHRINKAGE) * within + _SHRINKAGE * np.trace(within) / depth * np.eye(depth)
    values, vectors = np.linalg.eigh(shrunk)
    projection = scale[:, None] * vectors / np.sqrt(np.maximum(values, _LEAST_SCALE**2))
    return np.asarray(projection, np.float32)


PROJECTIONS: Final[Mapping[Projection, Projecting]] = {
    Projection.STANDARDISED: standardising,
    Projection.WHITENED: whitening,
}


def most_different(features: NDArray[np.float16], most: int) -> list[int]:
    """Up to ``most`` of n parts by their features (n, h, w, d), ascending.

    First the most usual, then always the one furthest from all chosen.
    """
    n = len(features)
    if n <= most:
        return list(range(n))
    summary = features.mean(axis=(1, 2), dtype=np.float64)
    chosen = [int(((summary - summary.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = np.full(n, np.inf)
    while len(chosen) < most:
        nearest = np.minimum(nearest, ((summary - summary[chosen[-1]]) ** 2).sum(axis=1))
        # Parts that are alike teach the same; the ones that differ widen what counts as good.
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)


def _deviation(features: NDArray[np.float16]) -> NDArray[np.float64]:
    """Standard deviation (d) over all places and parts."""
    parts, depth = len(features), features.shape[-1]
    total, squares = np.zeros(depth), np.zeros(depth)
    for part in features:
        values = part.astype(np.float64).reshape(-1, depth)
        total += values.sum(axis=0)
        squares += np.einsum("pd,pd->d", values, values)
    count = parts * (features[0].size // depth)
    variance = np.maximum(squares / count - (total / count) ** 2, 0.0)
    return np.asarray(np.maximum(np.sqrt(variance), _LEAST_SCALE), np.float64)
