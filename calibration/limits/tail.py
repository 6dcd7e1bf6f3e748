"""A model of the tail: where scores too rare for one good part among many would lie. Never a proof."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import CalibrationRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tail", "extrapolate", "largest_is_odd", "tells_of_tail", "top_excess", "without_largest"]

# The largest scores tell of the tail, and of one parameter: a shape would follow the oddest (docs/decisions/0015).
_TOP_SHARE = 0.25
# More scores would reach into the body of the law, which is not exponential.
_MOST_FITTED = 50
# Fewer excesses hardly tell their mean: from 20 good parts on there are five.
_FEWEST_FITTED = 5
# Enough for the digits of the interval that a person is shown.
_DRAWS = 100_000
# The chance that the largest of a clean set is called odd (docs/decisions/0055).
_ODD = 0.05


@dataclass(frozen=True, slots=True)
class Tail:
    """``value``: the score that ``target`` of good parts exceed if the ``fitted`` largest scores tell of the tail.

    ``low_90`` and ``high_90`` hold the true rate in 90 % of calibrations, if the tail is exponential.
    ``without_largest``: the largest score of all is not among them, for it lies beyond what they make likely.
    """

    value: float
    target: float
    fitted: int
    low_90: float
    high_90: float
    without_largest: bool = False


def extrapolate(scores: NDArray[np.float64], target: float) -> Tail:
    """An exponential tail on the top quarter of held-out scores (n), 50 at most; ``target`` is a share of good parts.

    The m excesses over the (m + 1)-th largest score are exponential with the mean b. The rate above u + c b is then
    q exp(-c g), with q of Beta(m + 1, n - m) and g of Gamma(m) / m, whatever b is; c is chosen such that its mean is
    the target. One parameter: a shape, fitted to this few scores, follows the oddest of them.
    Raises CalibrationRefused where the top scores do not spread.
    """
    return _extrapolated(scores, target, _fitted(len(scores)))


def without_largest(scores: NDArray[np.float64], target: float) -> Tail:
    """``extrapolate`` from all scores (n,) but the largest, with as many of them as if it were there."""
    return replace(_extrapolated(_others(scores), target, _fitted(len(scores))), without_largest=True)


def largest_is_odd(scores: NDArray[np.float64]) -> bool:
    """Whether the largest of scores (n,) alone lies further out than the others make likely.

    By the exponential tail of the others the largest of n reaches as far in one of twenty calibrations.
    """
    # A share of 0.05 / n: one of n parts is beyond it in about one of twenty sets.
    return bool(scores.max() > without_largest(scores, _ODD / len(scores)).value)


def tells_of_tail(scores: NDArray[np.float64]) -> bool:
    """Whether the scores (n,) have a tail to go by, with the largest of them and without it."""
    fitted = _fitted(len(scores))
    # Scores that are all alike at the top have no excess: the tail would be a step.
    return fitted >= _FEWEST_FITTED and min(_excess(scores, fitted)[1], _excess(_others(scores), fitted)[1]) > 0.0


def top_excess(scores: NDArray[np.float64]) -> tuple[float, float]:
    """The score below the top quarter of scores (n,), n at least 3, and the mean excess of that quarter over it.

    Without the largest score where that alone lies beyond what the others make likely.
    """
    if tells_of_tail(scores) and largest_is_odd(scores):
        return _excess(_others(scores), _fitted(len(scores)))
    # Here a rough answer is better than none: a scale is needed also from few parts.
    return _excess(scores, max(1, _fitted(len(scores))))


def _extrapolated(scores: NDArray[np.float64], target: float, fitted: int) -> Tail:
    n = len(scores)
    base, mean_excess = _excess(scores, fitted) if fitted >= _FEWEST_FITTED else (0.0, 0.0)
    if mean_excess <= 0.0:
        raise CalibrationRefused(
            f"the largest of {n} scores tell nothing of their tail: too few, or all the same",
            hint="leave the extrapolation out, or collect more good images",
        )
    # Solves (m + 1) / (n + 1) (1 + c / m)^-m = target, the mean of q exp(-c g), for c.
    reach = fitted * math.expm1(math.log((fitted + 1) / (target * (n + 1))) / fitted)
    low_90, high_90 = _interval(n, fitted, reach)
    return Tail(base + reach * mean_excess, target, fitted, low_90, high_90)


def _fitted(n: int) -> int:
    return min(_MOST_FITTED, int(n * _TOP_SHARE))


def _others(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.delete(scores, int(scores.argmax()))


def _excess(scores: NDArray[np.float64], fitted: int) -> tuple[float, float]:
    """The score below the ``fitted`` largest, and their mean excess over it."""
    ordered = np.sort(scores)[::-1]
    return float(ordered[fitted]), float(np.mean(ordered[:fitted] - ordered[fitted]))


@cache
def _interval(n: int, fitted: int, reach: float) -> tuple[float, float]:
    """The 5 % and 95 % quantiles of the true rate, to the six digits that both the draws and a manifest carry."""
    # The same draws always: the same scores get the same words, and a bundle the same id.
    rng = np.random.default_rng(0)
    rates = rng.beta(fitted + 1, n - fitted, _DRAWS) * np.exp(-reach * rng.gamma(fitted, 1.0 / fitted, _DRAWS))
    low, high = np.quantile(rates, [0.05, 0.95])
    return float(f"{low:.6g}"), float(f"{high:.6g}")
