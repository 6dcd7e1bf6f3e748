"""What people said of the parts of one journal, read once and kept: for the page, the reports and the export."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge_agent.reviews.review import Review
from edge_agent.reviews.settling import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.store.reader import JournalReader

__all__ = ["ReviewBook", "Reviewed", "last_words", "said_record"]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as the journal holds it."""

    review: Review
    at_utc: str


@dataclass(slots=True)
class ReviewBook:
    """All reviews by part, oldest first, and how it stands. Each event is read once. Safe for several threads."""

    _told: dict[int, list[Reviewed]] = field(default_factory=dict)
    _standing: dict[int, Standing] = field(default_factory=dict)
    _read_to: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, journal: JournalReader) -> dict[int, list[Reviewed]]:
        """The reviews that the journal holds now."""
        with self._lock:
            self._read(journal)
            return {seq: list(told) for seq, told in self._told.items()}

    def settled(self, journal: JournalReader) -> dict[int, Standing]:
        """How each part stands of which somebody said something."""
        with self._lock:
            self._read(journal)
            return dict(self._standing)

    def standing(self, journal: JournalReader) -> dict[int, str]:
        """The settled word on each part, DISPUTED where people differ."""
        return {seq: standing.says for seq, standing in self.settled(journal).items()}

    def _read(self, journal: JournalReader) -> None:
        newest = journal.newest_event()
        for event in journal.events_between(self._read_to, newest, "REVIEW"):
            try:
                review = Review.model_validate_json(event.detail)
            except ValidationError:  # written by another version: shown nowhere, still in the journal
                continue
            self._told.setdefault(review.part_seq, []).append(Reviewed(review, event.at_utc))
            self._standing[review.part_seq] = self._standing.get(review.part_seq, Standing()).after(review.word)
        self._read_to = newest


def last_words(told: Sequence[Reviewed]) -> list[Reviewed]:
    """The last review of each person, by the order in which they first spoke."""
    return list({one.review.word.person: one for one in told}.values())


def said_record(told: Sequence[Reviewed], standing: Standing | None, camera: int | None) -> dict[str, Any]:
    """The columns of an export: ``review`` is the settled word or DISPUTED, ``defect`` every name that stands.

    ``drawings`` are those on this camera's image, each with ``by``, ready to be JSON.
    """
    last = last_words(told)
    names = dict.fromkeys(one.review.defect for one in last if one.review.defect is not None)
    drawings = [
        {"by": one.review.by, **drawing.model_dump(mode="json")}
        for one in last
        for drawing in one.review.drawings
        if drawing.camera == camera
    ]
    says = "" if standing is None else standing.says
    return {"review": says or None, "defect": "; ".join(names) or None, "drawings": drawings}
