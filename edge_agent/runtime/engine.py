"""One part under one deadline: from its first sign to its verdict on the wire, its row and its archived image."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from drivers.base import (
    CommandRefused,
    ControllerDown,
    ControllerEvent,
    ControllerResult,
    ControllerStatus,
    ControllerUp,
    DriverError,
)
from drivers.timing import Deadline, monotonic_s
from edge_agent.domain import Capture, Inspection, Outcome, Published, Reason, Verdict
from edge_agent.runtime.decision import Decision, Evidence, decide
from edge_agent.runtime.gaps import CountGaps, write_missed
from edge_agent.runtime.interlock import Health, LineEvent, LineState, step
from edge_agent.runtime.pairing import Arrival, Pairing, Part
from edge_agent.runtime.programs import Programs
from edge_agent.runtime.rows import part_row
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from drivers.base import ControllerLink, VerdictOutput
    from edge_agent.store.archive import Archive
    from edge_agent.store.journal import Journal, PartRow

__all__ = ["Engine", "EngineOptions", "Inspects"]

log = structlog.get_logger(__name__)

_MOST_OPEN_PARTS = 8
_INFERENCE_OVERDUE_S = 5.0
_TRIGGER_RETRY_S = 0.1
_REASON_MAX = 200
_BUNDLE_DIGITS = 4
"""Of the bundle's id, in hexadecimal: the 16 bits that a register block has room for."""


class Inspects(Protocol):
    """What judges one image: the Inspector of a bundle."""

    def inspect(self, data: bytes) -> Inspection:
        """Never raises for a bad image; called in the inference thread."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What line.toml says about a part."""

    cameras: tuple[int, ...]
    deadline_s: float
    judgement: Literal["agent", "both"]
    trigger_number: int | None
    boot_id: str
    is_simulated: bool


@dataclass(slots=True)
class _Live:
    """A part while it is open: what asyncio needs beside the evidence."""

    part: Part
    not_ready: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    inspections: dict[int, Inspection] = field(default_factory=dict)
    inspecting: list[asyncio.Task[None]] = field(default_factory=list)
    trigger_problem: str = ""
    force_decision: bool = False


