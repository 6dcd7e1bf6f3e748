"""What is known now: how the agent stands, the newest parts, the counters of the shift.

Parts come from the journal, which is where they are true; the agent is asked for nothing. Lives in one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from edge_agent.runtime.process import boot_id
from edge_agent.shifts import shift_start
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.domain import Reason
    from edge_agent.feed.state import AgentState
    from edge_agent.store.rows import PartRow, PublicationRow

__all__ = ["REMEMBERED_PARTS", "Live", "SeenPart"]

log = structlog.get_logger(__name__)

REMEMBERED_PARTS = 300
_LOOK_EVERY_S = 0.1
_OUT_OF_ORDER = 64
"""Parts that are open side by side are written in the order in which they are decided, not in that of their number."""
_SILENT_AFTER_S = 3.0
_RATE_OVER_S = 120.0


@dataclass(frozen=True, slots=True)
class SeenPart:
    """A part, and what became of its verdict as far as it is known."""

    row: PartRow
    publication: PublicationRow | None


@dataclass(slots=True)
class Live:
    """The newest of everything. ``published`` is called once for each new part, when its verdict's way is known."""

    journal: Path
    shift_starts: tuple[str, ...]
    published: Callable[[SeenPart], None] = lambda _: None
    agent: AgentState | None = None
    parts: OrderedDict[int, SeenPart] = field(default_factory=OrderedDict)
    total: Counter[tuple[Verdict, Reason]] = field(default_factory=Counter)
    shift: Counter[tuple[Verdict, Reason]] = field(default_factory=Counter)
    shift_since: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _begun_mono_s: float = field(default_factory=monotonic_s)
    _heard_mono_s: float = field(default_factory=monotonic_s)
    _looked_mono_s: float = field(default_factory=monotonic_s)
    _boot_id: str = field(default_factory=boot_id)
    _versions: dict[int, int] = field(default_factory=dict)
    _version: int = 0

    def hear(self, state: AgentState) -> None:
        """The agent told how it stands."""
        is_news = state != self.agent
        self.agent, self._heard_mono_s = state, monotonic_s()
        if is_news:
            self._wake()

    @property
    def is_heard(self) -> bool:
        """Whether the agent's loop runs: it told something within the last seconds."""
        return self.agent is not None and self.heard_ago_s < _SILENT_AFTER_S

    @property
    def heard_ago_s(self) -> float:
        """Seconds since the agent told how it stands; since this page began, where it never did."""
        return monotonic_s() - self._heard_mono_s

    @property
    def looked_ago_s(self) -> float:
        """Seconds since the journal was looked at: what is shown of parts is as old as this."""
        return monotonic_s() - self._looked_mono_s

    def newest(self) -> dict[str, Any] | None:
        """The newest part's number and how many seconds ago it was decided; None before the first."""
        if not self.parts:
            return None
        part_seq = max(self.parts)
        return {"part_seq": part_seq, "ago_s": round(self._ago_s(self.parts[part_seq].row), 1)}

    def _ago_s(self, row: PartRow) -> float:
        """By the monotonic clock, which nobody sets, within one boot; before it by the date, and never as if now."""
        if row.boot_id and row.boot_id == self._boot_id:
            return monotonic_s() - row.decided_mono_s
        ago_s = (datetime.now(UTC) - datetime.fromisoformat(row.decided_utc)).total_seconds()
        return max(ago_s, monotonic_s() - self._begun_mono_s)

    def not_ready(self) -> dict[str, str]:
        """Why the line is not READY, by condition; empty when it is."""
        if self.agent is None or not self.is_heard:
            return {"agent": "the agent's loop is silent"}
        why = {name: found.why_not for name, found in self.agent.conditions.items() if found.why_not}
        if self.agent.state == "FAULT" and not why:
            why["line"] = "FAULT"
        # READY says that parts are judged; whoever asks here wants to know whether one can pass.
        return {**why, "golden": self.agent.locked} if self.agent.locked else why

    def newer_than(self, version: int) -> tuple[int, list[SeenPart]]:
        """Parts that came or changed since that version, oldest first, and the version to ask with next."""
        return self._version, [part for seq, part in self.parts.items() if self._versions[seq] > version]

    def counters(self) -> dict[str, Any]:
        """Numbers of the shift: parts by verdict, the share that passed (None before the first), parts a minute."""
        by_verdict = Counter[Verdict]()
        for (verdict, _), number in self.shift.items():
            by_verdict[verdict] += number
        judged = by_verdict.total()
        return {
            "since_utc": self.shift_since.isoformat(timespec="seconds"),
            **{str(verdict): by_verdict[verdict] for verdict in Verdict},
            "yield": by_verdict[Verdict.PASS] / judged if judged else None,
            "per_minute": self._per_minute(),
        }

    async def follow(self) -> None:
        """Follow the journal until cancelled. Raises DataError for one that cannot be read."""
        with JournalSearch.open(self.journal) as journal:
            newest = journal.newest_seq()
            self.total = Counter(await asyncio.to_thread(self._tally, 1, newest - _OUT_OF_ORDER))
            known_version = -1
            for row in journal.rows(max(1, newest - REMEMBERED_PARTS), newest - _OUT_OF_ORDER):
                self._remember(SeenPart(row, None))
            while True:
                if self._shift_changed():
                    first = journal.first_seq_since(self.shift_since.isoformat(timespec="milliseconds"))
                    counted_to = max(self.parts, default=0)
                    self.shift = Counter(await asyncio.to_thread(self._tally, first, counted_to))
                    self._wake()
                version = journal.version()
                self._looked_mono_s = monotonic_s()
                if version != known_version:
                    self._take(journal, is_first=known_version == -1)
                    known_version = version
                await asyncio.sleep(_LOOK_EVERY_S)

    def _take(self, journal: JournalSearch, *, is_first: bool) -> None:
        newest, shift_since = max(self.parts, default=0), self.shift_since.isoformat(timespec="milliseconds")
        for row in journal.rows(max(1, newest - _OUT_OF_ORDER)):
            if row.part_seq not in self.parts:
                self._remember(SeenPart(row, None))
                self.total[row.verdict, row.reason] += 1
                if row.decided_utc >= shift_since:
                    self.shift[row.verdict, row.reason] += 1
        waiting = [seq for seq, part in list(self.parts.items())[-_OUT_OF_ORDER:] if part.publication is None]
        for seq, publication in journal.publications_of(waiting).items():
            self._remember(SeenPart(self.parts[seq].row, publication))
            if not is_first:
                self.published(self.parts[seq])

    def _remember(self, part: SeenPart) -> None:
        self._version += 1
        self.parts[part.row.part_seq] = part
        self._versions[part.row.part_seq] = self._version
        while len(self.parts) > REMEMBERED_PARTS:
            oldest, _ = self.parts.popitem(last=False)
            del self._versions[oldest]
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def _tally(self, first_seq: int, last_seq: int) -> dict[tuple[Verdict, Reason], int]:
        with JournalSearch.open(self.journal) as journal:
            return journal.tallies(first_seq, last_seq)

    def _shift_changed(self) -> bool:
        since = shift_start(datetime.now(UTC).astimezone(), self.shift_starts)
        is_new = since != self.shift_since
        self.shift_since = since
        return is_new

    def _per_minute(self) -> float:
        now = monotonic_s()
        times = [p.row.decided_mono_s for p in self.parts.values() if 0 <= now - p.row.decided_mono_s < _RATE_OVER_S]
        return len(times) / (_RATE_OVER_S / 60)
