"""The heat map as a picture, the same on the page and in every report: by its value alone, 1.0 is the limit.

Nothing is stretched. Where the heat passes the limit a line is drawn, its hottest place has a ring, and that place is
shown once more from near: a small defect is found at a glance, and edges of the part that are as usual stay dark.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["HEAT_TOP", "Spotlight", "heat_colours", "outline", "peaks", "scale_png", "shown", "shrunk", "spotlight"]

HEAT_TOP = 2.0
"""The end of the colour scale: twice the limit, and what is above it."""
_HEAT = ((0.0, (255, 220, 120, 0)), (0.4, (255, 220, 120, 0)), (0.97, (255, 190, 0, 150)), (1.0, (255, 60, 0, 210)))
_HEAT_ABOVE = ((1.0, (255, 30, 0, 225)), (HEAT_TOP, (255, 0, 170, 255)))
"""Red, green, blue and opacity by heat. At 1.0 the colour jumps: that edge is the limit."""
_OVERLAID = 0.72
"""How much of its opacity the heat keeps over a picture on paper: the part below has to be seen."""
_WHOLE_PX, _NEAR_PX, _OUTLINE_PX = 560, 420, 1000
_NEAR_SHARE, _NEAR_LEAST_PX = 0.16, 72
_RING_SHARE = 0.055
_LIMIT_LINE, _RING, _RIM = (255, 255, 255), (0, 229, 255), (0, 0, 0)
"""White line, cyan ring, each between black ones: seen on bright metal and on black, and not by colour alone."""


@dataclass(frozen=True, slots=True)
class Spotlight:
    """One part in three pictures: with a ring where it is hottest, with its heat, and that place from near.

    ``peak`` is the highest heat, 1.0 at the limit; NaN where the map holds no number. ``at_px`` is its (x, y).
    """

    ringed: Image.Image
    heated: Image.Image
    near: Image.Image
    peak: float
    at_px: tuple[int, int]


def heat_colours(heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """(H, W) heat to (H, W, 4) red, green, blue and opacity: by the value alone, never by the rest of the image."""
    below, above = _interpolated(_HEAT, heat), _interpolated(_HEAT_ABOVE, heat)
    coloured = np.where((heat >= 1.0)[..., None], above, below)
    coloured[~np.isfinite(heat)] = (0, 200, 0, 200)
    return coloured.astype(np.uint8)


@cache
def scale_png() -> bytes:
    """The colour scale of every heat map, 0 to 2 from left to right, opaque as it lies over the part."""
    steps = np.linspace(0.0, HEAT_TOP, 400, dtype=np.float32)[None].repeat(12, axis=0)
    out = io.BytesIO()
    Image.fromarray(heat_colours(steps)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def peaks(values: NDArray[np.floating[Any]], most_px: int) -> NDArray[np.floating[Any]]:
    """A map (h, w) shrunk so that every block keeps its highest value: a small defect must not be averaged away.

    The long side of what is returned is ``most_px`` at most.
    """
    block = -(-max(values.shape) // most_px)
    if block <= 1:
        return values
    height, width = values.shape
    padded = np.pad(values, ((0, -height % block), (0, -width % block)), mode="edge")
    return np.asarray(padded.reshape(padded.shape[0] // block, block, -1, block).max(axis=(1, 3)))


def shown(picture: NDArray[Any]) -> Image.Image:
    """A grey or RGB picture, (H, W), (H, W, 1) or (H, W, 3), uint8 or float 0 to 1, as Pillow takes it."""
    values = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    if values.dtype != np.uint8:
        values = np.clip(np.nan_to_num(values) * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(values))


def shrunk(image: Image.Image, most_px: int) -> Image.Image:
    """At most ``most_px`` wide and high; smaller ones as they are."""
    factor = most_px / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def spotlight(picture: NDArray[Any], heat: NDArray[np.floating[Any]]) -> Spotlight:
    """The three pictures of an image (H, W[, C]) and its heat (H, W). Raises ValueError for another shape."""
    if heat.ndim != 2 or heat.shape != picture.shape[:2]:
        raise ValueError(f"a heat map has the image's height and width (got {heat.shape} for {picture.shape})")
    full = shown(picture).convert("RGB")
    finite = np.where(np.isfinite(heat), heat, -np.inf)
    y, x = (int(at) for at in np.unravel_index(int(finite.argmax()), heat.shape))
    peak = float(finite[y, x]) if np.isfinite(finite[y, x]) else float("nan")
    ringed = shrunk(full, _WHOLE_PX)
    heated = _heated(ringed, peaks(heat, max(ringed.size)))
    for image in (ringed, heated):
        _draw_ring(image, (x + 0.5) * image.width / full.width, (y + 0.5) * image.height / full.height)
    return Spotlight(ringed, heated, _near(full, heat, x, y), peak, (x, y))


def outline(heat: NDArray[np.floating[Any]], *, has_ring: bool) -> NDArray[np.uint8]:
    """Line at the limit and ring at the hottest place of a heat map (H, W), alone, to be laid over the image.

    (h, w, 4) red, green, blue and opacity, the longer side 1000 px whatever the image's: lines are as fine on all.
    """
    factor = _OUTLINE_PX / max(heat.shape)
    height, width = (max(1, round(side * factor)) for side in heat.shape)
    kept = np.where(np.isfinite(heat), heat, np.float32(0))
    fitted = _fitted(peaks(kept, _OUTLINE_PX), (width, height), Image.Resampling.BILINEAR)
    drawn = np.zeros((height, width, 4), np.uint8)
    for colour, is_line in _limit_line(fitted >= 1.0):
        drawn[is_line] = (*colour, 255)
    image = Image.fromarray(drawn)
    if has_ring and kept.max() > 0:
        y, x = np.unravel_index(int(kept.argmax()), kept.shape)
        _draw_ring(image, (float(x) + 0.5) * factor, (float(y) + 0.5) * factor)
    return np.asarray(image)


def _heated(image: Image.Image, heat: NDArray[np.floating[Any]]) -> Image.Image:
    """The image below its heat, which is drawn in the image's size, with a line where it passes the limit."""
    fitted = _fitted(heat, image.size, Image.Resampling.NEAREST)
    colours = heat_colours(fitted)
    colours[..., 3] = colours[..., 3] * _OVERLAID
    below = image.convert("RGBA")
    below.alpha_composite(Image.fromarray(colours))
    return _with_limit_line(below.convert("RGB"), fitted >= 1.0)


