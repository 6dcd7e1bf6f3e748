"""What people drew on a camera's image, laid over it: the same form on paper as on the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import ImageDraw

from edge_agent.report.heat import shown, shrunk

if TYPE_CHECKING:
    from PIL import Image

    from edge_agent.report.facts import Picture
    from edge_agent.reviews.drawing import Drawing, Shape

__all__ = ["Drawn", "drawn_uri"]

_MOST_PX = 560
_LINE, _RIM = (255, 176, 0), (0, 0, 0)
"""Amber between black lines: seen on bright metal and on black."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One person's drawing on one camera's image; ``words`` are who, and what the defect is called."""

    words: str
    uri: str


def drawn_uri(picture: Picture, drawing: Drawing) -> str:
    """An image (H, W[, C]) with the shapes on it as a data URI. A drawing on an image of another size is fitted."""
    image = shrunk(shown(picture).convert("RGB"), _MOST_PX)
    for shape in drawing.shapes:
        _draw(image, shape, image.width / drawing.width, image.height / drawing.height)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _draw(image: Image.Image, shape: Shape, by_x: float, by_y: float) -> None:
    if shape.kind == "rectangle":
        left, top, right, bottom = shape.box
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    else:
        corners = list(shape.points)
    closed = [(x * by_x, y * by_y) for x, y in (*corners, corners[0])]
    pen = ImageDraw.Draw(image)
    for colour, width in ((_RIM, 6), (_LINE, 3)):
        pen.line(closed, fill=colour, width=width, joint="curve")
