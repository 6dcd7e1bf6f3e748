"""Arrays as small PNG pictures. Anomaly maps of one report share one colour scale: bright means the same everywhere."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from edge_agent.report.figures import png_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_agent.report.facts import AnomalyMap, PartPictures, Picture

__all__ = ["MapScale", "TripleView", "map_uri", "picture_uri", "reference_uri", "views"]

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
    def of(cls, maps: Sequence[AnomalyMap], fixed: tuple[float, float] | None) -> MapScale:
        """The fixed scale; without one, from 0 to the 99.9th percentile of the map that reaches highest."""
        if fixed is not None:
            return cls(*fixed)
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
class TripleView:
    """One row of pictures, ready to be shown. None where there is none."""

    label: str
    caption: str
    image_uri: str
    reconstruction_uri: str | None
    map_uri: str | None
    peak: float | None


def views(pictures: Sequence[PartPictures], scale: MapScale) -> list[TripleView]:
    """Rows of pictures in the order given."""
    return [
        TripleView(
            label=row.label,
            caption=row.caption,
            image_uri=picture_uri(row.image),
            reconstruction_uri=None if row.reconstruction is None else picture_uri(row.reconstruction),
            map_uri=None if row.anomaly_map is None else map_uri(row.anomaly_map, scale),
            peak=None if row.anomaly_map is None else float(np.max(row.anomaly_map, initial=-np.inf)),
        )
        for row in pictures
    ]


def picture_uri(picture: Picture, most_px: int = _THUMB_PX) -> str:
    """A grey or RGB picture as a data URI, shrunk to at most ``most_px`` wide and high."""
    return png_uri(_png(_shrunk(_image(picture), most_px)))


def reference_uri(picture: Picture, crop_px: tuple[int, int, int, int] | None) -> str:
    """The reference image with the inspected crop (x, y, width, height) drawn on it."""
    full = _image(picture)
    image = _shrunk(full.convert("RGB"), _REFERENCE_PX)
    if crop_px is not None:
        factor = image.width / full.width
        x, y, width, height = (value * factor for value in crop_px)
        box = (x, y, min(x + width, image.width - 1), min(y + height, image.height - 1))
        ImageDraw.Draw(image).rectangle(box, outline=_CROP_COLOUR, width=3)
    return png_uri(_png(image))


def _image(picture: Picture) -> Image.Image:
    values: NDArray[Any] = picture
    if values.dtype != np.uint8:
        values = np.clip(np.nan_to_num(values) * 255.0 + 0.5, 0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    return Image.fromarray(np.ascontiguousarray(values))


def _shrunk(image: Image.Image, most_px: int) -> Image.Image:
    factor = most_px / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def map_uri(anomaly_map: AnomalyMap, scale: MapScale) -> str:
    """A map (H, W) in the scale's colours as a data URI, every block at its highest value."""
    if anomaly_map.ndim == 3:
        raise ValueError("an anomaly map has the shape (H, W); the report gives it its colours")
    return png_uri(_png(Image.fromarray(scale.colour(_peaks(anomaly_map)))))


def _peaks(anomaly_map: AnomalyMap) -> AnomalyMap:
    """Shrunk so that every block shows its highest value: a small defect must not be averaged away."""
    block = -(-max(anomaly_map.shape) // _THUMB_PX)
    if block <= 1:
        return anomaly_map
    height, width = anomaly_map.shape
    padding = ((0, -height % block), (0, -width % block))
    padded = np.pad(anomaly_map, padding, mode="edge")
    peaks: AnomalyMap = padded.reshape(padded.shape[0] // block, block, -1, block).max(axis=(1, 3))
    return peaks


def _png(image: Image.Image) -> bytes:
    png = io.BytesIO()
    image.save(png, format="PNG", optimize=True)
    return png.getvalue()
