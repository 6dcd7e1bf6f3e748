"""Bypass: for minutes, a person answers for the parts instead of this inspection. It opens nothing else.

It sets aside one thing: what this agent's own inspection says of a part. Which part it is, when it came, that its row
is durable, that the wire is proven, that the line is READY, and what the controller's own tools say (where they count)
stand as ever, because the same ``decide_verdict`` decides. It is in memory only: an agent that starts is not in bypass.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s
from edge_agent.domain import Capture, Inspection, Outcome, Reason, Verdict
from edge_agent.errors import EdgeAgentError
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from drivers.timing import Deadline

__all__ = ["LONGEST_S", "Bypass", "BypassRefused", "decide_in_bypass"]

log = structlog.get_logger(__name__)

# Long enough to change a lamp, too short to be forgotten until Monday (docs/decisions/0031).
LONGEST_S = 15 * 60.0
_WAITS = 0.75
"""The share of a part's time that is waited for its inspection: the rest is for its row and its PASS."""
# Whoever looks at the log in these minutes has to see it (docs/decisions/0031).
_SAY_EVERY_S = 60.0
_TEXT_MAX = 200

_SET_ASIDE = frozenset(
    {
        Reason.SCORE,
        Reason.ALIGN,
        Reason.LIGHT,
        Reason.FOCUS,
        Reason.NOT_FINITE,
        Reason.INTERNAL,
        Reason.IMAGE_BROKEN,
        Reason.IMAGE_SIZE,
        Reason.NO_IMAGE,
        Reason.LATE,
    }
)
"""What may be this inspection's own opinion, or its lack of one. LATE may be the part's own time: it is asked again."""


class BypassRefused(EdgeAgentError):
    """The bypass did not begin, or there was none to end."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class _Begun:
    by: str
    why: str
    ends_mono_s: float


async def _to_nobody(_kind: str, _detail: str) -> None:
    return


async def _nothing_stands() -> None:
    return


class Bypass:
    """Whether a person has taken over, who, and until when. ``note(kind, detail)`` writes an event durably."""

    def __init__(
        self,
        note: Callable[[str, str], Awaitable[None]] = _to_nobody,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._note = note
        self._clock = clock
        self.take_back: Callable[[], Awaitable[None]] = _nothing_stands
        """Ends a PASS that rests on the bypass and stands on the wire, or is on its way there. The engine sets it."""
        self._begun: _Begun | None = None
        self._changed = asyncio.Event()

    @property
    def is_active(self) -> bool:
        """Asked anew each time, on the monotonic clock: it ends even if nothing here gets a turn."""
        return self._begun is not None and self._clock() < self._begun.ends_mono_s

    @property
    def left_s(self) -> float:
        """Seconds until it ends by itself; 0.0 where there is none."""
        return max(0.0, self._begun.ends_mono_s - self._clock()) if self._begun is not None else 0.0

    @property
    def words(self) -> str:
        """For people: ``BYPASS by A. Rossi, 14 min left``; empty where there is none."""
        if self._begun is None or not self.is_active:
            return ""
        return f"BYPASS by {self._begun.by}, {self.left_s / 60:.0f} min left"

    def status(self) -> dict[str, object] | None:
        """For ``--json``; None where there is none."""
        if self._begun is None or not self.is_active:
            return None
        return {"by": self._begun.by, "why": self._begun.why, "left_s": round(self.left_s, 1)}

    async def begin(self, by: str, why: str, for_s: float = LONGEST_S) -> None:
        """Begin when its row is durable. One that runs is not made longer: it must have ended.

        Raises BypassRefused, JournalError.
        """
        if not (0 < len(by.strip()) <= _TEXT_MAX and by.isprintable() and 0 < len(why.strip()) <= _TEXT_MAX):
            raise BypassRefused(f"a bypass has a name and a reason, of {_TEXT_MAX} characters at most")
        if not why.isprintable() or not 0 < for_s <= LONGEST_S:
            raise BypassRefused(f"a bypass lasts {LONGEST_S / 60:.0f} minutes at most, and its reason is one line")
        # Also one whose end is not noted yet: in the journal no two overlap.
        if self._begun is not None:
            raise BypassRefused(
                f"{self.words or 'a bypass'} has not ended", hint='end it first: edge-agent bypass end --by "YOUR NAME"'
            )
        # From here on a second begin is refused; not active before the row is on the disk.
        begun = self._begun = _Begun(by, why, 0.0)
        try:
            await self._note("BYPASS", f"begins, by {by}, for {for_s:.0f} s: {why}")
        # Not durable is not begun, also where whoever asked was cancelled.
        except BaseException:
            self._begun = None
            raise
        self._begun = replace(begun, ends_mono_s=self._clock() + for_s)
        log.warning("bypass_begins", by=by, why=why, for_s=for_s)
        self._changed.set()

    async def end(self, by: str) -> None:
        """End it now: when this returns, no PASS that rests on it stands or can still come.

        Where the output does not answer, the line is FAULT, and what stands there falls by the remote I/O's watchdog.

        Raises BypassRefused where there is none, JournalError: it has ended all the same.
        """
        if not self.is_active:
            raise BypassRefused("there is no bypass to end")
        await self._end(f"by {by[:_TEXT_MAX]!r}")

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """End it in time and remind of it while the block runs; what is still on at the end is ended."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._end_noted("the agent stops")

    def waits_s(self, deadline: Deadline, whole_s: float) -> float:
        """How much longer a part is waited for, in seconds; 0.0 or less once it was waited for long enough."""
        return deadline.left_s() - (1 - _WAITS) * whole_s if self.is_active else deadline.left_s()

    def decide(self, evidence: Evidence) -> Decision:
        """The verdict: ``decide_verdict``, or, while a person answers for the parts, ``decide_in_bypass``."""
        if self._begun is None or not self.is_active:
            return decide_verdict(evidence)
        return decide_in_bypass(evidence, self._begun.by)

    async def _keep(self) -> None:
        while True:
            # 0.0 until its row is durable: what has not begun cannot be over.
            if self._begun is not None and self._begun.ends_mono_s and not self.is_active:
                await self._end_noted("its time is over")
            wait_s = min(_SAY_EVERY_S, self.left_s) if self.is_active else None
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                if self.is_active:
                    log.warning("bypass_goes_on", words=self.words)

    async def _end_noted(self, why: str) -> None:
        try:
            await self._end(why)
        except JournalError as err:  # no row leaves without a journal, so no PASS either; the log has it
            log.warning("bypass_end_not_noted", why=str(err))

    async def _end(self, why: str) -> None:
        begun, self._begun = self._begun, None
        self._changed.set()
        if begun is not None:
            log.warning("bypass_ends", by=begun.by, why=why)
            # The PASS before the note: of the two the journal may be what is slow.
            await self.take_back()
            await self._note("BYPASS", f"ends: {why}; it was begun by {begun.by}")


