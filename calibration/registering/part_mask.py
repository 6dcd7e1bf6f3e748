"""Where in the crop the part is, from the good images alone: what lies beside it never counts in the mean of views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["counting_places", "part_and_rim", "part_mask"]

_CONTRAST = 0.08
"""Least difference between part and background, of full scale: below, a division says something about light alone."""
# With more of the border on the part, what is called background may be the part.
_MOST_BORDER = 0.25
# Of the part's length, so that its own edge counts as well (docs/decisions/0055).
_WIDER = 0.015
_HALF = 0.5
_RIM = 0.05


def part_mask(
    mean: NDArray[np.float32], extremes: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
) -> NDArray[np.bool_] | None:
    """Where the part is (h, w), from the mean (h, w, C) of the registered crops in [0, 1]; None: the whole crop counts.

    The background is what most of the crop's border shows. Otsu's threshold divides what differs from it; holes are
    the part's, and it is made wider by 1.5 % of its length. None where the two hardly differ, or where more than a
    quarter of the border is not background: there nothing says what the part is.

    With ``extremes``, the darkest and the lightest that any image shows (h, w, C), it is everywhere that some part
    lies: for images that are not laid on each other.
    """
    border = _border(mean.shape[:2])
    background = np.median(mean[border], axis=0)
    least, most = extremes or (mean, mean)
    # The colour plane that differs most: a red part on grey ground may be as bright as the ground.
    differs = np.maximum(most - background, background - least).max(axis=2)
    grey = np.round(np.minimum(differs, 1.0) * 255.0).astype(np.uint8)
    _, divided = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    part = divided.astype(bool)
    if not part.any() or part.all() or differs[part].mean() - differs[~part].mean() < _CONTRAST:
        return None
    if part[border].mean() > _MOST_BORDER:
        return None
    return _wider(_without_holes(part))


def part_and_rim(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """The part (h, w) with so much of what is around (5 % of the long side) that its outline shows; None stays None."""
    if mask is None:
        return None
    reach = max(1, round(_RIM * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


def counting_places(
    shape: tuple[int, int], mask: NDArray[np.bool_] | None, asked: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """The places (h, w) of a view's grid that are at least half on the part.

    ``mask`` is the part's, ``asked`` what a person painted, both over the crop at any size; None is all of it. A
    place that is less than half in what the person painted never counts. Where the part leaves no place, for it is
    thinner than one, those that it touches count.
    """
    allowed = _covered(asked, shape) >= _HALF
    share = _covered(mask, shape)
    found = allowed & (share >= _HALF)
    return found if found.any() else allowed & (share > 0.0)


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _without_holes(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part with every hole in it filled: all that no way outside leads to."""
    # With a rim of background all around, so that one flood from the corner reaches everything that is outside.
    outside = np.pad((~part).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside[1:-1, 1:-1] != 2)


def _wider(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    reach = round(_WIDER * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(part.astype(np.uint8), disc) > 0)


def _covered(mask: NDArray[np.bool_] | None, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each place that a mask covers."""
    if mask is None:
        return np.ones(shape, np.float32)
    return np.asarray(cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
