"""Images that a person has judged: parts left out as not good, and defective parts. No bank holds anything of them."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.good_parts.images import images_in, read_again, read_each
from drivers.base import ImageRefused, Reason
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.containers.image_files import every_one, named, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calibration.good_parts.images import GoodImage

__all__ = ["KnownImage", "check_left_out", "confirmed", "leave_out", "read_defective"]


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
    _check_names("to leave out", images, names)
    kept = [path for path in images if path.name not in set(names)]
    if names and not kept:
        raise CalibrationRefused(f"all {len(images)} images are left out", hint="leave out only what is not good")
    left_out = [path for path in images if path.name in set(names)]
    return kept, tuple(read_each(left_out, lambda path: KnownImage(path, _sha256(read_file(path)))))


def confirmed(good: Sequence[GoodImage], names: Sequence[str]) -> tuple[KnownImage, ...]:
    """The good images with these file names, which a person has seen. Raises CalibrationRefused for an unknown name."""
    _check_names("to keep", [image.path for image in good], names)
    return tuple(KnownImage(image.path, image.sha256) for image in good if image.path.name in set(names))


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
    lies = images_in(folder)
    if not lies.images:
        raise CalibrationRefused(
            f"{folder} holds no images of defective parts{lies.why_none}",
            hint=f"{lies.hint_none}, or leave --defective out",
        )
    found = read_each(lies.images, lambda path: _defective(path, good[0].shape))
    seen = {image.sha256: f"{image.path.name} among the good ones" for image in good}
    twice = []
    for image in found:
        if image.sha256 in seen:
            twice.append((image.path, f"it is the same image as {seen[image.sha256]}"))
        seen.setdefault(image.sha256, str(image.path))
    if twice:
        raise CalibrationRefused(every_one(twice, len(found)), hint="decide what the part is, and keep one of the two")
    return tuple(found)


def _check_names(what: str, images: Sequence[Path], names: Sequence[str]) -> None:
    """Raise CalibrationRefused for a name that none of these images has, with the nearest that there is."""
    by_name = {path.name: path for path in images}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        close = difflib.get_close_matches(unknown[0], by_name, n=1)
        raise CalibrationRefused(
            f"{what}: there is no image {named(unknown)} among the {len(images)} good ones",
            hint=f"did you mean {close[0]}?" if close else "give the file's name without its folder",
        )


def _defective(path: Path, shape: tuple[int, ...]) -> KnownImage:
    """Raises ImageRefused for a file that is no image of that shape."""
    data = read_file(path)
    found = decode(data).shape
    if found != shape:
        raise ImageRefused(Reason.IMAGE_SIZE, f"it has the shape {found}, the good images have {shape}")
    return KnownImage(path, _sha256(data))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
