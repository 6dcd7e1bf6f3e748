"""A model of the tail, for who asks for fewer false rejects than the good parts can carry. Never a proof."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import CalibrationRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tail", "extrapolate"]

_TOP_SHARE = 0.25
_MOST_FITTED = 50
_FEWEST_FITTED = 5
_DRAWS = 100_000


@dataclass(frozen=True, slots=True)
class Tail:
    """``value``: the score that ``target`` of good parts exceed if the ``fitted`` largest scores tell of the tail.

    ``low_90`` and ``high_90`` hold the true rate in 90 % of calibrations, if the tail is exponential.
    """

    value: float
    target: float
    fitted: int
    low_90: float
    high_90: float


def extrapolate(scores: NDArray[np.float64], target: float) -> Tail:
    """An exponential tail on the top quarter of held-out scores (n), 50 at most; ``target`` is a share of good parts.

    The m excesses over the (m + 1)-th largest score are exponential with the mean b. The rate above u + c b is then
    q exp(-c g), with q of Beta(m + 1, n - m) and g of Gamma(m) / m, whatever b is; c is chosen such that its mean is
    the target. One parameter: a shape, fitted to this few scores, follows the oddest of them.
    Raises CalibrationRefused where the top scores do not spread.
    """
    n = len(scores)
    fitted = min(_MOST_FITTED, int(n * _TOP_SHARE))
    ordered = np.sort(scores)[::-1]
    mean_excess = float(np.mean(ordered[:fitted] - ordered[fitted])) if fitted >= _FEWEST_FITTED else 0.0
    if mean_excess <= 0.0:
        raise CalibrationRefused(
            f"the largest of {n} scores tell nothing of their tail: too few, or all the same",
            hint="leave the extrapolation out, or collect more good images",
        )
    reach = fitted * math.expm1(math.log((fitted + 1) / (target * (n + 1))) / fitted)
    low_90, high_90 = _interval(n, fitted, reach)
    return Tail(float(ordered[fitted]) + reach * mean_excess, target, fitted, low_90, high_90)


@cache
def _interval(n: int, fitted: int, reach: float) -> tuple[float, float]:
    """The 5 % and 95 % quantiles of the true rate, to the six digits that both the draws and a manifest carry."""
    rng = np.random.default_rng(0)
    rates = rng.beta(fitted + 1, n - fitted, _DRAWS) * np.exp(-reach * rng.gamma(fitted, 1.0 / fitted, _DRAWS))
    low, high = np.quantile(rates, [0.05, 0.95])
    return float(f"{low:.6g}"), float(f"{high:.6g}")
