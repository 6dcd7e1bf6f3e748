"""Which good image is the reference, what part of it is inspected, and when an image counts as registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import CalibrationRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calibration.images import GoodImage

__all__ = ["Box", "clip_to_valid", "explicit_crop", "medoid", "part_box", "quality_gate"]

Box = tuple[int, int, int, int]
"""x, y, width, height in px."""

_BORDER = 0.02
_UNIFORM = 0.02
_CONTRAST = 0.08
_MARGIN = 0.04
_LEAST_SHARE = 0.6
_LEAST_PX = 32


def medoid(images: Sequence[GoodImage]) -> int:
    """Index of the image most like all the others, at thumbnail size."""
    flat = np.stack([image.thumbnail.ravel() for image in images]).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0.0))
    return int(distances.sum(axis=1).argmin())


def part_box(mean: NDArray[np.float32], scale: float) -> Box | None:
    """The part's bounding box with a margin, or None where the background is not uniform.

    ``mean`` (h, w, C) in [0, 1] is the mean of all registered images at a reduced size, ``scale`` full-size px per
    px of it. The background is what the outermost 2 % show.
    """
    height, width = mean.shape[:2]
    rim = max(1, round(_BORDER * max(height, width)))
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    background = np.median(mean[border], axis=0)
    differs = np.abs(mean - background).max(axis=2)
    if np.percentile(differs[border], 95) > _UNIFORM:
        return None
    rows, columns = np.flatnonzero((differs > _CONTRAST).any(axis=1)), np.flatnonzero((differs > _CONTRAST).any(axis=0))
    if not rows.size or not columns.size:
        return None
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


def quality_gate(qualities: dict[str, float]) -> float:
    """The least registration quality of a part that is judged, from the good parts' own (docs/decisions/0004).

    As far below the worst good part as that one is below perfect, never closer than 0.1, never above 0.85.
    Raises CalibrationRefused for an image that does not show the part in its place.
    """
    worst = min(qualities, key=lambda name: qualities[name])
    least, usual = qualities[worst], float(np.median(list(qualities.values())))
    if least < 0.3 or 1.0 - least > 4 * (1.0 - usual) + 0.2:
        raise CalibrationRefused(
            f"{worst} does not register to the reference: quality {least:.2f}, the other images' median is {usual:.2f}",
            hint=f"look at {worst}: another part, turned too far, or blurred? Remove it, or allow a larger angle",
        )
    return float(np.clip(least - max(0.1, 1.0 - least), 0.2, 0.85))


def _area(valid: tuple[int, int, int, int]) -> int:
    return (valid[2] - valid[0]) * (valid[3] - valid[1])
