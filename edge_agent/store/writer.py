"""The journal's SQLite side. Every call blocks, and all of them come from one thread.

A commit returns when the row is on the disk: WAL with ``synchronous=FULL`` syncs the log at every commit. Moving
the log into the database (a checkpoint) costs more syncs, so it happens when no part is open, or long after it was due.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

import structlog

from drivers.base import Reason, Verdict
from drivers.timing import monotonic_s
from edge_agent.domain import Published
from edge_agent.errors import NotPermitted
from edge_agent.store.chain import head_of, seal
from edge_agent.store.opening import JournalError, identity, open_database, said_why, take_lock, unusable
from edge_agent.store.reserve import Reserve
from edge_agent.store.rows import PublicationRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_agent.domain import Alignment
    from edge_agent.store.chain import Head
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["JournalWriter", "insert_event"]

log = structlog.get_logger(__name__)

_CHECKPOINT_EVERY = 200
"""Transactions between checkpoints."""
_CHECKPOINT_AT_LAST = 4 * _CHECKPOINT_EVERY
"""On a line where a part is always open: its row may wait for one checkpoint in so many."""
# Nearly three hours at a part a second: a bound for what an agent holds in memory while its disk is full.
_MOST_OWED_ROWS = 10_000
_OF_THE_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""Errors that the row is to blame for. Any other is the file's (a damaged page is a bare DatabaseError)."""
# Texts come from peers and libraries: no row may grow without end.
_LONGEST_TEXT = 2000
_LONGEST_DETAIL = 1 << 22
"""Of an event: all values of a line.toml, which has 1 MiB at most."""
_FOLLOWED = """
SELECT part_seq, controller_count FROM part
WHERE controller_count IS NOT NULL AND simulated = ? AND part_seq < ? AND (
  controller_judgement IS NOT NULL OR detail LIKE 'AGENT_DOWN%'
  OR reason IN ('OK', 'SCORE', 'ALIGN', 'NOT_FINITE', 'CONTROLLER_NG', 'NO_IMAGE', 'LATE', 'OVERRUN', 'INTERNAL',
    'LIGHT', 'FOCUS'))
ORDER BY part_seq DESC LIMIT 1
"""
"""The newest part before that number whose result line was heard, or that is accounted for as missed."""
_FIRST_UNWRITTEN = """
SELECT min(before) + 1 FROM (
  SELECT part_seq, lag(part_seq) OVER (ORDER BY part_seq) AS before
  FROM (SELECT part_seq FROM part ORDER BY part_seq DESC LIMIT 64))
WHERE part_seq > before + 1
"""
"""A number that was given and never written: its part was open when the agent died, though later ones were decided."""
# Above every number of a part: then no part is left out.
_NO_NUMBER = 2**62
_COUNTS_BEYOND = """
SELECT controller_count FROM part WHERE controller_count > :last AND simulated = :simulated AND (
  part_seq > :seq OR (part_seq > :seq - 64 AND controller_judgement IS NULL AND detail NOT LIKE 'AGENT_DOWN%'))
"""
"""Of later parts, and of an image from the controller's queue that came before the results of the parts before it."""


