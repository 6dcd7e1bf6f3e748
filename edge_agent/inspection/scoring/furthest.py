"""The few largest of many values that are dear to compute: each is bounded first, and only the promising are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["furthest"]

_AT_ONCE: Final = 32
"""Bounds that are made closer at a time."""


def furthest(
    bounds: NDArray[np.float32],
    count: int,
    *closer: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    values_are_dear: bool = True,
) -> NDArray[np.float32]:
    """The ``count`` largest values (all, where there are fewer), ascending, whatever is not looked at.

    ``bounds`` (P) are what no value is above. Each of ``closer`` gives for some of them, by their number, a bound that
    is no larger than the one before; the last gives the values themselves: of the largest alone, where they are dear.
    NaN where a bound is not finite, also one that is found later: it would be taken for the smallest of all.
    """
    count = min(count, len(bounds))
    nothing = np.full(count, np.nan, np.float32)
    if not np.isfinite(bounds).all():  # finite features may have no finite distance
        return nothing
    bounds, step = bounds.copy(), np.zeros(len(bounds), np.intp)
    while True:
        # Stable: of equal bounds the same places are looked at in every run, and a replay compares bits.
        promising = np.argsort(-bounds, kind="stable")[: max(count, _AT_ONCE)]
        largest = promising[:count]
        if (step[largest] == len(closer)).all():  # these are values, and no value is above the other bounds
            return np.sort(bounds[largest])
        # More places than are wanted while it is cheap; the last step, where it is dear, for the largest alone.
        here = promising[step[promising] < len(closer) - values_are_dear]
        if not here.size:
            here = largest[step[largest] < len(closer)]
        # One kind of bound at a time: each of ``closer`` works on many places at once.
        here = here[step[here] == step[here].min()]
        bounds[here] = closer[int(step[here[0]])](here)
        if not np.isfinite(bounds[here]).all():
            return nothing
        step[here] += 1
