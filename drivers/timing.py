"""Time for drivers and engine: a clock that no one can set. A timeout is a Deadline, made once and handed down."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff", "Deadline", "Standstill", "controller_time", "monotonic_s", "shown_time"]


_CONTROLLER_CLOCK = "%y%m%d_%H%M%S"
_GOES_ON_IN_SUSPEND: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux stops CLOCK_MONOTONIC while the machine sleeps: what came before would look as if it had come just now."""


def monotonic_s() -> float:
    """Seconds on the clock that no one can set, and that goes on while the machine is suspended.

    It is not the clock of asyncio's event loop, which stops in suspend: hand the loop a time that is left, no moment.
    Where a virtual machine is paused, no clock of its own goes on: see ``drivers/keyence/clock.py``.
    """
    return time.monotonic() if _GOES_ON_IN_SUSPEND is None else time.clock_gettime(_GOES_ON_IN_SUSPEND)


@lru_cache(maxsize=1024)
def controller_time(text: str) -> datetime | None:
    """What a controller's clock said (``yymmdd_hhmmss``, whole seconds); None where the text tells no time."""
    try:
        return datetime.strptime(text, _CONTROLLER_CLOCK)  # noqa: DTZ007 - whatever zone the controller is set to
    except ValueError:
        return None


def shown_time(moment: datetime | None) -> str:
    """A moment of a controller's clock as it is written there; '' for None."""
    return "" if moment is None else moment.strftime(_CONTROLLER_CLOCK)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock by which something has to be done."""

    at_mono_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(monotonic_s() + seconds)

    def left_s(self) -> float:
        """Seconds left, 0.0 once it has passed."""
        return max(0.0, self.at_mono_s - monotonic_s())

    @property
    def has_passed(self) -> bool:
        """Whether the moment is over."""
        return monotonic_s() >= self.at_mono_s


@dataclass(slots=True)
class Backoff:
    """Waits between attempts to reach a peer: doubling, with jitter, never above ``cap_s``.

    A line waits for nobody: the cap is one second, so that a peer's return is noticed within it.
    """

    first_s: float = 0.1
    cap_s: float = 1.0
    _next_s: float = field(default=0.0, init=False)

    def reset(self) -> None:
        """The peer answered: start again from the first wait."""
        self._next_s = 0.0

    async def sleep(self, *, spent_s: float = 0.0) -> None:
        """Wait before the next attempt; the last one took ``spent_s`` of that time already.

        An attempt that found nobody within its own time-out has waited enough: only the shortest wait is added.
        """
        self._next_s = min(self.cap_s, self._next_s * 2 or self.first_s)
        wait_s = random.uniform(self._next_s / 2, self._next_s)
        await asyncio.sleep(max(self.first_s / 2, wait_s - spent_s))


class Standstill:
    """Notices that this process stood still: stopped by a signal, a paused machine, a call that held the loop.

    What waited on the wire meanwhile looks as if it had come just now. So whoever takes it asks ``look`` first;
    ``run`` looks ten times within ``longest_s``, so that a quiet wire does not look like a standstill.
    """

    def __init__(self, longest_s: float, on_standstill: Callable[[float], None]) -> None:
        self._longest_s = longest_s
        self._on_standstill = on_standstill
        self._looked_mono_s = monotonic_s()

    def look(self) -> None:
        """Call ``on_standstill`` with the seconds since the last look, if they are too many."""
        now = monotonic_s()
        still_s, self._looked_mono_s = now - self._looked_mono_s, now
        if still_s > self._longest_s:
            self._on_standstill(still_s)

    async def run(self) -> None:
        """Look at the clock ten times within the longest pause that is allowed, until cancelled."""
        self._looked_mono_s = monotonic_s()
        while True:
            await asyncio.sleep(self._longest_s / 10)
            self.look()
