"""A defect drawn on a camera's image: rectangles and outlines in its pixels, bounded in number and inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MOST_POINTS", "MOST_SHAPES", "POINTS_IN_ALL", "Drawing", "Shape", "points_of"]

MOST_SHAPES = 12
MOST_POINTS = 64
"""Of one outline. The page draws more and leaves out those that change its form the least."""
POINTS_IN_ALL = 600
_MOST_PX = 32768
_Pixel = Annotated[int, Field(ge=0, le=_MOST_PX)]


class Shape(BaseModel):
    """One place. Points are whole pixels (x, y) from the upper left corner, 0 to width and 0 to height.

    A rectangle has two points, upper left and lower right; an outline is closed and has three or more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["rectangle", "outline"]
    points: Annotated[tuple[tuple[_Pixel, _Pixel], ...], Field(min_length=2, max_length=MOST_POINTS)]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what it covers, in pixels."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return min(xs), min(ys), max(xs), max(ys)

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        left, top, right, bottom = self.box
        if left == right or top == bottom:
            raise ValueError("a shape is at least one pixel wide and high")
        if self.kind == "rectangle" and self.points != ((left, top), (right, bottom)):
            raise ValueError("a rectangle has two points, the upper left and the lower right one")
        if self.kind == "outline" and len(set(self.points)) < 3:
            raise ValueError("an outline has three points at least")
        return self


class Drawing(BaseModel):
    """What was drawn on one camera's image, and how large that image was in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    camera: Annotated[int, Field(ge=1, le=9)]
    width: Annotated[int, Field(ge=1, le=_MOST_PX)]
    height: Annotated[int, Field(ge=1, le=_MOST_PX)]
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1, max_length=MOST_SHAPES)]

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        for shape in self.shapes:
            _, _, right, bottom = shape.box
            if right > self.width or bottom > self.height:
                raise ValueError(f"a shape lies outside the image of {self.width} x {self.height} pixels")
        return self


def points_of(drawings: tuple[Drawing, ...]) -> int:
    """How many points all shapes together have."""
    return sum(len(shape.points) for drawing in drawings for shape in drawing.shapes)
