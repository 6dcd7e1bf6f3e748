"""A line that is watched, not judged: images come, triggers go where the agent sends them, the output stays REJECT."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from drivers.base import ControllerDown, ControllerStatus, ControllerUp, DriverError
from drivers.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.base import ControllerLink, VerdictOutput
    from edge_agent.runtime.supervisor import TriggerPlan

__all__ = ["Watched", "watching"]

log = structlog.get_logger(__name__)

_INPUT_POLL_S = 0.01
_BETWEEN_PROBLEMS_S = 1.0


class Watched:
    """How the controller stands: its program (None until it is up), and why it is down (empty while it is up)."""

    def __init__(self) -> None:
        self.program: int | None = None
        self.why_down = "not connected yet"
        self.changed = asyncio.Event()

    async def until_up(self) -> int:
        """The controller's program, once its link is up."""
        while self.program is None or self.why_down:
            self.changed.clear()
            await self.changed.wait()
        return self.program


@asynccontextmanager
async def watching(
    link: ControllerLink,
    output: VerdictOutput | None,
    plan: TriggerPlan,
    number: int | None,
    deadline_s: float,
) -> AsyncIterator[Watched]:
    """Keep the links up while the block runs. ``output`` is there where its input says that a part is."""
    watched = Watched()
    tasks = [asyncio.create_task(link.run()), asyncio.create_task(_follow(link, watched))]
    if output is not None:
        # Never ready: the output is there for its input alone, and stands at REJECT.
        tasks.append(asyncio.create_task(output.run(lambda: False)))
    if plan.source != "wired":
        tasks.append(asyncio.create_task(_trigger(link, output, plan, number, deadline_s)))
    try:
        yield watched
    finally:
        # Triggers end before the link that carries them.
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(link: ControllerLink, watched: Watched) -> None:
    while True:
        match await link.next():
            case ControllerUp(program=program):
                watched.program, watched.why_down = program, ""
            case ControllerStatus(program=program):
                watched.program = program
            case ControllerDown(why=why):
                watched.why_down = why
        watched.changed.set()


async def _trigger(
    link: ControllerLink, output: VerdictOutput | None, plan: TriggerPlan, number: int | None, deadline_s: float
) -> None:
    was_present = True  # a part that stands there at start was not seen coming
    while True:
        try:
            if output is None:
                await asyncio.sleep(plan.interval_s)
                is_due = True
            else:
                await asyncio.sleep(_INPUT_POLL_S)
                is_present = await output.read_part_present()
                is_due, was_present = is_present and not was_present, is_present
            if is_due:
                await link.trigger(number, Deadline.after(deadline_s))
        except DriverError as err:
            log.warning("not_triggered", why=str(err))
            was_present = True
            await asyncio.sleep(_BETWEEN_PROBLEMS_S)
