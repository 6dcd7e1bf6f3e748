"""A labelled data set in MVTec's or MVTec LOCO's layout, proven before anything heavy runs on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.evaluation.masks import MaskFinder, read_mask
from calibration.images import MIN_IMAGES
from drivers.base import ImageRefused
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.decode import decode
from edge_agent.inspection.image_files import every_one, look_into, named, printable, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_agent.inspection.image_files import FolderOfImages

__all__ = ["DataSet", "LabelledImage", "read_dataset"]

_LAYOUT = "expected are train/good/, test/good/ and test/<kind of defect>/ with PNG, BMP or JPEG images"
_GOOD = "good"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A test image. ``kind`` is its folder; ``masks`` are the files that mark its defects, if there are any."""

    path: Path
    kind: str
    masks: tuple[Path, ...]

    @property
    def is_defective(self) -> bool:
        """Whatever is not in the folder of good ones."""
        return self.kind != _GOOD


@dataclass(frozen=True, slots=True)
class DataSet:
    """Good images to learn from, and labelled ones to measure on. ``notes`` say what of the folder is not used."""

    name: str
    train: tuple[Path, ...]
    tests: tuple[LabelledImage, ...]
    notes: tuple[str, ...] = ()

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

    Raises DataError for a folder that is no such data set, one class only, and then, naming all such files at once:
    images that cannot be read, have another size, or stand twice where that misleads, and masks that do not fit their
    images, or belong to none.
    """
    train, tests, notes = _listed(folder)
    files = [*train, *(test.path for test in tests)]
    shapes, digests = _proven(files, progress)
    _check_twice(files, digests, len(train))
    _check_shapes(shapes)
    _check_masks(tests, shapes)
    return DataSet(folder.resolve().name, tuple(train), tuple(tests), notes)


def _listed(folder: Path) -> tuple[list[Path], list[LabelledImage], tuple[str, ...]]:
    """The training images, the test images with their masks, and what is not used."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint=_LAYOUT)
    train, good = (_images_in(folder / where / _GOOD) for where in ("train", "test"))
    if len(train.images) < MIN_IMAGES:
        raise DataError(f"{folder / 'train' / _GOOD} holds fewer than {MIN_IMAGES} images", hint=_LAYOUT)
    kinds = {path.name: look_into(path) for path in _kinds_in(folder / "test")} | {_GOOD: good}
    masks = MaskFinder(folder / "ground_truth")
    tests = [
        LabelledImage(path, kind, masks.of(kind, path) if kind != _GOOD else ())
        for kind in sorted(kinds)
        for path in kinds[kind].images
    ]
    if not any(test.is_defective for test in tests):
        raise DataError(f"{folder / 'test'} holds good images only: there is nothing to tell apart", hint=_LAYOUT)
    beside = look_into(folder / "test")
    beside.folders, beside.no_files = [], []  # they are what was asked for
    notes = [
        *train.notes,
        *beside.notes,
        *(note for kind in sorted(kinds) for note in kinds[kind].notes),
        *masks.check(),
    ]
    notes += [f"{kinds[kind].folder} holds no images{kinds[kind].why_none}" for kind in kinds if not kinds[kind].images]
    bare = sum(test.is_defective and not test.masks for test in tests)
    if bare and any(test.masks for test in tests):
        notes.append(f"{bare} defective test images have no mask: they count without pixel measures")
    return train.images, tests, (*notes, *_unused(folder))


def _kinds_in(folder: Path) -> list[Path]:
    """The folders of a data set's test images, without what programs left there."""
    left = set(look_into(folder).left)
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path not in left]


def _unused(folder: Path) -> list[str]:
    """What else there is that looks like images of the data set, MVTec LOCO's validation images for instance."""
    used = {folder / name for name in ("train", "test", "ground_truth")} | {folder / "train" / _GOOD}
    found = [
        path.relative_to(folder)
        for path in sorted([*_kinds_in(folder), *_kinds_in(folder / "train")])
        if path not in used and look_into(path, deep=True).images
    ]
    return [f"not used: {', '.join(map(printable, found))}"] if found else []


def _images_in(folder: Path) -> FolderOfImages:
    """What lies in a folder that the layout demands. Raises DataError where that is no image."""
    if not folder.is_dir():
        others = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.is_dir() else []
        there = f"; {folder.parent} holds {named(others)}" if others else ""
        raise DataError(f"{folder} holds no images: there is no such folder{there}", hint=_LAYOUT)
    found = look_into(folder)
    if not found.images:
        raise DataError(f"{folder} holds no images{found.why_none}", hint=found.hint_none if found.foreign else _LAYOUT)
    return found


def _proven(
    files: Sequence[Path], progress: Callable[[int, int], None]
) -> tuple[dict[Path, tuple[int, ...]], dict[Path, str]]:
    """Shape and sha256 of every image."""
    shapes: dict[Path, tuple[int, ...]] = {}
    digests: dict[Path, str] = {}
    refused = []
    for number, path in enumerate(files, start=1):
        try:
            data = read_file(path)
            shapes[path] = decode(data).shape
            digests[path] = hashlib.sha256(data).hexdigest()
        except ImageRefused as err:
            refused.append((path, err.detail))
        progress(number, len(files))
    if refused:
        raise DataError(every_one(refused, len(files)), hint="remove what cannot be read, or copy it again")
    return shapes, digests


def _check_twice(files: Sequence[Path], digests: Mapping[Path, str], train: int) -> None:
    """Raise DataError for images that stand twice: among the training images, in two kinds, or in train and test."""
    first: dict[str, Path] = {}
    twice = []
    for number, path in enumerate(files):
        other = first.setdefault(digests[path], path)
        if other is not path and (number < train or other.parent != path.parent):
            twice.append((path, f"it is the same file as {other}"))
    if twice:
        raise DataError(
            f"{every_one(twice, len(files))}: an image cannot count twice, be good and defective, or be tested on "
            "after it was learned from",
            hint="remove one of the two",
        )


def _check_masks(tests: Sequence[LabelledImage], shapes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raise DataError, naming every mask that cannot be read or does not fit its image."""
    refused = []
    for test in tests:
        if test.masks:
            try:
                read_mask(test.masks, shapes[test.path][:2])
            except ImageRefused as err:
                refused.append((test.path, err.detail))
    if refused:
        hint = "remove the mask: its image then counts without pixel measures; without ground_truth/ none are taken"
        raise DataError(every_one(refused, sum(bool(test.masks) for test in tests)), hint=hint)


def _check_shapes(shapes: Mapping[Path, tuple[int, ...]]) -> None:
    found: Sequence[tuple[int, ...]] = list(shapes.values())
    usual = max(set(found), key=found.count)
    odd = [(path, f"it is {_words(shape)}") for path, shape in shapes.items() if shape != usual]
    if odd:
        raise DataError(
            f"{every_one(odd, len(shapes))}, most images are {_words(usual)}",
            hint="use images of one camera with one setting",
        )


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px {'grey' if len(shape) == 2 else 'colour'}"
