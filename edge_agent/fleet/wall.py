"""What the page shows of each line: kept in memory, out of the database at the start and every minute anew.

Lives in one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import func, select

from drivers.timing import monotonic_s
from edge_agent.fleet.database import promotion, review, state, tally
from edge_agent.fleet.lines import lines
from edge_agent.fleet.rows import OVERTURNED, SAID_ESCAPE
from edge_agent.fleet_line.messages import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edge_agent.fleet.lines import KnownLine
    from edge_agent.fleet.rows import Added

__all__ = ["STALE_AFTER_S", "Snapshot", "Wall", "saved_state", "saved_states", "snapshot"]

STALE_AFTER_S = 10.0
_HOURS = 24
_RATE_OVER_S = 60.0
_CLOCK_OFF_S = 5.0
_BEHIND_MANY = 300


@dataclass(slots=True)
class _Shown:
    """One line."""

    name: str
    said: State | None = None
    heard_mono_s: float | None = None
    clock_off_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    newest: deque[tuple[float, int]] = field(default_factory=deque)
    was_stale: bool = True
    version: int = 0

    def forget_old(self) -> bool:
        """Leave out what came more than a minute ago; whether there was any."""
        now, before = monotonic_s(), len(self.newest)
        while self.newest and now - self.newest[0][0] > _RATE_OVER_S:
            self.newest.popleft()
        return len(self.newest) < before


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database holds for the page. ``states`` is what each line said last, and when the server got it."""

    lines: list[KnownLine]
    counts: dict[int, Counter[str]]
    states: dict[int, tuple[str, float]]
    promotions: list[dict[str, Any]]


def snapshot(connection: Connection) -> Snapshot:
    """Read it, within a transaction of the writer."""
    return Snapshot(
        [one for one in lines(connection) if not one.is_off],
        _counts(connection, int(time.time() // 3600) - _HOURS + 1),
        {line_id: (said, got_s) for line_id, said, got_s in connection.execute(select(state))},
        [dict(one) for one in connection.execute(_PROMOTIONS).mappings()],
    )


class Wall:
    """Every line as it stands. ``changed`` is set, and made anew, with each change."""

    def __init__(self) -> None:
        self._lines: dict[int, _Shown] = {}
        self._promotions: list[dict[str, Any]] = []
        self._version = self._promotions_version = 0
        self.changed = asyncio.Event()

    def apply(self, read: Snapshot) -> None:
        """Counts, names, states and promotions as ``snapshot`` read them.

        It is read by the writer, in turn with the rows: so no row is missed, and none counted twice.
        """
        gone = set(self._lines) - {one.line_id for one in read.lines}
        for line_id in gone:
            del self._lines[line_id]
        for one in read.lines:
            shown = self._lines.setdefault(one.line_id, _Shown(one.name))
            if shown.said is None and one.line_id in read.states:
                said, got_s = read.states[one.line_id]
                shown.said = saved_state(said)
                # By the server's own clock, which may have been set back meanwhile: then nobody knows when it was.
                ago_s = time.time() - got_s
                shown.heard_mono_s = monotonic_s() - ago_s if ago_s >= 0 else None
            counts = read.counts.get(one.line_id, Counter())
            if (shown.name, shown.counts) != (one.name, counts) or not shown.version:
                shown.name, shown.counts = one.name, Counter(counts)
                self._touch(shown)
        if read.promotions != self._promotions or gone or not self._promotions_version:
            self._promotions = read.promotions
            self._version += 1
            self._promotions_version = self._version
            self._wake()

    def hear(self, line_id: int, name: str, said: State) -> None:
        """A line said how it stands."""
        shown = self._lines.setdefault(line_id, _Shown(name))
        try:
            off_s = (datetime.fromisoformat(said.at_utc) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            off_s = 0.0
        is_news = shown.said is None or said.model_copy(update={"at_utc": shown.said.at_utc}) != shown.said
        was_off_s, shown.clock_off_s = shown.clock_off_s, off_s
        shown.said, shown.heard_mono_s = said, monotonic_s()
        if is_news or shown.was_stale or _is_other_clock(was_off_s, off_s):
            shown.was_stale = False
            self._touch(shown)

    def count(self, line_id: int, name: str, added: Added) -> None:
        """A line's rows are on the disk."""
        shown = self._lines.setdefault(line_id, _Shown(name))
        shown.counts.update(added.kinds)
        number = sum(added.kinds.values())
        if number:
            shown.newest.append((monotonic_s(), number))
            self._touch(shown)

    def said(self, line_id: int) -> State | None:
        """What a line said last."""
        shown = self._lines.get(line_id)
        return None if shown is None else shown.said

    def look(self) -> None:
        """Notice lines that have fallen silent, and those whose parts of the last minute have become fewer."""
        for shown in self._lines.values():
            is_stale, has_fewer = self._is_stale(shown), shown.forget_old()
            if is_stale != shown.was_stale or has_fewer:
                shown.was_stale = is_stale
                self._touch(shown)

    def newer_than(self, version: int) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]] | None, list[str]]:
        """What changed since: the version to ask with next, tiles, promotions (None: as before), all lines' names."""
        tiles = [self._tile(line_id, one) for line_id, one in self._lines.items() if one.version > version]
        promotions = self._promotions if self._promotions_version > version else None
        return self._version, tiles, promotions, sorted(one.name for one in self._lines.values())

    def _is_stale(self, shown: _Shown) -> bool:
        return shown.heard_mono_s is None or monotonic_s() - shown.heard_mono_s > STALE_AFTER_S

    def _touch(self, shown: _Shown) -> None:
        self._version += 1
        shown.version = self._version
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def _tile(self, line_id: int, shown: _Shown) -> dict[str, Any]:
        said, counts, now = shown.said, shown.counts, monotonic_s()
        shown.forget_old()
        parts = counts["pass"] + counts["reject"] + counts["other"]
        return {
            "line": shown.name,
            "line_id": line_id,
            "state": "" if said is None else said.state,
            "stale": self._is_stale(shown),
            "heard_ago_s": None if shown.heard_mono_s is None else round(now - shown.heard_mono_s, 1),
            "simulated": bool(said and said.simulated),
            "dry_run": bool(said and said.dry_run),
            "version": said.version if said else "",
            "follow": said.follow if said else "none",
            "parts": parts,
            "passed": counts["pass"],
            "rejected": counts["reject"],
            "other": counts["other"],
            "overturned": counts[OVERTURNED],
            "escaped": counts[SAID_ESCAPE],
            "per_minute": sum(number for _, number in shown.newest),
            "bundles": [one.model_dump() for one in said.bundles] if said else [],
            "drift": said.drift if said else "",
            "shadow": said.shadow.model_dump() if said and said.shadow and not said.shadow.ended else None,
            "behind": said.behind if said else 0,
            "clock_off_s": _clock_off(shown.clock_off_s),
            "alerts": _alerts(said),
        }


