"""How far a receiver of results has got in the journal: a small file beside it, written by the publishing process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_agent.bounded import read_bounded
from edge_agent.errors import DataError
from edge_agent.store.fs import write_durably
from edge_agent.strict_json import strict_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Position", "position_file", "read_position", "write_position"]

_SCHEMA_VERSION = 1
_MOST_BYTES = 4096

Position = tuple[str, int]
"""The hash that the journal's file began with, and the link of its chain up to which everything is delivered."""


def position_file(journal: Path, receiver: str) -> Path:
    """Where a receiver's position lies."""
    return journal.with_name(f"{journal.name}.{receiver}.position")


def read_position(path: Path) -> Position | None:
    """The position; None where there never was one. Raises DataError for a damaged file."""
    try:
        said = strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES)
        if said["schema_version"] != _SCHEMA_VERSION:
            raise DataError(f"{path} is of another version", hint="use the edge-agent that wrote it")
        return str(said["origin"]), _link(said["link"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} is damaged: {err!r}",
            hint="remove it to go on with what is written from now on; journal export has what came before",
        ) from err


def _link(said: object) -> int:
    if type(said) is not int or said < 0:
        raise ValueError("the link is not a whole number")
    return said


def write_position(path: Path, position: Position) -> None:
    """Replace it durably. Raises OSError."""
    said = {"schema_version": _SCHEMA_VERSION, "origin": position[0], "link": position[1]}
    write_durably(path, json.dumps(said).encode())