def decide_in_bypass(evidence: Evidence, by: str) -> Decision:
    """The verdict while ``by`` answers for the parts. Total; every row says BYPASS.

    As ``decide_verdict``, with each camera's opinion taken for OK where this inspection's opinion stood against it.
    """
    # The same rules decide twice: there is no second way to PASS (docs/decisions/0031).
    usual = decide_verdict(evidence)
    without = f"{usual.verdict} {usual.reason}" + (f": {usual.detail}" if usual.detail else "")
    # Nobody answers for a line whose samples were not shown: its own opinion has to stay to be read, for it is what the
    # samples are shown for (docs/decisions/0097).
    if evidence.locked or (usual.verdict is not Verdict.PASS and usual.reason not in _SET_ASIDE):
        return replace(usual, detail=f"BYPASS by {by}, which changes nothing here: {without}")
    decision = decide_verdict(_taken_for_ok(evidence))
    if decision.verdict is not Verdict.PASS:
        against = f"{decision.reason}: {decision.detail}" if decision.detail else str(decision.reason)
        return replace(decision, detail=f"BYPASS by {by}, which changes nothing here: {against}")
    return Decision(Verdict.PASS, Reason.BYPASS, f"BYPASS by {by}; without it {without}")


def _taken_for_ok(evidence: Evidence) -> Evidence:
    """The same evidence, had every camera seen a good part."""
    ok = Inspection(Outcome.OK, Reason.OK, 0.0, 1.0, "", "")
    seen = Capture(0, 0, "", "", None, "", 0.0)
    return replace(
        evidence,
        captures={**evidence.captures, **dict.fromkeys(evidence.cameras, seen)},
        inspections=dict.fromkeys(evidence.cameras, ok),
    )
