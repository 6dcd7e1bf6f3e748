"""Where the images of a replay lie: a folder of this machine, or anything that fsspec opens by its address.

A source lists its images in the order of their names, a folder at a time, so that a listing takes no more memory than
the largest folder. It is told to a worker as its address alone: credentials are the worker's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from edge_agent.errors import DataError, Unavailable, UsageError
from edge_agent.inspection.containers.image_files import SUFFIXES, FolderOfImages, walk
from edge_agent.store.shrink import received_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "Source", "is_address", "open_source"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An image that is there: its ``name`` below the source, and what would change if it were another one.

    ``stamp`` is the time of its last change (ns since 1970) in a folder, the ETag or that time in an object storage.
    """

    name: str
    size_bytes: int
    stamp: str


class Source(Protocol):
    """A place with images."""

    address: str

    def entries(self) -> Iterator[Entry]:
        """Every image, in the order of their names. Raises DataError, OSError."""

    def read(self, name: str) -> bytes:
        """The bytes of an image as they were received. Raises OSError."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the last listing passed over, in words."""


def is_address(place: str) -> bool:
    """Whether it is an address such as ``s3://bucket/folder`` and not a folder of this machine."""
    return "://" in place


def open_source(place: str) -> Source:
    """The source at an address or in a folder.

    Raises DataError where there is no such folder, Unavailable, and UsageError for an address with a password: it would
    stand in every file and report that names its source.
    """
    if is_address(place) and "@" in (told := urlsplit(place).netloc) and ":" in told.rpartition("@")[0]:
        raise UsageError(
            "the address has a password in it, and would stand in every report",
            hint="take it out, and give it by the environment or the settings of fsspec",
        )
    return _Objects(place) if is_address(place) else _Folder(place)


class _Folder:
    """A folder of this machine, or of a file system that every worker sees at the same place."""

    def __init__(self, place: str) -> None:
        self._root = Path(place).absolute()
        self.address = str(self._root)
        self._found = FolderOfImages(self._root)
        if not self._root.is_dir():
            raise DataError(f"{place} is not a folder", hint="name the archive, or any folder of images")

    def entries(self) -> Iterator[Entry]:
        self._found = FolderOfImages(self._root)
        for path in walk(self._root, self._found):
            try:
                status = path.stat()
                name = path.relative_to(self._root).as_posix()
                name.encode()
            except UnicodeEncodeError as err:
                raise DataError(f"{path!r}: its name is not UTF-8, and no record could hold it") from err
            except OSError as err:
                raise DataError(
                    f"{path} cannot be read: {err.strerror}", hint="remove it, or make it readable"
                ) from err
            yield Entry(name, status.st_size, str(status.st_mtime_ns))

    def read(self, name: str) -> bytes:
        path = self._root / name
        return received_of(path.name, path.read_bytes())

    @property
    def notes(self) -> tuple[str, ...]:
        return self._found.notes


class _Objects:
    """What fsspec opens: ``s3://`` and others. Credentials come from the environment of whoever reads."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._fs, self._root = _file_system(self.address)
        self._foreign = 0

    def entries(self) -> Iterator[Entry]:
        self._foreign = 0
        return self._below(self._root.rstrip("/"))

    def _below(self, folder: str) -> Iterator[Entry]:
        found = self._fs.ls(folder, detail=True)
        for one in sorted(found, key=lambda one: PurePosixPath(one["name"]).name):
            path = PurePosixPath(one["name"])
            if path.name.startswith(".") or one["name"].rstrip("/") == folder:
                continue
            if one["type"] == "directory":
                yield from self._below(one["name"].rstrip("/"))
            elif path.suffix.lower() in SUFFIXES:
                name = one["name"].removeprefix(self._root.rstrip("/")).lstrip("/")
                yield Entry(name, int(one["size"]), _stamp(one))
            else:
                self._foreign += 1

    def read(self, name: str) -> bytes:
        data: bytes = self._fs.cat_file(f"{self._root.rstrip('/')}/{name}")
        return received_of(PurePosixPath(name).name, data)

    @property
    def notes(self) -> tuple[str, ...]:
        if not self._foreign:
            return ()
        return (f"passed over in {self.address}: {self._foreign} objects that are no PNG, BMP or JPEG by their names",)


def _stamp(one: dict[str, Any]) -> str:
    for key in ("ETag", "etag", "md5", "mtime", "LastModified", "created"):
        if one.get(key) is not None:
            return str(one[key])
    return ""


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of fsspec and the path in it. Of S3 pyarrow's own client, unless s3fs is installed."""
    from importlib.util import find_spec  # noqa: PLC0415

    import fsspec  # noqa: PLC0415 - an extra

    try:
        if address.startswith("s3://") and find_spec("s3fs") is None:
            from fsspec.implementations.arrow import ArrowFSWrapper  # noqa: PLC0415
            from pyarrow import fs  # noqa: PLC0415

            # A storage of one's own, such as MinIO, by the variable that other clients of S3 know.
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            return ArrowFSWrapper(fs.S3FileSystem(endpoint_override=endpoint)), address.removeprefix("s3://")
        found: tuple[Any, str] = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as err:
        raise Unavailable(f"{address} cannot be opened: {err}", hint="install fsspec's package for it") from err
    return found
