"""Opening a journal: one agent at a time, checked, brought up to date, and damage said instead of mended."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeVar

import structlog

from drivers.timing import monotonic_s
from edge_agent.errors import AlreadyRunning, DataError, EdgeAgentError, NotPermitted
from edge_agent.files.owners import refused
from edge_agent.store.schema import migrate, refuse_foreign

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JournalError", "damaged", "identity", "open_database", "said_why", "take_lock", "unusable"]

log = structlog.get_logger(__name__)

# Only a reader's moment has to be waited for: a second writer is kept out by the lock.
_BUSY_TIMEOUT_S = 1.0
_SAFETY_CHECKPOINT_PAGES = 16_000
"""64 MiB of log: reached only if nobody ever calls ``publication``."""
_CHECK_AT_MOST_S = 2.0
"""Enough for some hundred thousand parts; ``JournalReader.problems`` looks at everything."""
# Of SQLite's virtual machine, between two looks at the clock.
_CHECK_STEPS = 10_000
# The next start, the page and the receivers ask for these first (docs/decisions/0010).
_NEWEST_PARTS = 1000
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class JournalError(EdgeAgentError):
    """A row could not be made durable. No PASS may leave on it."""

    exit_code = 74


J = TypeVar("J", bound=JournalError)


def damaged(path: Path, err: Exception) -> DataError:
    """The error for a journal that cannot be read: by SQLite, by this user, or because its text is no text."""
    closed = refused(path, path.with_name(path.name + "-wal"), to_write=False)
    if closed:
        unread = DataError(f"the journal {path} cannot be read: {err}", hint=closed)
        unread.exit_code = NotPermitted.exit_code
        return unread
    return DataError(
        f"the journal {path} is damaged: {err}",
        hint="keep the file for the record, move it and its -wal file away, and restore the last good copy; "
        "without one edge-agent starts a new journal",
    )


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the file, check it and bring its schema up to date.

    Raises DataError for a damaged or foreign file, JournalError if the disk refuses.
    """
    connection = None
    try:
        # No isolation level: a transaction begins where the writer says so, not where Python's module guesses.
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        # Before anything is switched on: another program's database must stay as it is.
        version = refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # NORMAL would lose rows in a power cut whose PASS has left (docs/decisions/0010).
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # A file that somebody else wrote must not run functions by its views and triggers.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_SAFETY_CHECKPOINT_PAGES}")
        # Before the migration, which must not carry damage into a new schema.
        _check(connection, path)
        migrate(connection, version)
        # Also where the check ran out of its time: these rows are the next to be needed.
        _read_newest(connection)
    except BaseException as err:
        if connection is not None:
            connection.close()
        if isinstance(err, ValueError) or (isinstance(err, sqlite3.Error) and _is_damage(err)):
            raise damaged(path, err) from err
        if isinstance(err, sqlite3.Error):
            raise unusable(path, err) from err
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage for as long as a start may take, then at the newest rows: a line waits for this."""
    ends_mono_s = monotonic_s() + _CHECK_AT_MOST_S
    connection.set_progress_handler(lambda: monotonic_s() > ends_mono_s, _CHECK_STEPS)
    try:
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as err:
        if err.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        problem = "ok"
        log.info("journal_checked_in_part", seconds=_CHECK_AT_MOST_S, bytes=path.stat().st_size)
    finally:
        connection.set_progress_handler(None, 0)
    if problem != "ok":
        raise damaged(path, sqlite3.DatabaseError(problem))


def _read_newest(connection: sqlite3.Connection) -> None:
    connection.execute(
        "SELECT * FROM (SELECT * FROM part ORDER BY part_seq DESC LIMIT ?) LEFT JOIN camera USING (part_seq)",
        (_NEWEST_PARTS,),
    ).fetchall()


def take_lock(path: Path) -> sqlite3.Connection:
    """Hold an exclusive lock on a file beside the journal for as long as the process lives.

    A lock of the operating system through SQLite: gone with the process however it ends, the same on every platform,
    and readers of the journal are not shut out by it. The same lock by whatever path the journal is named. Raises
    AlreadyRunning where another process holds it, else as ``unusable`` says.
    """
    path = path.resolve()
    file = path.with_name(path.name + ".lock")
    lock = sqlite3.connect(file, timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as err:
        lock.close()
        if (err.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY:
            raise AlreadyRunning(
                f"another edge-agent holds the journal {path}",
                hint="stop it first (systemctl stop edge-agent), or give this one its own store.journal",
            ) from err
        raise unusable(path, err) from err
    if refused(file):  # of a file that may only be read SQLite takes no lock, and says nothing of it
        lock.close()
        raise unusable(path, PermissionError(f"{file.name} may only be read, and holds no second agent off"))
    return lock


def _is_damage(err: sqlite3.Error) -> bool:
    code = getattr(err, "sqlite_errorcode", None)
    # Without a code it is Python that cannot read what SQLite found: text that is no UTF-8.
    # The lowest byte is the kind of error; the bytes above tell it more finely.
    return code is None or (code & 0xFF) in _DAMAGE


def unusable(path: Path, err: Exception) -> JournalError:
    """The error for a journal that the disk, or whose files are, does not give."""
    return said_why(
        path,
        JournalError(
            f"the journal {path} cannot be opened: {err}",
            hint="check that the folder exists, that edge-agent may write to it, and that the disk is not full",
        ),
    )


def said_why(path: Path, err: J) -> J:
    """The error, with another hint and exit code where a file of the journal is not this user's to write."""
    beside = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", ".lock"))
    closed = refused(path.parent, *beside)
    if closed:
        err.hint, err.exit_code = closed, NotPermitted.exit_code
    return err


def identity(path: Path) -> tuple[int, int]:
    """What a file is under whatever name. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino
