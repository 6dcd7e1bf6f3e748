"""When a change began: the instant that explains the values since best, as a step or as a slope.

Maximum likelihood for a step (Samuel, Pignatiello and Calvin, 1998) and for a slope (Perry, Pignatiello and Simpson,
2006), both with values of equal spread about a known mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Began", "change_point"]


@dataclass(frozen=True, slots=True)
class Began:
    """``index`` is the first value that is changed; ``is_sudden``: all at once, and not little by little."""

    index: int
    is_sudden: bool


def change_point(sigmas: Sequence[float]) -> Began:
    """Of values in spreads about a mean of 0, oldest first, of which the newest are changed. One value at least.

    A step and a slope have the same number of unknowns, so the one that explains more is the likelier one.
    """
    best, began = -1.0, Began(len(sigmas) - 1, is_sudden=True)
    summed = sloped = 0.0
    for index in range(len(sigmas) - 1, -1, -1):
        # Both sums over the values from here on: of the values, and of the values times their distance from here.
        summed += sigmas[index]
        sloped += summed
        n = len(sigmas) - index
        for gain, is_sudden in (
            (summed**2 / n, True),
            (sloped**2 * 6.0 / (n * (n + 1) * (2 * n + 1)), False),
        ):
            if gain > best:
                best, began = gain, Began(index, is_sudden)
    return began
