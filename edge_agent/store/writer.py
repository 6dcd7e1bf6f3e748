"""The journal's SQLite side. Every call blocks, and all of them come from one thread.

A commit returns when the row is on the disk: WAL with ``synchronous=FULL`` syncs the log at every commit. Moving
the log into the database (a checkpoint) costs more syncs, so it happens after publications, never before a PASS.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from drivers.base import Reason, Verdict
from drivers.timing import monotonic_s
from edge_agent.errors import AlreadyRunning, DataError, EdgeAgentError
from edge_agent.store.schema import migrate, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.domain import Alignment, Published
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["JournalError", "JournalWriter", "damaged"]

log = structlog.get_logger(__name__)

_BUSY_TIMEOUT_S = 1.0
_CHECKPOINT_EVERY = 200
"""Transactions between checkpoints."""
_SAFETY_CHECKPOINT_PAGES = 16_000
"""64 MiB of log: reached only if nobody ever calls ``publication``."""
_CHECK_AT_MOST_S = 2.0
"""Enough for some hundred thousand parts; ``JournalReader.problems`` looks at everything."""
_CHECK_STEPS = 10_000
_NEWEST_PARTS = 1000
_MOST_OWED_ROWS = 10_000
_LONGEST_TEXT = 2000
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class JournalError(EdgeAgentError):
    """A row could not be made durable. No PASS may leave on it."""

    exit_code = 74


class JournalWriter:
    """One open journal: its connection and the lock that keeps a second agent out."""

    def __init__(self, path: Path) -> None:
        """Open or create, check, migrate, and prove a durable write.

        Raises AlreadyRunning, DataError for a damaged or foreign file, JournalError if nothing can be written.
        """
        self._path = path
        self._owed: deque[PartRow] = deque(maxlen=_MOST_OWED_ROWS)
        self._since_checkpoint = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise _unusable(path, err) from err
        self._lock = _take_lock(path)
        try:
            self._connection = _open(path)
        except BaseException:
            self._lock.close()
            raise
        try:
            self._file = _identity(path)
            self.prove()
        except BaseException:
            self.close()
            raise

    @property
    def last_part_seq(self) -> int:
        """The highest part_seq in the journal, 0 if it has none."""
        found: int = self._connection.execute("SELECT coalesce(max(part_seq), 0) FROM part").fetchone()[0]
        return found

    def append(self, row: PartRow) -> None:
        """Write a part's row and its cameras' rows.

        If the disk refuses, the part is owed: it is written as FAULT JOURNAL with the next write that succeeds,
        so that every part is in the journal once.
        """
        try:
            with self._transaction():
                self._insert_part(row)
        except _DiskRefused:
            if len(self._owed) == _MOST_OWED_ROWS:
                log.exception("journal_part_lost", part_seq=self._owed[0].part_seq)
            self._owed.append(
                replace(
                    row,
                    verdict=Verdict.FAULT,
                    reason=Reason.JOURNAL,
                    detail=f"not durable in time; the decision was {row.verdict} {row.reason}: {row.detail}",
                )
            )
            raise

    def publication(self, part_seq: int, published: Published, at_mono_s: float, detail: str) -> None:
        """Write what became of a verdict."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO publication VALUES (?, ?, ?, ?)",
                (part_seq, str(published), float(at_mono_s), _text(detail)),
            )
        self._checkpoint()

    def event(self, kind: str, detail: str) -> None:
        """Write an event, with the time of this call."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO event (kind, detail, at_mono_s, at_utc) VALUES (?, ?, ?, ?)",
                (_text(kind), _text(detail), monotonic_s(), datetime.now(UTC).isoformat(timespec="milliseconds")),
            )

    def prove(self) -> None:
        """Write a row durably. What was owed is written with it."""
        with self._transaction():
            self._connection.execute("UPDATE probe SET proofs = proofs + 1")

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        try:
            self._connection.close()
        except sqlite3.Error as err:  # the final checkpoint: its rows are safe in the log, the next open moves them
            log.warning("journal_close_failed", error=str(err))
        finally:
            self._lock.close()

    # --- inside -----------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._refuse_if_gone()
            self._connection.execute("BEGIN IMMEDIATE")
            for row in self._owed:
                self._insert_part(row, "OR IGNORE")
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.OperationalError, OSError) as err:
            self._roll_back()
            raise _DiskRefused(
                f"the journal {self._path} cannot be written: {err}",
                hint="free disk space, check the disk and its permissions; the agent goes on by itself",
            ) from err
        except (sqlite3.Error, OverflowError, TypeError, ValueError) as err:
            self._roll_back()
            raise JournalError(f"the journal {self._path} refused the row: {err}") from err
        except BaseException:
            self._roll_back()
            raise
        if self._owed:
            log.info("journal_caught_up", parts=len(self._owed))
            self._owed.clear()
        self._since_checkpoint += 1

    def _refuse_if_gone(self) -> None:
        """A file that lost its name would take rows that nobody finds again."""
        if _identity(self._path) != self._file:
            raise _DiskRefused(
                f"the journal {self._path} was moved or replaced while the agent writes to it",
                hint="put the file back, then restart edge-agent",
            )

    def _roll_back(self) -> None:
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error as err:  # SQLite has rolled back by itself, or the next BEGIN says what is wrong
            log.warning("journal_rollback_failed", error=str(err))

    def _insert_part(self, row: PartRow, conflict: Literal["", "OR IGNORE"] = "") -> None:
        self._connection.execute(
            f"INSERT {conflict} INTO part VALUES ({', '.join('?' * 17)})",  # noqa: S608 - question marks
            (
                row.part_seq,
                row.count,
                _text(row.session),
                row.program,
                str(row.verdict),
                str(row.reason),
                _text(row.detail),
                _real(row.score),
                _real(row.limit),
                row.bundle_id,
                None if row.controller_judgement is None else str(row.controller_judgement),
                int(row.simulated),
                float(row.first_sign_mono_s),
                float(row.decided_mono_s),
                float(row.deadline_mono_s),
                row.boot_id,
                row.decided_utc,
            ),
        )
        for camera in row.cameras:
            self._insert_camera(row.part_seq, camera, conflict)

    def _insert_camera(self, part_seq: int, row: CameraRow, conflict: Literal["", "OR IGNORE"]) -> None:
        self._connection.execute(
            f"INSERT {conflict} INTO camera VALUES ({', '.join('?' * 17)})",  # noqa: S608 - question marks
            (
                part_seq,
                row.camera,
                None if row.outcome is None else str(row.outcome),
                None if row.reason is None else str(row.reason),
                _text(row.detail),
                _real(row.score),
                _real(row.limit),
                row.bundle_id,
                row.image_sha256,
                _text(row.image_name),
                *_alignment(row.alignment),
                json.dumps(row.timings_ms),
            ),
        )

    def _checkpoint(self) -> None:
        if self._since_checkpoint < _CHECKPOINT_EVERY:
            return
        self._since_checkpoint = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as err:  # every row is safe in the log; the next checkpoint tries again
            log.warning("journal_checkpoint_failed", error=str(err))


class _DiskRefused(JournalError):
    """The disk, not the row, is why nothing was written."""


def damaged(path: Path, err: Exception) -> DataError:
    """The error for a journal that cannot be read: by SQLite, or because its text is no text."""
    return DataError(
        f"the journal {path} is damaged: {err}",
        hint="keep the file for the record, move it and its -wal file away, and restore the last good copy; "
        "without one edge-agent starts a new journal",
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        version = refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_SAFETY_CHECKPOINT_PAGES}")
        _check(connection, path)
        migrate(connection, version)
        _read_newest(connection)
    except BaseException as err:
        if connection is not None:
            connection.close()
        if isinstance(err, ValueError) or (isinstance(err, sqlite3.Error) and _is_damage(err)):
            raise damaged(path, err) from err
        if isinstance(err, sqlite3.Error):
            raise _unusable(path, err) from err
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


def _take_lock(path: Path) -> sqlite3.Connection:
    """Hold an exclusive lock on a file beside the journal for as long as the process lives.

    A lock of the operating system through SQLite: gone with the process however it ends, the same on every
    platform, and readers of the journal are not shut out by it.
    """
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as err:
        lock.close()
        if (err.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY:
            raise AlreadyRunning(
                f"another edge-agent holds the journal {path}",
                hint="stop it first (systemctl stop edge-agent), or give this one its own store.journal",
            ) from err
        raise _unusable(path, err) from err
    return lock


def _is_damage(err: sqlite3.Error) -> bool:
    return (getattr(err, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


def _unusable(path: Path, err: Exception) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be opened: {err}",
        hint="check that the folder exists, that edge-agent may write to it, and that the disk is not full",
    )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _text(value: str) -> str:
    """Text as UTF-8 can hold it: a file name of broken bytes must not keep a row out of the journal."""
    return value[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")


def _real(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _alignment(found: Alignment | None) -> tuple[float | None, ...]:
    if found is None:
        return (None,) * 6
    values = (found.quality, found.shift_x_px, found.shift_y_px, found.angle_deg, found.gain, found.offset)
    return tuple(_real(value) for value in values)
