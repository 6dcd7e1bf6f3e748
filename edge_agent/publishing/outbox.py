"""The journal as a queue: what was not delivered yet, in the order in which it was written.

The position is a link of the journal's chain, in a small file beside the journal, replaced durably after deliveries
were confirmed, at most every two seconds: the disk is the inspection's. So nothing is lost by an outage or a restart,
and what was delivered last may come again: a receiver knows it by ``part_seq`` or ``event_id``.

What a receiver will never take goes into a file of its own (``store.aside``) before the position passes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import structlog

from drivers.timing import monotonic_s
from edge_agent.feed.records import event_record, part_record
from edge_agent.store.aside import SetAside, again_file, aside_file, read_aside, set_aside
from edge_agent.store.position import Position, files_since, fits, position_file, read_position, write_position
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["Outbox", "Record"]

log = structlog.get_logger(__name__)

_SAVE_EVERY_S = 2.0
_FATE_WITHIN_S = 3.0
"""So long after its row a part may wait for the word on what became of its verdict."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to deliver. ``kind`` is part or event; ``link`` is its place in the journal ``origin``.

    ``problem`` says why it cannot be sent at all; it is empty for nearly every record. ``is_again`` is true for one
    that was set aside before and is sent again: the position has passed it.
    """

    kind: str
    content: dict[str, Any]
    origin: str
    link: int
    sha256: str = ""
    problem: str = ""
    is_again: bool = False


class Outbox:
    """One receiver's queue. Used in one thread."""

    def __init__(self, journal: Path, receiver: str) -> None:
        """Raises DataError for a position that cannot be read."""
        self._journal = journal
        self._receiver = receiver
        self._file = position_file(journal, receiver)
        self._position = read_position(self._file)
        self._saved = self._position
        self._saved_mono_s = -_SAVE_EVERY_S
        self._is_refused = False
        self._waiting: tuple[int, float] = (0, 0.0)
        self._again: list[Record] = []
        self._again_rests = False

    @property
    def position(self) -> Position | None:
        """The place up to which everything is delivered or set aside."""
        return self._position

    def next(self, most: int) -> list[Record]:
        """The oldest that are not delivered, at most so many; empty where there is none yet.

        The first time ever it begins with what is written from now on. What was set aside and shall be sent again
        comes first, one at a time. Raises DataError for a journal that cannot be read, OSError where results that are
        gone cannot be noted.
        """
        again = [] if self._again_rests else self._to_send_again()
        self._again_rests = False
        if again:
            return again
        while True:
            at = self._place()
            files, problem = files_since(self._journal, at.origin)
            with JournalReader.open(files[0]) as journal:
                if not problem and fits(journal, at):
                    found = self._records(journal, at, most, is_closed=len(files) > 1)
                    if found or len(files) == 1:
                        return found
                    self._move(_beginning(files[1]))
                    continue
                begins = Position(journal.origin()[0], 0, journal.link_sha256(0))
            self._leave_out(at, problem or f"{files[0].name} is another journal than before")
            self._move(begins)

    def delivered(self, last: Record) -> None:
        """This record has arrived, and so has everything before it."""
        if last.is_again:
            self._done_again()
        else:
            self._move(Position(last.origin, last.link, last.sha256))

    def back_to(self, place: Position) -> None:
        """What came after this place is to be delivered again."""
        self._move(place)

    def set_aside(self, record: Record, why: str) -> None:
        """The receiver will not take this one. Raises OSError if the disk refuses; then it still stands first."""
        one = SetAside(record.kind, record.content, record.origin, record.link, why)
        set_aside(aside_file(self._journal, self._receiver), one)
        log.error("result_set_aside", receiver=self._receiver, which=one.words, why=why)

    def again_failed(self) -> None:
        """What is sent again did not arrive: the next delivery is of the others, so that it never holds them back."""
        self._again_rests = True

    def save(self) -> None:
        """Bring the position to the disk, where it is not there already. Raises OSError."""
        if self._position is None or self._position == self._saved:
            return
        self._saved_mono_s = monotonic_s()
        write_position(self._file, self._position)
        self._saved = self._position

    def _place(self) -> Position:
        if self._position is None:
            with JournalReader.open(self._journal) as journal:
                newest = journal.newest_link()
                self._move(Position(journal.origin()[0], newest, journal.link_sha256(newest)))
        assert self._position is not None  # noqa: S101 - moved above
        return self._position

    def _leave_out(self, at: Position, why: str) -> None:
        """Results between the position and the oldest journal that is there are gone from here: that is written down.

        The same gap twice is one line to a reader of the file.
        """
        log.error("results_not_delivered", receiver=self._receiver, after_link=at.link, why=why)
        content = {"after_link": at.link, "origin": at.origin}
        set_aside(aside_file(self._journal, self._receiver), SetAside("gap", content, at.origin, at.link, why))

    def _records(self, journal: JournalReader, at: Position, most: int, *, is_closed: bool) -> list[Record]:
        while True:
            links = journal.links_after(at.link, most)
            records: list[Record] = []
            for link, kind, row_id, sha256 in links:
                place = at.origin, link, sha256
                if kind == "part":
                    row, published = journal.part(row_id), journal.published(row_id)
                    if row is not None and published is None and not is_closed and self._may_wait(link):
                        break
                    content = {"part_seq": row_id} if row is None else part_record(row, published)
                    records.append(Record("part", content, *place, problem="" if row else _NO_ROW))
                elif kind == "event":
                    event = next(iter(journal.event(row_id)), None)
                    content = {"event_id": row_id} if event is None else event_record(event)
                    records.append(Record("event", content, *place, problem="" if event else _NO_ROW))
            if records or not links or links[0][1] != "publication":
                return records
            # Nothing but words on parts that were delivered: the place behind them is reached.
            link, _, _, sha256 = list(takewhile(lambda found: found[1] == "publication", links))[-1]
            at = Position(at.origin, link, sha256)
            self._move(at)

    def _to_send_again(self) -> list[Record]:
        """The first of those that a person wants sent again. Raises DataError, OSError."""
        path = again_file(self._journal, self._receiver)
        if not self._again and path.exists():
            found, _ = read_aside(path)
            self._again = [
                Record(one.kind, one.content, one.origin, one.link, problem=_problem(one), is_again=True)
                for one in found
            ]
            if not self._again:
                path.unlink()
        return self._again[:1]

    def _done_again(self) -> None:
        del self._again[:1]
        if not self._again:
            again_file(self._journal, self._receiver).unlink(missing_ok=True)

    def _may_wait(self, link: int) -> bool:
        now = monotonic_s()
        if self._waiting[0] != link:
            self._waiting = link, now
        return now - self._waiting[1] < _FATE_WITHIN_S

    def _move(self, to: Position) -> None:
        """Go on from there. A disk that does not take the position stops no delivery: that is said, and tried again."""
        self._position = to
        if monotonic_s() - self._saved_mono_s < _SAVE_EVERY_S:
            return
        try:
            self.save()
        except OSError as err:
            if not self._is_refused:
                self.say_not_saved(err)
            self._is_refused = True
        else:
            self._is_refused = False

    def say_not_saved(self, err: OSError) -> None:
        """The position is not on the disk: a word for the log."""
        log.warning(
            "position_not_saved",
            receiver=self._receiver,
            why=str(err),
            what="results are delivered all the same; after a restart those since then come again",
        )


_NO_ROW = "the journal has a link for it and no row: edge-agent journal verify"


def _problem(one: SetAside) -> str:
    if one.kind == "gap" or len(one.content) <= 1:
        return one.why
    return ""


def _beginning(path: Path) -> Position:
    with JournalReader.open(path) as journal:
        return Position(journal.origin()[0], 0, journal.link_sha256(0))
