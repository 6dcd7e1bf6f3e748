"""The one-class classifier: mean squared distance to the k nearest good parts (Saeedi & Giusti, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["POOLINGS", "Bank", "standardisation"]

POOLINGS = 3
"""An embedding is three poolings of the same features, one after the other."""
# Without a floor one feature that a single good part excites sets the limit for all (docs/decisions/0003).
_LEAST_SHARE = 0.1
# Below it a pooling does not vary at all, and what is left is rounding.
_NOISE = 1e-9


def standardisation(
    embeddings: NDArray[np.float32], depths: Sequence[int] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and scale of each feature over (n, d) embeddings, d a multiple of the three poolings.

    The scale is the standard deviation, but at least a tenth of what is usual in the same pooling: a feature that
    none or one of the good parts excites has (almost) none, and divided by it would drown all others. A pooling
    that never varies keeps scale 1. ``depths`` are the features of each depth of the network, one after the other in
    the embedding, each pooled: all depths then count as much, however many features they have. None named: one.
    Raises ValueError for depths that are not the embedding's.
    """
    values = embeddings.astype(np.float64)
    depths = tuple(depths) or (values.shape[1] // POOLINGS,)
    if POOLINGS * sum(depths) != values.shape[1]:
        raise ValueError(f"{POOLINGS} poolings of {depths} features are no embedding of {values.shape[1]}")
    scales, begin = [], 0
    for features in depths:
        deviation = values[:, begin : begin + POOLINGS * features].std(axis=0)
        pooled = deviation.reshape(POOLINGS, features)
        floor = np.repeat(_LEAST_SHARE * np.sqrt((pooled**2).mean(axis=1)), features)
        scale = np.maximum(deviation, floor)
        # Squared distances add up over features: divided by its number of them each depth weighs the same
        # (docs/decisions/0062).
        share = np.sqrt(features * len(depths) / sum(depths))
        scales.append(np.where(scale > _NOISE, scale, 1.0) * share)
        begin += POOLINGS * features
    return values.mean(axis=0), np.concatenate(scales)


@dataclass(frozen=True, slots=True)
class Bank:
    """Standardised embeddings (n, d) float64 of good parts, with the mean and scale (d) that standardised them."""

    standardised: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    k: int

    @classmethod
    def of(cls, embeddings: NDArray[np.float32], k: int, depths: Sequence[int] = ()) -> Bank:
        """A bank that standardises by its own embeddings (n, d), n >= k, of these ``depths``."""
        mean, scale = standardisation(embeddings, depths)
        return cls.standardised_by(embeddings, mean, scale, k)

    @classmethod
    def standardised_by(
        cls, embeddings: NDArray[np.float32], mean: NDArray[np.float64], scale: NDArray[np.float64], k: int
    ) -> Bank:
        """A bank with a given mean and scale. Raises ValueError for fewer than k embeddings."""
        if not 1 <= k <= len(embeddings):
            raise ValueError(f"k = {k} neighbours of {len(embeddings)} embeddings")
        return cls((embeddings.astype(np.float64) - mean) / scale, mean, scale, k)

    def score(self, embedding: NDArray[np.float32]) -> float:
        """The anomaly score of one embedding (d). NaN in, NaN out."""
        difference = self.standardised - (embedding.astype(np.float64) - self.mean) / self.scale
        distances = np.einsum("nd,nd->n", difference, difference)
        # ``partition`` would put a NaN behind all others, and the part would be scored by what is left.
        if not np.isfinite(distances).all():
            return float("nan")
        # Equation 4 of the paper: the mean of the k smallest squared distances.
        return float(np.partition(distances, self.k - 1)[: self.k].mean())
