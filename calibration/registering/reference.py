"""Which good image is the reference, what part of it is inspected, and by what it is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.good_parts.mask_files import read_mask_file
from drivers.base import ImageRefused
from edge_agent.errors import CalibrationRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage

__all__ = ["Box", "check_in_view", "clip_to_valid", "explicit_crop", "medoid", "part_box", "parts_box", "read_mask"]

Box = tuple[int, int, int, int]
"""x, y, width, height in px."""

# All shares of the picture, so that they hold at any size; contrasts are of full scale.
_BORDER = 0.02
# Nineteen in twenty pixels of the border may differ so much from its median, and no more: else it shows several things.
_UNIFORM = 0.02
_CONTRAST = 0.08
_MARGIN = 0.04
# Of the part: with less in view another area would be inspected than was meant.
_LEAST_SHARE = 0.6
_LEAST_PX = 32


def medoid(images: Sequence[GoodImage]) -> int:
    """Index of the image most like all the others, at thumbnail size."""
    # In double precision: |a|² + |b|² - 2ab below takes small differences of large numbers.
    flat = np.stack([image.thumbnail.ravel() for image in images]).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0.0))
    # A real image and not the mean of all: a mean is blurred, and has no sharp edges to register by.
    return int(distances.sum(axis=1).argmin())


def part_box(mean: NDArray[np.float32], scale: float) -> Box | None:
    """The part's bounding box with a margin, or None where the background is not uniform.

    ``mean`` (h, w, C) in [0, 1] is the mean of all registered images at a reduced size, ``scale`` full-size px per
    px of it. The background is what the outermost 2 % show.
    """
    background = _background(mean)
    return None if background is None else _box_of(np.abs(mean - background).max(axis=2), scale)


def parts_box(
    mean: NDArray[np.float32], least: NDArray[np.float32], most: NDArray[np.float32], scale: float
) -> Box | None:
    """The box around every place where some part lay, with a margin; None where the background is not uniform.

    For images that are not registered: ``least`` and ``most`` (h, w, C) are the darkest and lightest that any showed.
    """
    background = _background(mean)
    return None if background is None else _box_of(np.maximum(most - background, background - least).max(axis=2), scale)


def _background(mean: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """What the outermost 2 % show; None where they do not show one thing."""
    height, width = mean.shape[:2]
    rim = max(1, round(_BORDER * max(height, width)))
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    # The median: a part that reaches over the border in places has no say.
    background = np.median(mean[border], axis=0)
    differs = np.abs(mean - background).max(axis=2)
    return None if np.percentile(differs[border], 95) > _UNIFORM else np.asarray(background, np.float32)


def _box_of(differs: NDArray[np.float32], scale: float) -> Box | None:
    height, width = differs.shape
    rows, columns = np.flatnonzero((differs > _CONTRAST).any(axis=1)), np.flatnonzero((differs > _CONTRAST).any(axis=0))
    if not rows.size or not columns.size:
        return None
    # Room for parts that lie a little further out than the mean of all.
    margin = _MARGIN * max(height, width)
    left, top = max(0.0, columns[0] - margin), max(0.0, rows[0] - margin)
    right, bottom = min(float(width), columns[-1] + 1 + margin), min(float(height), rows[-1] + 1 + margin)
    return (round(left * scale), round(top * scale), round((right - left) * scale), round((bottom - top) * scale))


def clip_to_valid(box: Box, valid: dict[str, tuple[int, int, int, int]]) -> Box:
    """The part of the box that every image shows. ``valid``: (left, top, right, bottom) by file name.

    Raises CalibrationRefused where an image leaves too little of it in view.
    """
    x, y, width, height = box
    left = max(x, *(v[0] for v in valid.values()))
    top = max(y, *(v[1] for v in valid.values()))
    right = min(x + width, *(v[2] for v in valid.values()))
    bottom = min(y + height, *(v[3] for v in valid.values()))
    # One image that lies far out would cut the inspected area down for all parts.
    if right - left < max(_LEAST_PX, _LEAST_SHARE * width) or bottom - top < max(_LEAST_PX, _LEAST_SHARE * height):
        worst = min(valid, key=lambda name: _area(valid[name]))
        raise CalibrationRefused(
            f"the part is not in view in all images: {worst} is shifted furthest against the reference",
            hint=f"remove {worst}, or name the area to inspect with a crop",
        )
    return left, top, right - left, bottom - top


def explicit_crop(box: Box, height: int, width: int) -> Box:
    """The crop that was asked for. Raises UsageError if it does not lie inside the image."""
    x, y, w, h = box
    if x < 0 or y < 0 or w < _LEAST_PX or h < _LEAST_PX or x + w > width or y + h > height:
        raise UsageError(
            f"the crop {box} (x, y, width, height) does not lie in the image of {width} x {height} px",
            hint=f"it needs at least {_LEAST_PX} px a side",
        )
    return box


def check_in_view(box: Box, unseen: dict[str, float], *, most: float) -> Box:
    """The box itself, if no image hides more than ``most`` of it. ``unseen``: its share out of view, by file name.

    Raises CalibrationRefused for an image that does not.
    """
    worst = max(unseen, key=lambda name: unseen[name])
    if unseen[worst] > most:
        raise CalibrationRefused(
            f"the part is not in view in all images: {unseen[worst]:.0%} of it lies outside {worst}",
            hint=f"remove {worst}, or name the area to inspect with a crop",
        )
    return box


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A registration mask (H, W): 255 where the picture is light, which is where the reference may be trusted, else 0.

    Raises UsageError for what is no picture of the images' size with something light in it.
    """
    try:
        light = read_mask_file(path).light
    except ImageRefused as err:
        raise UsageError(f"the mask {path} cannot be read: {err.detail}", hint="a PNG, BMP or JPEG file") from err
    if light.shape != shape[:2]:
        raise UsageError(
            f"the mask {path} is {light.shape[1]} x {light.shape[0]}, the images are {shape[1]} x {shape[0]}",
            hint="paint the mask over one of the good images",
        )
    mask = np.where(light, 255, 0).astype(np.uint8)
    if not mask.any():
        raise UsageError(f"the mask {path} is black all over: nothing to register by", hint="paint the part white")
    return mask


def _area(valid: tuple[int, int, int, int]) -> int:
    return (valid[2] - valid[0]) * (valid[3] - valid[1])
