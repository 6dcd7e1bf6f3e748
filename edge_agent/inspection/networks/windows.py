"""Which rectangles of a picture a network has to see, where only some of its places count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PLACE_PX", "Window", "grid_shape", "windows_of", "work_px"]

PLACE_PX: Final = 16
"""Side of a place of the default networks' grids."""
# With three the features differ by 0.6 % from those of the whole picture, with one by 13 % (docs/decisions/0079).
_HALO: Final = 3
"""Places around a window that the network is shown too: what a feature rests on fades with the distance."""
_WORTH_A_CUT: Final = 0.05
"""Of all that is computed: each run of a network costs a little by itself."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of places that are kept, and in px (with the halo) what the network is shown for them.

    Both are (top, left, bottom, right), ends exclusive.
    """

    places: Box
    px: Box

    @property
    def kept(self) -> tuple[slice, slice]:
        """Where in what the network gives the places lie."""
        top, left = self.places[0] - self.px[0] // PLACE_PX, self.places[1] - self.px[1] // PLACE_PX
        return np.s_[top : top + self.places[2] - self.places[0], left : left + self.places[3] - self.places[1]]


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Places (h, w) of a picture of that size in px."""
    return -(-height // PLACE_PX), -(-width // PLACE_PX)


def windows_of(places: NDArray[np.bool_], height: int, width: int) -> tuple[Window, ...]:
    """Rectangles that hold all of these places (h, w) of a picture in px, so that little else is computed.

    The box around all of them is cut in two where that saves most, and so on while it is worth a run of the network.
    Each window is a picture of its own to the network: its features hang on what is in it alone, the same for every
    part. Raises ValueError for a grid of another shape, or without a place.
    """
    if places.shape != grid_shape(height, width) or not places.any():
        raise ValueError(f"{int(places.sum())} places of {places.shape}: a picture of {height} x {width} px")
    # Measured by the whole box: the same saving in px for each further cut.
    boxes = _cut(places, least=_WORTH_A_CUT * _work(_box(places), places.shape))
    return tuple(Window(box, _with_halo(box, height, width)) for box in boxes)


def work_px(windows: tuple[Window, ...]) -> int:
    """Pixels that the network is shown in all."""
    return sum((bottom - top) * (right - left) for top, left, bottom, right in (window.px for window in windows))


def _cut(places: NDArray[np.bool_], least: float) -> list[Box]:
    whole = _box(places)
    best, halves = _work(whole, places.shape), None
    for first, second in _halves(places, whole):
        work = _work(_box(first), places.shape) + _work(_box(second), places.shape)
        if work < best:
            best, halves = work, (first, second)
    # Greedy: the best single cut, then the best of each half. The best partition of all would not be worth its search.
    if halves is None or _work(whole, places.shape) - best < least:
        return [whole]
    return [box for half in halves for box in _cut(half, least)]


def _halves(places: NDArray[np.bool_], box: Box) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """The places on either side of every straight cut through their box."""
    rows, columns = (np.arange(length) for length in places.shape)
    for at in range(box[0] + 1, box[2]):
        yield places & (rows < at)[:, None], places & (rows >= at)[:, None]
    for at in range(box[1] + 1, box[3]):
        yield places & (columns < at), places & (columns >= at)


def _box(places: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(places.any(axis=1)), np.flatnonzero(places.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _work(box: Box, shape: tuple[int, ...]) -> int:
    """Places that the network is shown for these."""
    top, left, bottom, right = _grown(box, shape[0], shape[1])
    return (bottom - top) * (right - left)


def _grown(box: Box, rows: int, columns: int) -> Box:
    top, left, bottom, right = box
    return max(0, top - _HALO), max(0, left - _HALO), min(rows, bottom + _HALO), min(columns, right + _HALO)


def _with_halo(box: Box, height: int, width: int) -> Box:
    top, left, bottom, right = _grown(box, *grid_shape(height, width))
    return top * PLACE_PX, left * PLACE_PX, min(height, bottom * PLACE_PX), min(width, right * PLACE_PX)
