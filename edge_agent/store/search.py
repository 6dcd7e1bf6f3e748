"""Questions of a person to the journal: the newest parts, parts of a time, what another limit would have done.

Every answer looks at a bounded number of rows, so that it is quick however long the journal has become.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.base import Published, Reason, Verdict
from edge_agent.store.reader import JournalReader
from edge_agent.store.rows import EventRow, PartRow, PublicationRow

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Found", "JournalSearch", "MovedLimit", "PartQuery"]

_LOOKED_AT_MOST = 100_000
_TALLIED_AT_MOST = 1_000_000
_LAST_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PartQuery:
    """Which parts; None is any. ``before_seq`` goes on where an earlier answer ended."""

    since_utc: str | None = None
    until_utc: str | None = None
    verdict: Verdict | None = None
    program: int | None = None
    score_min: float | None = None
    score_max: float | None = None
    before_seq: int | None = None
    most: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """Parts, the newest first; ``before_seq`` asks for older ones, None when there are none."""

    parts: tuple[PartRow, ...]
    before_seq: int | None


@dataclass(frozen=True, slots=True)
class MovedLimit:
    """What another limit would have done to parts that the score decided alone."""

    decided_by_score: int
    passes_to_reject: int
    rejects_to_pass: tuple[int, ...]
    """Their part_seq."""


class JournalSearch(JournalReader):
    """A read-only view of a journal that answers questions."""

    def newest_seq(self) -> int:
        """The highest part_seq, 0 if there is none."""
        return int(self._all("SELECT coalesce(max(part_seq), 0) FROM part")[0][0])

    def version(self) -> int:
        """A number that differs after somebody wrote: asking for it is cheap."""
        return int(self._all("PRAGMA data_version")[0][0])

    def first_seq_since(self, utc: str) -> int:
        """The first part decided at that time or later; one above the newest if there is none.

        Parts are numbered as they come, so the label rises with the number but for a clock that someone set.
        """
        low, high = 1, self.newest_seq() + 1
        while low < high:
            middle = (low + high) // 2
            found = self._all(
                "SELECT part_seq, decided_utc FROM part WHERE part_seq >= ? ORDER BY part_seq LIMIT 1", middle
            )
            if found and found[0][1] < utc:
                low = found[0][0] + 1
            else:
                high = middle
        return low

    def find(self, query: PartQuery) -> Found:
        """The newest parts that fit."""
        last = self.newest_seq() if query.until_utc is None else self.first_seq_since(query.until_utc) - 1
        if query.before_seq is not None:
            last = min(last, query.before_seq - 1)
        first = 1 if query.since_utc is None else self.first_seq_since(query.since_utc)
        looked_from = max(first, last - _LOOKED_AT_MOST + 1)
        conditions, values = _conditions(query)
        parts = tuple(
            self._parts(
                f"SELECT * FROM part WHERE part_seq BETWEEN ? AND ?{conditions} ORDER BY part_seq DESC LIMIT ?",  # noqa: S608 - fixed words
                looked_from,
                last,
                *values,
                query.most,
            )
        )
        before = parts[-1].part_seq if len(parts) == query.most else looked_from
        return Found(parts, before if before > first else None)

    def tallies(self, first_seq: int = 1, last_seq: int = _LAST_SEQ) -> dict[tuple[Verdict, Reason], int]:
        """How many of these parts got which verdict for which reason."""
        query = "SELECT verdict, reason, count(*) FROM part WHERE part_seq BETWEEN ? AND ? GROUP BY verdict, reason"
        return {(Verdict(v), Reason(r)): number for v, r, number in self._all(query, first_seq, last_seq)}

    def publications_of(self, seqs: Sequence[int]) -> dict[int, PublicationRow]:
        """What became of the verdicts of these parts."""
        marks = ", ".join("?" * len(seqs))
        query = f"SELECT part_seq, published, at_mono_s, detail FROM publication WHERE part_seq IN ({marks})"  # noqa: S608 - question marks
        return {s: PublicationRow(s, Published(p), at, detail) for s, p, at, detail in self._all(query, *seqs)}

    def newest_event(self) -> int:
        """The highest event_id, 0 if there is none."""
        return int(self._all("SELECT coalesce(max(event_id), 0) FROM event")[0][0])

    def events_between(self, after_id: int, last_id: int, kind: str) -> list[EventRow]:
        """Events of one kind from above ``after_id`` to ``last_id``, in their order."""
        query = "SELECT event_id, kind, detail, at_mono_s, at_utc FROM event WHERE event_id > ? AND event_id <= ?"
        return [
            EventRow(*found) for found in self._all(query + " AND kind = ? ORDER BY event_id", after_id, last_id, kind)
        ]

    def moved_limit(self, bundle_id: str, limit: float, first_seq: int) -> MovedLimit:
        """What ``limit`` would have done to the parts from ``first_seq`` on that this bundle judged.

        Only parts that the score decided: not those in a REVIEW band, nor those that the controller rejects anyway.
        """
        first = max(first_seq, self.newest_seq() - _TALLIED_AT_MOST + 1)
        # In one pass over the rows: on a long journal that is what takes the time.
        query = (
            "SELECT count(*), coalesce(sum(verdict = 'PASS' AND score >= ?), 0), "
            "group_concat(CASE WHEN verdict = 'REJECT' AND score < ? THEN part_seq END) "
            "FROM part WHERE part_seq >= ? AND bundle_id = ? AND score IS NOT NULL AND score_limit IS NOT NULL "
            "AND (verdict = 'PASS' OR (verdict = 'REJECT' AND reason = 'SCORE' AND score >= score_limit "
            "AND controller_judgement IS NOT 'NG'))"
        )
        (number, to_reject, to_pass), *_ = self._all(query, limit, limit, first, bundle_id)
        return MovedLimit(number, to_reject, tuple(int(seq) for seq in (to_pass or "").split(",") if seq))


def _conditions(query: PartQuery) -> tuple[str, list[Any]]:
    asked: list[tuple[str, Any]] = [
        ("verdict = ?", None if query.verdict is None else str(query.verdict)),
        ("program = ?", query.program),
        ("score >= ?", query.score_min),
        ("score <= ?", query.score_max),
    ]
    given = [(words, value) for words, value in asked if value is not None]
    return "".join(f" AND {words}" for words, _ in given), [value for _, value in given]
