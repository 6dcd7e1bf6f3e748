"""A reject that is certain before its inspection is done goes to the wire at once. It can only ever shorten a REJECT.

The rest of the part stays as it is: its whole inspection, its row and its picture come when they are ready. See
docs/decisions/0083.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Deadline, monotonic_s
from edge_agent.domain import Inspection, Outcome, Published, Reason, Verdict
from edge_agent.runtime.open_part import EarlyWord
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Coroutine

    from drivers.base import VerdictOutput
    from edge_agent.runtime.bypass import Bypass
    from edge_agent.runtime.open_part import EngineOptions, OpenPart

__all__ = ["EarlyWords", "after_early", "is_due"]

log = structlog.get_logger(__name__)

# Stands for what the inspection will find: so far it is only known that it rejects.
_CERTAIN = Inspection(Outcome.NG, Reason.SCORE, 0.0, 0.0, "", "")
_UNSAID = "the inspection said early that this part is a reject, and found nothing against it when it was done"


def is_due(evidence: Evidence, certain: Collection[int]) -> bool:
    """Whether REJECT may be said of a part of which some cameras' images can no longer be OK.

    Only where that is what the part would be rejected for: its image is its own, of now and paired, the line is
    READY, no other part is here. Images that are not here yet, and inspections that are not done, cannot mend it.
    """
    # Where nothing is said early, and why: the table in docs/decisions/0083.
    if not certain or evidence.next_part_is_here or evidence.unproven or evidence.deadline_passed:
        return False
    # Other cameras cannot mend this one: they are taken for seen, to find out what else stands against the part.
    present = next(evidence.captures[camera] for camera in certain)
    seen = {**dict.fromkeys(evidence.cameras, present), **evidence.captures}
    judged = replace(evidence, captures=seen, inspections=dict.fromkeys(evidence.cameras, _CERTAIN))
    # The verdict's own order of reasons answers: where another one comes first, it is not this inspection's word.
    return decide_verdict(judged).reason is _CERTAIN.reason


def after_early(decision: Decision) -> Decision:
    """The decision of a part of which REJECT was said early: never PASS, whatever was found in the end."""
    if decision.verdict is not Verdict.PASS:
        return decision
    log.error("early_reject_contradicted", detail=decision.detail)
    return Decision(Verdict.REJECT, Reason.INTERNAL, _UNSAID)


class EarlyWords:
    """Says REJECT of the part that is here, once, as soon as that is certain. Lives in the event loop.

    Not in a dry run, which says nothing to the wire, nor under a bypass, which may pass the part all the same.
    ``rejected`` hears of each part that was rejected so: it leaves by the chute from now on.
    """

    def __init__(
        self,
        options: EngineOptions,
        *,
        output: VerdictOutput,
        bypass: Bypass,
        rejected: Callable[[int], None],
        spawn: Callable[[Coroutine[None, None, Published]], asyncio.Task[Published]],
    ) -> None:
        self._options = options
        self._output = output
        self._bypass = bypass
        self._rejected = rejected
        self._spawn = spawn

    def look(self, open_part: OpenPart, evidence: Callable[[], Evidence]) -> None:
        """Say it, where it is due and the output knows of the part; asked again whenever anything changes."""
        if open_part.early is not None or self._options.is_dry_run or self._bypass.is_active:
            return
        if open_part.begun is None or not open_part.begun.done():  # a PLC names the part by then
            return
        if is_due(evidence(), open_part.certain):
            open_part.early = EarlyWord(monotonic_s(), self._spawn(self._tell(open_part, evidence)))

    async def _tell(self, open_part: OpenPart, evidence: Callable[[], Evidence]) -> Published:
        """No reason yet: it is whatever the whole inspection says."""
        seq = open_part.part.seq
        if self._bypass.is_active or not is_due(evidence(), open_part.certain):  # since then: nothing is said
            open_part.early = None
            return Published.WITHHELD
        # Not by the part's own deadline: REJECT is the resting state, and in time at any time.
        published = await self._output.publish(seq, Verdict.REJECT, Deadline.after(self._options.deadline_s))
        log.info("part_rejected_early", part_seq=seq, cameras=sorted(open_part.certain), published=published)
        if published is Published.PUBLISHED:
            if open_part.early is not None:
                open_part.early.told_mono_s = monotonic_s()
            self._rejected(seq)
        return published
