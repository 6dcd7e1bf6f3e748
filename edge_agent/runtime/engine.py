"""The agent's middle: takes events of the links, opens parts, and carries each to its end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from drivers.base import (
    CommandRefused,
    ControllerClock,
    ControllerDown,
    ControllerEvent,
    ControllerResult,
    ControllerStatus,
    ControllerUp,
    DriverError,
)
from drivers.timing import Deadline, monotonic_s
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.runtime.archiving import Archiving
from edge_agent.runtime.bypass import Bypass
from edge_agent.runtime.counter import ControllerCounter
from edge_agent.runtime.disk import DISK
from edge_agent.runtime.early import EarlyWords
from edge_agent.runtime.gaps import MOST_MISSED, CountGaps, write_missed
from edge_agent.runtime.inference import Inference, Inspects
from edge_agent.runtime.interlock import Health, LineEvent, LineState
from edge_agent.runtime.link_health import LinkHealth
from edge_agent.runtime.locking import never_locked
from edge_agent.runtime.open_part import EngineOptions, OpenPart
from edge_agent.runtime.pairing import Pairing
from edge_agent.runtime.part import Arrival, Part
from edge_agent.runtime.part_handler import PartHandler
from edge_agent.runtime.programs import Programs
from edge_agent.runtime.readiness import Readiness
from edge_agent.runtime.rows import log_judged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from drivers.base import ControllerLink, VerdictOutput
    from edge_agent.domain import Capture
    from edge_agent.runtime.rejects import RejectWatch
    from edge_agent.store.archive import Archive
    from edge_agent.store.journal import Journal

__all__ = ["Engine", "EngineOptions", "Inspects"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

# More at once means that evidence does not come: the oldest is decided with what there is, so that nothing piles up.
_MOST_OPEN_PARTS = 8
_TRIGGER_RETRY_S = 0.1
# Four ticks of the supervisor without one: the event loop stood still (docs/decisions/0035).
_STANDSTILL_S = 0.2
_FINISH_LOOK_S = 0.02


class Engine:
    """Takes events of the links, opens parts, and carries each to its end. Lives in one event loop.

    ``inspectors`` maps (program, camera) to what judges it; a program that is not there is FAULT, never the
    bundle of before. ``why_locked`` says of a program and a part's number why nothing may pass until the line's samples
    were shown; empty where it may.
    """

    def __init__(
        self,
        options: EngineOptions,
        *,
        inspectors: Mapping[tuple[int, int], Inspects[Any]],
        journal: Journal,
        archive: Archive,
        output: VerdictOutput,
        health: Health,
        bypass: Bypass | None = None,
        rejects: RejectWatch | None = None,
        workers: int = 1,
        why_locked: Callable[[int | None, int], str] = never_locked,
    ) -> None:
        self._options = options
        self.bypass = bypass or Bypass()
        self._rejects = rejects
        self._journal = journal
        self._output = output
        self._health = health
        self._readiness = Readiness(health)
        self._counter = ControllerCounter(timedelta(seconds=options.longest_s))
        self._link_health = LinkHealth(health, self._counter)
        self._pairing = Pairing(self._new_part, self._counter, triggers_itself=options.triggers_itself)
        self._next_seq = journal.next_part_seq
        self._open_parts: dict[int, OpenPart] = {}
        # While a part is open its row comes soon: what became of others waits to share its commit
        # (docs/decisions/0082).
        journal.tell_nearness(lambda: bool(self._open_parts))
        self._gaps = CountGaps(*journal.counted(is_simulated=options.is_simulated))
        self._programs = Programs(inspectors.keys(), options.cameras)
        self._inference = Inference(
            inspectors, self._programs, deadline_s=options.deadline_s, workers=workers, on_certain=self._on_certain
        )
        self._archiving = Archiving(journal, archive, health)
        self._part_handler = PartHandler(
            options,
            readiness=self._readiness,
            counter=self._counter,
            programs=self._programs,
            inference=self._inference,
            journal=journal,
            output=output,
            bypass=self.bypass,
            early=EarlyWords(options, output=output, bypass=self.bypass, rejected=self._on_rejected, spawn=self._spawn),
            why_locked=why_locked,
        )
        self._why_locked = why_locked
        # A bypass ends at the desk, by its time or with the agent; only the engine knows whether its PASS is on the
        # wire.
        self.bypass.take_back = self._take_back_bypass
        self._tasks: asyncio.TaskGroup | None = None
        self._carried: set[asyncio.Task[None]] = set()
        self._ticked_mono_s: float | None = None

    # --- what the supervisor asks ---------------------------------------------------------------------

    @property
    def state(self) -> LineState:
        """How the line stands: READY, BUSY or FAULT."""
        return self._readiness.state

    def is_ready(self) -> bool:
        """Whether a PASS may stand on the wire: the line is READY or BUSY, not FAULT."""
        return self._readiness.is_ready()

    @property
    def is_simulated(self) -> bool:
        """Whether the peers are simulated: said in status, log and journal."""
        return self._options.is_simulated

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing but REJECT goes to the wire: said in status, log, journal and page."""
        return self._options.is_dry_run

    @property
    def program(self) -> int | None:
        """What the controller runs, as far as it told."""
        return self._programs.current

    @property
    def next_seq(self) -> int:
        """The number that the next part gets."""
        return self._next_seq

    @property
    def why_locked(self) -> str:
        """Why no part that came now would pass, though the line is READY: its samples were not shown; else empty."""
        return self._why_locked(self.program, self._next_seq)

    async def withdraw(self) -> None:
        """Take back a PASS that stands on the wire, for the line was locked."""
        await self._output.withdraw()

    @property
    def is_idle(self) -> bool:
        """Whether no part is open."""
        return not self._open_parts

    def tick(self) -> None:
        """``check``, and note that the event loop runs. Called every few hundredths of a second, or never."""
        self._ticked_mono_s = monotonic_s()
        self.check()

    def check(self) -> None:
        """Bring the line's state in step with its health. Called at every tick and after every event."""
        if hung := self._inference.hung():
            self._health.fails("inference", str(hung))
        else:
            self._health.holds("inference")
        self._readiness.look()

    def raise_if_hung(self) -> None:
        """Raise InferenceHung if an inspection does not come back."""
        if hung := self._inference.hung():
            raise hung

    # --- the loops ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold the tasks of the open parts until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            # Neither waits for its threads: a call that never returns must not keep the agent (docs/decisions/0037).
            self._inference.close()
            self._archiving.close()

    async def finish(self, within_s: float) -> None:
        """Let nothing pass any more, and decide every open part now: each has its row before the agent is gone."""
        # First of all: from here on nothing can be decided as PASS, whatever still arrives (docs/decisions/0037).
        self._health.fails("agent", "it is being stopped")
        self.check()
        deadline = Deadline.after(within_s)
        while self._carried and not deadline.has_passed:
            # In each round anew: a part may have been opened since the last one.
            for open_part in self._open_parts.values():
                open_part.decide_now()
            await asyncio.wait(self._carried, timeout=_FINISH_LOOK_S)

    def on_event(self, event: ControllerEvent) -> None:
        """Take an event of the controller link."""
        match event:
            case ControllerResult():
                self._on_result(event)
            case ControllerUp():
                # Before anything else of the new link: what came before it is stale for all that follows
                # (docs/decisions/0036).
                self._pairing.begin_at(event.clock)
                self._set_program(event.program)
                # Whether two controllers send here is found out anew on every link (docs/decisions/0047).
                self._health.holds("sessions")
                # Up, but not READY: its clock has to show another second first (docs/decisions/0047).
                self._link_health.came_up(event.clock, event.at_mono_s)
            case ControllerStatus():
                self._set_program(event.program)
            case ControllerClock():
                self._pairing.on_clock(event.clock, follows_results=event.follows_results)
                self._link_health.look(event.clock)
                # An open part may be waiting for this answer alone: it proves that its result is of now.
                self._wake_all()
            case ControllerDown():
                self._link_health.fails(event.why)
                # The next live result tells by its count how many parts nobody heard of meanwhile.
                self._gaps.is_after_gap = True
                self._go_stale(f"the controller's link had a gap: {event.why}")
        self.check()

    def on_capture(self, capture: Capture) -> None:
        """Take an image. Its inspection starts at once; its verdict waits for the controller's result."""
        arrival, part = self._pairing.on_capture(capture)
        # Before the image is taken for this line's: another controller's count and camera fit as well
        # (docs/decisions/0048).
        if self._counter.two_senders:
            self._health.fails("sessions", self._counter.two_senders)
        if capture.broken is Reason.DISK:  # the watch over the disk ends it
            self._health.fails(DISK, capture.detail)
        if part is None:
            log.warning("image_without_part", arrival=arrival, count=capture.count, name=capture.name)
            self._spawn(self._archiving.note_unplaced("IMAGE", arrival, capture.count, capture.name))
            # Nobody judges these bytes, but they leave the spool: one that fills up would stop the line.
            self._spawn(self._archiving.put_away(capture, arrival, self._pairing.decided_seq(capture)))
            if capture.storing is not None:
                self._spawn(self._stored(capture.storing))
            return
        open_part = self._open_part_of(part, arrival)
        if capture.storing is not None:
            self._spawn(self._wait_stored(open_part, capture, capture.storing))
        # At once, not when the result is here: the inspection is the longest of all that a part waits for.
        if capture.broken is None:
            open_part.inspecting.append(self._spawn(self._inference.inspect(open_part, capture)))
        open_part.changed.set()

    async def _wait_stored(self, open_part: OpenPart, capture: Capture, storing: asyncio.Future[Capture]) -> None:
        """An image's inspection began before the image was durable. Now it is, or it cannot be."""
        stored = await self._stored(storing)
        captures = open_part.part.captures
        if captures.get(capture.camera) is capture:  # else it was found to be another file meanwhile
            # A broken image stays broken, whatever the disk says: only the wait for the disk ends.
            captures[capture.camera] = stored if capture.broken is None else replace(capture, storing=None)
        open_part.changed.set()
        self.check()

    async def _stored(self, storing: asyncio.Future[Capture]) -> Capture:
        """The image once it is durable, or cannot be: then the disk is why no line is READY, whosever image it is."""
        # Others wait for the same future: whoever is cancelled here must not cancel it for them.
        stored = await asyncio.shield(storing)
        if stored.broken is Reason.DISK:
            self._health.fails(DISK, stored.detail)
            self.check()
        return stored

    async def trigger(self, link: ControllerLink) -> None:
        """Start a part from this side: it exists, under its deadline, before the trigger leaves."""
        open_part = self._open_part_of(self._pairing.on_trigger(), Arrival.NEW)
        open_part.link, deadline = link, open_part.part.deadline
        while True:
            try:
                await link.trigger(self._options.trigger_number, deadline)
            except CommandRefused as err:
                # Nothing was imaged after a refusal, so sending again is safe; half the time is for the part itself.
                if deadline.left_s() > self._options.deadline_s / 2:
                    await asyncio.sleep(_TRIGGER_RETRY_S)
                    continue
                open_part.trigger_problem = str(err)
            except DriverError as err:
                open_part.trigger_problem = str(err)
            open_part.changed.set()
            return

    # --- first sign -----------------------------------------------------------------------------------

    def _new_part(self) -> Part:
        seq, begun = self._next_seq, self._first_sign_mono_s()
        self._next_seq += 1
        return Part(seq, begun, Deadline(begun + self._options.deadline_s))

    def _first_sign_mono_s(self) -> float:
        """Now; or, if the event loop stood still, the last moment that it ran: the sign may have waited since then."""
        now, ticked = monotonic_s(), self._ticked_mono_s
        return now if ticked is None or now - ticked <= _STANDSTILL_S else ticked

    def _open_part_of(self, part: Part, arrival: Arrival) -> OpenPart:
        if arrival is not Arrival.NEW:
            return self._open_parts[part.seq]
        self.check()
        # Why the line is not READY is kept with the part: what began under FAULT never passes, even if the line
        # recovers.
        open_part = self._open_parts[part.seq] = OpenPart(part, self._readiness.why_not_ready)
        self._readiness.newest_seq = part.seq
        self._readiness.move(LineEvent.FIRST_SIGN)
        carried = self._spawn(self._carry(open_part))
        self._carried.add(carried)
        # Longer than among the open parts: a stop waits until the part's image is in the archive, too.
        carried.add_done_callback(self._carried.discard)
        # A dict keeps the order of first signs, so these are the ones that have waited longest.
        for oldest in list(self._open_parts.values())[:-_MOST_OPEN_PARTS]:
            oldest.decide_now()
        return open_part

    def _on_result(self, result: ControllerResult) -> None:
        if result.count is not None:
            # First the parts that nobody saw: their numbers come before that of this one.
            self._account_for_gap(result.count)
        arrival, part = self._pairing.on_result(result)
        if part is None:
            log.warning("result_without_part", arrival=arrival, count=result.count, fields=result.fields)
            self._spawn(self._archiving.note_unplaced("RESULT", arrival, result.count, ",".join(result.fields)))
            return
        if result.received_mono_s < part.first_sign_mono_s:  # held up on its way: the part is older
            part.first_sign_mono_s = result.received_mono_s
            part.deadline = Deadline(result.received_mono_s + self._options.deadline_s)
        self._open_part_of(part, arrival).changed.set()

    def _account_for_gap(self, count: int) -> None:
        """The first live result after downtime tells how many parts nobody looked at: each is FAULT, with a row."""
        missed, gap = [], self._gaps.before(count)
        for number in gap[-MOST_MISSED:]:
            if number not in self._gaps.known and not self._pairing.knows(number):
                missed.append(self._new_part())
                missed[-1].count = number
        # They counted for this gap alone: behind a reset the same counts are other parts.
        self._gaps.known = frozenset()
        if missed:
            self._pairing.decided.note_missed(missed)
            self._spawn(self._write_missed(missed, gap))

    async def _write_missed(self, missed: list[Part], gap: range) -> None:
        options = self._options
        why = await write_missed(self._journal, missed, gap, boot_id=options.boot_id, is_simulated=options.is_simulated)
        if why:
            self._health.fails("journal", why)

    # --- verdict --------------------------------------------------------------------------------------

    async def _carry(self, open_part: OpenPart) -> None:
        """Carry one part from its first sign to its end."""
        part = open_part.part
        # At the first sign, so that a PLC sees the part's number, and REJECT beside it, for as long as it is judged.
        open_part.begun = self._spawn(self._output.begin_part(part.seq, part.first_sign_mono_s))
        open_part.begun.add_done_callback(lambda _: open_part.changed.set())
        await self._part_handler.wait_for_evidence(open_part)
        # A verdict must not overtake the word that its part is here.
        await open_part.begun
        self.check()
        # The row is durable before its PASS may leave (docs/decisions/0010).
        row, decision = await self._part_handler.record(open_part, self._part_handler.decide(open_part))
        # Not earlier: what came while the row was written joined this part, instead of opening a second one.
        self._pairing.close(part)
        self._begin_anew_if_owed(open_part)
        # The part was decided without them; a lane drops what is cancelled, for the sake of the part that is here.
        for task in open_part.inspecting:
            task.cancel()
        published = await self._part_handler.publish(open_part, decision)
        has_passed = decision.verdict is Verdict.PASS and published is Published.PUBLISHED
        # Said early, it has been awaited at the chute since then: never twice (docs/decisions/0083).
        is_awaited = open_part.early is not None and open_part.early.is_told
        if not (has_passed or is_awaited or decision.reason is Reason.DUPLICATE):  # of which no part is on the belt
            self._on_rejected(part.seq)
        # Only now, when the verdict has gone its way: until then the line is BUSY.
        del self._open_parts[part.seq]
        if not self._open_parts:
            self._readiness.move(LineEvent.ALL_DECIDED)
        self.check()
        log_judged(row, decision, published)
        # The journal owes this row, and what became of a verdict can only be written behind its row.
        became = None if decision.reason is Reason.JOURNAL else published
        told_mono_s = None if open_part.early is None else open_part.early.told_mono_s
        # Somebody will want to see what a person let pass (docs/decisions/0031).
        always = decision.reason is Reason.BYPASS
        await self._archiving.keep(part, decision.verdict, became, always=always, told_mono_s=told_mono_s)

    def _on_certain(self, open_part: OpenPart, capture: Capture) -> None:
        """An image can no longer be OK, though its inspection is not done."""
        now = open_part.part.captures.get(capture.camera)
        # Said in the inspection's thread some time ago: the image may have been found broken since then.
        if now is not None and now.path == capture.path:
            open_part.certain.add(capture.camera)
            open_part.changed.set()

    def _on_rejected(self, part_seq: int) -> None:
        """A part leaves by the chute from now on."""
        if self._rejects is not None:
            self._rejects.decided(part_seq, passed=False)

    async def _take_back_bypass(self) -> None:
        """The bypass has ended: what it let pass may pass no longer, however far it has come."""
        # The PASS of an older part ended with the first sign of a newer one: nothing of it stands any more.
        if self._part_handler.bypassed_seq == self._readiness.newest_seq:
            await self._output.withdraw()

    def _begin_anew_if_owed(self, open_part: OpenPart) -> None:
        """A triggered part that never got its count: its result may still come, and would be the next part's."""
        if open_part.link is not None and open_part.owes_count:
            why = f"the controller took the trigger of part {open_part.part.seq} and told nothing by the deadline"
            self._link_health.fails(why)  # until the link is up again; nothing passes in between
            open_part.link.begin_anew(why)

    # --- small things ---------------------------------------------------------------------------------

    def _set_program(self, program: int) -> None:
        before, self._programs.current = self._programs.current, program
        if before is not None and program != before:
            log.info("program_changed", before=before, now=program)
            # An image that was taken just before the change may be of either program.
            self._go_stale(f"the controller changed from program {before} to {program}")
        problem = self._programs.problem()
        if problem:
            self._health.fails("program", problem)
        else:
            self._health.holds("program")

    def _go_stale(self, why: str) -> None:
        """Nothing that is open can be trusted to be of now, what was decided and is on its way to the wire included."""
        self._pairing.go_stale(why)
        for open_part in self._open_parts.values():
            open_part.part.stale = open_part.part.stale or why
        self._wake_all()

    def _wake_all(self) -> None:
        for open_part in self._open_parts.values():
            open_part.changed.set()

    def _spawn(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        if self._tasks is None:
            work.close()
            raise RuntimeError("the engine is not running")
        return self._tasks.create_task(work)
