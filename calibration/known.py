"""Images that a person has judged: parts left out as not good, and defective parts. Nothing is learned from them."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.images import list_images, read_again
from drivers.base import ImageRefused
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.decode import decode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calibration.images import GoodImage

__all__ = ["KnownImage", "check_left_out", "leave_out", "read_defective"]

_NAMED = 5


@dataclass(frozen=True, slots=True)
class KnownImage:
    """One image file and the sha256 of its bytes."""

    path: Path
    sha256: str

    def read(self) -> bytes:
        """Its bytes, once more. Raises CalibrationRefused if the file has others now."""
        return read_again(self.path, self.sha256)


def leave_out(images: Sequence[Path], names: Sequence[str]) -> tuple[list[Path], tuple[KnownImage, ...]]:
    """What is left of ``images``, and those with these file names. Raises CalibrationRefused for an unknown name."""
    by_name = {path.name: path for path in images}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        close = difflib.get_close_matches(unknown[0], by_name, n=1)
        raise CalibrationRefused(
            f"to leave out: there is no image {', '.join(unknown[:_NAMED])} among the {len(images)} good ones",
            hint=f"did you mean {close[0]}?" if close else "give the file's name without its folder",
        )
    kept = [path for path in images if path.name not in set(names)]
    if names and not kept:
        raise CalibrationRefused(f"all {len(images)} images are left out", hint="leave out only what is not good")
    return kept, tuple(KnownImage(path, _sha256(_read(path))) for path in images if path.name in set(names))


def check_left_out(left_out: Sequence[KnownImage], good: Sequence[GoodImage]) -> None:
    """Raise CalibrationRefused if a part that was left out is still among the good ones under another name."""
    names = {image.sha256: image.path.name for image in good}
    for image in left_out:
        if image.sha256 in names:
            raise CalibrationRefused(
                f"{names[image.sha256]} is the same image as {image.path.name}, which is left out",
                hint=f"leave {names[image.sha256]} out too",
            )


def read_defective(folder: Path, good: Sequence[GoodImage]) -> tuple[KnownImage, ...]:
    """The images of defective parts in a folder, each proven, of the good images' size, and different from all others.

    Raises CalibrationRefused: one part counted twice, or a good one among them, makes every share untrue.
    """
    paths = list_images(folder)
    if not paths:
        raise CalibrationRefused(
            f"{folder} holds no images of defective parts", hint="put PNG, BMP or JPEG images there, or leave it out"
        )
    seen = {image.sha256: f"{image.path.name} among the good ones" for image in good}
    found = []
    for path in paths:
        data = _read(path)
        _check_decodes(path, data, good[0].shape)
        digest = _sha256(data)
        if digest in seen:
            raise CalibrationRefused(
                f"{path} is the same image as {seen[digest]}", hint="decide what the part is, and keep one of the two"
            )
        seen[digest] = str(path)
        found.append(KnownImage(path, digest))
    return tuple(found)


def _check_decodes(path: Path, data: bytes, shape: tuple[int, ...]) -> None:
    try:
        pixels = decode(data)
    except ImageRefused as err:
        raise CalibrationRefused(f"{path}: {err.detail}", hint="remove it or copy it again") from err
    if pixels.shape != shape:
        raise CalibrationRefused(
            f"{path} has the shape {pixels.shape}, the good images have {shape}",
            hint="use images of the same camera with the same setting",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise CalibrationRefused(f"{path} cannot be read: {err.strerror or err}", hint="check its permissions") from err


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
