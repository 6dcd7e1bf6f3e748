"""Runs the links and the engine together, watches their health, tells systemd, and stops them in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

import structlog

from drivers.base import DriverError
from drivers.timing import Backoff, monotonic_s
from edge_agent.runtime.dry_run import DRY_RUN
from edge_agent.runtime.inference import InferenceHung
from edge_agent.runtime.notify import notify
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from drivers.base import CaptureSource, ControllerLink, VerdictOutput
    from edge_agent.runtime.engine import Engine
    from edge_agent.runtime.interlock import Health
    from edge_agent.store.journal import Journal

__all__ = ["CONDITIONS", "Supervisor", "TriggerPlan"]

log = structlog.get_logger(__name__)

CONDITIONS = ("controller", "program", "output", "images", "journal", "inference")
"""What must hold before the line may be READY; the bundle is verified before there is a supervisor at all."""

# A first sign that comes four of these after the last tick has waited for the loop (docs/decisions/0035).
_TICK_S = 0.05
# Four pings within WatchdogSec: one or two that are late cost no restart.
_NOTIFY_EVERY_S = 0.5
# A disk that was freed is found within a second; a proof costs a sync each time.
_JOURNAL_RETRY_S = 1.0
_INPUT_POLL_S = 0.01
_REFRESH_OVERDUE_S = 0.1
"""Beyond two of its periods. A slow refresh costs one of the four pings of WatchdogSec, not a restart."""
# FAULT until it returns; a restart would mend no disk (docs/decisions/0037).
_WRITE_OVERDUE_S = 1.0
# So long a stop waits for the rows of the parts that are open (docs/decisions/0037).
_FINISH_S = 1.0


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """Who starts a part. ``wired``: the controller's own sensor; then the agent only listens."""

    source: Literal["wired", "interval", "input"]
    interval_s: float


