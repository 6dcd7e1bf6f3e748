"""Closing a journal that has grown and beginning the next one, which continues its numbers and its chain."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.files.owners import person
from edge_agent.store.chain import head_of
from edge_agent.store.challenges import handed_on
from edge_agent.store.fs import FileSystem
from edge_agent.store.opening import JournalError, open_database, take_lock, unusable
from edge_agent.store.reader import JournalReader
from edge_agent.store.starts import ROTATE, last_values, rotate_detail
from edge_agent.store.writer import insert_event

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.chain import Head
    from edge_agent.store.starts import Values

__all__ = ["rotate"]


def rotate(path: Path, fs: FileSystem | None = None, *, by: str = "") -> Path:
    """Give the journal its final name, ``<stem>-<first part>-<last part>``, and begin an empty one in its place.

    No row is deleted by anyone: the closed file goes to long-term storage. A power cut leaves either the old journal
    or the new one under the name. The new one begins with who did it, ``by`` (the user at this PC where it is empty),
    and with the values of the last start, which the next start is compared with. Raises AlreadyRunning while an agent
    runs, DataError for a journal without parts or a damaged one, JournalError.
    """
    fs = fs or FileSystem()
    if not fs.exists(path):
        raise DataError(f"there is no journal {path}", hint="name the file that store.journal in line.toml names")
    # Held to the end: an agent that starts in between would write into the file that is being closed.
    with closing(take_lock(path)):
        first, last, head, values, more = _close(path)
        kept = path.with_name(f"{path.stem}-{first:012d}-{last:012d}{path.suffix}")
        begun = path.with_name(path.name + ".new")
        try:
            fs.unlink(begun)
            _begin(begun, kept.name, last, head, rotate_detail(by or person(), kept.name, values, more))
            if not fs.exists(kept):  # it does after a power cut between this line and the next
                kept.hardlink_to(path)
            # The old one has a second name by now: at no moment is there no journal under this one
            # (docs/decisions/0020).
            fs.replace(begun, path)
            fs.fsync(path.parent)
        except OSError as err:
            raise unusable(path, err) from err
    return kept


def _close(path: Path) -> tuple[int, int, Head, Values | None, dict[str, object]]:
    """Bring everything into the one file; its first and last part, its chain's head, the values of the last start.

    And what the next one has to know of challenges.
    """
    with closing(open_database(path)) as connection:
        first, last = connection.execute("SELECT min(part_seq), max(part_seq) FROM part").fetchone()
        if first is None:
            raise DataError(f"{path} holds no part yet", hint="there is nothing to close; rotate when it has grown")
        head = head_of(connection)
        reader = JournalReader(path, connection)
        values, _ = last_values(reader)
        more = handed_on(reader)
        try:
            # Leaving WAL moves the log into the file: what goes to long-term storage is one file.
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        except sqlite3.Error as err:
            raise unusable(path, err) from err
    # A reader holds the file in WAL. It would find its file closed and another one under the name.
    if mode != "delete":
        raise JournalError(f"{path} is being read", hint="end what reads the journal, then rotate again")
    return first, last, head, values, more


def _begin(path: Path, predecessor: str, last_part_seq: int, head: Head, detail: str) -> None:
    with closing(open_database(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "UPDATE origin SET predecessor = ?, last_part_seq = ?, sha256 = ?",
            (predecessor, last_part_seq, head.sha256),
        )
        insert_event(connection, ROTATE, detail)
        connection.execute("COMMIT")
