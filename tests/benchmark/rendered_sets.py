"""Four part types that nobody tuned to, rendered as data sets in MVTec's layout: two surfaces, a blank, a strip.

What they stand for: a surface without any place (grained, woven), parts that lie anyhow (blanks turned at any angle),
and a part of long narrow shape with a row of teeth that begins anywhere. Each part is drawn from its number alone.

Run: ``python -m tests.benchmark.rendered_sets FOLDER``, then ``edge-agent evaluate FOLDER/grained FOLDER/woven
FOLDER/blank FOLDER/strip --methods views,patchcore``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    Rng = np.random.Generator

Image = NDArray[np.float32]
Part = tuple[Image, NDArray[np.bool_]]
"""RGB (H, W, 3) in grey values, and where the part is (H, W)."""

SIDE_PX = 512
TRAINING, GOOD, OF_EACH_DEFECT = 60, 20, 12
_GOOD_SEED, _TEST_SEED, _DEFECT_SEED = 1, 2, 3
_FAR_FROM_THE_EDGE = np.ones((41, 41), np.uint8)


def _speckle(rng: Rng, sigma: float) -> Image:
    """Noise of that grain, of spread 1."""
    field = cv2.GaussianBlur(rng.normal(size=(SIDE_PX, SIDE_PX)).astype(np.float32), (0, 0), sigma)
    return np.asarray(field / field.std(), np.float32)


def _grid() -> tuple[Image, Image]:
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32)
    return rows, columns


def _tinted(grey: Image, red: float, green: float, blue: float) -> Image:
    return np.dstack([grey * red, grey * green, grey * blue]).astype(np.float32)


def grained(rng: Rng) -> Part:
    """Cells of leather, each as far from the next as chance has it."""
    seeds = np.full((SIDE_PX, SIDE_PX), 255, np.uint8)
    for column, row in rng.uniform(0, SIDE_PX, (830, 2)).astype(int):
        seeds[row, column] = 0
    cells = np.minimum(cv2.distanceTransform(seeds, cv2.DIST_L2, 5), 16.0)
    grey = 110 + 2.2 * cells + 5 * _speckle(rng, 20) + 3 * _speckle(rng, 1.2)
    return _tinted(grey, 0.95, 0.72, 0.55), np.ones((SIDE_PX, SIDE_PX), bool)


def woven(rng: Rng) -> Part:
    """A weave that begins anywhere, a degree this way or that, its threads not quite straight."""
    rows, columns = _grid()
    begin, turn = rng.uniform(0, 12, 2), rng.uniform(-0.02, 0.02)
    along = columns * np.cos(turn) + rows * np.sin(turn) + begin[0] + 1.2 * _speckle(rng, 15)
    across = rows * np.cos(turn) - columns * np.sin(turn) + begin[1] + 1.2 * _speckle(rng, 15)
    grey = 120 + 35 * np.sin(along * 2 * np.pi / 12) * np.sin(across * 2 * np.pi / 12) + 6 * _speckle(rng, 1)
    return _tinted(grey, 1.0, 1.0, 1.02), np.ones((SIDE_PX, SIDE_PX), bool)


def blank(rng: Rng) -> Part:
    """A turned blank, like a nut: at any angle, of its own outline and grain, with one paler cap."""
    rows, columns = _grid()
    angle, middle = rng.uniform(0, 2 * np.pi), SIDE_PX / 2 + rng.uniform(-40, 40, 2)
    along = (columns - middle[0]) * np.cos(angle) + (rows - middle[1]) * np.sin(angle)
    across = (rows - middle[1]) * np.cos(angle) - (columns - middle[0]) * np.sin(angle)
    radius = np.hypot(along / (150 * rng.uniform(0.93, 1.07)), across / (125 * rng.uniform(0.93, 1.07)))
    radius = radius * (1 + 0.015 * _speckle(rng, 25))
    part = radius < 1
    grey = 95 + 60 * np.sqrt(np.clip(1 - radius**2, 0, 1)) + 8 * np.sin(along / 9 + 2 * _speckle(rng, 30))
    grey = grey + 4 * _speckle(rng, 2)
    cap = part & (np.hypot(along - 95, across) < 45)
    grey = np.where(cap, grey + 35 + 6 * _speckle(rng, 3), grey)
    bench = 25 + 3 * _speckle(rng, 2)
    return np.where(part[..., None], _tinted(grey, 1.05, 0.72, 0.45), bench[..., None]).astype(np.float32), part


def strip(rng: Rng) -> Part:
    """A tape with a row of teeth down its middle, that begins anywhere and bends a little."""
    rows, columns = _grid()
    bend = 4 * np.sin(rows / 170 + rng.uniform(0, 6))
    beside, begin = np.abs(columns - SIDE_PX / 2 - rng.uniform(-6, 6) - bend), rng.uniform(0, 16)
    at = (rows + begin) % 16
    tape = beside < 95
    grey = np.where(tape, 70 + 10 * np.sin(columns * 2.1) * np.sin(rows * 2.1) + 4 * _speckle(rng, 1.5), 200)
    teeth = (beside < 34) & (at < 9)
    grey = np.where(teeth, 150 + 25 * np.cos(at / 9 * np.pi) + 5 * _speckle(rng, 2), grey)
    return _tinted(grey.astype(np.float32), 1.0, 1.0, 1.0), tape


def _scratch(rng: Rng, image: Image, row: int, column: int) -> Image:
    cover, half, angle = np.zeros((SIDE_PX, SIDE_PX), np.float32), rng.uniform(14, 45), rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * half
    ends = [(int(column + sign * reach[0]), int(row + sign * reach[1])) for sign in (-1, 1)]
    cv2.line(cover, *ends, 1.0, int(rng.integers(2, 4)), cv2.LINE_AA)
    return image + cv2.GaussianBlur(cover, (0, 0), 0.8)[..., None] * np.float32(rng.choice([-45, 50]))


def _stain(rng: Rng, image: Image, row: int, column: int) -> Image:
    """A tint without an edge."""
    cover, size = np.zeros((SIDE_PX, SIDE_PX), np.float32), rng.uniform(14, 45)
    cv2.ellipse(cover, (column, row), (int(size), int(size * 0.6)), rng.uniform(0, 180), 0, 360, 1.0, -1)
    tint = rng.choice([[0.1, -0.12, -0.2], [-0.2, -0.2, -0.2], [-0.15, 0.05, 0.15]]).astype(np.float32)
    return image * (1 + cv2.GaussianBlur(cover, (0, 0), 5)[..., None] * tint)


def _hole(rng: Rng, image: Image, row: int, column: int) -> Image:
    cover = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    cv2.circle(cover, (column, row), int(rng.uniform(5, 11)), 1.0, -1, cv2.LINE_AA)
    return image * (1 - cover[..., None]) + 30 * cover[..., None]


def _moved(rng: Rng, image: Image, row: int, column: int) -> Image:
    """A piece of the same part, turned by a right angle: of a surface without direction it is hard to tell."""
    half = int(rng.uniform(14, 26))
    lowest, highest = half, SIDE_PX - half
    place = np.clip([row, column], lowest, highest)
    there = np.clip(place + rng.integers(-120, 121, 2), lowest, highest)
    found = image.copy()
    piece = image[there[0] - half : there[0] + half, there[1] - half : there[1] + half]
    found[place[0] - half : place[0] + half, place[1] - half : place[1] + half] = np.rot90(piece)
    return found


PARTS: dict[str, Callable[[Rng], Part]] = {"grained": grained, "woven": woven, "blank": blank, "strip": strip}
DEFECTS: dict[str, Callable[[Rng, Image, int, int], Image]] = {
    "scratch": _scratch,
    "stain": _stain,
    "hole": _hole,
    "moved": _moved,
}


def defective(part: str, kind: str, number: int) -> Image:
    """A part with one defect on it, away from its edge."""
    rng = np.random.default_rng((_DEFECT_SEED, number, list(DEFECTS).index(kind)))
    image, where = PARTS[part](rng)
    outside = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    inner = np.argwhere(cv2.erode(where.astype(np.uint8), _FAR_FROM_THE_EDGE, **outside))
    row, column = (int(at) for at in inner[rng.integers(len(inner))])
    return _seen(DEFECTS[kind](rng, image, row, column), rng)


def good(part: str, number: int, seed: int = _GOOD_SEED) -> Image:
    """A good part."""
    rng = np.random.default_rng((seed, number))
    return _seen(PARTS[part](rng)[0], rng)


def _seen(image: Image, rng: Rng) -> Image:
    """By a camera with noise, in light that is not quite the same each time."""
    return np.asarray(image * rng.uniform(0.98, 1.02) + rng.normal(0, 2, image.shape), np.float32)


def write_sets(folder: Path) -> None:
    """All sets, in MVTec's layout, into ``folder``."""
    for part in PARTS:
        root = folder / part
        for number in range(TRAINING):
            _write(root / "train" / "good" / f"{number:03}.png", good(part, number))
        for number in range(GOOD):
            _write(root / "test" / "good" / f"{number:03}.png", good(part, number, _TEST_SEED))
        for kind in DEFECTS:
            for number in range(OF_EACH_DEFECT):
                _write(root / "test" / kind / f"{number:03}.png", defective(part, kind, number))


def _write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.clip(image[..., ::-1], 0, 255).astype(np.uint8)):
        raise OSError(f"{path} was not written")


def main() -> int:
    """Write the sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write_sets(folder)
    sys.stdout.write(f"{', '.join(PARTS)} in {folder}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
