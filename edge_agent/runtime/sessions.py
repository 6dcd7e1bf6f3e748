"""The sessions of the controller's counter, in the order of its clock: which one images come from, and which are over.

A session folder is named after the moment in which the counter began anew, an image after the moment it was taken.
Images overtake one another on their way, so what orders two sessions is never which came first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from drivers.timing import controller_time

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Found", "Sessions"]

# A bound. Images of a session that is older than so many are not on their way any more.
_REMEMBERED = 64


class Found(Enum):
    """What the session of an image turned out to be."""

    CURRENT = auto()
    NEWER = auto()
    """A newer one than the current one was: the counter began anew. It is the current one now."""
    OVER = auto()
    """The current one is newer."""
    ALIVE_TOO = auto()
    """It was over, and yet the image was taken after the current one had begun: two controllers send here."""


@dataclass(frozen=True, slots=True)
class _Over:
    run: int | None
    """The run of the counter that it was; None where nothing of it was ever current."""
    since: datetime | None
    """When an image of the session behind it was taken for the first time; None where no name tells."""
    taken: datetime | None = None
    """Of a session that was never current: when its latest image was taken; None where no name tells."""


@dataclass(slots=True)
class Sessions:
    """The session that images come from now, and a bounded memory of those that are over."""

    current: str | None = None
    run: int = 0
    """The run of the counter that the current session is."""
    _first: datetime | None = None
    """When the earliest known image of the current session was taken; None where no name tells."""
    _last: datetime | None = None
    """The same of the latest one. Forgotten when the clock was set back: it is of no order with what follows then."""
    _is_ordered: bool = True
    """False from a clock that was set back until the next session: the current one's name is of the time before."""
    _over: OrderedDict[str, _Over] = field(default_factory=OrderedDict)

    def follow(self, session: str, taken: datetime | None) -> Found:
        """Place the session of an image that was taken then (None: its name does not tell)."""
        if self.current is None or session == self.current:
            self.current = session
            self._note(taken)
            return Found.CURRENT
        over = self._over.get(session)
        if over is not None:
            is_alive = over.since is not None and taken is not None and taken > over.since
            if over.run is None:
                self._over[session] = replace(over, taken=_later(over.taken, taken))
            return Found.ALIVE_TOO if is_alive else Found.OVER
        if not self._is_newer(session, taken):
            # Older than the current one and met for the first time: which run of the counter it was nobody knows.
            self._remember(session, _Over(None, self._first, taken))
            return Found.OVER
        self._remember(self.current, _Over(self.run, taken))
        self.current, self._first, self._last, self._is_ordered = session, taken, taken, True
        return Found.NEWER

    def run_of(self, session: str) -> int | None:
        """The run of the counter that a session is; None where nothing tells."""
        if session == self.current:
            return self.run
        over = self._over.get(session)
        return None if over is None else over.run

    def clock_was_set_back(self, now: datetime) -> None:
        """What was told of time so far has no order with what is told from ``now`` on, by the new clock.

        A session that was called over by its time alone, and of which no image is from after now, may be the one that
        began behind the change: its first image came before anybody knew of that. It is forgotten, and met anew.
        """
        self._first = self._last = None
        self._is_ordered = False
        for session, over in list(self._over.items()):
            if over.run is None and over.taken is not None and over.taken <= now:
                del self._over[session]
            else:
                self._over[session] = replace(over, since=None)

    def _is_newer(self, session: str, taken: datetime | None) -> bool:
        """Whether an image of a session never seen before is of one behind the current one.

        What was taken later is of a later session: that holds too where the clock was set back unseen and the later
        session bears the earlier name. In one and the same second, or where no name tells when, the names decide.
        """
        if taken is not None and self._last is not None and taken != self._last:
            return taken > self._last
        name, current = controller_time(session), controller_time(self.current or "")
        return not self._is_ordered or name is None or current is None or name > current

    def _note(self, taken: datetime | None) -> None:
        if taken is not None:
            self._first = min(filter(None, (self._first, taken)))
            self._last = _later(self._last, taken)

    def _remember(self, session: str, over: _Over) -> None:
        self._over[session] = over
        while len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
