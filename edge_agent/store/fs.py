"""The one door to the disk for files that are kept. A test puts a disk that fails behind it."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileSystem", "write_durably"]

_COPY_BYTES = 1 << 20


class FileSystem:
    """The disk. Every method raises OSError as the operating system does."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and what is missing above it."""
        folder.mkdir(parents=True, exist_ok=True)

    def files(self, root: Path) -> Iterator[tuple[Path, int]]:
        """Every regular file below ``root`` with its size in bytes; links are not followed."""
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self.files(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_size

    def exists(self, path: Path) -> bool:
        """Whether there is a file of that name."""
        return path.exists()

    def size_bytes(self, path: Path) -> int:
        """The size of a file."""
        return path.stat().st_size

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""
        return path.read_bytes()

    def sha256(self, path: Path) -> str:
        """The sha256 of a file's bytes, in hexadecimal."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file and bring it to the disk."""
        with path.open("wb") as file:
            file.write(data)
            self._sync(file.fileno())

    def allocate(self, path: Path, size_bytes: int) -> None:
        """Make a file whose space is taken; nothing where the system cannot do that without writing it all."""
        if hasattr(os, "posix_fallocate"):
            with path.open("wb") as file:
                # The blocks themselves: a file that is only long would be a hole, and hold nothing back.
                os.posix_fallocate(file.fileno(), 0, size_bytes)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file's bytes into a new file and bring it to the disk."""
        with source.open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written, _COPY_BYTES)
            written.flush()
            self._sync(written.fileno())

    def fsync(self, path: Path) -> None:
        """Bring a file's bytes, or a folder's entries, to the disk."""
        if os.name == "nt" and path.is_dir():  # Windows opens no folders; its file systems log the entries themselves
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file its name at once: a reader sees the old file or the new one, never half of it."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder; raises OSError if it is not empty."""
        folder.rmdir()

    def disk_bytes(self, folder: Path) -> tuple[int, int]:
        """Total and free bytes of the disk that holds ``folder``."""
        usage = shutil.disk_usage(folder)
        return usage.total, usage.free

    def is_same_disk(self, one: Path, other: Path) -> bool:
        """Whether two folders lie on one disk: what leaves one makes room for the other."""
        return one.stat().st_dev == other.stat().st_dev

    @staticmethod
    def _sync(descriptor: int) -> None:
        os.fsync(descriptor)


def write_durably(path: Path, data: bytes, fs: FileSystem | None = None) -> None:
    """Write a file wholly or not at all, under its name only once it is complete.

    Raises OSError; what was there before then still stands.
    """
    fs = fs or FileSystem()
    stump = path.with_name(path.name + ".part")
    fs.make_folder(path.parent)
    try:
        fs.unlink(stump)  # after a power cut it may be a second name of a finished file: never write into it
        fs.write(stump, data)
        fs.replace(stump, path)
    except OSError:
        _drop(stump, fs)
        raise


def _drop(stump: Path, fs: FileSystem) -> None:
    try:
        fs.unlink(stump)
    except OSError:  # the disk that refused the file refuses this too; sweeping at start takes what is left
        return
