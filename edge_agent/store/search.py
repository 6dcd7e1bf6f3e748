"""Questions of a person to the journal: the newest parts, parts of a time, parts that fit, how many there are.

Every answer looks at a bounded number of rows, so that it is quick however long the journal has become.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drivers.base import Published, Reason, Verdict
from edge_agent.store.reader import JournalReader
from edge_agent.store.rows import PartRow, PublicationRow
from edge_agent.store.wanted import PartQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Beside", "Found", "JournalSearch", "PartQuery", "Totals"]

# So that each answer is quick however long the journal is; who wants more asks on from where it ended.
_LOOKED_AT_MOST = 1_000_000
_NEAR_MOST = 100_000
_TALLIED_AT_MOST = 1_000_000
# The largest whole number of SQLite.
_LAST_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Found:
    """Parts, the newest first; ``before_seq`` asks for older and ``after_seq`` for newer ones, None: there are none."""

    parts: tuple[PartRow, ...]
    before_seq: int | None
    after_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many parts fit, by verdict and reason, among all from ``first_seq`` on.

    ``is_whole`` is False where so many parts were asked about that older ones were not looked at.
    """

    counts: dict[tuple[Verdict, Reason], int]
    first_seq: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """The parts before and after one, and the rejects before and after it; None where there is none near it."""

    previous: int | None
    following: int | None
    previous_reject: int | None
    following_reject: int | None


