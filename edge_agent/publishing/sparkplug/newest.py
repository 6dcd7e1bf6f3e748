"""What a birth says of parts and events, and which of those that follow it are older: those are history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.feed.records import event_record, part_record
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.publishing.outbox import Record

__all__ = ["Newest", "newest"]

_LOOK_BACK_LINKS = 1000


@dataclass(frozen=True, slots=True)
class Newest:
    """The journal at the moment of a birth: the newest event, and the newest part whose verdict's way is known.

    The records are None where there is none. ``link`` is the part's place in the chain.
    """

    origin: str
    link: int
    part: dict[str, Any] | None
    event: dict[str, Any] | None

    def is_history(self, record: Record) -> bool:
        """Whether a record is no newer than what the birth said: it must not become the value of now.

        A journal is closed only while no agent runs: one of another origin is older.
        """
        if record.is_again or record.origin != self.origin:
            return True
        if record.kind == "part":
            return record.link <= self.link
        return self.event is not None and record.content["event_id"] <= self.event["event_id"]


def newest(path: Path) -> Newest:
    """Look. Raises DataError for a journal that cannot be read."""
    with JournalReader.open(path) as journal:
        event = journal.last_event()
        begin = max(0, journal.newest_link() - _LOOK_BACK_LINKS)
        link, part = begin, None
        for at, kind, row_id, _ in reversed(journal.links_after(begin, 2 * _LOOK_BACK_LINKS)):
            # One without a word on its verdict comes with it, in a moment, and is newer than this birth.
            if kind == "part" and (published := journal.published(row_id)) is not None:
                row = journal.part(row_id)
                link, part = at, None if row is None else part_record(row, published)
                break
        return Newest(journal.origin()[0], link, part, None if event is None else event_record(event))