class Engine:
    """Takes events of the links, opens parts, and carries each to its end. Lives in one event loop.

    ``inspectors`` maps (program, camera) to what judges it; a program that is not there is FAULT, never the
    bundle of before.
    """

    def __init__(
        self,
        options: EngineOptions,
        *,
        inspectors: Mapping[tuple[int, int], Inspects],
        journal: Journal,
        archive: Archive,
        output: VerdictOutput,
        health: Health,
    ) -> None:
        self._options = options
        self._inspectors = inspectors
        self._journal = journal
        self._archive = archive
        self._output = output
        self._health = health
        self._pairing = Pairing(self._new_part)
        self._next_seq = journal.next_part_seq
        self._live: dict[int, _Live] = {}
        self._newest_seq = 0
        self._gaps = CountGaps(journal.last_count(is_simulated=options.is_simulated))
        self._programs = Programs(inspectors.keys(), options.cameras)
        self._tasks: asyncio.TaskGroup | None = None
        self._inference = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._inference_since_s: float | None = None
        self.state = LineState.FAULT

    # --- what the supervisor asks ---------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether a PASS may stand on the wire: the line is READY or BUSY, not FAULT."""
        return self.state is not LineState.FAULT

    @property
    def is_simulated(self) -> bool:
        """Whether the peers are simulated: said in status, log and journal."""
        return self._options.is_simulated

    @property
    def is_idle(self) -> bool:
        """No part is open."""
        return not self._live

    def check(self) -> None:
        """Bring the line's state in step with its health. Called at every tick and after every event."""
        overdue_s = monotonic_s() - (self._inference_since_s or math.inf)
        if overdue_s > _INFERENCE_OVERDUE_S:
            self._health.fails("inference", f"one inspection has been running for {overdue_s:.0f} s")
        else:
            self._health.holds("inference")
        self._move(LineEvent.HEALTHY if self._health.is_healthy else LineEvent.UNHEALTHY)

    # --- the loops ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold the tasks of the open parts until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            self._inference.shutdown(wait=False, cancel_futures=True)

    def on_event(self, event: ControllerEvent) -> None:
        """Take an event of the controller link."""
        match event:
            case ControllerResult():
                self._on_result(event)
            case ControllerUp():
                self._set_program(event.program)
                self._health.holds("controller")
            case ControllerStatus():
                self._set_program(event.program)
            case ControllerDown():
                self._health.fails("controller", event.why)
                self._gaps.is_after_gap = True
                self._pairing.go_stale(f"the controller's link had a gap: {event.why}")
                self._wake_all()
        self.check()

    def on_capture(self, capture: Capture) -> None:
        """Take an image. Its inspection starts at once; its verdict waits for the controller's result."""
        arrival, part = self._pairing.on_capture(capture)
        if part is None:
            log.warning("image_without_part", arrival=arrival, count=capture.count, name=capture.name)
            self._spawn(self._note_unplaced("IMAGE", arrival, capture.count, capture.name))
            self._spawn(self._put_away(capture, arrival))
            return
        live = self._live_of(part, arrival)
        if capture.broken is None:
            live.inspecting.append(self._spawn(self._inspect(live, capture)))
        live.changed.set()

    async def trigger(self, link: ControllerLink) -> None:
        """Start a part from this side: it exists, under its deadline, before the trigger leaves."""
        live = self._live_of(self._pairing.on_trigger(), Arrival.NEW)
        deadline = live.part.deadline
        while True:
            try:
                await link.trigger(self._options.trigger_number, deadline)
            except CommandRefused as err:
                # Nothing was imaged after a refusal, so sending again is safe; half the time is for the part itself.
                if deadline.left_s() > self._options.deadline_s / 2:
                    await asyncio.sleep(_TRIGGER_RETRY_S)
                    continue
                live.trigger_problem = str(err)
            except DriverError as err:
                live.trigger_problem = str(err)
            live.changed.set()
            return

    # --- first sign -----------------------------------------------------------------------------------

    def _new_part(self) -> Part:
        seq, now = self._next_seq, monotonic_s()
        self._next_seq += 1
        return Part(seq, now, Deadline(now + self._options.deadline_s))

    def _live_of(self, part: Part, arrival: Arrival) -> _Live:
        if arrival is not Arrival.NEW:
            return self._live[part.seq]
        self.check()
        live = self._live[part.seq] = _Live(part, "" if self.is_ready() else str(self._health))
        self._newest_seq = part.seq
        self._move(LineEvent.FIRST_SIGN)
        self._spawn(self._carry(live))
        for oldest in list(self._live.values())[:-_MOST_OPEN_PARTS]:
            oldest.force_decision = True
            oldest.changed.set()
        return live

    def _on_result(self, result: ControllerResult) -> None:
        if result.count is not None:
            self._account_for_gap(result.count)
        arrival, part = self._pairing.on_result(result)
        if part is None:
            log.warning("result_without_part", arrival=arrival, count=result.count, fields=result.fields)
            self._spawn(self._note_unplaced("RESULT", arrival, result.count, ",".join(result.fields)))
            return
        self._live_of(part, arrival).changed.set()

    def _account_for_gap(self, count: int) -> None:
        """The first live result after downtime tells how many parts nobody looked at: each is FAULT, with a row."""
        counts = self._gaps.before(count)
        missed = []
        for number in counts:
            if not self._pairing.knows(number):
                missed.append(self._new_part())
                missed[-1].count = number
        if missed:
            self._pairing.note_missed(missed)
            self._spawn(self._write_missed(missed, counts))

    async def _write_missed(self, missed: list[Part], counts: range) -> None:
        options = self._options
        why = await write_missed(
            self._journal, missed, counts, boot_id=options.boot_id, is_simulated=options.is_simulated
        )
        if why:
            self._health.fails("journal", why)

    # --- inspection -----------------------------------------------------------------------------------

    async def _inspect(self, live: _Live, capture: Capture) -> None:
        inspector = self._inspector_of(live.part, capture.camera)
        if inspector is None or capture.path is None:
            return
        path, overtaken = capture.path, asyncio.Event()

        def work() -> Inspection | None:
            # Asked in the inference thread: a queue of stale images must not delay the part that is here.
            if live.part.deadline.has_passed or overtaken.is_set():
                return None
            self._inference_since_s = monotonic_s()
            try:
                return inspector.inspect(path.read_bytes())
            finally:
                self._inference_since_s = None

        try:
            inspection = await asyncio.get_running_loop().run_in_executor(self._inference, work)
        except asyncio.CancelledError:
            overtaken.set()
            raise
        except Exception as err:
            log.exception("inspection_failed", part_seq=live.part.seq, camera=capture.camera)
            inspection = Inspection(
                Outcome.NG, Reason.INTERNAL, math.nan, math.nan, "", capture.sha256, detail=repr(err)[:_REASON_MAX]
            )
        if inspection is not None:
            live.inspections[capture.camera] = inspection
            live.changed.set()

    # --- verdict --------------------------------------------------------------------------------------

    async def _carry(self, live: _Live) -> None:
        """Carry one part from its first sign to its end."""
        part = live.part
        withdrawn = self._spawn(self._output.withdraw())
        await self._wait_for_evidence(live)
        await withdrawn
        decision = decide(self._evidence(live))
        row = part_row(
            part,
            live.inspections,
            decision,
            program=self._programs.of(part),
            boot_id=self._options.boot_id,
            is_simulated=self._options.is_simulated,
        )
        try:
            await self._journal.append(row)
            self._health.holds("journal")
        except JournalError as err:
            # No PASS leaves before its row is durable: without a journal there is no PASS at all.
            log.exception("journal_failed", part_seq=part.seq)
            self._health.fails("journal", str(err))
            decision = Decision(Verdict.FAULT, Reason.JOURNAL, str(err))
        self._pairing.close(part)
        for task in live.inspecting:
            task.cancel()
        published = await self._publish(live, decision)
        del self._live[part.seq]
        if not self._live:
            self._move(LineEvent.ALL_DECIDED)
        self.check()
        self._say(row, decision, published)
        if decision.reason is not Reason.JOURNAL:
            await self._keep(live, decision, published)

    async def _wait_for_evidence(self, live: _Live) -> None:
        try:
            async with asyncio.timeout_at(live.part.deadline.at_mono_s):
                while not self._is_complete(live):
                    live.changed.clear()
                    await live.changed.wait()
        except TimeoutError:
            return

    def _is_complete(self, live: _Live) -> bool:
        part = live.part
        if part.stale or live.force_decision or (live.trigger_problem and part.count is None):
            return True
        if part.result is None and not any(c.count is None for c in part.captures.values()):
            return False
        return all(
            camera in part.captures and (camera in live.inspections or self._is_hopeless(part, camera))
            for camera in self._options.cameras
        )

    def _is_hopeless(self, part: Part, camera: int) -> bool:
        """Whether no inspection of that camera's image will ever come."""
        broken = part.captures[camera].broken is not None
        return broken or self._inspector_of(part, camera) is None

    def _evidence(self, live: _Live) -> Evidence:
        part = live.part
        self.check()
        not_ready = live.not_ready or ("" if self.is_ready() else str(self._health))
        return Evidence(
            cameras=self._options.cameras,
            judgement_policy=self._options.judgement,
            captures=part.captures,
            inspections=live.inspections,
            result=part.result,
            not_ready=not_ready,
            program_problem=self._programs.problem_of(part),
            stale=part.stale,
            repeats_count=part.repeats_count,
            deadline_passed=part.deadline.has_passed,
            next_part_is_here=self._newest_seq != part.seq,
            trigger_problem=live.trigger_problem,
        )

    async def _publish(self, live: _Live, decision: Decision) -> Published:
        """Write the verdict, unless the next part is here or the line fell to FAULT while the row was written."""
        part = live.part
        if self._newest_seq != part.seq:
            return Published.WITHHELD
        if decision.verdict is Verdict.PASS and not self.is_ready():
            return Published.WITHHELD
        # REJECT is the resting state: writing it once more is in time at any time.
        by = part.deadline if decision.verdict is Verdict.PASS else Deadline.after(self._options.deadline_s)
        # An inspection that failed names no bundle.
        named = next((inspection.bundle_id for inspection in live.inspections.values() if inspection.bundle_id), "0")
        bundle = int(named[:_BUNDLE_DIGITS], 16)
        return await self._output.publish(part.seq, decision.verdict, by, decision.reason, bundle)

    async def _keep(self, live: _Live, decision: Decision, published: Published) -> None:
        """Off the hot path: the second durable record, and the received bytes."""
        part = live.part
        try:
            await self._journal.publication(part.seq, published, monotonic_s())
        except JournalError as err:
            log.exception("journal_failed", part_seq=part.seq)
            self._health.fails("journal", str(err))
        for camera, capture in part.captures.items():
            if capture.path is not None:
                await self._file(part.seq, camera, decision.verdict, capture.path, capture.sha256)

    async def _file(self, seq: int, camera: int, verdict: Verdict, path: Path, sha256: str) -> None:
        try:
            await asyncio.to_thread(self._archive.file, seq, camera, verdict, path, sha256)
        except OSError as err:
            log.warning("archive_failed", part_seq=seq, error=str(err))

    async def _note_unplaced(self, what: str, arrival: Arrival, count: int | None, name: str) -> None:
        """An image or a result that no open part takes."""
        try:
            await self._journal.event(f"{what}_{arrival}", f"count {count}, {name[:120]!r}")
        except JournalError as err:
            self._health.fails("journal", str(err))

    async def _put_away(self, capture: Capture, arrival: Arrival) -> None:
        """A late image is archived with its part; a duplicate's bytes are dropped from the spool."""
        if capture.path is None:
            return
        seq = self._pairing.decided_seq(capture)
        if arrival is Arrival.LATE and seq is not None:
            await self._file(seq, capture.camera, Verdict.REJECT, capture.path, capture.sha256)
        else:
            await asyncio.to_thread(capture.path.unlink, missing_ok=True)

    # --- small things ---------------------------------------------------------------------------------

    def _set_program(self, program: int) -> None:
        before, self._programs.current = self._programs.current, program
        if before is not None and program != before:
            log.info("program_changed", before=before, now=program)
            self._pairing.go_stale(f"the controller changed from program {before} to {program}")
            self._wake_all()
        problem = self._programs.problem()
        if problem:
            self._health.fails("program", problem)
        else:
            self._health.holds("program")

    def _inspector_of(self, part: Part, camera: int) -> Inspects | None:
        program = self._programs.of(part)
        return None if program is None else self._inspectors.get((program, camera))

    def _say(self, row: PartRow, decision: Decision, published: Published) -> None:
        log.info(
            "part_judged",
            part_seq=row.part_seq,
            count=row.count,
            verdict=decision.verdict,
            reason=decision.reason,
            detail=decision.detail or None,
            score=row.score,
            limit=row.limit,
            published=published,
            latency_ms=round((row.decided_mono_s - row.first_sign_mono_s) * 1000, 1),
        )

    def _move(self, event: LineEvent) -> None:
        before, self.state = self.state, step(self.state, event)
        if before is not self.state and LineState.FAULT in (before, self.state):
            log.info("line_state", state=self.state, before=before, why=str(self._health))

    def _wake_all(self) -> None:
        for live in self._live.values():
            live.changed.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        if self._tasks is None:
            work.close()
            raise RuntimeError("the engine is not running")
        return self._tasks.create_task(work)
