"""The journal as a queue: what was not delivered yet, in the order in which it was written.

The position is a link of the journal's chain, in a small file beside the journal, replaced durably after deliveries
were confirmed, at most every two seconds: the disk is the inspection's. So nothing is lost by an outage or a restart,
and what was delivered last may come again: a receiver knows it by ``part_seq`` or ``event_id``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

from drivers.timing import monotonic_s
from edge_agent.errors import DataError
from edge_agent.store.position import position_file, read_position, write_position
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.base import Published
    from edge_agent.store.position import Position
    from edge_agent.store.rows import EventRow, PartRow

__all__ = ["Outbox", "Record", "event_record", "part_record"]

log = structlog.get_logger(__name__)

_SCHEMA_VERSION = 1
_SAVE_EVERY_S = 2.0
_FATE_WITHIN_S = 3.0
"""So long after its row a part may wait for the word on what became of its verdict."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to deliver. ``kind`` is part or event; ``link`` is its place in the journal ``origin``."""

    kind: str
    content: dict[str, Any]
    origin: str
    link: int


class Outbox:
    """One receiver's queue. Used in one thread."""

    def __init__(self, journal: Path, receiver: str) -> None:
        self._journal = journal
        self._file = position_file(journal, receiver)
        self._position = read_position(self._file)
        self._saved = self._position
        self._saved_mono_s = -_SAVE_EVERY_S
        self._waiting: tuple[int, float] = (0, 0.0)

    @property
    def position(self) -> Position | None:
        """The journal (by the hash it began with) and the link up to which everything is delivered."""
        return self._position

    def next(self, most: int) -> list[Record]:
        """The oldest that are not delivered, at most so many; empty where there is none yet.

        The first time ever it begins with what is written from now on. Raises DataError for a journal that cannot be
        read.
        """
        with JournalReader.open(self._journal) as journal:
            origin, predecessor = journal.origin()
            if self._position is None:
                self._move(origin, journal.newest_link())
            at = self._position
            assert at is not None  # noqa: S101 - moved above
            if at[0] == origin and at[1] > journal.newest_link():
                log.error("results_not_delivered", why="the journal is another one than before: from its beginning on")
                at = origin, 0
                self._move(*at)
            if at[0] == origin:
                return self._records(journal, at, most)
        found = self._of_predecessor(predecessor, at, most)
        if found:
            return found
        self._move(origin, 0)
        return self.next(most)

    def delivered(self, last: Record) -> None:
        """Everything up to this record has arrived. Raises OSError if the disk refuses."""
        self._move(last.origin, last.link)

    def save(self) -> None:
        """Bring the position to the disk, where it is not there already. Raises OSError."""
        if self._position is None or self._position == self._saved:
            return
        write_position(self._file, self._position)
        self._saved, self._saved_mono_s = self._position, monotonic_s()

    def _of_predecessor(self, name: str, at: tuple[str, int], most: int) -> list[Record]:
        """What a journal that was rotated away still owes; empty if it owes nothing or is not there any more."""
        path = self._journal.with_name(name) if name else None
        if path is None or not path.is_file():
            log.error("results_not_delivered", journal=name, why="the journal that holds them is not there any more")
            return []
        try:
            with JournalReader.open(path) as journal:
                if journal.origin()[0] == at[0]:
                    return self._records(journal, at, most, is_closed=True)
                why = "it was rotated more than once meanwhile"
        except DataError as err:
            why = str(err)
        log.error("results_not_delivered", journal=name, why=why)
        return []

    def _records(
        self, journal: JournalReader, at: tuple[str, int], most: int, *, is_closed: bool = False
    ) -> list[Record]:
        origin, position = at
        records: list[Record] = []
        links = journal.links_after(position, most)
        for link, kind, row_id in links:
            if kind == "part":
                row, published = next(iter(journal.rows(row_id, row_id))), journal.published(row_id)
                if published is None and not is_closed and self._may_wait(link):
                    break
                records.append(Record("part", part_record(row, published), origin, link))
            elif kind == "event":
                records.extend(Record("event", event_record(e), origin, link) for e in journal.event(row_id))
        if links and not records and links[0][1] == "publication":
            # Nothing but words on parts that were delivered: the place behind them is reached.
            reached = next((link for link, kind, _ in links if kind != "publication"), links[-1][0] + 1) - 1
            self._move(origin, reached)
            return self._records(journal, (origin, reached), most, is_closed=is_closed)
        return records

    def _may_wait(self, link: int) -> bool:
        now = monotonic_s()
        if self._waiting[0] != link:
            self._waiting = link, now
        return now - self._waiting[1] < _FATE_WITHIN_S

    def _move(self, origin: str, link: int) -> None:
        self._position = origin, link
        if self._saved is None or monotonic_s() - self._saved_mono_s >= _SAVE_EVERY_S:
            self.save()


def part_record(row: PartRow, published: Published | None) -> dict[str, Any]:
    """A part as receivers get it. A PASS reached the gate only where ``published`` is PUBLISHED."""
    return {
        "schema_version": _SCHEMA_VERSION,
        "part_seq": row.part_seq,
        "decided_utc": row.decided_utc,
        "count": row.count,
        "program": row.program,
        "verdict": row.verdict,
        "reason": row.reason,
        "detail": row.detail,
        "published": published,
        "score": row.score,
        "limit": row.limit,
        "bundle_id": row.bundle_id,
        "controller_judgement": row.controller_judgement,
        "simulated": row.simulated,
        "decided_ms": round((row.decided_mono_s - row.first_sign_mono_s) * 1000, 1),
        "cameras": [
            {
                "camera": camera.camera,
                "outcome": camera.outcome,
                "reason": camera.reason,
                "score": camera.score,
                "limit": camera.limit,
                "image_sha256": camera.image_sha256,
                "image_name": camera.image_name,
            }
            for camera in row.cameras
        ],
    }


def event_record(event: EventRow) -> dict[str, Any]:
    """Something that happened to the agent: START, STOP, BUNDLE, CHALLENGE, REVIEW and the like."""
    return {"schema_version": _SCHEMA_VERSION, **asdict(event)}
