"""A copy of the journal as it is at one moment, while an agent goes on writing it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.store.chain import Head, head_of
from edge_agent.store.opening import damaged
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Snapshot", "copy_journal"]

_PAGES = 256
"""One step: 1 MiB."""
_PAUSE_S = 0.002
"""After each step, for whoever waits for the disk."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a copy holds: its schema, the newest link of its chain, its last part, and which bundles judged lately."""

    schema: int
    head: Head
    last_part_seq: int
    bundle_ids: frozenset[str]


def copy_journal(journal: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> Snapshot:
    """Copy every row that is in the journal now into one new file; later rows are not in it.

    By SQLite's online backup, in small steps within one read transaction: a writer's commits wait for nothing, and the
    copy never begins anew because of them. Meanwhile the writer's log is not begun anew and grows. Raises NoJournalYet,
    DataError for a damaged journal, OSError where the copy cannot be written.
    """
    with JournalReader.open(journal) as reader:
        source = reader.connection
        source.execute("BEGIN")
        try:
            found = _about(source)
            _copy(source, target, progress)
        except sqlite3.DatabaseError as err:
            if err.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise OSError(f"{target} cannot be written: {err}") from err
            raise damaged(journal, err) from err
    return found


def _about(source: sqlite3.Connection) -> Snapshot:
    schema = source.execute("PRAGMA user_version").fetchone()[0]
    last = source.execute(
        "SELECT max(coalesce((SELECT max(part_seq) FROM part), 0), last_part_seq) FROM origin"
    ).fetchone()[0]
    lately = "SELECT DISTINCT bundle_id FROM (SELECT bundle_id FROM camera ORDER BY part_seq DESC LIMIT 1000)"
    ids = frozenset(found for (found,) in source.execute(lately) if found)
    return Snapshot(schema, head_of(source), last, ids)


def _copy(source: sqlite3.Connection, target: Path, progress: Callable[[int, int], None] | None) -> None:
    def step(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)
        if remaining:
            time.sleep(_PAUSE_S)

    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # Nobody else has the copy: no shared memory, which a network share could not give, and no sync a page.
        copy.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=_PAGES, progress=step)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, without a log beside it
