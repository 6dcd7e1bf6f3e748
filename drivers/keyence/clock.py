"""The controller's clock: read in one session, and a witness of whether this machine's own stood still meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.base import NotConnected, ProtocolViolation
from drivers.keyence.reading import read_clock
from drivers.timing import Deadline, monotonic_s, shown_time

if TYPE_CHECKING:
    from datetime import datetime

    from drivers.keyence.session import Session

__all__ = ["ClockWitness", "SessionClock"]

_WHOLE_S = 1.0
"""Two times in whole seconds may differ by this much more than the time that really went by between them."""
# Less cannot be told from a clock of whole seconds; more is a gap in which parts may have left (docs/decisions/0047).
_STANDSTILL_S = 1.0
# PROTOCOL.md, "Bringing the link up". Each question costs a turn on a wire that has nothing else to do then.
_POLL_S = 0.05
# A clock that runs shows another second within one; the rest is for the answer on its way.
_ANOTHER_SECOND_TIMEOUT_S = 1.5


@dataclass(slots=True)
class ClockWitness:
    """Compares how far the controller's clock went on between two answers with how far ours did.

    No clock of a paused virtual machine goes on. The two clocks are never compared themselves: they may be of different
    zones, and drift apart as they like.
    """

    _told: datetime | None = None
    _asked_mono_s: float = 0.0

    def stood_still_s(self, clock: datetime | None, asked_mono_s: float, answered_mono_s: float) -> float:
        """For how long at least this machine's clock stood still since the answer before; 0.0 where nothing says so.

        ``clock`` is the controller's, None where it does not tell; the times are seconds of
        ``drivers.timing.monotonic_s`` when it was asked and when the answer came.
        """
        before, began_mono_s = self._told, self._asked_mono_s
        # From when the question was sent and not from the answer: so a slow answer makes our time longer, and never
        # looks like a standstill.
        self._told, self._asked_mono_s = clock, asked_mono_s
        if before is None or clock is None:
            return 0.0
        theirs_s = (clock - before).total_seconds() - _WHOLE_S
        return max(0.0, theirs_s - (answered_mono_s - began_mono_s))


@dataclass(slots=True)
class SessionClock:
    """The controller's clock, read over one session."""

    _session: Session
    _peer: str
    _witness: ClockWitness = field(default_factory=ClockWitness)

    async def read(self) -> datetime | None:
        """What it says, in whole seconds; None where the controller does not tell.

        Raises NotConnected, and drops the session, where it went on by over a second more than ours. Raises as
        ``Session.command`` does.
        """
        # Before the question leaves: see ``stood_still_s``.
        asked_mono_s = monotonic_s()
        clock = await read_clock(self._session, self._peer)
        still_s = self._witness.stood_still_s(clock, asked_mono_s, monotonic_s())
        if still_s > _STANDSTILL_S:
            self._session.drop(
                NotConnected(
                    f"{self._peer}: the controller's clock went on by {still_s:.0f} s more than this machine's: this "
                    "one stood still (a paused virtual machine), or that one was set forward"
                )
            )
            raise self._session.error
        return clock

    async def wait_another_second(self) -> None:
        """Wait until it shows another second than now. Raises ProtocolViolation where it stands still.

        Names of images tell the second in which they were taken. The image of a part that was triggered before would
        otherwise not be older than the link, and would be taken for that of the next part that is triggered.
        """
        first = clock = await self.read()
        by = Deadline.after(_ANOTHER_SECOND_TIMEOUT_S)
        while clock is not None and clock == first:
            if by.has_passed:
                raise ProtocolViolation(f"the clock of {self._peer} stands still at {shown_time(clock)}")
            await self._session.pause(_POLL_S)
            clock = await self.read()
