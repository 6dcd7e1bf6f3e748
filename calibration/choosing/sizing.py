"""At which size a part is looked at: as large as so many pixels shown to the network allow."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from calibration.registering.part_mask import counting_places
from edge_agent.inspection.networks.windows import grid_shape, windows_of, work_px
from edge_agent.inspection.scoring.nearest import around

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet

__all__ = ["settle_size", "size_for"]

_TRIES: Final = 10
"""Halvings of the range of scales: to a thousandth of it."""


def settle_size(registered: RegisteredSet, pixels: int) -> RegisteredSet:
    """The set with the size of its native view. What lies beside the part takes no room: no network is shown it."""
    _, _, width, height = registered.crop
    size = size_for(height, width, pixels, registered.part, registered.asked)
    return replace(registered, native=size)


def size_for(
    height: int,
    width: int,
    pixels: int,
    mask: NDArray[np.bool_] | None = None,
    asked: NDArray[np.bool_] | None = None,
) -> tuple[int, int]:
    """The (height, width) at which the network is shown no more than so many pixels of a crop of this size.

    ``mask`` is the part's, ``asked`` what a person painted, both over the crop at any size; None: all of it.
    """

    def at(scale: float) -> tuple[int, int]:
        return max(1, round(height * scale)), max(1, round(width * scale))

    def fits(size: tuple[int, int]) -> bool:
        places = counting_places(grid_shape(*size), mask, asked)
        return not places.any() or work_px(windows_of(around(places), *size)) <= pixels

    if fits((height, width)):
        return height, width
    # At the lower end the whole crop fits, and so does the part alone.
    # Halved by trial, because what the network is shown follows from windows around the part and from no formula.
    low, high = min(1.0, math.sqrt(pixels / (height * width))), 1.0
    for _ in range(_TRIES):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(at(middle)) else (low, middle)
    return at(low)
