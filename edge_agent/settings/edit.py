"""Puts keys into a table of line.toml and leaves everything else of the file as it stands."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.settings.lines import LineIndex

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["put_keys"]


def put_keys(path: Path, table: str, keys: Mapping[str, str]) -> bool:
    """Write ``keys`` (each with its value as TOML) into a table, in one step; False if the file cannot take them so.

    A key that is there, also behind a ``#``, is replaced on its line; another goes below the table's header. What the
    result reads as is compared before it takes the file's place: the same document with these keys and no other change.
    Owner, mode, line ends and comments stay; a link stays a link. Raises OSError where it cannot be written.
    """
    path = path.resolve()
    before = path.read_bytes().decode("utf-8")
    after = _with_keys(before, table, keys)
    if after is None or not _is_what_was_meant(before, after, table, keys):
        return False
    _replace(path, after)
    return True


def _with_keys(text: str, table: str, keys: Mapping[str, str]) -> str | None:
    """The text with the keys; None where the table has no header of its own."""
    return_ = "\r" if "\r\n" in text else ""
    lines = text.split("\n")
    header = next((at for at, line in enumerate(lines) if re.match(rf"\s*\[\s*{table}\s*\]", line)), None)
    if header is None:
        return None
    index, new = LineIndex(text.replace("\r\n", "\n")), []
    for key, value in keys.items():
        said = f"{key} = {value}{return_}"
        at = _line_of(lines, index, header, (table, key))
        if at is None:
            new.append(said)
        else:
            lines[at] = said
    lines[header + 1 : header + 1] = new
    return "\n".join(lines)


def _line_of(lines: list[str], index: LineIndex, header: int, loc: tuple[str, str]) -> int | None:
    """Where the key stands, else where it stands behind a ``#``."""
    if index.has(loc):
        return index.line(loc) - 1
    for at in range(header + 1, len(lines)):
        if re.match(r"\s*\[", lines[at]):
            return None
        if re.match(rf"#{loc[1]} = ", lines[at]):
            return at
    return None


def _is_what_was_meant(before: str, after: str, table: str, keys: Mapping[str, str]) -> bool:
    try:
        meant = tomllib.loads(before.removeprefix("\ufeff"))
        if not isinstance(meant.get(table), dict):
            return False
        meant[table] |= tomllib.loads("\n".join(f"{key} = {value}" for key, value in keys.items()))
        return tomllib.loads(after.removeprefix("\ufeff")) == meant
    except tomllib.TOMLDecodeError:
        return False


def _replace(path: Path, text: str) -> None:
    """The new text under the old name: whole, or not at all."""
    status = path.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
