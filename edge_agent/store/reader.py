"""Reading a journal without touching it: for replay, reports and questions, also while an agent writes."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from drivers.base import Judgement, Published, Reason, Verdict
from edge_agent.domain import Alignment, Outcome
from edge_agent.errors import DataError
from edge_agent.store.chain import audit, has_measurements
from edge_agent.store.opening import damaged
from edge_agent.store.rows import CameraRow, EventRow, PartRow, PublicationRow
from edge_agent.store.schema import READABLE_VERSIONS, SCHEMA_VERSION, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from edge_agent.store.chain import Audit, Head

__all__ = ["JournalReader", "NoJournalYet"]

# Parts whose images and measurements are asked for together.
_AT_ONCE = 250
_RESTORED = "RESTORED"
"""The event that stands where a backup was restored (edge_agent.tools.backup)."""


class NoJournalYet(DataError):
    """There is no file, or one that an agent has just begun and that holds nothing."""


class JournalReader:
    """A read-only view of a journal. Use it in one thread, as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._has_measurements = has_measurements(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing journal.

        Raises NoJournalYet where there is none or it is only being begun, DataError where it is damaged or not of this
        version.
        """
        if not path.is_file():
            raise NoJournalYet(
                f"there is no journal {path} yet",
                hint="edge-agent run begins it; else name the file that store.journal in line.toml names",
            )
        connection = None
        try:
            connection = _connect(path)
            version = refuse_foreign(connection, path)
        except BaseException as err:
            if connection is not None:
                connection.close()
            if isinstance(err, (sqlite3.Error, ValueError)):
                raise damaged(path, err) from err
            raise
        if version == 0:
            connection.close()
            raise NoJournalYet(f"the journal {path} is only being begun", hint="ask again when the line is READY")
        if version not in READABLE_VERSIONS:
            connection.close()
            raise DataError(
                f"{path} has schema {version}, this edge-agent reads {SCHEMA_VERSION}",
                hint="edge-agent run brings it up to date when it opens it",
            )
        return cls(path, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection itself, for a copy of the whole file."""
        return self._connection

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def rows(self, first_seq: int = 1, last_seq: int | None = None) -> Iterator[PartRow]:
        """Parts in their order, from ``first_seq`` to ``last_seq`` (included)."""
        last = 2**63 - 1 if last_seq is None else last_seq
        return self._parts("SELECT * FROM part WHERE part_seq BETWEEN ? AND ? ORDER BY part_seq", first_seq, last)

    def part(self, part_seq: int) -> PartRow | None:
        """One part; None where the journal has none of that number."""
        rows = list(self.rows(part_seq, part_seq))  # to the end: a cursor that is left open outlives the connection
        return rows[0] if rows else None

    def newest_with(self, image_sha256: str) -> tuple[int, int] | None:
        """Part number and camera of the newest image with these bytes; None where the journal knows none."""
        query = "SELECT part_seq, camera FROM camera WHERE image_sha256 = ? ORDER BY part_seq DESC, camera DESC LIMIT 1"
        found = self._all(query, image_sha256)
        return (int(found[0][0]), int(found[0][1])) if found else None

    def has_several_cameras(self) -> bool:
        """Whether any part has more than one image. Looks at every image where none has."""
        return bool(self._all("SELECT 1 FROM camera GROUP BY part_seq HAVING count(*) > 1 LIMIT 1"))

    def parts_between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """How many parts there are from the one to the other, both included, and how many of them have no image."""
        query = (
            "SELECT count(*), coalesce(sum(NOT EXISTS (SELECT 1 FROM camera c WHERE c.part_seq = part.part_seq)), 0) "
            "FROM part WHERE part_seq BETWEEN ? AND ?"
        )
        parts, without = self._all(query, first_seq, last_seq)[0]
        return int(parts), int(without)

    def select(
        self, where: str, values: Sequence[str | int], *, is_newest_first: bool = False
    ) -> Generator[PartRow, None, None]:
        """Parts that a condition of ours fits (``Selection.where``), in their order or the newest first."""
        order = "DESC" if is_newest_first else "ASC"
        return self._parts(f"SELECT * FROM part WHERE {where} ORDER BY part_seq {order}", *values)  # noqa: S608

    def tally(self, where: str, values: Sequence[str | int]) -> dict[tuple[Verdict, Reason], int]:
        """How many of the parts that a condition of ours fits got which verdict for which reason, the most first."""
        query = f"SELECT verdict, reason, count(*) FROM part WHERE {where} GROUP BY 1, 2 ORDER BY 1, 3 DESC"  # noqa: S608
        return {(Verdict(verdict), Reason(reason)): number for verdict, reason, number in self._all(query, *values)}

    def published(self, part_seq: int) -> Published | None:
        """What became of a part's verdict; None if that is not told."""
        found = self._all("SELECT published FROM publication WHERE part_seq = ?", part_seq)
        return Published(found[0][0]) if found else None

    def published_of(self, seqs: Sequence[int]) -> dict[int, Published]:
        """What became of the verdicts of these parts, some hundred of them; of a part without a word there is none."""
        query = f"SELECT part_seq, published FROM publication WHERE part_seq IN ({_marks(seqs)})"  # noqa: S608
        return {seq: Published(published) for seq, published in self._all(query, *seqs)}

    def counts(self) -> dict[tuple[Verdict, Reason], int]:
        """How many parts got which verdict for which reason."""
        query = "SELECT verdict, reason, count(*) FROM part GROUP BY verdict, reason ORDER BY verdict, reason"
        return {(Verdict(verdict), Reason(reason)): number for verdict, reason, number in self._all(query)}

    def publications(self) -> dict[int, PublicationRow]:
        """What became of each verdict, by part_seq. A part without one was decided when the agent stopped."""
        query = "SELECT part_seq, published, at_mono_s, detail FROM publication ORDER BY part_seq"
        return {
            seq: PublicationRow(seq, Published(published), at_mono_s, detail)
            for seq, published, at_mono_s, detail in self._all(query)
        }

    def events(self) -> list[EventRow]:
        """All events in their order."""
        query = "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event ORDER BY event_id"
        return [EventRow(*found) for found in self._all(query)]

    def events_of(self, kinds: Sequence[str], *, is_newest_first: bool = False) -> Iterator[EventRow]:
        """Events of these kinds in their order, or the newest first. Looks at every event: some thousand a year."""
        order = "DESC" if is_newest_first else "ASC"
        query = f"SELECT event_id, kind, detail, at_mono_s, at_utc FROM event WHERE kind IN ({_marks(kinds)})"  # noqa: S608
        try:
            with closing(self._connection.execute(f"{query} ORDER BY event_id {order}", kinds)) as cursor:
                for found in cursor:
                    yield EventRow(*found)
        except (sqlite3.DatabaseError, ValueError) as err:
            raise damaged(self._path, err) from err

    def newest_event(self) -> int:
        """The highest event_id, 0 if there is none."""
        return int(self._all("SELECT coalesce(max(event_id), 0) FROM event")[0][0])

    def events_between(self, after_id: int, last_id: int, kind: str) -> list[EventRow]:
        """Events of one kind from above ``after_id`` to ``last_id``, in their order."""
        query = "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event WHERE event_id > ? AND event_id <= ?"
        return [
            EventRow(*found) for found in self._all(query + " AND kind = ? ORDER BY event_id", after_id, last_id, kind)
        ]

    def newest_events(self, kind: str, most: int) -> list[EventRow]:
        """The newest events of one kind, the newest first. Looks at every event: some thousand a year."""
        query = (
            "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event WHERE kind = ? ORDER BY event_id DESC LIMIT ?"
        )
        return [EventRow(*found) for found in self._all(query, kind, most)]

    def event(self, event_id: int) -> list[EventRow]:
        """The event of this number, or none."""
        query = "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event WHERE event_id = ?"
        return [EventRow(*found) for found in self._all(query, event_id)]

    def last_event(self) -> EventRow | None:
        """The newest event; None where there is none."""
        query = "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event ORDER BY event_id DESC LIMIT 1"
        return next((EventRow(*found) for found in self._all(query)), None)

    def origin(self) -> tuple[str, str]:
        """What this file began with: the hash that its chain goes on from, and the name of the file before ('': none).

        The hash of a first journal is empty.
        """
        found = self._all("SELECT sha256, predecessor FROM origin")[0]
        return str(found[0]), str(found[1])

    def newest_link(self) -> int:
        """The number of the chain's newest link, 0 where there is none."""
        return int(self._all("SELECT coalesce(max(link), 0) FROM chain")[0][0])

    def link_sha256(self, link: int) -> str:
        """The hash of a link of the chain; empty where there is no such link."""
        found = self._all("SELECT sha256 FROM chain WHERE link = ?", link) if link else [self.origin()]
        return str(found[0][0]) if found else ""

    def stretch_starts(self) -> list[tuple[int, str]]:
        """The links that begin a stretch, with their hashes: the first one, and that of each restored backup.

        Ascending. Within a stretch each number of a part is given once; a restored backup gives numbers again.
        """
        found = self._all("SELECT link, sha256 FROM chain ORDER BY link LIMIT 1")
        for (event_id,) in self._all("SELECT event_id FROM event WHERE kind = ? ORDER BY event_id", _RESTORED):
            found += self._all("SELECT link, sha256 FROM chain WHERE kind = 'event' AND row_id = ?", event_id)
        return sorted({(int(link), str(sha256)) for link, sha256 in found})

    def links_after(self, link: int, most: int) -> list[tuple[int, str, int, str]]:
        """What was written after a link, in the order of writing: link, kind, the row's key, the link's hash."""
        query = "SELECT link, kind, row_id, sha256 FROM chain WHERE link > ? ORDER BY link LIMIT ?"
        found = self._all(query, link, most)
        return [(int(number), str(kind), int(row_id), str(sha256)) for number, kind, row_id, sha256 in found]

    def problems(self) -> list[str]:
        """What SQLite finds wrong in the whole file; empty if nothing. Takes seconds a gigabyte."""
        return [words for (words,) in self._all("PRAGMA integrity_check") if words != "ok"]

    def audit(self, noted: Head | None = None, progress: Callable[[int, int], None] | None = None) -> Audit:
        """Follow the chain of hashes through every row; takes about ten seconds a million rows."""
        try:
            return audit(self._connection, noted, progress)
        except (sqlite3.DatabaseError, ValueError) as err:
            raise damaged(self._path, err) from err

    def _all(self, query: str, *values: float | str) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                return [tuple(found) for found in cursor]
        except (sqlite3.DatabaseError, ValueError) as err:
            raise damaged(self._path, err) from err

    def _parts(self, query: str, *values: float | str) -> Generator[PartRow, None, None]:
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                # A question for each part would take most of the time of an export.
                while found := cursor.fetchmany(_AT_ONCE):
                    seqs = [row["part_seq"] for row in found]
                    cameras, measured = self._cameras(seqs), self._measured(seqs)
                    for row in found:
                        seq = row["part_seq"]
                        yield _part(row, tuple(cameras.get(seq, ())), measured.get(seq, {}))
        except (sqlite3.DatabaseError, ValueError) as err:
            raise damaged(self._path, err) from err

    def _cameras(self, seqs: Sequence[int]) -> dict[int, list[CameraRow]]:
        query = f"SELECT * FROM camera WHERE part_seq IN ({_marks(seqs)}) ORDER BY part_seq, camera"  # noqa: S608
        found: dict[int, list[CameraRow]] = {}
        for row in self._connection.execute(query, seqs).fetchall():
            found.setdefault(row["part_seq"], []).append(_camera(row))
        return found

    def _measured(self, seqs: Sequence[int]) -> dict[int, dict[str, float | str | None]]:
        if not self._has_measurements:
            return {}
        marks = _marks(seqs)
        query = f"SELECT part_seq, name, value FROM measurement WHERE part_seq IN ({marks}) ORDER BY part_seq, name"  # noqa: S608
        found: dict[int, dict[str, float | str | None]] = {}
        for seq, name, value in self._connection.execute(query, seqs).fetchall():
            found.setdefault(seq, {})[name] = value
        return found


def _marks(values: Sequence[object]) -> str:
    """Question marks: no value stands in a query."""
    return ", ".join("?" * len(values))


def _part(found: sqlite3.Row, cameras: tuple[CameraRow, ...], measured: dict[str, float | str | None]) -> PartRow:
    judgement = found["controller_judgement"]
    return PartRow(
        part_seq=found["part_seq"],
        count=found["controller_count"],
        session=found["session"],
        program=found["program"],
        verdict=Verdict(found["verdict"]),
        reason=Reason(found["reason"]),
        detail=found["detail"],
        score=found["score"],
        limit=found["score_limit"],
        bundle_id=found["bundle_id"],
        cameras=cameras,
        controller_judgement=None if judgement is None else Judgement(judgement),
        simulated=bool(found["simulated"]),
        first_sign_mono_s=found["first_sign_mono_s"],
        decided_mono_s=found["decided_mono_s"],
        deadline_mono_s=found["deadline_mono_s"],
        boot_id=found["boot_id"],
        decided_utc=found["decided_utc"],
        measured=measured,
    )


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # A journal on read-only media cannot have its shared memory made; without a log beside it nothing is missed.
        if path.with_name(path.name + "-wal").exists():
            raise
        connection = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
        connection.row_factory = sqlite3.Row
    return connection


def _camera(found: sqlite3.Row) -> CameraRow:
    outcome, reason = found["outcome"], found["reason"]
    return CameraRow(
        camera=found["camera"],
        outcome=None if outcome is None else Outcome(outcome),
        reason=None if reason is None else Reason(reason),
        detail=found["detail"],
        score=found["score"],
        limit=found["score_limit"],
        bundle_id=found["bundle_id"],
        image_sha256=found["image_sha256"],
        image_name=found["image_name"],
        alignment=_alignment(found),
        timings_ms=json.loads(found["timings_ms"]),
        shares=json.loads(found["shares"]),
        condition=json.loads(found["condition"]) if "condition" in found.keys() else {},  # noqa: SIM118 - a sqlite3.Row
    )


def _alignment(found: sqlite3.Row) -> Alignment | None:
    """The alignment; a value that was NaN, or was not recorded yet, is NaN; without any value there is none."""
    columns = ("quality", "shift_x_px", "shift_y_px", "angle_deg", "gain", "offset", "scale")
    values = [found[f"align_{column}"] for column in columns]
    if all(value is None for value in values):
        return None
    return Alignment(*(math.nan if value is None else value for value in values))
