"""A labelled data set in MVTec's or MVTec LOCO's layout, proven before anything heavy runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.evaluation.candidates import GOOD, Candidate
from calibration.evaluation.copies import find_copies
from calibration.evaluation.masks import MaskFinder, read_mask
from calibration.evaluation.sizes import check_sizes, of_one_size
from calibration.good_parts.images import MIN_IMAGES, inspect_file
from drivers.base import ImageRefused
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.containers.image_files import every_one, look_into, named, printable, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from edge_agent.inspection.containers.image_files import FolderOfImages

__all__ = ["DataSet", "LabelledImage", "read_dataset"]

_LAYOUT = "expected are train/good/, test/good/ and test/<kind of defect>/ with PNG, BMP or JPEG images"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A test image. ``kind`` is its folder; ``masks`` are the files that mark its defects, if there are any.

    ``path`` is where it is read from, ``sha256`` that of its file in the data set: the two differ where its picture
    was laid into the frame of the others.
    """

    path: Path
    kind: str
    masks: tuple[Path, ...]
    sha256: str = ""

    @property
    def is_defective(self) -> bool:
        """Whatever is not in the folder of good ones."""
        return self.kind != GOOD


@dataclass(frozen=True, slots=True)
class DataSet:
    """Good images to learn from, and labelled ones to measure on. ``notes`` say what of the folder is not used."""

    name: str
    train: tuple[Path, ...]
    tests: tuple[LabelledImage, ...]
    notes: tuple[str, ...] = ()

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which test images are defective, of the shape (n,) in the order of ``tests``."""
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


def read_dataset(folder: Path, progress: Callable[[int, int], None], spare: Path) -> DataSet:
    """Read and prove every image and mask: an evaluation of minutes does not end at its last image.

    What stands twice is left out, and images of slightly different size are laid into one frame; notes name all of
    them. ``spare`` is a folder for the pictures in that frame; it has to live as long as the data set is used.

    Raises DataError for a folder that is no such data set, one class only, and then, naming all such files at once:
    images that cannot be read or have quite another size, and masks that do not fit their images, or belong to none.
    """
    train, tests, notes = _listed(folder)
    read = _proven([*train, *(test.path for test in tests)], progress)
    candidates = _candidates(folder, train, tests, read)
    check_sizes(candidates)
    _check_masks(tests, {path: image.shape for path, image in read.items()})
    candidates, laid = of_one_size(candidates, spare)
    skipped = find_copies(candidates)
    kept = [candidate for candidate in candidates if candidate.name not in skipped]
    passed_over = (*laid, *(f"skipped: {name}: {why}" for name, why in skipped.items()))
    _check_enough(folder, kept, passed_over)
    return DataSet(
        folder.resolve().name or "/",
        tuple(one.image.path for one in kept if one.is_training),
        tuple(LabelledImage(one.image.path, one.kind, one.masks, one.sha256) for one in kept if not one.is_training),
        (*notes, *passed_over),
    )


def _candidates(
    folder: Path, train: Sequence[Path], tests: Sequence[LabelledImage], read: Mapping[Path, GoodImage]
) -> list[Candidate]:
    """The training images, then the test images, each with its name in the data set."""
    listed = [*((path, GOOD, True, ()) for path in train), *((t.path, t.kind, False, t.masks) for t in tests)]
    return [
        Candidate(printable(path.relative_to(folder)), kind, is_training, read[path], read[path].sha256, masks)
        for path, kind, is_training, masks in listed
    ]


def _check_enough(folder: Path, kept: Sequence[Candidate], passed_over: Sequence[str]) -> None:
    """Raise DataError where too little is left to learn from or to tell apart, with what was passed over."""
    training = sum(one.is_training for one in kept)
    classes = {one.is_defective for one in kept if not one.is_training}
    if training >= MIN_IMAGES and len(classes) == 2:
        return
    left = (
        f"{training} training images are left, at least {MIN_IMAGES} are needed"
        if training < MIN_IMAGES
        else "no good or no defective test image is left"
    )
    raise DataError(
        "\n  ".join([f"{folder}, without what does not count: {left}", *passed_over]),
        hint="add images of different parts",
    )


def _listed(folder: Path) -> tuple[list[Path], list[LabelledImage], tuple[str, ...]]:
    """The training images, the test images with their masks, and what is not used."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint=_LAYOUT)
    train, good = (_images_in(folder / where / GOOD) for where in ("train", "test"))
    if len(train.images) < MIN_IMAGES:
        raise DataError(f"{folder / 'train' / GOOD} holds fewer than {MIN_IMAGES} images", hint=_LAYOUT)
    kinds = {path.name: look_into(path) for path in _kinds_in(folder / "test")} | {GOOD: good}
    masks = MaskFinder(folder / "ground_truth")
    tests = [
        LabelledImage(path, kind, masks.of(kind, path) if kind != GOOD else ())
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
    used = {folder / name for name in ("train", "test", "ground_truth")} | {folder / "train" / GOOD}
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


def _proven(files: Sequence[Path], progress: Callable[[int, int], None]) -> dict[Path, GoodImage]:
    """Every image, decoded once. Raises DataError, naming every one that cannot be read."""
    found: dict[Path, GoodImage] = {}
    refused = []
    for number, path in enumerate(files, start=1):
        try:
            found[path] = inspect_file(path, read_file(path))
        except ImageRefused as err:
            refused.append((path, err.detail))
        progress(number, len(files))
    if refused:
        raise DataError(every_one(refused, len(files)), hint="remove what cannot be read, or copy it again")
    return found


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
