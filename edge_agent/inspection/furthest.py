"""The few largest of many values that are dear to compute: each is bounded first, and only the promising are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["furthest"]


def furthest(
    bounds: NDArray[np.float32], count: int, *closer: Callable[[NDArray[np.intp]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The ``count`` largest values (all, where there are fewer), ascending, whatever is not looked at.

    ``bounds`` (P) are what no value is above. Each of ``closer`` gives for some of them, by their number, a bound that
    is no larger than the one before; the last gives the values themselves. NaN where a bound is not finite.
    """
    count = min(count, len(bounds))
    if not np.isfinite(bounds).all():  # finite features may have no finite distance
        return np.full(count, np.nan, np.float32)
    bounds, step = bounds.copy(), np.zeros(len(bounds), np.intp)
    while True:
        largest = np.argpartition(bounds, len(bounds) - count)[len(bounds) - count :]
        least = int(step[largest].min())
        if least == len(closer):  # these are values, and no value is above the other bounds
            return np.sort(bounds[largest])
        here = largest[step[largest] == least]
        bounds[here] = closer[least](here)
        step[here] += 1
