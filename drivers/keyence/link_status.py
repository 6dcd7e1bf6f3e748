"""How a link to a controller stands: up or down and since when, what is said of it, and the events that tell it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from drivers.base import ControllerClock, ControllerDown, ControllerStatus, ControllerUp, NotConnected
from drivers.keyence.tally import Tally
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from drivers.base import ControllerEvent, DriverError

__all__ = ["SETUP_MODE", "STEADY_S", "LinkRecord", "LinkStatus"]

_log = structlog.get_logger()

SETUP_MODE = "setup mode"
STEADY_S = 5.0
"""A connection that was lost sooner may be one of two clients that throw each other out: it is not hurried after."""
# Some minutes of a fast line. The engine takes an event as soon as it comes: so many mean that nobody takes any.
_EVENTS_MAX = 1024
_FOUGHT_OVER = "it was up for a moment only, and the controller ended it: does another program connect to it?"
_LOOSE = "it was up for a moment only: look at the plugs, the cable and the power"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a link stands. ``program`` and ``version`` are the last that were read."""

    peer: str
    is_up: bool
    why_down: str
    program: int | None
    version: str


class LinkRecord:
    """Up, or down and why. Each change is an event and, once an outage, a line in the log.

    At most ``_EVENTS_MAX`` events wait to be taken. More call ``drop`` with what is wrong: a line whose results nobody
    takes is not inspected, so the connection has to end.
    """

    def __init__(self, peer: str, drop: Callable[[DriverError], object]) -> None:
        self.is_live = False
        self.why_down = ""
        self.up_at_mono_s = 0.0
        self.flaps = Tally()
        self.was_thrown_out = False
        """The controller ended the connection before this one."""
        self.is_said = True
        """This outage was said aloud."""
        self.events: deque[ControllerEvent] = deque()
        self._peer = peer
        self._drop = drop
        self._arrived = asyncio.Event()
        self._down_since_mono_s: float | None = None
        self._program: int | None = None
        self._version = ""

    @property
    def status(self) -> LinkStatus:
        """How the link stands now."""
        return LinkStatus(self._peer, self.is_live, self.why_down, self._program, self._version)

    async def next(self) -> ControllerEvent:
        """The next event, in order of arrival. Waits for one."""
        while not self.events:
            self._arrived.clear()
            await self._arrived.wait()
        return self.events.popleft()

    def emit(self, event: ControllerEvent) -> None:
        """Let it be the newest event."""
        if len(self.events) >= _EVENTS_MAX:
            why = f"{len(self.events)} events were not taken"
            _log.error("events_dropped", peer=self._peer, events=len(self.events))
            self.events.clear()
            self.is_live = False
            self.why_down = why
            event = ControllerDown(why, monotonic_s())
            self._drop(NotConnected(f"{self._peer}: {why}; the connection is dropped"))
        self.events.append(event)
        self._arrived.set()

    def tell_clock(self, clock: ControllerClock) -> None:
        """The controller's clock, in the place of one that nobody took yet and that nothing came behind."""
        # Only the last one: an older clock with a result behind it is what proves the time of the results before it.
        if self.events and isinstance(self.events[-1], ControllerClock):
            self.events.pop()
        self.emit(clock)

    def set_program(self, program: int) -> None:
        """The controller runs this program."""
        if program == self._program:
            return
        _log.info("program_changed", peer=self._peer, program=program, was=self._program)
        self._program = program
        self.emit(ControllerStatus(program, monotonic_s()))

    def go_up(self, program: int, version: str, clock: datetime | None) -> None:
        """Everything until the next ``go_down`` counts."""
        now = monotonic_s()
        outage_s = None if self._down_since_mono_s is None else round(now - self._down_since_mono_s, 3)
        say = _log.info if self.is_said else _log.debug
        say("link_up", peer=self._peer, program=program, version=version, outage_s=outage_s)
        self._down_since_mono_s, self.up_at_mono_s = None, now
        self.why_down = ""
        self._program, self._version = program, version
        self.is_live = True
        self.emit(ControllerUp(program, version, now, clock))

    def go_down(self, why: str, *, flaps: bool = False) -> None:
        """Once an outage, and once more when setup mode turns into a lost link or back.

        A link that ``flaps``, up for a moment only, is said to be down and up the 1st, 2nd, 4th, ... time.
        """
        self.is_live = False
        if self._down_since_mono_s is None:
            self._down_since_mono_s = monotonic_s()
            self.is_said = not flaps or self.flaps.is_worth_saying()
            hint = _FOUGHT_OVER if self.was_thrown_out else _LOOSE
            said = {"hint": hint, "times": self.flaps.count} if flaps else {}
            (_log.warning if self.is_said else _log.debug)("link_lost", peer=self._peer, why=why, **said)
        else:
            _log.debug("link_retry", peer=self._peer, why=why)
            if not self.is_said and monotonic_s() - self._down_since_mono_s > STEADY_S:  # no flap: it stays away
                self.is_said = True
                _log.warning("link_lost", peer=self._peer, why=why, times=self.flaps.count)
            # Another reason of the same outage is no event: it would only repeat that everything is stale.
            if (why == SETUP_MODE) == (self.why_down == SETUP_MODE):
                self.why_down = why
                return
        self.why_down = why
        self.emit(ControllerDown(why, monotonic_s()))

    def close(self) -> None:
        """The agent stops: down for good."""
        self.is_live = False
        self.why_down = "the agent stops"
        _log.info("link_closed", peer=self._peer)
        self.emit(ControllerDown(self.why_down, monotonic_s()))
