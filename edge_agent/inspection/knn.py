"""The one-class classifier: mean squared distance to the k nearest good parts (Saeedi & Giusti, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["POOLINGS", "Bank", "standardisation"]

POOLINGS = 3
"""An embedding is three poolings of the same features, one after the other."""
_LEAST_SHARE = 0.1
_NOISE = 1e-9


def standardisation(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and scale of each feature over (n, d) embeddings, d a multiple of the three poolings.

    The scale is the standard deviation, but at least a tenth of what is usual in the same pooling: a feature that
    none or one of the good parts excites has (almost) none, and divided by it would drown all others. A pooling
    that never varies keeps scale 1.
    """
    values = embeddings.astype(np.float64)
    deviation = values.std(axis=0)
    pooled = deviation.reshape(POOLINGS, -1)
    floor = np.repeat(_LEAST_SHARE * np.sqrt((pooled**2).mean(axis=1)), pooled.shape[1])
    scale = np.maximum(deviation, floor)
    return values.mean(axis=0), np.where(scale > _NOISE, scale, 1.0)


@dataclass(frozen=True, slots=True)
class Bank:
    """Standardised embeddings (n, d) float64 of good parts, with the mean and scale (d) that standardised them."""

    standardised: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    k: int

    @classmethod
    def of(cls, embeddings: NDArray[np.float32], k: int) -> Bank:
        """A bank that standardises by its own embeddings (n, d), n >= k."""
        mean, scale = standardisation(embeddings)
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
        if not np.isfinite(distances).all():
            return float("nan")
        return float(np.partition(distances, self.k - 1)[: self.k].mean())
