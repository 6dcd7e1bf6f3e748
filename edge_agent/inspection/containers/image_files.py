"""Image files as people have them on their disks: which of a folder are meant, and their bytes.

One rule for every command that reads a folder of images. What an operating system or a program left there is passed
over with a note; what is meant but cannot be judged is named with its reason, and all of it at once.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from drivers.base import ImageRefused, Reason
from edge_agent.errors import DataError
from edge_agent.inspection.containers.decode import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "SET_ASIDE",
    "SUFFIXES",
    "FolderOfImages",
    "convert_words",
    "every_one",
    "look_into",
    "named",
    "printable",
    "read_file",
    "readable_images",
    "unreadable",
    "walk",
]

SUFFIXES: Final = frozenset({".png", ".bmp", ".dib", ".jpg", ".jpeg", ".jpe", ".jfif"})
"""In lower case. What a file is, its content tells; the suffix tells that it is meant as an image we understand."""

SET_ASIDE: Final = "odd"
"""The folder of images that were refused when good parts were collected: nothing reads it, and no note tells of it."""

# fmt: off
_FOREIGN: Final = frozenset({
    ".tif", ".tiff", ".gif", ".webp", ".jp2", ".j2k", ".jxl", ".heic", ".heif", ".avif", ".pgm", ".ppm", ".pnm",
    ".pbm", ".tga", ".psd", ".exr", ".dcm", ".svg", ".ico", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf",
    ".raf", ".rw2", ".npy", ".pdf",
})
_LEFT_BY_PROGRAMS: Final = frozenset({
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information",
    "lost+found",
})
# fmt: on
# No format that is read has more than four bytes a pixel; twice that leaves room for what stands beside the picture.
_MOST_BYTES: Final = 8 * MAX_PIXELS
_NAMED: Final = 5


@dataclass(slots=True)
class FolderOfImages:
    """What lies in a folder. ``images`` are those to be judged, by name; unreadable ones are among them.

    ``left`` was left there by an operating system or a program; ``foreign`` are images in formats that are not
    understood; ``no_files`` are links to folders, and pipes and the like with an image's name; ``folders`` hold
    images and were not asked for; ``closed`` are folders that cannot be read.
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)
    no_files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over and why, in words; nothing where the folder holds nothing odd."""
        said = (
            (self.left, ", left there by a program or an operating system"),
            (self.foreign, f"; {convert_words(self.foreign)}" if self.foreign else ""),
            (self.no_files, ", a link to a folder, a pipe or the like and no file"),
            (self.folders, ", a folder with images in it: images are taken from one folder only"),
            (self.closed, ", a folder that cannot be read"),
        )
        return tuple(f"passed over in {printable(self.folder)}: {self._named(p)}{why}" for p, why in said if p)

    @property
    def why_none(self) -> str:
        """What a folder without an image to judge holds instead, to be said after "holds no images"; empty: nothing."""
        if self.foreign:
            return f": {self._named(self.foreign)} is in a format that is not understood"
        if self.folders:
            return f": they lie in {self._named(self.folders)}"
        others = [*self.left, *self.no_files, *self.closed]
        return f": only {self._named(others)}" if others else ""

    @property
    def hint_none(self) -> str:
        """What to do about a folder without an image to judge."""
        if self.foreign:
            return convert_words(self.foreign)
        return f"name {printable(self.folders[0])}" if self.folders else "PNG, BMP or JPEG files are read"

    def _named(self, paths: Sequence[Path]) -> str:
        return named([printable(path.relative_to(self.folder)) for path in paths])


def look_into(folder: Path, *, deep: bool = False) -> FolderOfImages:
    """What lies in a folder, with ``deep`` also in those below it; links to folders are not followed.

    Raises OSError where the folder itself cannot be read.
    """
    found = FolderOfImages(folder)
    waiting = _sort(found, folder)
    while waiting:
        below = waiting.pop()
        try:
            if deep:
                waiting += _sort(found, below)
            elif below.name != SET_ASIDE and look_into(below).images:
                found.folders.append(below)
        except OSError:
            found.closed.append(below)
    for paths in (found.images, found.left, found.foreign, found.no_files, found.folders, found.closed):
        paths.sort()
    return found


def readable_images(folder: Path, *, hint: str, what: str = "images") -> FolderOfImages:
    """What lies in a folder and in those below it, where every image can be read: before a long work begins.

    Raises DataError: where there is no such folder, with this ``hint``; where it holds no ``what``; and for files that
    cannot be read, naming all of them.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint=hint)
    found = look_into(folder, deep=True)
    if not found.images:
        raise DataError(f"{folder} holds no {what}{found.why_none}", hint=found.hint_none)
    if closed := unreadable(found.images):
        raise DataError(every_one(closed, len(found.images)), hint="remove them, or make them readable")
    return found


