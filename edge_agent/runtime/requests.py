"""The program that the PLC wants. Another one than the controller runs is FAULT, until it is the same again.

``checked``: somebody else switches the controller, the agent only compares. ``switched``: the agent switches it, when
no part is open, to a program that has a bundle. One that has none is refused: never the last bundle.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from drivers.base import DriverError
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.runtime.interlock import Health

__all__ = ["ProgramRequests"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.02
_SWITCH_AGAIN_AFTER_S = 2.0
CONDITION = "request"


@dataclass(slots=True)
class ProgramRequests:
    """``wanted`` and ``current`` give program numbers, None where there is none; ``switch`` tells the controller."""

    mode: Literal["checked", "switched"]
    wanted: Callable[[], int | None]
    current: Callable[[], int | None]
    known: frozenset[int]
    is_idle: Callable[[], bool]
    switch: Callable[[int], Awaitable[object]]
    health: Health
    _tried_mono_s: float = float("-inf")
    _said: str = ""

    def __post_init__(self) -> None:
        # Not healthy until it was seen: a program word that was never written is 0, which is a program too.
        self.health.fails(CONDITION, "the PLC has not asked for a program yet")

    async def run(self) -> None:
        """Compare what the PLC wants with what the controller runs, and switch where asked to, until cancelled."""
        while True:
            program = self.look()
            if program is not None:
                await self._switch_to(program)
            await asyncio.sleep(_LOOK_EVERY_S)

    def look(self) -> int | None:
        """Compare once; the program to switch to, None for none."""
        wanted, current = self.wanted(), self.current()
        if wanted is None:  # no PLC is heard: the output's own condition says so
            return None
        if wanted == current:
            self.health.holds(CONDITION)
            self._say("")
            return None
        why = f"the PLC wants program {wanted}, the controller runs {'none yet' if current is None else current}"
        if wanted not in self.known:
            why += f"; program {wanted} has no [[bundle]]"
        # Also where the agent switches by itself: until the controller runs it, the parts are of the wrong program.
        self.health.fails(CONDITION, why)
        self._say(why)
        is_time = monotonic_s() - self._tried_mono_s >= _SWITCH_AGAIN_AFTER_S
        may_switch = self.mode == "switched" and wanted in self.known and current is not None
        return wanted if may_switch and is_time and self.is_idle() else None

    async def _switch_to(self, program: int) -> None:
        self._tried_mono_s = monotonic_s()
        try:
            await self.switch(program)
        except DriverError as err:
            log.warning("program_not_switched", program=program, why=str(err))
        else:
            log.info("program_switched", program=program, asked_by="the PLC")

    def _say(self, why: str) -> None:
        if why and why != self._said:
            log.warning("program_request_open", why=why)
        self._said = why
