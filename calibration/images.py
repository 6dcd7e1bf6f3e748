"""The good images: read, proven, compared. Pictures are streamed; only thumbnails stay in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.base import ImageRefused
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.decode import decode, zero_tail_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "MIN_IMAGES",
    "GoodImage",
    "examine_image",
    "find_same",
    "list_images",
    "read_again",
    "read_good_images",
    "read_pixels",
]

MIN_IMAGES = 20
_SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg"})
_THUMBNAIL_PX = 64
_SAME_THUMBNAIL = 1.5
_SAME_PICTURE_RMS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class GoodImage:
    """One good image. ``thumbnail`` is grey float32 in grey values, its long side 64 px."""

    path: Path
    sha256: str
    shape: tuple[int, ...]
    zero_tail_rows: int
    thumbnail: NDArray[np.float32]

    def pixels(self) -> NDArray[np.uint8]:
        """Its pixels, read again: full-size pictures never pile up. Raises CalibrationRefused if the file changed."""
        return _decode(self.path, read_again(self.path, self.sha256))


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name. Raises CalibrationRefused if there is no such folder."""
    if not folder.is_dir():
        raise CalibrationRefused(f"{folder} is not a folder", hint="name the folder that holds the good images")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels of one image file. Raises CalibrationRefused, naming the file."""
    return _decode(path, _read(path))


def read_again(path: Path, sha256: str) -> bytes:
    """The bytes of a file that was read before. Raises CalibrationRefused if it has others now."""
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CalibrationRefused(
            f"{path} changed after it was read", hint="calibrate from a folder that nobody writes to meanwhile"
        )
    return data


def read_good_images(paths: Sequence[Path], progress: Callable[[int, int], None]) -> list[GoodImage]:
    """Read all good images. Raises CalibrationRefused for what cannot carry a calibration, naming the files."""
    if len(paths) < MIN_IMAGES:
        raise CalibrationRefused(
            f"{len(paths)} good images are too few: at least {MIN_IMAGES} different parts are needed",
            hint="collect 30 to 60 images (PNG, BMP or JPEG) of good parts in one folder",
        )
    images = []
    for number, path in enumerate(paths, start=1):
        images.append(examine_image(path, _read(path)))
        progress(number, len(paths))
    _check_same_shape(images)
    _check_different(images)
    return images


def examine_image(path: Path, data: bytes) -> GoodImage:
    """What a calibration has to know of an image file and its bytes. Raises CalibrationRefused, naming the file."""
    pixels = _decode(path, data)
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    scale = _THUMBNAIL_PX / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    thumbnail = np.asarray(cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    return GoodImage(path, hashlib.sha256(data).hexdigest(), pixels.shape, zero_tail_rows(data), thumbnail)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise CalibrationRefused(f"{path} cannot be read: {err.strerror or err}", hint="check its permissions") from err


def _decode(path: Path, data: bytes) -> NDArray[np.uint8]:
    try:
        return decode(data)
    except ImageRefused as err:
        raise CalibrationRefused(f"{path}: {err.detail}", hint="remove it or copy it again") from err


def _check_same_shape(images: Sequence[GoodImage]) -> None:
    shapes: dict[tuple[int, ...], list[str]] = {}
    for image in images:
        shapes.setdefault(image.shape, []).append(image.path.name)
    if len(shapes) > 1:
        usual = max(shapes, key=lambda shape: len(shapes[shape]))
        odd = [f"{names[0]} {_words(shape)}" for shape, names in shapes.items() if shape != usual]
        raise CalibrationRefused(
            f"images of different size or channels: most are {_words(usual)}, but {', '.join(odd[:5])}",
            hint="use images of one camera with one setting",
        )


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} {'grey' if len(shape) == 2 else 'colour'}"


def _check_different(images: Sequence[GoodImage]) -> None:
    """Copies have no spread to learn from, and counting one part twice makes the limit's promise untrue."""
    for number, image in enumerate(images):
        same = find_same(images[:number], image)
        if same is not None:
            raise CalibrationRefused(
                f"{same.path.name} and {image.path.name} show the same picture",
                hint="take one image each of different good parts, and remove copies",
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