def _near(full: Image.Image, heat: NDArray[np.floating[Any]], x: int, y: int) -> Image.Image:
    """The place (x, y) and its surroundings as they are, enlarged, with nothing but the line of the limit on it."""
    side = min(max(_NEAR_LEAST_PX, round(_NEAR_SHARE * max(full.size))), *full.size)
    left = min(max(0, x - side // 2), full.width - side)
    top = min(max(0, y - side // 2), full.height - side)
    near = full.crop((left, top, left + side, top + side)).resize((_NEAR_PX, _NEAR_PX), Image.Resampling.BICUBIC)
    cut = heat[top : top + side, left : left + side]
    return _with_limit_line(near, _fitted(cut, near.size, Image.Resampling.BILINEAR) >= 1.0)


def _fitted(heat: NDArray[np.floating[Any]], size: tuple[int, int], way: Image.Resampling) -> NDArray[np.floating[Any]]:
    """The heat at another size (width, height)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(heat, np.float32)).resize(size, way))


def _with_limit_line(image: Image.Image, is_above: NDArray[np.bool_]) -> Image.Image:
    """A line around what is above the limit, drawn on both sides of the edge."""
    drawn = np.array(image)
    for colour, is_line in _limit_line(is_above):
        drawn[is_line] = colour
    return Image.fromarray(drawn)


def _limit_line(is_above: NDArray[np.bool_]) -> Iterator[tuple[tuple[int, int, int], NDArray[np.bool_]]]:
    """Its rim and itself: a colour and where it is drawn, in their order."""
    above = Image.fromarray(np.where(is_above, np.uint8(255), np.uint8(0)))
    for colour, size in ((_RIM, 7), (_LIMIT_LINE, 3)):
        outside, inside = above.filter(ImageFilter.MaxFilter(size)), above.filter(ImageFilter.MinFilter(size))
        yield colour, np.asarray(outside) != np.asarray(inside)


def _draw_ring(image: Image.Image, x: float, y: float) -> None:
    radius = max(9.0, _RING_SHARE * max(image.size))
    draw = ImageDraw.Draw(image)
    for colour, width, further in ((_RIM, 5, 1), (_RING, 3, 0)):
        reach = radius + further
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=width)


def _interpolated(
    stops: tuple[tuple[float, tuple[int, int, int, int]], ...], values: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    at = [value for value, _ in stops]
    finite = np.nan_to_num(values, nan=0.0, posinf=at[-1], neginf=0.0)
    return np.stack([np.interp(finite, at, [colour[c] for _, colour in stops]) for c in range(4)], axis=-1)
