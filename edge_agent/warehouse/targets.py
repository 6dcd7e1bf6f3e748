"""Where a store lies: a folder, or object storage by fsspec. A file is there wholly or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from edge_agent.errors import DataError, Unavailable, UsageError
from edge_agent.store.fs import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Folder", "Objects", "Target", "is_address", "target_of"]

_STUMP = ".part"


class Target(Protocol):
    """A store as files by their path below it, with ``/`` between. Every method raises Unavailable, or OSError."""

    @property
    def name(self) -> str:
        """What a person called it."""

    def files(self, below: str) -> list[str]:
        """The paths of all files below a folder; none where there is no such folder."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""

    def end_of(self, path: str, most: int) -> bytes:
        """The last ``most`` bytes of a file, or all of it where it is shorter."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file, or replace it, at once."""

    def sweep(self, below: str) -> None:
        """Remove what an export that was killed has left half written."""


class Folder:
    """A folder of this PC, or of a share that is mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if not root.is_dir():
            raise Unavailable(
                f"there is no folder {root}", hint="make it, or mount the share; nothing was written in its place"
            )

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._root)

    def files(self, below: str) -> list[str]:
        """As in ``Target``. A link is not followed."""
        start = self._root / below
        return [
            path.relative_to(self._root).as_posix()
            for path in start.rglob("*")
            if path.is_file() and not path.is_symlink()
        ]

    def read(self, path: str) -> bytes | None:
        """As in ``Target``."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def end_of(self, path: str, most: int) -> bytes:
        """As in ``Target``."""
        with (self._root / path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read()

    def put(self, path: str, data: bytes) -> None:
        """As in ``Target``: written beside, brought to the disk, and renamed."""
        whole, fs = self._root / path, FileSystem()
        # Readers of such folders leave out names that begin with a full stop.
        stump = whole.with_name(f".{whole.name}{_STUMP}")
        fs.make_folder(whole.parent)
        try:
            fs.write(stump, data)
            fs.replace(stump, whole)
        except OSError:
            self._drop(stump)
            raise

    def sweep(self, below: str) -> None:
        """As in ``Target``."""
        for path in self.files(below):
            if path.endswith(_STUMP):
                (self._root / path).unlink(missing_ok=True)

    @staticmethod
    def _drop(stump: Path) -> None:
        try:
            stump.unlink(missing_ok=True)
        except OSError:  # the disk that refused the file refuses this too; the next export sweeps
            return


class Objects:
    """Object storage. It takes an object whole or not at all, so nothing is half written."""

    def __init__(self, address: str, fs: Any, root: str) -> None:
        self._address, self._fs, self._root = address, fs, root.rstrip("/")

    @property
    def name(self) -> str:
        """The address."""
        return self._address

    @property
    def root(self) -> str:
        """The address as the file system itself writes it."""
        return str(self._fs.unstrip_protocol(self._root))

    @property
    def fs(self) -> Any:
        """The file system of fsspec."""
        return self._fs

    def files(self, below: str) -> list[str]:
        """As in ``Target``."""

        def find() -> list[str]:
            self._fs.invalidate_cache()
            start = len(self._root) + 1
            return [path[start:] for path in self._fs.find(f"{self._root}/{below}")]

        found: list[str] = self._asked(find)
        return found

    def read(self, path: str) -> bytes | None:
        """As in ``Target``."""
        try:
            found: bytes = self._asked(lambda: self._fs.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        return found

    def end_of(self, path: str, most: int) -> bytes:
        """As in ``Target``."""
        whole = f"{self._root}/{path}"
        size: int = self._asked(lambda: self._fs.size(whole))
        found: bytes = self._asked(lambda: self._fs.cat_file(whole, start=max(0, size - most)))
        return found

    def put(self, path: str, data: bytes) -> None:
        """As in ``Target``."""
        self._asked(lambda: self._fs.pipe_file(f"{self._root}/{path}", data))

    def sweep(self, below: str) -> None:
        """As in ``Target``: there is nothing to remove."""

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except FileNotFoundError:
            raise
        except Exception as err:
            # Each kind of storage has errors of its own, from libraries that are not here.
            raise Unavailable(
                f"{self._address} does not answer as it should: {type(err).__name__}: {err}",
                hint="look at the address, the network and the keys; the next export goes on where this one ended",
            ) from err


def is_address(text: str) -> bool:
    """Whether a person means object storage: ``s3://bucket/folder``."""
    return "://" in text


def target_of(text: str) -> Target:
    """The place that a person names.

    Raises Unavailable where it, or the package for it, is not there, DataError for an address that nobody knows,
    UsageError for none.
    """
    if not text:
        raise UsageError("a store is a folder, or an address as s3://bucket/folder")
    if not is_address(text):
        return Folder(Path(text))
    if "@" in (told := urlsplit(text).netloc) and ":" in told.rpartition("@")[0]:
        raise UsageError(
            "the address has a password in it, and would stand in every message and log",
            hint="take it out, and give it by the environment or the settings of fsspec",
        )
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise Unavailable(
            "a store in object storage needs the package fsspec, which is not installed",
            hint="pip install 'edge-agent[parquet]'",
        ) from err
    try:
        fs, root = url_to_fs(text)
    except ImportError as err:
        raise Unavailable(
            f"{text}: the package for this kind of storage is not installed: {err}",
            hint="for s3:// it is pip install s3fs",
        ) from err
    except ValueError as err:
        raise DataError(
            f"{text} is no address that fsspec knows: {err}", hint="for instance s3://bucket/folder"
        ) from err
    return Objects(text, fs, root)
