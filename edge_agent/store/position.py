"""How far a receiver of results has got in the journal: a small file beside it, written by the publishing process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.errors import DataError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.store.fs import write_durably
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Position", "files_since", "fits", "position_file", "read_position", "rows_behind", "write_position"]

_SCHEMA_VERSION = 1
_MOST_BYTES = 4096


class Position(NamedTuple):
    """A place in the journal: everything up to this link of its chain is delivered.

    ``origin`` is the hash that the journal's file began with. ``sha256`` is the link's own hash: another journal under
    the same name has another one there. It is empty where it was not written down.
    """

    origin: str
    link: int
    sha256: str = ""


def position_file(journal: Path, receiver: str) -> Path:
    """Where a receiver's position lies."""
    return journal.with_name(f"{journal.name}.{receiver}.position")


def read_position(path: Path) -> Position | None:
    """The position; None where there never was one. Raises DataError for a damaged file, or one that cannot be read."""
    try:
        said = strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES)
        if said["schema_version"] != _SCHEMA_VERSION:
            raise DataError(f"{path} is of another version", hint="use the edge-agent that wrote it")
        return Position(str(said["origin"]), _link(said["link"]), str(said.get("sha256", "")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(
            f"{path} is damaged: {err!r}",
            hint="remove it to go on with what is written from now on; journal export has what came before",
        ) from err
    except OSError as err:
        raise DataError(f"{path} cannot be read: {err.strerror}", hint="look at its owner and its mode") from err


def _link(said: object) -> int:
    if type(said) is not int or said < 0:
        raise ValueError("the link is not a whole number")
    return said


def write_position(path: Path, position: Position) -> None:
    """Replace it durably. Raises OSError."""
    write_durably(path, json.dumps({"schema_version": _SCHEMA_VERSION, **position._asdict()}).encode())


def files_since(journal: Path, origin: str) -> tuple[list[Path], str]:
    """The journal's files from the one that began with ``origin`` on, the oldest first, the one in use last.

    Where that one cannot be reached the second value says why, and the list begins with the oldest that can be.
    Raises DataError where the journal in use cannot be read.
    """
    files: list[Path] = []
    path = journal
    while True:
        try:
            with JournalReader.open(path) as reader:
                begins, before = reader.origin()
        except DataError as err:
            if not files:
                raise
            return files, str(err)
        files.insert(0, path)
        if begins == origin:
            return files, ""
        if not before:
            return files, f"the journal was begun anew: {path.name} does not continue the one before"
        path = journal.with_name(before)


def fits(reader: JournalReader, position: Position) -> bool:
    """Whether the position is one of this very journal, and not of another that had its name."""
    # A file that has fewer links than were delivered is another one, whatever its name.
    if position.link > reader.newest_link():
        return False
    return not position.sha256 or reader.link_sha256(position.link) == position.sha256


def rows_behind(journal: Path, position: Position) -> int:
    """How many links of the chain come after the position, over all files. Raises DataError."""
    files, problem = files_since(journal, position.origin)
    number = 0
    for path in files:
        with JournalReader.open(path) as reader:
            number += reader.newest_link()
    return max(0, number - (0 if problem else position.link))
