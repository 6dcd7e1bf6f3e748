"""From evidence to verdict to wire: waits for what belongs to a part, decides, makes the row durable, publishes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Deadline
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.runtime.dry_run import marked
from edge_agent.runtime.early import after_early
from edge_agent.runtime.rows import part_row
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import VerdictOutput
    from edge_agent.runtime.bypass import Bypass
    from edge_agent.runtime.counter import ControllerCounter
    from edge_agent.runtime.early import EarlyWords
    from edge_agent.runtime.inference import Inference
    from edge_agent.runtime.open_part import EngineOptions, OpenPart
    from edge_agent.runtime.part import Part
    from edge_agent.runtime.programs import Programs
    from edge_agent.runtime.readiness import Readiness
    from edge_agent.store.journal import Journal, PartRow

__all__ = ["PartHandler"]

log = structlog.get_logger(__name__)

_BUNDLE_DIGITS = 4
"""Of the bundle's id, in hexadecimal: the 16 bits that a register block has room for."""


class PartHandler:
    """The steps between a part's first sign and its verdict on the wire, in the order that keeps a PASS honest."""

    def __init__(
        self,
        options: EngineOptions,
        *,
        readiness: Readiness,
        counter: ControllerCounter,
        programs: Programs,
        inference: Inference,
        journal: Journal,
        output: VerdictOutput,
        bypass: Bypass,
        early: EarlyWords,
        why_locked: Callable[[int | None, int], str],
    ) -> None:
        self._options = options
        self._readiness = readiness
        self._counter = counter
        self._programs = programs
        self._inference = inference
        self._journal = journal
        self._output = output
        self._bypass = bypass
        self._early = early
        self._why_locked = why_locked
        self.bypassed_seq = -1
        """The part that was last let pass by a bypass; -1 before the first."""

    async def wait_for_evidence(self, open_part: OpenPart) -> None:
        """Return when all that a verdict rests on is there, when more will not come, or at the part's deadline.

        A REJECT that is certain is said meanwhile; then this returns when it is known what became of it.
        """
        try:
            # The loop's clock stands still while the PC sleeps: it is given the time that is left, and the deadline
            # itself is asked again when the part is decided (docs/decisions/0047).
            async with asyncio.timeout(self._bypass.waits_s(open_part.part.deadline, self._options.deadline_s)):
                while not self._is_complete(open_part):
                    if open_part.certain:
                        self._early.look(open_part, partial(self._evidence, open_part))
                    # Behind the look and before the wait, with no await in between: no change can be lost.
                    open_part.changed.clear()
                    await open_part.changed.wait()
        # The deadline is evidence like any other: what is missing by now decides.
        except TimeoutError:
            pass
        # What became of it on the wire has to be known before the row is written.
        if open_part.early is not None:
            await open_part.early.became()

    def decide(self, open_part: OpenPart) -> Decision:
        """The verdict, of what is known now; without a bypass where it stands on the wire already, as REJECT."""
        if open_part.early is not None:
            # A bypass that began since then does not count: REJECT stands on the wire already (docs/decisions/0083).
            return after_early(decide_verdict(self._evidence(open_part)))
        decision = self._bypass.decide(self._evidence(open_part))
        return marked(decision) if self._options.is_dry_run else decision

    def may_pass(self, open_part: OpenPart, decision: Decision) -> bool:
        """Whether what was decided is still true: asked at the last moment before a PASS is written, and after it.

        Since the decision its row was written, and the wire waited for: a link may have gone, the program changed, the
        bypass ended, another part come. The deadline is left to the output, which looks at it itself and says LATE.
        """
        again = self._bypass.decide(replace(self._evidence(open_part), deadline_passed=False))
        has_lost_its_bypass = decision.reason is Reason.BYPASS and again.reason is not Reason.BYPASS
        return again.verdict is Verdict.PASS and not has_lost_its_bypass

    def _evidence(self, open_part: OpenPart) -> Evidence:
        part, readiness = open_part.part, self._readiness
        return Evidence(
            cameras=self._options.cameras,
            judgement_policy=self._options.judgement,
            captures=part.captures,
            inspections=open_part.inspections,
            result=part.result,
            not_ready=open_part.not_ready or readiness.why_not_ready,
            program_problem=self._programs.problem_of(part),
            stale=part.stale,
            repeats_count=part.repeats_count,
            unproven=part.unproven,
            deadline_passed=part.deadline.has_passed,
            next_part_is_here=readiness.newest_seq != part.seq or self._counter.is_overtaken(part),
            trigger_problem=open_part.trigger_problem,
            locked=self._why_locked(self._programs.of(part), part.seq),
        )

    async def record(self, open_part: OpenPart, decision: Decision) -> tuple[PartRow, Decision]:
        """Make the row durable; the decision is FAULT afterwards if it could not be."""
        row = part_row(
            open_part.part,
            open_part.inspections,
            decision,
            program=self._programs.of(open_part.part),
            boot_id=self._options.boot_id,
            is_simulated=self._options.is_simulated,
            # What was said early was decided when it was said.
            decided_mono_s=None if open_part.early is None else open_part.early.at_mono_s,
        )
        try:
            await self._journal.append(row)
            self._readiness.health.holds("journal")
        except JournalError as err:
            # No PASS leaves before its row is durable: without a journal there is no PASS at all.
            log.exception("journal_failed", part_seq=open_part.part.seq)
            self._readiness.health.fails("journal", str(err))
            decision = Decision(Verdict.FAULT, Reason.JOURNAL, str(err))
        return row, decision

    async def publish(self, open_part: OpenPart, decision: Decision) -> Published:
        """Write the verdict, unless the next part is here or what was decided is no longer true (``may_pass``).

        What was said early and reached the wire is not said again: by then a PLC may have the next part's number there.
        """
        part = open_part.part
        if open_part.early is not None and await open_part.early.became() is Published.PUBLISHED:
            return Published.PUBLISHED
        # A coil carries no part number: by now this verdict would be the next part's (docs/decisions/0011).
        if self._readiness.newest_seq != part.seq:
            return Published.WITHHELD
        may_pass = partial(self.may_pass, open_part, decision)
        # Here before the wire is waited for; the output asks once more, right before it writes.
        if decision.verdict is Verdict.PASS and not may_pass():
            return Published.WITHHELD
        # Before it is written: a bypass that ends meanwhile has to find it, to take it back.
        if decision.reason is Reason.BYPASS:
            self.bypassed_seq = part.seq
        # REJECT is the resting state: writing it once more is in time at any time.
        by = part.deadline if decision.verdict is Verdict.PASS else Deadline.after(self._options.deadline_s)
        # An inspection that failed names no bundle.
        named = next(
            (inspection.bundle_id for inspection in open_part.inspections.values() if inspection.bundle_id), "0"
        )
        bundle = int(named[:_BUNDLE_DIGITS], 16)
        return await self._output.publish(part.seq, decision.verdict, by, decision.reason, bundle, may_pass=may_pass)

    def _is_complete(self, open_part: OpenPart) -> bool:
        part = open_part.part
        if part.stale or open_part.force_decision or (open_part.trigger_problem and part.count is None):
            return True
        # An image without a count can meet no result: there is nothing to wait for.
        if part.result is None and not any(c.count is None for c in part.captures.values()):
            return False
        # The controller is asked for its clock while the inspection runs; its answer is on the way
        # (docs/decisions/0047).
        if part.unproven:
            return False
        return all(
            camera in part.captures and (self._is_seen(open_part, camera) or self._is_hopeless(part, camera))
            for camera in self._options.cameras
        )

    @staticmethod
    def _is_seen(open_part: OpenPart, camera: int) -> bool:
        """Whether that camera's image is inspected, and on the disk."""
        return camera in open_part.inspections and open_part.part.captures[camera].storing is None

    def _is_hopeless(self, part: Part, camera: int) -> bool:
        """Whether no inspection of that camera's image will ever come."""
        broken = part.captures[camera].broken is not None
        return broken or self._inference.inspector_of(part, camera) is None
