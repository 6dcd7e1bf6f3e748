"""The bounded queue between whoever receives images and the runtime. Nothing vanishes in it unsaid."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from drivers.base import Reason
from drivers.keyence.tally import Tally

if TYPE_CHECKING:
    from drivers.base import Capture

__all__ = ["Arrivals"]

_log = structlog.get_logger()

# The promise of PROTOCOL.md, "Image output over FTP". More waiting images than that no line judges in time.
_LIMIT = 64
# Each refused image is a part with a row of its own, but the memory must have an end.
_REFUSED_LIMIT = 1024


class Arrivals:
    """Captures in their order of arrival; filled and emptied on the event loop.

    Beyond ``limit`` waiting ones a capture still comes, as broken by OVERRUN: nobody would judge it in time. Beyond
    ``_REFUSED_LIMIT`` only their number is kept, in the detail of the last one.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._waiting: deque[Capture] = deque()
        self._arrived = asyncio.Event()
        self._roomy = asyncio.Event()
        self._overruns = Tally()
        self._merged = 0

    @property
    def room(self) -> int:
        """How many more captures are taken unharmed."""
        return max(0, self._limit - len(self._waiting))

    @property
    def is_roomy(self) -> bool:
        """At least half of the places are free."""
        return self.room * 2 >= self._limit

    def put(self, capture: Capture) -> None:
        """Append; never blocks, never raises."""
        if self.room == 0:
            capture = self._overrun(capture)
        # The newest place is used again and again: those before it wait for their rows already.
        if len(self._waiting) >= self._limit + _REFUSED_LIMIT:
            self._merged += 1
            capture = replace(capture, detail=f"{capture.detail}; {self._merged} before it were not even listed")
            self._waiting.pop()
        self._waiting.append(capture)
        self._arrived.set()

    async def take(self) -> Capture:
        """The next capture. Waits for one."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        capture = self._waiting.popleft()
        if not self._waiting:
            self._merged = 0
        if self.is_roomy:
            self._roomy.set()
        return capture

    async def wait_roomy(self) -> None:
        """Return when at least half of the places are free."""
        while not self.is_roomy:
            self._roomy.clear()
            await self._roomy.wait()

    def _overrun(self, capture: Capture) -> Capture:
        if self._overruns.is_worth_saying():
            _log.error("images_overrun", times=self._overruns.count, waiting=len(self._waiting), image=capture.name)
        # What is wrong with the image itself comes before the haste here: it tells a person what to look at.
        if capture.broken is not None:
            return capture
        return replace(capture, broken=Reason.OVERRUN, detail=f"{self._limit} images were already waiting")
