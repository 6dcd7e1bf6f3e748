"""The good images: read, proven, compared. Pictures are streamed; only thumbnails stay in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from drivers.base import ImageRefused
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.containers.decode import DecodedImage, ZeroTail, read_image
from edge_agent.inspection.containers.image_files import every_one, look_into, printable, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_agent.inspection.containers.image_files import FolderOfImages

__all__ = [
    "MIN_IMAGES",
    "GoodImage",
    "examine_image",
    "find_same",
    "image_notes",
    "images_in",
    "inspect_file",
    "list_images",
    "read_again",
    "read_each",
    "read_good",
    "read_good_images",
    "read_pixels",
]

_Read = TypeVar("_Read")

MIN_IMAGES = 20
_REPAIR = "remove it, copy it again, or save it as the message says"
_THUMBNAIL_PX = 64
_SAME_THUMBNAIL = 1.5
_SAME_PICTURE_RMS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class GoodImage:
    """One good image. ``thumbnail`` is grey float32 in grey values, its long side 64 px.

    ``note`` says what is odd about the file although its picture is whole; empty where nothing is.
    """

    path: Path
    sha256: str
    shape: tuple[int, ...]
    zero_tail: ZeroTail
    thumbnail: NDArray[np.float32]
    note: str = ""

    def pixels(self) -> NDArray[np.uint8]:
        """Its pixels (H, W) or (H, W, 3) in grey levels, read again: full-size pictures never pile up.

        Raises CalibrationRefused if the file changed.
        """
        data = read_again(self.path, self.sha256)
        return _named(self.path, lambda: read_image(data)).pixels


def images_in(folder: Path) -> FolderOfImages:
    """What lies in a folder of images. Raises CalibrationRefused if there is no such folder."""
    try:
        return look_into(folder)
    except NotADirectoryError as err:
        raise CalibrationRefused(f"{folder} is not a folder", hint="name the folder that holds the images") from err
    except FileNotFoundError as err:
        hint = "name the folder that holds the good images"
        raise CalibrationRefused(f"{folder} is not a folder: there is none of that name", hint=hint) from err
    except OSError as err:
        raise CalibrationRefused(
            f"{folder} cannot be read: {err.strerror or err}", hint="check its permissions"
        ) from err


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name. Raises CalibrationRefused if there is no such folder."""
    return images_in(folder).images


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels (H, W) or (H, W, 3) of one image file, grey levels. Raises CalibrationRefused, naming the file."""
    return read_good(path).pixels


def read_good(path: Path) -> DecodedImage:
    """One image file, decoded. Raises CalibrationRefused, naming the file."""
    return _named(path, lambda: read_image(read_file(path)))


def read_again(path: Path, sha256: str) -> bytes:
    """The bytes of a file that was read before. Raises CalibrationRefused if it has others now."""
    data = _named(path, lambda: read_file(path))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CalibrationRefused(
            f"{path} changed after it was read", hint="calibrate from a folder that nobody writes to meanwhile"
        )
    return data


def read_good_images(paths: Sequence[Path], progress: Callable[[int, int], None]) -> list[GoodImage]:
    """Read all good images. Raises CalibrationRefused for what cannot carry a calibration, naming all such files."""
    if len(paths) < MIN_IMAGES:
        raise CalibrationRefused(
            f"{len(paths)} good images are too few: at least {MIN_IMAGES} different parts are needed",
            hint="collect 30 to 60 images (PNG, BMP or JPEG) of good parts in one folder",
        )
    images = read_each(paths, lambda path: inspect_file(path, read_file(path)), progress)
    _check_same_shape(images)
    _check_different(images)
    return images


def read_each(
    paths: Sequence[Path], read: Callable[[Path], _Read], progress: Callable[[int, int], None] = lambda _done, _of: None
) -> list[_Read]:
    """What ``read`` makes of each file. Raises CalibrationRefused with the name and reason of every one it refuses."""
    found, refused = [], []
    for number, path in enumerate(paths, start=1):
        try:
            found.append(read(path))
        except ImageRefused as err:
            refused.append((path, err.detail))
        progress(number, len(paths))
    if refused:
        raise CalibrationRefused(every_one(refused, len(paths)), hint=_REPAIR)
    return found


def examine_image(path: Path, data: bytes) -> GoodImage:
    """What a calibration has to know of an image file and its bytes. Raises CalibrationRefused, naming the file."""
    return _named(path, lambda: inspect_file(path, data))


def image_notes(images: Sequence[GoodImage]) -> tuple[str, ...]:
    """What is odd about the files of good images, each kind once."""
    odd = [image for image in images if image.note]
    if not odd:
        return ()
    which = f"{len(odd)} of {len(images)} files are odd, and their pictures whole" if len(odd) > 1 else "an odd file"
    return (f"{which}: {printable(odd[0].path)}: {odd[0].note}",)


def inspect_file(path: Path, data: bytes) -> GoodImage:
    """A good image from its file's bytes, which are proven and decoded. Raises ImageRefused, with the bare reason."""
    image = read_image(data)
    pixels = image.pixels
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    scale = _THUMBNAIL_PX / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    thumbnail = np.asarray(cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    digest = hashlib.sha256(data).hexdigest()
    return GoodImage(path, digest, pixels.shape, image.zero_tail, thumbnail, image.note)


def _named(path: Path, read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except ImageRefused as err:
        raise CalibrationRefused(f"{printable(path)}: {err.detail}", hint=_REPAIR) from err


def _check_same_shape(images: Sequence[GoodImage]) -> None:
    shapes: dict[tuple[int, ...], list[str]] = {}
    for image in images:
        shapes.setdefault(image.shape, []).append(image.path.name)
    if len(shapes) > 1:
        usual = max(shapes, key=lambda shape: len(shapes[shape]))
        odd = [f"{', '.join(names)} {_words(shape)}" for shape, names in shapes.items() if shape != usual]
        raise CalibrationRefused(
            f"images of different size or channels: most are {_words(usual)}, but {'; '.join(odd)}",
            hint="use images of one camera with one setting",
        )


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} {'grey' if len(shape) == 2 else 'colour'}"


def _check_different(images: Sequence[GoodImage]) -> None:
    """Copies have no spread to learn from, and counting one part twice makes the limit's promise untrue."""
    copies = []
    for number, image in enumerate(images):
        same = find_same(images[:number], image)
        if same is not None:
            copies.append(f"{same.path.name} and {image.path.name} show the same picture")
    if copies:
        raise CalibrationRefused(
            "; ".join(copies), hint="take one image each of different good parts, and remove copies"
        )


def find_same(images: Sequence[GoodImage], image: GoodImage) -> GoodImage | None:
    """The one among images of the same shape that shows the same picture as this one; None if it is new."""
    if not images:
        return None
    close = np.abs(np.stack([i.thumbnail for i in images]) - image.thumbnail).max(axis=(1, 2)) < _SAME_THUMBNAIL
    return next((images[int(j)] for j in np.flatnonzero(close) if _is_same_picture(images[int(j)], image)), None)


def _is_same_picture(a: GoodImage, b: GoodImage) -> bool:
    if a.sha256 == b.sha256:
        return True
    difference = a.pixels().astype(np.float32) - b.pixels()
    return float(np.sqrt(np.mean(difference**2))) < _SAME_PICTURE_RMS
