"""Results that a receiver refuses: beside the journal, one JSON object a line, for a person to look at and send again.

Written by the publishing process alone, a line at a time and durably. A person asks for "again" by giving the file
another name, which the publishing process finds; nobody ever writes into a file that somebody else reads.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError, UsageError
from edge_agent.store.fs import FileSystem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SetAside", "again_file", "aside_file", "ask_again", "number_aside", "put_away", "read_aside", "set_aside"]

_SCHEMA_VERSION = 1
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class SetAside:
    """One result that was not delivered, and why.

    ``kind`` is "part" or "event", with the whole record as ``content``; or "gap" for results that the journal itself
    does not have any more, which nobody can send. ``link`` is its place in the journal that began with ``origin``.
    """

    kind: str
    content: dict[str, Any]
    origin: str
    link: int
    why: str
    at_utc: str = ""

    @property
    def words(self) -> str:
        """Which one it is, in short."""
        number = self.content.get("part_seq") if self.kind == "part" else self.content.get("event_id")
        name = f" {self.content.get('kind', '')}".rstrip() if self.kind == "event" else ""
        return self.kind if number is None else f"{self.kind} {number}{name}"


def aside_file(journal: Path, receiver: str) -> Path:
    """Where what a receiver refuses lies."""
    return journal.with_name(f"{journal.name}.{receiver}.aside")


def again_file(journal: Path, receiver: str) -> Path:
    """Where what shall be sent again waits for the publishing process."""
    return journal.with_name(f"{journal.name}.{receiver}.again")


def set_aside(path: Path, one: SetAside, fs: FileSystem | None = None) -> None:
    """Add one line, durably. Raises OSError; then it is not set aside."""
    fs = fs or FileSystem()
    at_utc = one.at_utc or datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"schema_version": _SCHEMA_VERSION, **asdict(one), "at_utc": at_utc}, default=str).encode()
    is_new = not fs.exists(path)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        # A line that a power cut or a full disk left half written stays a line of its own.
        is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        file.write(b"\n" * is_torn + line + b"\n")
        file.flush()
        fs.fsync(path)
    if is_new:
        fs.fsync(path.parent)


def read_aside(path: Path) -> tuple[list[SetAside], int]:
    """What lies there, the oldest first and each once, and how many lines cannot be read. Raises DataError.

    A line that cannot be read was being written when the power went: its record came again, and stands further down.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return [], 0
    except OSError as err:
        raise _unreadable(path, err) from err
    if len(data) > _MOST_BYTES:
        raise DataError(f"{path} has more than {_MOST_BYTES >> 20} MiB", hint="edge-agent results put-away")
    found: dict[tuple[str, str, int], SetAside] = {}
    unreadable = 0
    for line in data.splitlines():
        try:
            one = _read_line(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += bool(line.strip())
            continue
        # The last line of each counts: a record that was refused again has its newest reason.
        found[one.kind, one.origin, one.link] = one
    return list(found.values()), unreadable


def number_aside(journal: Path, receiver: str) -> int:
    """How many results are set aside or wait to be sent again. Raises DataError."""
    number = 0
    for path in (aside_file(journal, receiver), again_file(journal, receiver)):
        try:
            now = path.stat()
        except FileNotFoundError:
            continue
        except OSError as err:
            raise _unreadable(path, err) from err
        number += _number(path, now.st_ino, now.st_size, now.st_mtime_ns)
    return number


def ask_again(journal: Path, receiver: str) -> int:
    """Have everything that is set aside sent again; how many that is. Raises UsageError, DataError, OSError."""
    path, again = aside_file(journal, receiver), again_file(journal, receiver)
    # A rename over it would lose what still waits there.
    if again.exists():
        raise UsageError(
            f"{receiver}: what was to be sent again before is not sent yet",
            hint="the agent sends it while it runs: results_wait in its log says what the receiver answers",
        )
    number = len(read_aside(path)[0])
    if number:
        path.rename(again)
    return number


def put_away(journal: Path, receiver: str) -> Path | None:
    """Give the file a name with the time: it counts no more. None where nothing is set aside. Raises OSError."""
    path = aside_file(journal, receiver)
    kept = path.with_name(f"{path.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    try:
        path.rename(kept)
    except FileNotFoundError:
        return None
    return kept


@lru_cache(maxsize=8)
def _number(path: Path, _inode: int, _size: int, _mtime_ns: int) -> int:
    """Counted once for each state of the file: the page asks every few seconds."""
    return len(read_aside(path)[0])


def _unreadable(path: Path, err: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {err.strerror}", hint="look at its owner and its mode")


def _read_line(line: bytes) -> SetAside:
    said = json.loads(line)
    if said.pop("schema_version") != _SCHEMA_VERSION or not isinstance(said["content"], dict):
        raise ValueError("of another version")
    return SetAside(**{**said, "link": int(said["link"])})
