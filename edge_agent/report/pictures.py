"""Arrays as small pictures of a report, by their heat or, where a score has none, by their anomaly maps."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from edge_agent.report.drawing import png_uri
from edge_agent.report.heat import peaks, scale_png, shown, shrunk, spotlight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_agent.report.facts import AnomalyMap, PartPictures, Picture

__all__ = ["MapScale", "PartView", "heat_scale", "map_uri", "picture_uri", "reference_uri", "views"]

_THUMB_PX = 420
_REFERENCE_PX = 900
_COLOURS = "inferno"
_NOT_A_NUMBER = (120, 200, 120)
"""Green: a colour the scale does not have."""
_CROP_COLOUR = (255, 176, 0)


@dataclass(frozen=True, slots=True)
class MapScale:
    """The colours of all anomaly maps of a report, from ``low`` (dark) to ``high`` (bright), in map units."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Sequence[AnomalyMap]) -> MapScale:
        """From 0 to the 99.9th percentile of the map that reaches highest."""
        tops = [float(np.percentile(finite, 99.9)) for m in maps if (finite := m[np.isfinite(m)]).size]
        return cls(0.0, max(tops, default=1.0) or 1.0)

    def colour(self, anomaly_map: AnomalyMap) -> NDArray[np.uint8]:
        """(H, W) map to (H, W, 3) RGB; what is above ``high`` is as bright as ``high``, NaN is green."""
        values = (anomaly_map.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)
        finite = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
        coloured: NDArray[np.uint8] = mpl.colormaps[_COLOURS](finite, bytes=True)[..., :3].copy()
        coloured[np.isnan(values)] = _NOT_A_NUMBER
        return coloured

    def bar_uri(self) -> str:
        """The colour bar, bright on top: 1 by 256 pixels, to be stretched."""
        steps = np.linspace(self.high, self.low, 256)[:, None]
        return png_uri(_png(Image.fromarray(self.colour(steps))))


@dataclass(frozen=True, slots=True)
class PartView:
    """One part, ready to be shown. None where there is no such picture.

    ``ringed``, ``heated`` and ``near`` are the spotlight of its heat map, ``peak`` the highest heat (1.0 is the limit);
    without a heat map ``image``, ``reconstruction`` and ``map`` stand instead, and ``peak`` is the map's.
    """

    part: PartPictures
    peak: float | None = None
    ringed: str | None = None
    heated: str | None = None
    near: str | None = None
    image: str | None = None
    reconstruction: str | None = None
    map: str | None = None


def views(pictures: Sequence[PartPictures], scale: MapScale) -> list[PartView]:
    """The parts in the order given; ``scale`` colours anomaly maps, for heat maps there is one scale alone."""
    return [_view(part, scale) for part in pictures]


def _view(part: PartPictures, scale: MapScale) -> PartView:
    if part.image is None:
        return PartView(part)
    if part.heat_map is not None:
        lit = spotlight(part.image, part.heat_map)
        return PartView(part, lit.peak, _jpeg_uri(lit.ringed), _jpeg_uri(lit.heated), _jpeg_uri(lit.near))
    return PartView(
        part,
        peak=None if part.anomaly_map is None else float(np.max(part.anomaly_map, initial=-np.inf)),
        image=picture_uri(part.image),
        reconstruction=None if part.reconstruction is None else picture_uri(part.reconstruction),
        map=None if part.anomaly_map is None else map_uri(part.anomaly_map, scale),
    )


def heat_scale() -> str:
    """The colour scale of all heat maps as a data URI, 0 to twice the limit from left to right."""
    return png_uri(scale_png())


def picture_uri(picture: Picture, most_px: int = _THUMB_PX) -> str:
    """A grey or RGB picture as a data URI, shrunk to at most ``most_px`` wide and high."""
    return png_uri(_png(shrunk(shown(picture), most_px)))


def reference_uri(picture: Picture, crop_px: tuple[int, int, int, int] | None) -> str:
    """The reference image with the inspected crop (x, y, width, height) drawn on it."""
    full = shown(picture)
    image = shrunk(full.convert("RGB"), _REFERENCE_PX)
    if crop_px is not None:
        factor = image.width / full.width
        x, y, width, height = (value * factor for value in crop_px)
        box = (x, y, min(x + width, image.width - 1), min(y + height, image.height - 1))
        ImageDraw.Draw(image).rectangle(box, outline=_CROP_COLOUR, width=3)
    return png_uri(_png(image))


def map_uri(anomaly_map: AnomalyMap, scale: MapScale) -> str:
    """A map (H, W) in the scale's colours as a data URI, every block at its highest value.

    Raises ValueError for one with channels.
    """
    if anomaly_map.ndim == 3:
        raise ValueError("an anomaly map has the shape (H, W); the report gives it its colours")
    return png_uri(_png(Image.fromarray(scale.colour(peaks(anomaly_map, _THUMB_PX)))))


def _png(image: Image.Image) -> bytes:
    png = io.BytesIO()
    image.save(png, format="PNG", optimize=True)
    return png.getvalue()


def _jpeg_uri(image: Image.Image) -> str:
    """A photograph takes a fifth of what it would as PNG; at this quality no line of it suffers."""
    jpeg = io.BytesIO()
    image.save(jpeg, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