class JournalWriter:
    """One open journal: its connection and the lock that keeps a second agent out."""

    def __init__(self, path: Path) -> None:
        """Open or create, check, migrate, and prove a durable write.

        Raises AlreadyRunning, DataError for a damaged or foreign file, JournalError if nothing can be written.
        """
        self._path = path
        self._owed: deque[PartRow] = deque(maxlen=_MOST_OWED_ROWS)
        self._owed_events: deque[tuple[str, str]] = deque(maxlen=100)
        self._since_checkpoint = 0
        self._reserve = Reserve(path.with_name(path.name + ".reserve"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise unusable(path, err) from err
        # Before the database is opened: a second agent must not migrate a journal that is in use.
        self._lock = take_lock(path)
        try:
            self._connection = open_database(path)
        except BaseException:
            self._lock.close()
            raise
        try:
            # To notice a file that is moved or replaced while it is written to.
            self._file = identity(path)
            # A disk that takes no write is found out at the start, not with the first part.
            self.prove()
        except BaseException:
            self.close()
            raise
        self._reserve.hold()

    @property
    def last_part_seq(self) -> int:
        """The highest part_seq of this journal and of those before it, 0 if there is none."""
        query = "SELECT max(coalesce((SELECT max(part_seq) FROM part), 0), last_part_seq) FROM origin"
        found: int = self._connection.execute(query).fetchone()[0]
        return found

    def counted(self, *, is_simulated: bool) -> tuple[int | None, frozenset[int]]:
        """How far the controller's count was followed, from this kind of peers, and single counts beyond that.

        A row without a result (the image of a part from the controller's queue) is no step, nor is one behind a part
        that was never written: parts before it may lack.
        """
        (unwritten,) = self._connection.execute(_FIRST_UNWRITTEN).fetchone()
        found = self._connection.execute(_FOLLOWED, (int(is_simulated), unwritten or _NO_NUMBER)).fetchone()
        if found is None:
            return None, frozenset()
        seq, last = found
        facts = {"seq": seq, "last": last, "simulated": int(is_simulated)}
        return last, frozenset(count for (count,) in self._connection.execute(_COUNTS_BEYOND, facts))

    @property
    def head(self) -> Head:
        """The newest link of the chain of hashes."""
        return head_of(self._connection)

    def append(self, row: PartRow, fates: Sequence[PublicationRow] = ()) -> list[JournalError | None]:
        """Write a part's row and its cameras' rows, and with them what became of verdicts before; why any of these not.

        If the disk refuses, the part is owed: it is written as FAULT JOURNAL with the next write that succeeds,
        so that every part is in the journal once.
        """
        try:
            with self._transaction():
                self._insert_part(row)
                return self._insert_fates(fates)
        except _DiskRefused:
            self._owe(row)
            raise

    def missed(self, detail: str, rows: Sequence[PartRow], at_mono_s: float) -> None:
        """Write the rows of parts that nobody heard of, each withheld: all of them or, if the disk refuses, none.

        Some of them alone would hide, after a restart, that the others are missing. What is refused is owed.
        """
        try:
            with self._transaction():
                insert_event(self._connection, "AGENT_DOWN", detail)
                for row in rows:
                    self._insert_part(row)
                    self._insert_publication(row.part_seq, Published.WITHHELD, at_mono_s, "")
        except _DiskRefused:
            for row in rows:
                self._owe(row)
            raise

    def publication(self, part_seq: int, published: Published, at_mono_s: float, detail: str) -> None:
        """Write what became of a verdict."""
        (problem,) = self.publications([PublicationRow(part_seq, published, at_mono_s, detail)])
        if problem is not None:
            raise problem

    def publications(self, fates: Sequence[PublicationRow]) -> list[JournalError | None]:
        """Write what became of several verdicts in one commit; why any of them was refused, None where it was not."""
        with self._transaction():
            return self._insert_fates(fates)

    def event(self, kind: str, detail: str, *, must: bool = False) -> None:
        """Write an event, with the time of this call.

        ``must``: if the disk refuses, it is owed, and tried again in the room that was held back. No row goes before.
        """
        try:
            with self._transaction():
                insert_event(self._connection, kind, detail)
        except _DiskRefused:
            if not must:
                raise
            self._owed_events.append((kind, detail))
            self.prove()

    def prove(self) -> None:
        """Write a row durably. What was owed is written with it."""
        with self._transaction():
            self._connection.execute("UPDATE probe SET proofs = proofs + 1")

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if self._owed_events:
            self._write_owed_events()
        try:
            self._connection.close()
        except sqlite3.Error as err:  # the final checkpoint: its rows are safe in the log, the next open moves them
            log.warning("journal_close_failed", error=str(err))
        finally:
            self._lock.close()

    # --- inside -----------------------------------------------------------------------------------------

    def _write_owed_events(self) -> None:
        """The last chance of events that the disk refused; what it refuses now as well stands in the log alone."""
        try:
            self.prove()
        except JournalError as err:
            while self._owed_events:
                kind, detail = self._owed_events.popleft()
                log.exception("journal_event_lost", kind=kind, detail=detail, error=str(err))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._refuse_if_gone()
            # The write lock from the beginning: in the middle of a transaction SQLite cannot wait for it.
            self._connection.execute("BEGIN IMMEDIATE")
            # What is owed goes with the next commit, so that every part is in the journal once (docs/decisions/0010).
            for kind, detail in self._owed_events:
                insert_event(self._connection, kind, detail)
            for row in self._owed:
                self._insert_part(row, "OR IGNORE")
            yield
            self._connection.execute("COMMIT")
        # The row is to blame, not the disk: it is not owed, for it would be refused for ever.
        except (*_OF_THE_ROW, OverflowError, TypeError, ValueError) as err:
            self._roll_back()
            raise JournalError(f"the journal {self._path} refused the row: {err}") from err
        except (sqlite3.Error, OSError) as err:
            self._roll_back()
            refused = _DiskRefused(
                f"the journal {self._path} cannot be written: {err}",
                hint="free disk space, and check the disk; the agent goes on by itself",
            )
            refused = said_why(self._path, refused)
            if refused.exit_code != NotPermitted.exit_code:  # space is no help against a closed door
                # A full disk: what was held for it is given back, so that the row of the part that is open can still be
                # written.
                self._reserve.release()
            raise refused from err
        except BaseException:
            self._roll_back()
            raise
        # Not before the commit: only now they are on the disk.
        if self._owed:
            log.info("journal_caught_up", parts=len(self._owed))
            self._owed.clear()
        self._owed_events.clear()
        self._since_checkpoint += 1

    def _refuse_if_gone(self) -> None:
        """A file that lost its name would take rows that nobody finds again."""
        if identity(self._path) != self._file:
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

    def _owe(self, row: PartRow) -> None:
        if len(self._owed) == _MOST_OWED_ROWS:
            log.error("journal_part_lost", part_seq=self._owed[0].part_seq)
        # FAULT whatever was decided: without a durable row no PASS left (docs/decisions/0010).
        detail = f"not durable in time; the decision was {row.verdict} {row.reason}: {row.detail}"
        self._owed.append(replace(row, verdict=Verdict.FAULT, reason=Reason.JOURNAL, detail=detail))

    def _insert_fates(self, fates: Sequence[PublicationRow]) -> list[JournalError | None]:
        """Each for itself: one that does not fit keeps no other out, nor the row that is written with them."""
        problems: list[JournalError | None] = []
        for fate in fates:
            self._connection.execute("SAVEPOINT fate")
            try:
                self._insert_publication(fate.part_seq, fate.published, fate.at_mono_s, fate.detail)
                problems.append(None)
            except (*_OF_THE_ROW, OverflowError, TypeError, ValueError) as err:
                self._connection.execute("ROLLBACK TO fate")
                problems.append(JournalError(f"the journal {self._path} refused the row: {err}"))
            self._connection.execute("RELEASE fate")
        return problems

    def _insert_publication(self, part_seq: int, published: Published, at_mono_s: float, detail: str) -> None:
        self._connection.execute(
            "INSERT INTO publication VALUES (?, ?, ?, ?)", (part_seq, str(published), float(at_mono_s), _text(detail))
        )
        seal(self._connection, "publication", part_seq)

    def _insert_part(self, row: PartRow, conflict: Literal["", "OR IGNORE"] = "") -> None:
        written = self._connection.execute(
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
        if not written.rowcount:  # an owed part whose commit had reached the disk although it reported a failure
            return
        for camera in row.cameras:
            self._insert_camera(row.part_seq, camera)
        for name, value in row.measured.items():
            told = _text(value) if isinstance(value, str) else _real(value)
            self._connection.execute("INSERT INTO measurement VALUES (?, ?, ?)", (row.part_seq, _text(name), told))
        # Last: the link covers the rows of cameras and measurements as well.
        seal(self._connection, "part", row.part_seq)

    def _insert_camera(self, part_seq: int, row: CameraRow) -> None:
        *pose, scale = _alignment(row.alignment)
        self._connection.execute(
            f"INSERT INTO camera VALUES ({', '.join('?' * 20)})",  # noqa: S608 - question marks
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
                *pose,
                json.dumps(row.timings_ms),
                scale,
                json.dumps(row.shares),
                json.dumps(row.condition),
            ),
        )

    def tidy(self, *, is_calm: bool) -> None:
        """Move the log into the database where that is due, and nobody's row comes soon or it has waited for long."""
        if self._since_checkpoint < (_CHECKPOINT_EVERY if is_calm else _CHECKPOINT_AT_LAST):
            return
        # Before it is tried: one that fails is not tried again behind every row.
        self._since_checkpoint = 0
        # It may have been given up for a disk that was full: held again once there is room.
        self._reserve.hold()
        try:
            # PASSIVE neither waits for a reader nor keeps one out.
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as err:  # every row is safe in the log; the next checkpoint tries again
            log.warning("journal_checkpoint_failed", error=str(err))


def insert_event(connection: sqlite3.Connection, kind: str, detail: str) -> None:
    """Write an event into the transaction that is open, with the time of this call, and seal it."""
    at_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
    written = connection.execute(
        "INSERT INTO event (kind, detail, at_mono_s, at_utc) VALUES (?, ?, ?, ?)",
        (_text(kind), _text(detail, _LONGEST_DETAIL), monotonic_s(), at_utc),
    )
    seal(connection, "event", cast("int", written.lastrowid))


class _DiskRefused(JournalError):
    """The disk or the file, not the row, is why nothing was written."""


def _text(value: str, most: int = _LONGEST_TEXT) -> str:
    """Text as UTF-8 can hold it: a file name of broken bytes must not keep a row out of the journal."""
    return value[:most].encode("utf-8", "backslashreplace").decode("utf-8")


def _real(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _alignment(found: Alignment | None) -> tuple[float | None, ...]:
    if found is None:
        return (None,) * 7
    values = (found.quality, found.shift_x_px, found.shift_y_px, found.angle_deg, found.gain, found.offset, found.scale)
    return tuple(_real(value) for value in values)