class Supervisor:
    """The running agent: links, engine, health, notification.

    ``started`` makes of the words about this start what the journal's START says.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        health: Health,
        link: ControllerLink,
        images: CaptureSource,
        output: VerdictOutput,
        journal: Journal,
        trigger: TriggerPlan,
        degraded: Callable[[], Mapping[str, str]] = dict,
        refresh_s: float = 0.1,
        started: Callable[[str], str] = str,
    ) -> None:
        self._engine = engine
        self._health = health
        self._link = link
        self._images = images
        self._output = output
        self._journal = journal
        self._trigger = trigger
        self._refreshed_s = monotonic_s()
        self._owes_ready = False
        self._refresh_overdue_s = 2 * refresh_s + _REFRESH_OVERDUE_S
        self._degraded = degraded
        self._started = started

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. On every way out the output has been told REJECT.

        An unexpected error of the engine ends the agent (a bug must not be survived silently); one of a link
        restarts that link alone. Raises InferenceHung if an inspection does not come back.
        """
        # Beside the group of all other tasks: it has to outlive whatever fails there, to say REJECT last.
        output = asyncio.create_task(self._kept_running("output", lambda: self._output.run(self._is_ready)))
        hung: InferenceHung | None = None
        try:
            await self._work(stop)
        except* InferenceHung as group:
            hung = next(err for err in group.exceptions if isinstance(err, InferenceHung))
            notify(f"STOPPING=1\nSTATUS={hung}")
        finally:
            # Last of all: whatever happened above, the wire says REJECT when the process is gone.
            output.cancel()
            await asyncio.gather(output, return_exceptions=True)
        try:
            # Behind the output: the wire comes before the record.
            await self._journal.event("STOP", str(hung or "stopped on request"))
            await self._log_head()
        except JournalError as err:  # how the run ended matters more than that this was not noted
            log.warning("stop_not_noted", error=str(err))
        if hung is not None:
            raise hung

    async def _work(self, stop: asyncio.Event) -> None:
        """Hold every task but the output's until ``stop`` is set."""
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(self._engine.run()),
                tasks.create_task(self._kept_running("controller", self._link.run)),
                tasks.create_task(self._kept_running("images", self._images.run)),
                tasks.create_task(self._take_events()),
                tasks.create_task(self._take_captures()),
                tasks.create_task(self._watch_health()),
                tasks.create_task(self._prove_journal()),
            ]
            work += [tasks.create_task(triggering) for triggering in self._triggering()]
            # Before READY=1: where systemd says "running" the journal says how it was started.
            await self._journal.event("START", self._started("; ".join(self._kinds()) or "the agent is up"))
            await self._log_head()
            self._owes_ready = not notify("READY=1")
            await stop.wait()
            notify("STOPPING=1")
            # While the tasks still run: every open part gets its row before the agent is gone (docs/decisions/0037).
            await self._engine.finish(_FINISH_S)
            for task in work:
                task.cancel()

    def _is_ready(self) -> bool:
        """What the output asks at every refresh; that it asks is its sign of life."""
        self._refreshed_s = monotonic_s()
        return self._engine.is_ready()

    def _kinds(self) -> list[str]:
        """What this run is not: a real one, said wherever the line's state is said."""
        simulated = ["SIMULATED peers"] if self._engine.is_simulated else []
        return simulated + ([DRY_RUN] if self._engine.is_dry_run else [])

    async def _log_head(self) -> None:
        """Note the journal's newest link where someone who alters the journal does not reach: the system's log."""
        log.info("journal_head", head=str(await self._journal.head()))

    async def _kept_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff()
        while True:
            try:
                await run()
                why = "it ended by itself"
            # A link that crashes begins anew. The engine's errors are not caught here: they end the agent
            # (docs/decisions/0012).
            except Exception as err:
                log.exception("link_crashed", link=name)
                why = repr(err)
            self._health.fails(name, f"restarting after {why}")
            await backoff.sleep()

    async def _take_events(self) -> None:
        while True:
            self._engine.on_event(await self._link.next())

    async def _take_captures(self) -> None:
        while True:
            self._engine.on_capture(await self._images.next())

    async def _watch_health(self) -> None:
        """Look at what can only be looked at, and feed systemd's watchdog from this very loop."""
        last_notified_s, last_status, was_told = 0.0, "", True
        while True:
            self._look("output", ok=self._output.is_confirmed, why="the remote I/O is not there or not read back")
            self._look("images", ok=self._images.is_bound, why="the inbox is not open")
            if (waiting_s := self._journal.waiting_s) > _WRITE_OVERDUE_S:
                self._health.fails("journal", f"a write has been waiting for the disk for {waiting_s:.0f} s")
            self._engine.tick()
            # Behind the tick: the line is FAULT before the agent begins to stop.
            self._engine.raise_if_hung()
            now = monotonic_s()
            beside = [f"DEGRADED ({why})" for why in self._degraded().values()]
            beside += [self._engine.bypass.words] if self._engine.bypass.words else []
            status = f"STATUS={': '.join([*self._kinds(), *beside, str(self._engine.state), str(self._health)])}"
            if now - last_notified_s >= _NOTIFY_EVERY_S or status != last_status:
                # Fed by progress, never by a timer: silence has to mean that something stands still
                # (docs/decisions/0037).
                words = [status, *(["WATCHDOG=1"] if self._is_refreshing(now) else [])]
                is_told = notify("\n".join([*(["READY=1"] if self._owes_ready else []), *words]))
                if is_told:
                    self._owes_ready = False
                if is_told != was_told:  # once: it is tried again twice a second
                    log.warning("systemd_hears_again" if is_told else "systemd_does_not_hear", status=status)
                last_notified_s, last_status, was_told = now, status, is_told
            await asyncio.sleep(_TICK_S)

    def _is_refreshing(self, now: float) -> bool:
        """Whether the output is refreshed, if it can be: a restart mends our own standstill, not a pulled cable."""
        return not self._output.is_confirmed or now - self._refreshed_s <= self._refresh_overdue_s

    def _look(self, condition: str, *, ok: bool, why: str) -> None:
        if ok:
            self._health.holds(condition)
        else:
            self._health.fails(condition, why)

    async def _prove_journal(self) -> None:
        """Bring the journal back after a failure: a full disk that was freed needs no restart."""
        while True:
            if "journal" in self._health.reasons:
                try:
                    await self._journal.prove_writable()
                    self._health.holds("journal")
                except JournalError as err:
                    self._health.fails("journal", str(err))
            await asyncio.sleep(_JOURNAL_RETRY_S)

    def _triggering(self) -> list[Coroutine[None, None, None]]:
        """What starts parts from this side; nothing where a sensor is wired to the controller."""
        match self._trigger.source:
            case "wired":
                return []
            case "interval":
                return [self._trigger_at_intervals()]
            case "input":
                return [self._trigger_on_input()]
            case _:
                assert_never(self._trigger.source)

    async def _trigger_at_intervals(self) -> None:
        while True:
            await asyncio.sleep(self._trigger.interval_s)
            # A timer need not start a part that cannot pass. A part that the input shows is there, and has to be
            # accounted for.
            if self._engine.is_ready():
                await self._engine.trigger(self._link)

    async def _trigger_on_input(self) -> None:
        """At the rising edge of the part-present input."""
        was_present = True  # a part that stands there at start was not seen coming
        while True:
            await asyncio.sleep(_INPUT_POLL_S)
            try:
                is_present = await self._output.read_part_present()
            except DriverError:  # the output's own supervision says it and mends it
                was_present = True
                continue
            if is_present and not was_present:
                await self._engine.trigger(self._link)
            was_present = is_present
