"""What a candidate bundle said of each part, in a small SQLite file beside the journal, never in it.

A shadow is one candidate beside the bundle in use, from a begin to an end; one at a time. Its place in the journal is
written together with its results, in one transaction: however its process ends, no part is missed or counted twice.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from edge_agent.domain import Outcome
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.position import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Candidate", "Shadow", "ShadowFile", "ShadowResult", "What", "now_utc", "shadow_path"]

_APPLICATION_ID = 0x45_41_53_31
"""``EAS1``: marks the file as this program's."""
_SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 5.0
_RESULTS_MOST = 500_000
_LOOK_AT_SIZE_EVERY = 1000

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE shadow (
  shadow_id INTEGER PRIMARY KEY AUTOINCREMENT,
  program INTEGER NOT NULL, camera INTEGER NOT NULL,
  folder TEXT NOT NULL, bundle_id TEXT NOT NULL, score_limit REAL NOT NULL,
  begun_by TEXT NOT NULL, why TEXT NOT NULL, begun_utc TEXT NOT NULL,
  ended_utc TEXT, ended_by TEXT NOT NULL DEFAULT '', ended_why TEXT NOT NULL DEFAULT '',
  origin TEXT NOT NULL, link INTEGER NOT NULL, link_sha256 TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
  trying_link INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX one_at_a_time ON shadow ((1)) WHERE ended_utc IS NULL;
CREATE TABLE result (
  shadow_id INTEGER NOT NULL REFERENCES shadow (shadow_id), epoch INTEGER NOT NULL, part_seq INTEGER NOT NULL,
  what TEXT NOT NULL CHECK (what IN ('JUDGED', 'SKIPPED', 'NO_IMAGE', 'FAILED', 'NOT_JUDGED')),
  decided_utc TEXT NOT NULL, judged_utc TEXT NOT NULL,
  active_bundle TEXT, active_score, active_limit, active_outcome TEXT,
  score, score_limit, outcome TEXT CHECK ((what = 'JUDGED') = (outcome IS NOT NULL)),
  reason TEXT NOT NULL, detail TEXT NOT NULL, took_ms,
  PRIMARY KEY (shadow_id, epoch, part_seq)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""
_SHADOW = (
    "SELECT shadow_id, program, camera, folder, bundle_id, score_limit, begun_by, why, begun_utc, ended_utc, ended_by, "
    "ended_why, origin, link, link_sha256, epoch, problem FROM shadow"
)
_RESULT = (
    "SELECT part_seq, what, decided_utc, judged_utc, active_bundle, active_score, active_limit, active_outcome, score, "
    "score_limit, outcome, reason, detail, took_ms FROM result"
)


class What(StrEnum):
    """What became of one part under a candidate."""

    JUDGED = "JUDGED"
    SKIPPED = "SKIPPED"
    """The candidate is slower than the line: it was left out."""
    NO_IMAGE = "NO_IMAGE"
    """The archive does not have the image, or not any more."""
    FAILED = "FAILED"
    """The candidate raised an error, or its process ended over this part again and again."""
    NOT_JUDGED = "NOT_JUDGED"
    """The bundle in use did not judge it: there is nothing to compare."""


class Candidate(NamedTuple):
    """The bundle that judges beside the one in use, who began it and why."""

    program: int
    camera: int
    folder: str
    bundle_id: str
    limit: float
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Shadow:
    """A candidate's time beside the bundle in use. ``ended_utc`` is None while it goes on.

    ``place`` is how far it has read the journal. ``epoch`` counts how often that journal was begun anew meanwhile.
    ``problem`` says why it does not judge at the moment; empty where it does.
    """

    shadow_id: int
    candidate: Candidate
    begun_utc: str
    ended_utc: str | None
    ended_by: str
    ended_why: str
    place: Position
    epoch: int
    problem: str


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """One part under both bundles. What begins with ``active_`` is of the bundle in use, from its row in the journal.

    ``outcome`` is None unless ``what`` is JUDGED. ``took_ms``: of the candidate's inspection, at idle priority.
    """

    part_seq: int
    what: What
    decided_utc: str
    judged_utc: str
    active_bundle: str | None
    active_score: float | None
    active_limit: float | None
    active_outcome: Outcome | None
    score: float | None = None
    limit: float | None = None
    outcome: Outcome | None = None
    reason: str = ""
    detail: str = ""
    took_ms: float | None = None


def shadow_path(journal: Path) -> Path:
    """Where the file lies: beside the journal."""
    return journal.with_name(journal.name + ".shadow")


def now_utc() -> str:
    """This moment, as the journal writes times."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class ShadowFile:
    """The file of shadows. Use it in one thread, as a context manager. Every method raises DataError for damage."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._added = 0

    @classmethod
    def open(cls, journal: Path, *, to_write: bool = False) -> Self | None:
        """Open it; None where there is none and nothing is to be written. Raises DataError, OSError."""
        path = shadow_path(journal)
        if not to_write and not path.is_file():
            return None
        uri = f"{path.resolve().as_uri()}?mode={'rwc' if to_write else 'ro'}"
        connection = None
        try:
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
            _check(path, connection, to_write=to_write)
        except sqlite3.Error as err:
            if connection is not None:
                connection.close()
            raise _damaged(path, err) from err
        except DataError:
            if connection is not None:
                connection.close()
            raise
        return cls(path, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def active(self) -> Shadow | None:
        """The one that goes on; None where none does."""
        return next(iter(self._shadows("WHERE ended_utc IS NULL")), None)

    def shadows(self) -> list[Shadow]:
        """All of them, the newest first."""
        return self._shadows("ORDER BY shadow_id DESC")

    def of_bundle(self, bundle_id: str) -> Shadow | None:
        """The newest one of that candidate; None where there was none."""
        return next(iter(self._shadows("WHERE bundle_id = ? ORDER BY shadow_id DESC LIMIT 1", bundle_id)), None)

    def begin(self, candidate: Candidate, place: Position) -> Shadow:
        """Begin one, behind that place of the journal. Raises AlreadyRunning while another goes on."""
        try:
            with self._transaction():
                self._do(
                    "INSERT INTO shadow (program, camera, folder, bundle_id, score_limit, begun_by, why, begun_utc, "
                    "origin, link, link_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *candidate,
                    now_utc(),
                    *place,
                )
        except sqlite3.IntegrityError as err:
            raise AlreadyRunning(
                "another candidate is being watched on this line", hint="edge-agent shadow end, then begin this one"
            ) from err
        found = self.active()
        assert found is not None  # noqa: S101 - begun above
        return found

    def end(self, shadow: Shadow, by: str, why: str) -> None:
        """It goes on no longer; its results stay."""
        with self._transaction():
            self._do(
                "UPDATE shadow SET ended_utc = ?, ended_by = ?, ended_why = ?, problem = '' "
                "WHERE shadow_id = ? AND ended_utc IS NULL",
                now_utc(),
                by,
                why,
                shadow.shadow_id,
            )

    def add(self, shadow: Shadow, results: Sequence[ShadowResult], place: Position) -> None:
        """Write results and how far the journal is read, together or not at all."""
        with self._transaction():
            for one in results:
                self._do(
                    # A process of before may have written it a moment ago, when its agent was gone: once is enough.
                    f"INSERT INTO result VALUES ({', '.join('?' * 16)}) ON CONFLICT DO NOTHING",  # noqa: S608
                    shadow.shadow_id,
                    shadow.epoch,
                    one.part_seq,
                    str(one.what),
                    one.decided_utc,
                    one.judged_utc,
                    one.active_bundle,
                    one.active_score,
                    one.active_limit,
                    one.active_outcome,
                    one.score,
                    one.limit,
                    one.outcome,
                    one.reason,
                    one.detail,
                    one.took_ms,
                )
            self._do(
                "UPDATE shadow SET origin = ?, link = ?, link_sha256 = ?, problem = '' WHERE shadow_id = ?",
                *place,
                shadow.shadow_id,
            )
            self._make_room(shadow, len(results))

    def begin_anew(self, shadow: Shadow, place: Position) -> None:
        """The journal is another one than before: go on there. Results of before stay, and are of other parts."""
        with self._transaction():
            self._do(
                "UPDATE shadow SET epoch = epoch + 1, origin = ?, link = ?, link_sha256 = ? WHERE shadow_id = ?",
                *place,
                shadow.shadow_id,
            )

    def trying(self, shadow: Shadow, link: int) -> int:
        """Note that the part of this link is being judged; how often that was begun, this time included."""
        with self._transaction():
            self._do(
                "UPDATE shadow SET tries = CASE WHEN trying_link = ? THEN tries + 1 ELSE 1 END, trying_link = ? "
                "WHERE shadow_id = ?",
                link,
                link,
                shadow.shadow_id,
            )
        return int(self._all("SELECT tries FROM shadow WHERE shadow_id = ?", shadow.shadow_id)[0][0])

    def say_problem(self, shadow: Shadow, why: str) -> None:
        """Why it does not judge at the moment, for whoever asks."""
        with self._transaction():
            self._do("UPDATE shadow SET problem = ? WHERE shadow_id = ?", why, shadow.shadow_id)

    def results(self, shadow: Shadow) -> Iterator[ShadowResult]:
        """Its results, in the order of the parts; of the journal of now alone."""
        query = f"{_RESULT} WHERE shadow_id = ? AND epoch = ? ORDER BY part_seq"
        try:
            with closing(self._connection.execute(query, (shadow.shadow_id, shadow.epoch))) as cursor:
                for found in cursor:
                    yield _result(found)
        except (sqlite3.DatabaseError, ValueError) as err:
            raise _damaged(self._path, err) from err

    def left_behind(self, shadow: Shadow) -> int:
        """How many results are of a journal that was begun anew since."""
        query = "SELECT count(*) FROM result WHERE shadow_id = ? AND epoch <> ?"
        return int(self._all(query, shadow.shadow_id, shadow.epoch)[0][0])

    def _make_room(self, shadow: Shadow, added: int) -> None:
        self._added += added
        if self._added < _LOOK_AT_SIZE_EVERY:
            return
        self._added = 0
        (held,) = self._all("SELECT count(*) FROM result")[0]
        if held <= _RESULTS_MOST:
            return
        self._do("DELETE FROM result WHERE shadow_id <> ?", shadow.shadow_id)
        oldest = "SELECT part_seq FROM result WHERE shadow_id = ? AND epoch = ? ORDER BY part_seq DESC LIMIT 1 OFFSET ?"
        found = self._all(oldest, shadow.shadow_id, shadow.epoch, _RESULTS_MOST)
        if found:
            self._do(
                "DELETE FROM result WHERE shadow_id = ? AND (epoch <> ? OR part_seq <= ?)",
                shadow.shadow_id,
                shadow.epoch,
                found[0][0],
            )

    def _shadows(self, which: str, *values: str | int) -> list[Shadow]:
        return [
            Shadow(
                row[0], Candidate(*row[1:8]), row[8], row[9], row[10], row[11], Position(*row[12:15]), row[15], row[16]
            )
            for row in self._all(f"{_SHADOW} {which}", *values)
        ]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as err:
            raise _damaged(self._path, err) from err

    def _do(self, query: str, *values: Any) -> None:
        self._connection.execute(query, values)

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                return cursor.fetchall()
        except (sqlite3.DatabaseError, ValueError) as err:
            raise _damaged(self._path, err) from err


def _check(path: Path, connection: sqlite3.Connection, *, to_write: bool) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if (version, application) == (0, 0) and to_write:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
    elif application != _APPLICATION_ID or version != _SCHEMA_VERSION:
        raise DataError(f"{path} is no file of shadows that this version reads", hint="move it away")
    if to_write:
        # A power cut may take the newest results, and takes their place in the journal with them.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")


def _damaged(path: Path, err: Exception) -> DataError:
    return DataError(
        f"the file of shadows {path} cannot be used: {err}",
        hint="move it and its -wal file away: what candidates said of parts is lost, and no part's record",
    )


def _result(found: tuple[Any, ...]) -> ShadowResult:
    seq, what, decided, judged, bundle, active_score, active_limit, active_outcome, *rest = found
    score, limit, outcome, reason, detail, took_ms = rest
    return ShadowResult(
        seq,
        What(what),
        decided,
        judged,
        bundle,
        active_score,
        active_limit,
        None if active_outcome is None else Outcome(active_outcome),
        score,
        limit,
        None if outcome is None else Outcome(outcome),
        reason,
        detail,
        took_ms,
    )
