"""The parts that a simulated line shows: rendered good ones to calibrate from, and those of the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.camera import ZipperCamera, defect_catalogue, encode_bmp
from drivers.simulated.line import RenderedParts, ShownPart, TruePart

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


__all__ = ["FULL_WIDTH", "PreparedParts", "ShownPart", "TruePart", "camera_of", "render_good", "render_line", "words"]

FULL_WIDTH = 1600
"""A defect's size is given in px of an image of this width."""
_LEARNED_FROM = 1


def render_good(folder: Path, number: int, *, width: int, seed: int, progress: Callable[[str, int, int], None]) -> None:
    """Write images of good zipper cursors to ``folder``, as a controller would have recorded them."""
    folder.mkdir(parents=True)
    camera = camera_of(width, seed)
    for index in range(1, number + 1):
        progress("render good parts", index - 1, number)
        # Three numbers: those of the line's parts are two, so that no part that is judged was learned from.
        part = camera.render(np.random.default_rng((seed, _LEARNED_FROM, index)))
        (folder / f"261123_080000_{index:010d}_CAM1_OK.bmp").write_bytes(encode_bmp(part.image))
    progress("render good parts", number, number)


def render_line(
    number: int, defective: int, *, width: int, seed: int, progress: Callable[[str, int, int], None]
) -> list[ShownPart]:
    """The parts of a line in their order, the defective ones spread over it."""
    defects = iter(defect_catalogue(defective, seed))
    is_defective = np.random.default_rng([seed, 2]).permutation(np.arange(number) < defective)
    source = RenderedParts(
        camera_of(width, seed), defects=[next(defects) if bad else None for bad in is_defective], seed=seed
    )
    parts = []
    for index in range(1, number + 1):
        progress("render the line's parts", index - 1, number)
        parts.append(source.part(index))
    progress("render the line's parts", number, number)
    return parts


def words(part: TruePart, width: int = FULL_WIDTH) -> str:
    """What a part really is, for a person; a defect's size in px of the image, which is so many px wide."""
    defect = part.defect
    if defect is None:
        return "good"
    return f"{defect.kind} {defect.size_px * width / FULL_WIDTH:.0f} px {defect.contrast:.0%}"


@dataclass(frozen=True, slots=True)
class PreparedParts:
    """Parts that were rendered beforehand: rendering beside the agent would cost it processor time."""

    parts: list[ShownPart]

    def part(self, index: int) -> ShownPart:
        """The part with that number, from 1."""
        return self.parts[index - 1]


def camera_of(width: int, seed: int) -> ZipperCamera:
    """A camera that renders zipper cursors, ``width`` px wide and three quarters of that high."""
    return ZipperCamera(width=width, height=width * 3 // 4, seed=seed)
