"""Rejected parts that must be seen leaving. One that is not is FAULT, until a person has looked and acknowledges.

An ejector without air, a stuck flap or a full chute lets rejected parts go on with the good ones: no verdict can tell.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.runtime.interlock import Health

__all__ = ["RejectWatch"]

log = structlog.get_logger(__name__)

CONDITION = "rejects"
# The counter is one word of the PLC, and begins again behind it.
_WORD = 0x10000
_MOST_AT_ONCE = 100
"""More at once than this is a counter that began anew, not parts."""


@dataclass(slots=True)
class RejectWatch:
    """Each part that did not pass is awaited at the chute for ``within_s``; the oldest one is taken for the next seen.

    ``missed`` is the first part that was not seen, None once it was acknowledged; ``missed_after`` how many after it.
    """

    within_s: float
    health: Health
    clock: Callable[[], float] = monotonic_s
    confirmed: int = 0
    missed: int | None = None
    missed_after: int = 0
    _awaited: deque[tuple[int, float]] = field(default_factory=deque)
    _count: int | None = None

    def decided(self, part_seq: int, *, passed: bool) -> None:
        """A verdict went its way."""
        if not passed:
            self._awaited.append((part_seq, self.clock() + self.within_s))

    def seen(self, number: int = 1) -> None:
        """Take note of so many parts that were seen leaving by the chute: the oldest awaited ones."""
        for _ in range(number):
            self.confirmed += 1
            if self._awaited:  # else it was taken out by hand, or rejected before this agent ran
                self._awaited.popleft()

    def counter(self, count: int | None) -> None:
        """The PLC's own count of them as it stands, 16 bits; None while it is not heard.

        A count that is lower than before has come round, or the PLC has started again and counts from 0. Only what both
        would mean was seen: no more than the new count, and no more than were awaited.
        """
        if count is None:
            return
        before, self._count = self._count, count
        if before is None or before == count:
            return
        step = (count - before) % _WORD
        number = step if count > before else min(step, count)
        if step > _MOST_AT_ONCE or (count < before and number > max(1, len(self._awaited))):
            number = 0
        if number != step:
            log.warning("reject_counter_began_anew", before=before, now=count, counted=number)
        self.seen(number)

    def look(self) -> None:
        """Once a moment: who is overdue. Those behind a missed one keep their own time."""
        while self._awaited and self.clock() >= self._awaited[0][1]:
            part_seq, _ = self._awaited.popleft()
            # The first one stays named: a person has to look for that, and finds those behind it on the way.
            self.missed, self.missed_after = (
                (part_seq, 0) if self.missed is None else (self.missed, 1 + self.missed_after)
            )
            more = f", nor {self.missed_after} after it" if self.missed_after else ""
            why = f"part {self.missed} was rejected and not seen leaving{more}: look for it, then acknowledge"
            self.health.fails(CONDITION, why)
            log.error("reject_not_seen", part_seq=part_seq, within_s=self.within_s)

    def acknowledge(self) -> int | None:
        """A person has looked. The part that was missed, None if none was."""
        missed, self.missed = self.missed, None
        self.health.holds(CONDITION)
        return missed