class JournalSearch(JournalReader):
    """A read-only view of a journal that answers questions."""

    def newest_seq(self) -> int:
        """The highest part_seq, 0 if there is none."""
        return int(self._all("SELECT coalesce(max(part_seq), 0) FROM part")[0][0])

    def last_seq(self) -> int:
        """As ``newest_seq``; in a journal that was begun anew and has no part yet, the last one of those before."""
        return max(self.newest_seq(), int(self._all("SELECT last_part_seq FROM origin")[0][0]))

    def first_possible_seq(self) -> int:
        """The first part_seq that can stand in this file: those below it are in the journals that were closed."""
        return int(self._all("SELECT last_part_seq FROM origin")[0][0]) + 1

    def version(self) -> int:
        """A number that differs after somebody wrote: asking for it is cheap."""
        return int(self._all("PRAGMA data_version")[0][0])

    def first_seq_since(self, utc: str) -> int:
        """The first part decided at that time or later; one above the newest if there is none.

        Parts are numbered as they come, so the label rises with the number but for a clock that someone set.
        """
        # By halving, since no index stands on the time: part numbers rise with it.
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
        """The newest parts that fit, or, with ``after_seq``, the oldest ones above that."""
        first, last = self._span(query)
        words, values = query.conditions()
        if query.after_seq is not None:
            until = min(last, first + _LOOKED_AT_MOST - 1)
            newer = self._fitting(words, values, (first, until), "ASC", query.most)[::-1]
            # A full page ends at its last part; one that is not full was looked at to its end, fitting or not.
            above = newer[0].part_seq if len(newer) == query.most else until
            return Found(newer, newer[-1].part_seq if newer else first, above if above < last else None)
        looked_from = max(first, last - _LOOKED_AT_MOST + 1)
        parts = self._fitting(words, values, (looked_from, last), "DESC", query.most)
        before = parts[-1].part_seq if len(parts) == query.most else looked_from
        after = None if query.before_seq is None else parts[0].part_seq if parts else query.before_seq - 1
        return Found(parts, before if before > first else None, after)

    def totals(self, query: PartQuery) -> Totals:
        """How many parts fit in all, whatever page of them is shown. Looks at the newest million of that time."""
        first, last = self._span(replace(query, before_seq=None, after_seq=None))
        first = max(first, self._oldest_seq())
        looked_from = max(first, last - _TALLIED_AT_MOST + 1)
        words, values = query.conditions()
        asked = f"SELECT verdict, reason, count(*) FROM part WHERE part_seq BETWEEN ? AND ?{words} GROUP BY 1, 2"  # noqa: S608 - fixed words
        found = self._all(asked, looked_from, last, *values)
        counts = {(Verdict(verdict), Reason(reason)): number for verdict, reason, number in found}
        return Totals(counts, looked_from, is_whole=looked_from == first)

    def fitting(self, query: PartQuery) -> Iterator[PartRow]:
        """Every part that fits, the oldest first."""
        words, values = query.conditions()
        asked = f"SELECT * FROM part WHERE part_seq BETWEEN ? AND ?{words} ORDER BY part_seq"  # noqa: S608 - fixed words
        return self._parts(asked, *self._span(query), *values)

    def beside(self, part_seq: int) -> Beside:
        """The neighbours of a part; a reject is looked for among the nearest hundred thousand."""
        return Beside(
            *(
                self._nearest(part_seq, is_after=is_after, more=more)
                for more in ("", " AND verdict = 'REJECT'")
                for is_after in (False, True)
            )
        )

    def decided_utc(self, part_seq: int) -> str:
        """When a part was decided; empty where there is no such part."""
        found = self._all("SELECT decided_utc FROM part WHERE part_seq = ?", part_seq)
        return str(found[0][0]) if found else ""

    def _oldest_seq(self) -> int:
        return int(self._all("SELECT coalesce(min(part_seq), 0) FROM part")[0][0])

    def _span(self, query: PartQuery) -> tuple[int, int]:
        """The first and the last part_seq that the times and the place in the list leave."""
        last = self.newest_seq() if query.until_utc is None else self.first_seq_since(query.until_utc) - 1
        first = 1 if query.since_utc is None else self.first_seq_since(query.since_utc)
        if query.before_seq is not None:
            last = min(last, query.before_seq - 1)
        if query.after_seq is not None:
            first = min(max(first, query.after_seq + 1), _LAST_SEQ)
        return first, last

    def _fitting(
        self, words: str, values: list[Any], span: tuple[int, int], order: str, most: int
    ) -> tuple[PartRow, ...]:
        asked = f"SELECT * FROM part WHERE part_seq BETWEEN ? AND ?{words} ORDER BY part_seq {order} LIMIT ?"  # noqa: S608 - fixed words
        return tuple(self._parts(asked, *span, *values, most))

    def _nearest(self, part_seq: int, *, is_after: bool, more: str) -> int | None:
        span = (part_seq + 1, part_seq + _NEAR_MOST) if is_after else (part_seq - _NEAR_MOST, part_seq - 1)
        order = "ASC" if is_after else "DESC"
        asked = f"SELECT part_seq FROM part WHERE part_seq BETWEEN ? AND ?{more} ORDER BY part_seq {order} LIMIT 1"  # noqa: S608 - fixed words
        found = self._all(asked, *(min(end, _LAST_SEQ) for end in span))
        return int(found[0][0]) if found else None

    def tallies(self, first_seq: int = 1, last_seq: int = _LAST_SEQ) -> dict[tuple[Verdict, Reason], int]:
        """How many of these parts got which verdict for which reason."""
        query = "SELECT verdict, reason, count(*) FROM part WHERE part_seq BETWEEN ? AND ? GROUP BY verdict, reason"
        return {(Verdict(v), Reason(r)): number for v, r, number in self._all(query, first_seq, last_seq)}

    def publications_of(self, seqs: Sequence[int]) -> dict[int, PublicationRow]:
        """What became of the verdicts of these parts."""
        marks = ", ".join("?" * len(seqs))
        query = f"SELECT part_seq, published, at_mono_s, detail FROM publication WHERE part_seq IN ({marks})"  # noqa: S608 - question marks
        return {s: PublicationRow(s, Published(p), at, detail) for s, p, at, detail in self._all(query, *seqs)}

    def judged_by(self, bundle_id: str, camera: int, first_seq: int, last_seq: int) -> Iterator[PartRow]:
        """Parts whose image of that camera that bundle judged, in their order."""
        asked = (
            "SELECT part.* FROM camera JOIN part ON part.part_seq = camera.part_seq WHERE camera.part_seq BETWEEN ? "
            "AND ? AND camera.camera = ? AND camera.bundle_id = ? ORDER BY camera.part_seq"
        )
        return self._parts(asked, first_seq, last_seq, camera, bundle_id)
