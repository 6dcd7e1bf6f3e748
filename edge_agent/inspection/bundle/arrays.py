"""Arrays out of an .npz file that anybody may have written: everything is checked before anything is allocated.

numpy's own reader believes what a file claims: an array of 20 GB is allocated before its first missing byte is missed,
and a header is handed to Python's parser. Here a file must be what ``numpy.savez`` writes: its members are stored and
not compressed, so that nothing in it can be larger than the file itself, and its headers have one fixed form.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MOST_MEMBERS", "names_of", "read_arrays"]

_END: Final = 22
"""Bytes of a ZIP file's last record, where no comment follows it: numpy writes none."""
# Bytes of the locator that ZIP64 puts in front of that record.
_LARGE_END: Final = 20
MOST_MEMBERS: Final = 32
"""Five views with five arrays each are 25."""
_MOST_DIRECTORY: Final = 256 * MOST_MEMBERS
"""Bytes of the table of contents: an entry has 46, and a short name."""
_MOST_HEADER: Final = 1024
"""numpy fills a header up to 128 bytes; four sizes and a type take less."""
_MAGIC: Final = b"\x93NUMPY\x01\x00"
_HEADER: Final = re.compile(
    rb"\{'descr': '<f(?P<bytes>[248])', 'fortran_order': (?P<columns>True|False), "
    rb"'shape': \((?P<shape>[0-9, ]{0,120})\), \} *\n"
)
_BROKEN: Final = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)
"""What the standard library raises on a damaged member; a wrong checksum is a BadZipFile."""


def read_arrays(data: bytes, *names: str) -> list[NDArray[Any]]:
    """The arrays of these names, each of the shape it has in the file: float16, 32 or 64, every value finite.

    Raises ValueError in words. Takes no more memory than the file once more.
    """
    with _opened(data) as (archive, members):
        return [_array(name, _content(archive, members, name)) for name in names]


def names_of(data: bytes) -> frozenset[str]:
    """The names of the arrays in a file. Raises ValueError in words."""
    with _opened(data) as (_, members):
        return frozenset(name.removesuffix(".npy") for name in members)


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    _check_end(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive, _members(archive, len(data))
    except _BROKEN as err:
        if type(err) is ValueError:
            raise
        raise ValueError(f"it is damaged: {err}") from err


def _check_end(data: bytes) -> None:
    """The table of contents is small, before the standard library reads all of it."""
    at = len(data) - _END
    if at < 0 or data[at : at + 4] != b"PK\x05\x06":
        raise ValueError("it is not a file of arrays (.npz), or its end is missing")
    entries, size = int.from_bytes(data[at + 10 : at + 12], "little"), int.from_bytes(data[at + 12 : at + 16], "little")
    # The locator of a ZIP64 record, in which all sizes may be others than those that were just looked at.
    is_large = at >= _LARGE_END and data[at - _LARGE_END :][:4] == b"PK\x06\x07"
    if entries > MOST_MEMBERS or size > _MOST_DIRECTORY or is_large:
        raise ValueError(f"its table of contents has {entries} entries in {size} bytes: more than a bundle's arrays")


def _members(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    members = archive.infolist()
    for member in members:
        if member.flag_bits & 0x1:
            raise ValueError(f"{member.filename!a} is encrypted")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"{member.filename!a} is compressed: calibration stores arrays as they are")
    claimed = sum(member.file_size for member in members)
    if claimed > file_bytes:
        raise ValueError(f"its arrays claim {claimed} bytes, the file has {file_bytes}")
    found = {member.filename: member for member in members}
    if len(found) != len(members):
        raise ValueError("one name is there twice")
    return found


def _content(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    member = members.get(f"{name}.npy")
    if member is None:
        raise ValueError(f"the array {name} is missing")
    return archive.read(member)


def _array(name: str, content: bytes) -> NDArray[Any]:
    begin = len(_MAGIC) + 2
    length = int.from_bytes(content[begin - 2 : begin], "little")
    header = _HEADER.fullmatch(content[begin : begin + length]) if length <= _MOST_HEADER else None
    if content[: len(_MAGIC)] != _MAGIC or header is None:
        raise ValueError(f"the array {name} does not begin as one of floating point numbers does")
    shape = _shape(name, header["shape"])
    dtype = np.dtype(f"<f{int(header['bytes'])}")
    claimed, there = math.prod(shape) * dtype.itemsize, len(content) - begin - length
    if claimed != there:
        raise ValueError(f"the array {name} claims {_times(shape)} values in {claimed} bytes, {there} are there")
    values = np.frombuffer(content, dtype, offset=begin + length)
    if not np.isfinite(values).all():
        raise ValueError(f"the array {name} has a value that is not finite")
    return values.reshape(shape, order="F" if header["columns"] == b"True" else "C")


def _shape(name: str, text: bytes) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.split(b",") if size.strip())
    except ValueError:
        raise ValueError(f"the array {name} has sizes that are no numbers: {text!r}") from None


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"
