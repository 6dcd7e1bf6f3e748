"""Where the limit lies, from good parts alone, and what it promises in words.

Everything that a new part has not seen, the scored part must not have seen either: the autoencoder that made its
map, the bank it is compared with, and the mean and scale that standardise it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.knn import Bank

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Limit", "choose_limit", "false_reject_bound", "leave_one_out_scores"]

_CONFIDENCE = 0.95
_QUANTILE_FROM = 60
_QUANTILE = 0.02


@dataclass(frozen=True, slots=True)
class Limit:
    """``value``: scores at or above it are rejected. ``rank``: it lies just above the rank-th largest of n scores.

    ``expected`` and ``bound_95`` are false-reject rates of new good parts: the mean, and what it stays below with
    95 % confidence.
    """

    value: float
    rank: int
    n: int
    expected: float
    bound_95: float

    @property
    def statement(self) -> str:
        """The honest words."""
        place = "largest" if self.rank == 1 else f"{self.rank}th largest"
        return (
            f"The limit is the {place} score of {self.n} good parts, each scored without itself. Of new good parts "
            f"like these, expect {self.expected:.1%} to be rejected; with 95 % confidence fewer than "
            f"{self.bound_95:.1%}. What share of defects is found cannot be told from good parts."
        )


def leave_one_out_scores(bank: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Score ``queries[i]`` against the bank without its row i, standardised without it; (n, d) both, n > k."""
    n = len(bank)
    keep = ~np.eye(n, dtype=bool)
    return np.array([Bank.of(bank[keep[i]], k).score(queries[i]) for i in range(n)])


def choose_limit(scores: NDArray[np.float64]) -> Limit:
    """The limit from leave-one-out scores: above the largest; from 60 parts on, above a quantile."""
    n = len(scores)
    rank = max(1, math.floor(_QUANTILE * (n + 1))) if n >= _QUANTILE_FROM else 1
    # One step above the score itself: "at or above the limit" is then "above that part", also where scores tie.
    value = float(np.nextafter(np.sort(scores)[n - rank], np.inf))
    return Limit(value, rank, n, rank / (n + 1), false_reject_bound(n, rank))


def false_reject_bound(n: int, rank: int = 1) -> float:
    """The 95 % upper bound of the false-reject rate above the rank-th largest of n, by Beta(rank, n + 1 - rank)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_least = 1.0 - sum(math.comb(n, j) * middle**j * (1 - middle) ** (n - j) for j in range(rank))
        low, high = (middle, high) if at_least < _CONFIDENCE else (low, middle)
    return high