def walk(folder: Path, passed_over: FolderOfImages) -> Iterator[Path]:
    """The images below a folder as ``look_into`` finds and orders them, without holding all of them together.

    What is no image to be judged is put into ``passed_over``. Raises OSError where the folder itself cannot be read.
    """
    found = FolderOfImages(folder)
    below = set(_sort(found, folder))
    passed_over.left += sorted(found.left)
    passed_over.foreign += sorted(found.foreign)
    passed_over.no_files += sorted(found.no_files)
    # A folder's images come where its name has its place among the others.
    for path in sorted([*found.images, *below]):
        if path not in below:
            yield path
            continue
        try:
            yield from walk(path, passed_over)
        except OSError:
            passed_over.closed.append(path)


def _sort(found: FolderOfImages, folder: Path) -> list[Path]:
    """Put each entry of a folder where it belongs; returns the folders in it."""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.lower() in _LEFT_BY_PROGRAMS:
                found.left.append(path)
            elif entry.is_dir(follow_symlinks=False):
                below.append(path)
            elif path.suffix.lower() in SUFFIXES:
                (found.images if _is_meant(entry) else found.no_files).append(path)
            elif path.suffix.lower() in _FOREIGN:
                found.foreign.append(path)
            elif entry.is_symlink() and entry.is_dir():
                found.no_files.append(path)
    return below


def _is_meant(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link that leads to one or nowhere: then reading it says why."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def read_file(path: Path) -> bytes:
    """An image file's bytes. Raises ImageRefused, in words, for one that cannot be read or can be no image."""
    try:
        with _opened(path) as file:
            return file.read(_MOST_BYTES)
    except OSError as err:
        raise ImageRefused(Reason.IMAGE_BROKEN, f"cannot be read: {err.strerror or err}") from err


def unreadable(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Which files ``read_file`` would refuse, and why, without reading any: before a long work begins."""
    found = []
    for path in paths:
        try:
            _opened(path).close()
        except ImageRefused as err:
            found.append((path, err.detail))
    return found


def _opened(path: Path) -> BinaryIO:
    try:
        # A pipe that took the file's place would make an open wait for ever.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as err:
        is_lost = err.errno in (errno.ENOENT, errno.ELOOP) and path.is_symlink()
        what = "a link that leads nowhere" if is_lost else f"cannot be read: {err.strerror or err}"
        raise ImageRefused(Reason.IMAGE_BROKEN, what) from err
    what = _why_none(path, os.fstat(file.fileno()))
    if what:
        file.close()
        raise ImageRefused(Reason.IMAGE_BROKEN, what)
    return file


def _why_none(path: Path, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is no file"
    if status.st_size > _MOST_BYTES:
        return f"{status.st_size} bytes are more than any image has ({_MOST_BYTES})"
    return "" if _is_printable(path) else "its name is not UTF-8, and no record could hold it: rename it"


def _is_printable(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: Path) -> str:
    """A path to be printed: bytes that are no UTF-8 are escaped, control characters too."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def named(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def every_one(problems: Iterable[tuple[Path, str]], of: int) -> str:
    """All files that cannot be used, each with its reason: one in one line, several below each other."""
    lines = [f"{printable(path)}: {why}" for path, why in problems]
    return lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} of {of} files cannot be used", *lines])


def convert_words(paths: Sequence[Path]) -> str:
    """How to make files of other formats readable."""
    kinds = sorted({path.suffix.lower() for path in paths})
    return (
        f"{', '.join(kinds)} is not read: save such images as 8-bit PNG, for instance with ImageMagick: "
        f"mogrify -depth 8 -format png '*{kinds[0]}'"
    )