def _clock_off(off_s: float) -> int:
    """By how many seconds a line's clock is off, as the page shows it; 0 where it is near enough."""
    return round(off_s) if abs(off_s) > _CLOCK_OFF_S else 0


def _is_other_clock(was_off_s: float, off_s: float) -> bool:
    """Whether that is news: that it is off or not, or by another time than a slow network makes of it."""
    return bool(_clock_off(was_off_s)) != bool(_clock_off(off_s)) or abs(was_off_s - off_s) > _CLOCK_OFF_S


def saved_state(said: str) -> State | None:
    """What a line said, out of the database; None for what another version wrote."""
    try:
        return State.model_validate_json(said)
    except ValidationError:
        return None


def saved_states(connection: Connection) -> dict[int, State]:
    """What each line said last, by its number in the database."""
    found = {line_id: saved_state(said) for line_id, said in connection.execute(select(state.c.line_id, state.c.said))}
    return {line_id: said for line_id, said in found.items() if said is not None}


def _alerts(said: State | None) -> list[dict[str, str]]:
    """What a person should look at, the worst first. ``kind`` is a word of the page, ``what`` the line's own."""
    if said is None:
        return []
    found = [{"kind": "bypass", "what": said.bypass}] if said.bypass else []
    found += [{"kind": "not_ready", "what": f"{name}: {why}"} for name, why in said.why_not.items()]
    found += [{"kind": "degraded", "what": f"{name}: {why}"} for name, why in said.degraded.items()]
    found += [{"kind": "refused", "what": one.why} for one in said.offers if one.how == "refused"]
    found += [{"kind": "aside", "what": str(said.aside)}] if said.aside else []
    found += [{"kind": "behind", "what": str(said.behind)}] if said.behind > _BEHIND_MANY else []
    if said.shadow is not None and said.shadow.problem:
        found.append({"kind": "shadow", "what": said.shadow.problem})
    return found


def _counts(connection: Connection, from_hour: int) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {}
    of_parts = (
        select(tally.c.line_id, tally.c.kind, func.sum(tally.c.number))
        .where(tally.c.hour >= from_hour)
        .group_by(tally.c.line_id, tally.c.kind)
    )
    of_reviews = (
        select(review.c.line_id, review.c.says, func.count())
        .where(review.c.hour >= from_hour, review.c.says.in_((OVERTURNED, SAID_ESCAPE)))
        .group_by(review.c.line_id, review.c.says)
    )
    for query in (of_parts, of_reviews):
        for line_id, kind, number in connection.execute(query):
            found.setdefault(line_id, Counter())[kind] += int(number)
    return found


_PROMOTIONS = (
    select(
        promotion.c.promotion_id,
        promotion.c.bundle_id,
        promotion.c.part,
        promotion.c.program,
        promotion.c.camera,
        promotion.c.stage,
        promotion.c.status,
        promotion.c.words,
        promotion.c.by,
        promotion.c.begun_utc,
    )
    .order_by(promotion.c.promotion_id.desc())
    .limit(5)
)
