"""From an anomaly map to a score, by either score definition: the paper's pooled one, or the local one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_agent.inspection.embedding import Embedder, FeatureGrid
from edge_agent.inspection.local import LocalBank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.knn import Bank

__all__ = ["Judge", "LocalJudge", "PooledJudge", "judge_for"]


class Judge(Protocol):
    """A score definition with the bank it compares with."""

    def embed(self, differences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of an anomaly map (H, W, C) in [0, 1]."""
        ...

    def score(self, features: NDArray[np.float32]) -> float:
        """The anomaly score of those features. NaN in, NaN out."""
        ...


class PooledJudge:
    """The paper's: one embedding a map, the mean squared distance to the k nearest of good parts (equation 4)."""

    def __init__(self, backbone: bytes, bank: Bank, *, threads: int) -> None:
        """Raises ValueError if backbone and bank do not fit each other."""
        self._embedder, self._bank = Embedder(backbone, threads=threads), bank
        if self._embedder.dimensions != bank.mean.size:
            raise ValueError(f"the backbone gives {self._embedder.dimensions} features, the bank has {bank.mean.size}")

    def embed(self, differences: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding (d)."""
        return self._embedder.embed(differences)

    def score(self, features: NDArray[np.float32]) -> float:
        """The anomaly score."""
        return self._bank.score(features)


class LocalJudge:
    """The local one: features of each place, compared with the same place of good parts."""

    def __init__(self, backbone: bytes, bank: LocalBank, crop: tuple[int, int], *, threads: int) -> None:
        """``crop`` is (height, width) in px. Raises ValueError if backbone, bank and crop do not fit each other."""
        self._grid, self._bank = FeatureGrid(backbone, threads=threads), bank
        # Measured: each backbone has a stride of its own, and its own way to round.
        expected = self._grid.features(np.zeros((*crop, 1), np.float32)).shape
        found = (*bank.places.shape[:2], bank.dimensions)
        if found != expected:
            raise ValueError(f"the backbone gives {expected} features for the crop, the bank has {found}")

    def embed(self, differences: NDArray[np.float32]) -> NDArray[np.float32]:
        """The features (h, w, d)."""
        return self._grid.features(differences)

    def score(self, features: NDArray[np.float32]) -> float:
        """The anomaly score."""
        return self._bank.score(features)


def judge_for(backbone: bytes, bank: Bank | LocalBank, crop: tuple[int, int], *, threads: int) -> Judge:
    """What judges by this bank. Raises ValueError if the parts do not fit each other."""
    if isinstance(bank, LocalBank):
        return LocalJudge(backbone, bank, crop, threads=threads)
    return PooledJudge(backbone, bank, threads=threads)
