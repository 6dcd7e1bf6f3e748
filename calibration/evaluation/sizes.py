"""Images of slightly different size, laid into one frame, for an evaluation only: the line refuses such images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from calibration.evaluation.masks import read_mask
from calibration.good_parts.images import inspect_file
from calibration.registering.gate import RELIABLE
from calibration.registering.reference import medoid
from calibration.writer import png_bytes
from drivers.base import ImageRefused, Reason
from edge_agent.errors import DataError
from edge_agent.inspection.containers.image_files import every_one
from edge_agent.inspection.registration.register import Registration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.evaluation.candidates import Candidate

__all__ = ["MOST_OFF", "Frame", "check_sizes", "of_one_size", "usual_shape"]

MOST_OFF: Final = 0.05
"""How much longer or shorter a side may be, as a share of the side of the frame."""


def of_one_size(candidates: Sequence[Candidate], spare: Path) -> tuple[list[Candidate], tuple[str, ...]]:
    """All images in the frame of most training images, and a note of each that was laid there.

    ``spare`` is a folder for their pictures and masks; nothing is written where all are of one size. An image whose
    defect lies outside the frame is not used, and named. All have passed ``check_sizes``.
    """
    training = [candidate for candidate in candidates if candidate.is_training]
    usual = _usual(candidates)
    odd = [candidate for candidate in candidates if candidate.image.shape != usual]
    if not odd:
        return list(candidates), ()
    usual_ones = [candidate.image for candidate in training if candidate.image.shape == usual]
    frame = Frame(usual_ones[medoid(usual_ones)].pixels())
    found, lost = [], []
    for candidate in candidates:
        try:
            found.append(candidate if candidate.image.shape == usual else _laid(candidate, frame, spare))
        except ImageRefused as err:
            lost.append(f"skipped: {candidate.name}: {err.detail}")
    sizes = ", ".join(f"{one.name} ({one.image.shape[1]} x {one.image.shape[0]})" for one in odd)
    note = (
        f"{len(odd)} of {len(candidates)} images are not {usual[1]} x {usual[0]} px and were laid into that frame by "
        f"registration, for this evaluation only (the line rejects them, IMAGE_SIZE): {sizes}"
    )
    return found, (note, *lost)


def check_sizes(candidates: Sequence[Candidate]) -> None:
    """Raise DataError, naming all, for images whose size is off by more than ``MOST_OFF``, or that differ in colour."""
    usual = _usual(candidates)
    far = [one.image for one in candidates if not _is_near(one.image.shape, usual)]
    if far:
        problems = [(image.path, f"it is {_words(image.shape)}") for image in far]
        raise DataError(
            f"{every_one(problems, len(candidates))}, most images are {_words(usual)}",
            hint=f"use images of one camera with one setting; up to {MOST_OFF:.0%} of a side are made even",
        )


def usual_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The most frequent shape; of several that are as frequent, the one nearest to the middle of all."""
    counts = Counter(shapes)
    height, width = (median(shape[side] for shape in shapes) for side in (0, 1))

    def rank(shape: tuple[int, ...]) -> tuple[float, ...]:
        return (-counts[shape], abs(shape[0] - height) + abs(shape[1] - width), *shape)

    return min(counts, key=rank)


class Frame:
    """The frame of a reference image, (H, W) or (H, W, 3) uint8, and how an image of nearly that size lies in it."""

    def __init__(self, reference: NDArray[np.uint8]) -> None:
        self._shape = reference.shape
        self._registration: Registration | None = None
        try:
            self._registration = Registration(reference)
        except (ValueError, DataError):  # too small, or without structure: such images stay in the middle
            return

    def place(self, pixels: NDArray[np.uint8]) -> tuple[int, int]:
        """Row and column of the frame where the image's first pixel comes to lie.

        Registration chooses, within what the sizes leave open: a smaller image stays whole, a larger one fills the
        frame. In the middle where registration finds no such part.
        """
        rooms = [whole - own for whole, own in zip(self._shape[:2], pixels.shape[:2], strict=True)]
        middle = (rooms[0] // 2, rooms[1] // 2)
        if self._registration is None:
            return middle
        found = self._registration.register(self.lay(pixels, middle))
        if found.quality < RELIABLE:
            return middle
        wanted = (middle[0] - round(found.shift_y_px), middle[1] - round(found.shift_x_px))
        row, column = (min(max(at, min(0, room)), max(0, room)) for at, room in zip(wanted, rooms, strict=True))
        return row, column

    def lay(
        self, pixels: NDArray[np.uint8], place: tuple[int, int], *, outside: int | None = None
    ) -> NDArray[np.uint8]:
        """The image in the frame. Around it the border is repeated, or all is ``outside``."""
        (row, column), (height, width) = place, self._shape[:2]
        cut = pixels[max(0, -row) : height - row, max(0, -column) : width - column]
        top, left = max(0, row), max(0, column)
        edges = (top, height - top - cut.shape[0], left, width - left - cut.shape[1])
        if outside is None:
            laid = cv2.copyMakeBorder(cut, *edges, cv2.BORDER_REPLICATE)
        else:
            laid = cv2.copyMakeBorder(cut, *edges, cv2.BORDER_CONSTANT, value=(outside,))
        return np.ascontiguousarray(laid, dtype=np.uint8)


def _laid(candidate: Candidate, frame: Frame, spare: Path) -> Candidate:
    """The image with its masks, as files of the frame's size. Raises ImageRefused where its defect is cut off."""
    pixels = candidate.image.pixels()
    place = frame.place(pixels)
    masks: tuple[Path, ...] = ()
    if candidate.masks:
        marked = read_mask(candidate.masks, pixels.shape[:2]).astype(np.uint8) * np.uint8(255)
        laid = frame.lay(marked, place, outside=0)
        if not laid.any():
            words = "it is larger than the others, and its defect lies where they show nothing"
            raise ImageRefused(Reason.IMAGE_SIZE, words)
        masks = (_written(spare / "masks" / f"{candidate.name}.png", laid),)
    path = _written(spare / candidate.name, frame.lay(pixels, place))
    return replace(candidate, image=inspect_file(path, path.read_bytes()), masks=masks)


def _written(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(pixels))
    return path


def _usual(candidates: Sequence[Candidate]) -> tuple[int, ...]:
    """That of the training images: one of them will be the reference."""
    return usual_shape([candidate.image.shape for candidate in candidates if candidate.is_training])


def _is_near(shape: tuple[int, ...], usual: tuple[int, ...]) -> bool:
    sides = zip(shape[:2], usual[:2], strict=True)
    return shape[2:] == usual[2:] and all(abs(side - whole) <= MOST_OFF * whole for side, whole in sides)


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px {'grey' if len(shape) == 2 else 'colour'}"
