"""A labelled data set in MVTec layout, proven before anything heavy runs on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.images import MIN_IMAGES, list_images
from drivers.base import ImageRefused
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DataSet", "LabelledImage", "read_dataset", "read_mask"]

_LAYOUT = "expected are train/good/, test/good/ and test/<kind of defect>/ with PNG, BMP or JPEG images"
_GOOD = "good"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A test image. ``kind`` is its folder; ``mask`` the file that marks its defect, None where there is none."""

    path: Path
    kind: str
    mask: Path | None

    @property
    def is_defective(self) -> bool:
        """Whatever is not in the folder of good ones."""
        return self.kind != _GOOD


@dataclass(frozen=True, slots=True)
class DataSet:
    """Good images to learn from, and labelled ones to measure on."""

    name: str
    train: tuple[Path, ...]
    tests: tuple[LabelledImage, ...]

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which test images are defective (n)."""
        return np.array([test.is_defective for test in self.tests])

    @property
    def chance_ap(self) -> float:
        """Average precision of a coin toss, in percent: the share of defective test images."""
        return 100.0 * float(self.defective.mean())

    def drawn(self, count: int | None, draw: int) -> tuple[Path, ...]:
        """``count`` training images of that draw, by name; all of them for None.

        A larger count of the same draw holds all images of a smaller one.
        """
        if count is None:
            return self.train
        order = np.random.default_rng(draw).permutation(len(self.train))[:count]
        return tuple(self.train[i] for i in np.sort(order))

    def check_count(self, count: int | None) -> None:
        """Raise UsageError if that many training images cannot be drawn, or carry no calibration; None is all."""
        if count is not None and not MIN_IMAGES <= count <= len(self.train):
            raise UsageError(
                f"{count} training images cannot be drawn from {self.name}",
                hint=f"it has {len(self.train)}; a calibration needs at least {MIN_IMAGES}",
            )


def read_dataset(folder: Path, progress: Callable[[int, int], None]) -> DataSet:
    """Read and prove every image and mask: an evaluation of minutes does not end at its last image.

    Raises DataError, naming the file, for a folder that is no such data set, one class only, an image that cannot be
    read or has another size, one that stands twice where that misleads, and a mask that does not fit its image.
    """
    train, tests = _listed(folder)
    shapes: dict[Path, tuple[int, ...]] = {}
    hashes: dict[str, Path] = {}
    files = [*train, *(test.path for test in tests)]
    for number, path in enumerate(files, start=1):
        data, shapes[path] = _proven(path)
        digest = hashlib.sha256(data).hexdigest()
        other = hashes.setdefault(digest, path)
        if other is not path and (number <= len(train) or other.parent != path.parent):
            raise DataError(
                f"{path} is the same file as {other}: it cannot count twice, be good and defective, or be tested on "
                "after it was learned from",
                hint="remove one of the two",
            )
        progress(number, len(files))
    _check_shapes(shapes)
    for test in tests:
        if test.mask is not None:
            read_mask(test.mask, shapes[test.path][:2])
    return DataSet(folder.resolve().name, tuple(train), tuple(tests))


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What a mask marks, (H, W). Raises DataError if it cannot be read, is of another size or marks nothing."""
    try:
        pixels = decode(path.read_bytes())
    except (OSError, ImageRefused) as err:
        raise DataError(f"{path} cannot be read: {err}", hint="remove it or copy it again") from err
    marked: NDArray[np.bool_] = pixels.reshape(*pixels.shape[:2], -1).max(axis=2) > 0
    if marked.shape != shape:
        raise DataError(
            f"{path} is {marked.shape[1]} x {marked.shape[0]} px, its image {shape[1]} x {shape[0]} px",
            hint="masks have the size of their images; without ground_truth/ no pixel measure is taken",
        )
    if not marked.any():
        raise DataError(f"{path} marks nothing", hint="remove it: its image then counts without pixel measures")
    return marked


def _listed(folder: Path) -> tuple[list[Path], list[LabelledImage]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint=_LAYOUT)
    for needed in (folder / "train" / _GOOD, folder / "test" / _GOOD):
        if not needed.is_dir() or not list_images(needed):
            raise DataError(f"{needed} holds no images", hint=_LAYOUT)
    train = list_images(folder / "train" / _GOOD)
    if len(train) < MIN_IMAGES:
        raise DataError(f"{folder / 'train' / _GOOD} holds fewer than {MIN_IMAGES} images", hint=_LAYOUT)
    kinds = sorted(p for p in (folder / "test").iterdir() if p.is_dir())
    tests = [_labelled(folder, kind.name, path) for kind in kinds for path in list_images(kind)]
    if not any(test.is_defective for test in tests):
        raise DataError(f"{folder / 'test'} holds good images only: there is nothing to tell apart", hint=_LAYOUT)
    return train, tests


def _labelled(folder: Path, kind: str, path: Path) -> LabelledImage:
    mask = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
    return LabelledImage(path, kind, mask if kind != _GOOD and mask.is_file() else None)


def _proven(path: Path) -> tuple[bytes, tuple[int, ...]]:
    try:
        data = path.read_bytes()
        return data, decode(data).shape
    except (OSError, ImageRefused) as err:
        raise DataError(f"{path} cannot be read: {err}", hint="remove it or copy it again") from err


def _check_shapes(shapes: dict[Path, tuple[int, ...]]) -> None:
    found: Sequence[tuple[int, ...]] = list(shapes.values())
    usual = max(set(found), key=found.count)
    for path, shape in shapes.items():
        if shape != usual:
            raise DataError(
                f"{path} is {_words(shape)}, most images are {_words(usual)}",
                hint="use images of one camera with one setting",
            )


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px {'grey' if len(shape) == 2 else 'colour'}"
