"""What wires tell of the line: the mode switch, the acknowledge button, parts that leave by the reject chute."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from drivers.base import DriverError
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.runtime.interlock import Health
    from edge_agent.runtime.rejects import RejectWatch

__all__ = ["InputPlan", "LineInputs"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.02
"""A level shorter than twice this may be missed; the protocol page says so to whoever wires it."""


@dataclass(frozen=True, slots=True)
class InputPlan:
    """Addresses of discrete inputs, None for those that are not wired."""

    mode: int | None = None
    acknowledge: int | None = None
    reject_confirm: int | None = None

    @property
    def addresses(self) -> tuple[int, ...]:
        """The addresses of the inputs that are wired, in a fixed order."""
        return tuple(a for a in (self.mode, self.acknowledge, self.reject_confirm) if a is not None)


@dataclass(slots=True)
class LineInputs:
    """Reads them all at once, again and again. What rises counts; what was up at first, or behind a gap, does not.

    ``count`` gives the PLC's count of parts in the chute, None where no PLC gives one. ``note(kind, detail)`` writes an
    event.
    """

    plan: InputPlan
    read: Callable[[tuple[int, ...]], Awaitable[tuple[bool, ...]]]
    health: Health
    rejects: RejectWatch | None
    note: Callable[[str, str], Awaitable[None]]
    count: Callable[[], int | None] = lambda: None
    _before: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        if self.plan.mode is not None:
            self.health.fails("mode", "the mode switch has not been read yet")

    async def run(self) -> None:
        """Look until cancelled; where nothing is wired and nothing counted there is nothing to look at."""
        if not self.plan.addresses and self.rejects is None:
            return
        while True:
            if self.plan.addresses:
                await self._look()
            if self.rejects is not None:
                self.rejects.counter(self.count())
                self.rejects.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def acknowledge(self, by: str) -> int | None:
        """A person has looked after a part that was not seen leaving; that part, None if there was none."""
        missed = None if self.rejects is None else self.rejects.acknowledge()
        if missed is not None:
            log.warning("reject_acknowledged", part_seq=missed, by=by)
            try:
                await self.note("ACKNOWLEDGE", f"part {missed}, which was rejected and not seen leaving, by {by}")
            except JournalError as err:
                self.health.fails("journal", str(err))
        return missed

    async def _look(self) -> None:
        addresses = self.plan.addresses
        try:
            levels = await self.read(addresses)
        except DriverError as err:  # the output's own supervision mends it; until then nothing that rises is believed
            self._before = None
            if self.plan.mode is not None:
                self.health.fails("mode", f"the mode switch cannot be read: {err}")
            return
        now = dict(zip(addresses, levels, strict=True))
        # Compared with itself nothing rises: what was up when the reading began is nobody's signal.
        before = now if self._before is None else dict(zip(addresses, self._before, strict=True))
        self._before = levels
        if self.plan.mode is not None:
            if now[self.plan.mode]:
                self.health.holds("mode")
            else:
                self.health.fails("mode", "the mode switch is not on automatic")
        if self.rejects is not None and self._rose(self.plan.reject_confirm, before, now):
            self.rejects.seen()
        if self._rose(self.plan.acknowledge, before, now):
            await self.acknowledge("the button")

    @staticmethod
    def _rose(address: int | None, before: dict[int, bool], now: dict[int, bool]) -> bool:
        return address is not None and now[address] and not before[address]
