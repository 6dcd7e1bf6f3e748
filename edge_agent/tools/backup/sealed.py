"""The form of a backup: a plain tar (USTAR, not compressed), which any system can list, read back far more strictly.

First ``backup.json``, then its sha256, then the members in the order that it names. Everything else is refused: other
kinds of entries (links, devices, folders), other names, other sizes, another byte in the padding or behind the end.
What a member may take on the disk is what it takes in the file, so that none can be larger than it looks.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from typing import IO, TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.tools.backup.contents import MOST_BYTES, Contents, Member, parse, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["digest", "digest_of", "read_contents", "unpack", "write_sealed"]

_CONTENTS, _CONTENTS_SHA256 = "backup.json", "backup.json.sha256"
_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(2 * _BLOCK)
_USTAR_MOST = 8 << 30
_CUT = "it was cut off while it was copied, or its disk was full: take another backup, or copy this one again"
_CHANGED = "take another backup, or copy this one again: edge-agent backup --verify FILE proves one"


def digest(path: Path) -> Member:
    """The size and sha256 of a file, without a name. Raises OSError."""
    with path.open("rb") as file:
        sha256 = digest_of(file)
        return Member("", file.tell(), sha256)


def digest_of(file: IO[bytes]) -> str:
    """The sha256 of all that follows in an open file, in hexadecimal."""
    sha256 = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        sha256.update(chunk)
    return sha256.hexdigest()


def write_sealed(
    file: IO[bytes], contents: Contents, sources: Mapping[str, Path], progress: Callable[[int, int], None]
) -> str:
    """Write a whole backup into an open file; its sha256. ``sources`` are the members' files.

    Raises DataError where a file is not any more what ``contents`` says, OSError.
    """
    whole, done = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        whole.update(data)
        file.write(data)

    head = to_bytes(contents)
    for name, data in ((_CONTENTS, head), (_CONTENTS_SHA256, f"{hashlib.sha256(head).hexdigest()}\n".encode())):
        write(_header(name, len(data)))
        write(data + _padding(len(data)))
    for member in contents.members:
        write(_header(member.name, member.size))
        is_same = hashlib.sha256()
        with sources[member.name].open("rb") as source:
            left = member.size
            while left and (chunk := source.read(min(_CHUNK, left))):
                is_same.update(chunk)
                write(chunk)
                left -= len(chunk)
                done += len(chunk)
                progress(done, contents.size)
        if left or is_same.hexdigest() != member.sha256:
            raise DataError(f"{sources[member.name]} changed while it was copied", hint="take the backup again")
        write(_padding(member.size))
    write(_END)
    return whole.hexdigest()


def read_contents(file: IO[bytes], name: str) -> Contents:
    """What a backup says of itself, proven as far as that goes; ``file`` stands at its first member then.

    Raises DataError.
    """
    size = os.fstat(file.fileno()).st_size
    head = _small(file, name, _CONTENTS, MOST_BYTES)
    proof = _small(file, name, _CONTENTS_SHA256, 65)
    if proof != f"{hashlib.sha256(head).hexdigest()}\n".encode():
        raise DataError(f"{name}: {_CONTENTS} was changed", hint=_CHANGED)
    contents = parse(head, name)
    whole = file.tell() + sum(_BLOCK + one.size + len(_padding(one.size)) for one in contents.members) + len(_END)
    if size < whole:
        raise DataError(f"{name} has {size} bytes of {whole}", hint=_CUT)
    if size > whole:
        raise DataError(f"{name} has {size} bytes, and its members take {whole}", hint=_CHANGED)
    return contents


def unpack(file: IO[bytes], name: str, contents: Contents, place: Callable[[Member], IO[bytes] | None]) -> None:
    """Read every member, prove its sha256, and write it where ``place`` opens a file; ``file`` stands at the first one.

    Raises DataError, OSError. A file that was opened is synced and closed.
    """
    for member in contents.members:
        if (size := _entry(file, name, member.name)) != member.size:
            raise DataError(f"{name}: {member.name} has {size} bytes, not {member.size}", hint=_CHANGED)
        target = place(member)
        try:
            found = _member(file, name, member.size, target)
            if target is not None:
                target.flush()
                os.fsync(target.fileno())
        finally:
            if target is not None:
                target.close()
        if found != member.sha256:
            raise DataError(f"{name}: {member.name} was changed", hint=_CHANGED)
    if file.read(len(_END) + 1) != _END:
        raise DataError(f"{name} does not end as a backup does", hint=_CHANGED)


def _member(file: IO[bytes], name: str, size: int, target: IO[bytes] | None) -> str:
    sha256, left = hashlib.sha256(), size
    while left:
        chunk = _exactly(file, name, min(_CHUNK, left))
        sha256.update(chunk)
        if target is not None:
            target.write(chunk)
        left -= len(chunk)
    padding = _padding(size)
    if _exactly(file, name, len(padding)) != padding:
        raise DataError(f"{name}: something stands between two members", hint=_CHANGED)
    return sha256.hexdigest()


def _small(file: IO[bytes], name: str, wanted: str, most: int) -> bytes:
    size = _entry(file, name, wanted)
    if size > most:
        raise DataError(f"{name}: {wanted} has {size} bytes, at most {most} are read", hint=_CHANGED)
    data, padding = _exactly(file, name, size), _padding(size)
    if _exactly(file, name, len(padding)) != padding:
        raise DataError(f"{name}: something stands behind {wanted}", hint=_CHANGED)
    return data


def _entry(file: IO[bytes], name: str, wanted: str) -> int:
    """The size of the entry that begins here, which must be the very header that ``backup`` writes for this file."""
    block = _exactly(file, name, _BLOCK)
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        is_ours = found.name == wanted and 0 <= found.size <= 1 << 50 and block == _header(wanted, found.size)
    except (tarfile.HeaderError, ValueError, DataError):
        raise DataError(
            f"{name} is no backup of edge-agent, or was changed: no {wanted} there", hint=_CHANGED
        ) from None
    if not is_ours:
        kind = "" if found.isreg() else " and is no plain file"
        raise DataError(f"{name}: there is {found.name!a}{kind}, where {wanted} belongs", hint=_CHANGED)
    return found.size


def _exactly(file: IO[bytes], name: str, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise DataError(f"{name} ends in the middle", hint=_CUT)
    return data


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    try:
        # Sizes above 8 GiB have no digits in USTAR; GNU's form has, and every tar of today reads it.
        return info.tobuf(tarfile.USTAR_FORMAT if size < _USTAR_MOST else tarfile.GNU_FORMAT, "utf-8", "strict")
    except ValueError as err:
        raise DataError(
            f"{name}: the name is too long for a backup ({err})", hint="give the file a shorter name"
        ) from err


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
