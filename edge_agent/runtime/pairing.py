"""Which image and which result belong to one part. Pure: no clock, no I/O.

The controller's total count names a part within one run of its counter. Which run that is, and whether what comes can
be of now, is asked of ``counter``; whether it is of a part that has its row already, of ``decided``. What arrives for a
part that was already decided never opens a second one; what cannot be placed never joins another part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_agent.runtime.counter import ControllerCounter
from edge_agent.runtime.decided import DecidedParts
from edge_agent.runtime.part import Arrival, Part

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge_agent.domain import Capture, ControllerResult

__all__ = ["Pairing"]

_REPEATED = "the result line before had the same count: this may be that line once more, or the counter was reset"
_TWICE = "a second result of its count came: the counter may have been reset, and the next part be here"
_TWO_UNTOLD = (
    "two parts were triggered before the controller told the count of the first: nothing tells whose result comes"
)


@dataclass(slots=True)
class Pairing:
    """Open parts, in order of their first sign."""

    open_part: Callable[[], Part]
    """Makes the next part, with its sequence number and its deadline."""
    counter: ControllerCounter = field(default_factory=ControllerCounter)
    triggers_itself: bool = False
    """The agent triggers every part: evidence of another comes too late, or of a trigger that nobody here knows."""
    decided: DecidedParts = field(default_factory=DecidedParts)
    parts: list[Part] = field(default_factory=list)

    def on_trigger(self) -> Part:
        """The agent is about to trigger: the part exists before its count is known.

        Where the one before has none yet, nothing tells whose the next count is: neither can pass.
        """
        before = self._next_triggered()
        part = self._open()
        # ``_open`` calls a part stale that the agent did not trigger. This one it is about to trigger.
        part.stale = ""
        if before is not None:
            before.stale = part.stale = before.stale or _TWO_UNTOLD
        return part

    def on_capture(self, capture: Capture) -> tuple[Arrival, Part | None]:
        """Find the part that an image belongs to, or open one.

        Returns how the image came, and its part; None for an image that no open part takes.
        """
        if capture.count is None:
            # It can join nothing: a part of its own, which is rejected and says why.
            nameless = self._open()
            nameless.captures[capture.camera] = capture
            return Arrival.NEW, nameless
        # Once and first: it also follows the session, on which the search below relies.
        why_old, counter_began_anew = self.counter.on_image(capture)
        if counter_began_anew:
            self.decided.missed.clear()
        # It joins the result that it belongs to and makes it stale: one row, not two (docs/decisions/0036, Since then).
        may_be_first = not why_old or self.counter.is_of_just_before(capture)
        part = self._find_open(capture.count, capture.session, may_be_first_image=may_be_first)
        if part is not None:
            return self._join(part, capture, why_old)
        # No open part takes it: it may be late for one that was decided without it.
        decided = self.decided.find(capture, self.counter)
        if decided is not None:
            return (Arrival.DUPLICATE if capture.camera in decided.cameras else Arrival.LATE), None
        if capture.count in self.decided.missed:
            return Arrival.LATE, None
        return self._begin(capture, why_old)

    def on_result(self, result: ControllerResult) -> tuple[Arrival, Part | None]:
        """Find the part that a result line belongs to, or open one.

        Returns how the result came, and its part; None for a result that no open part takes.
        """
        if result.count is None:
            return Arrival.UNPLACEABLE, None
        self.decided.missed.pop(result.count, None)  # seen live: the counter was reset, this is another part
        is_repeated = self.counter.on_result(result.count)
        part = next((p for p in self.parts if p.count == result.count and not p.is_leftover), None)
        if part is not None:
            # Which of two results is this part's cannot be known, so that neither is believed.
            if part.result is not None:
                part.stale = part.stale or _TWICE
                return Arrival.DUPLICATE, None
            part.result, part.told, part.run = result, self.counter.told, self.counter.run
            part.stale = part.stale or (_REPEATED if is_repeated else "") or self.counter.why_apart(part)
            return Arrival.JOINED, part
        decided = self.decided.newest_of(result.count, self.counter.run)
        # It is of a part that has its row already: a second part must not be opened for it.
        if decided is not None and not decided.had_result:
            return Arrival.LATE, None
        part = self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        part.count = result.count
        part.result, part.told, part.run = result, self.counter.told, self.counter.run
        # Kept for the image that may still join: it makes the part stale then.
        part.unsure = _REPEATED if is_repeated else ""
        part.repeats_count = is_repeated or decided is not None
        return arrival, part

    def close(self, part: Part) -> None:
        """The part is decided: what still comes for it is LATE or DUPLICATE."""
        self.parts.remove(part)
        self.decided.add(part, self.counter.run)

    def decided_seq(self, capture: Capture) -> int | None:
        """The part, already decided, that this image is of."""
        if capture.count is None:
            return None
        decided = self.decided.find(capture, self.counter)
        return self.decided.missed.get(capture.count) if decided is None else decided.seq

    def knows(self, count: int) -> bool:
        """Whether a part of that count is open or was decided lately."""
        is_open = any(part.count == count for part in self.parts)
        return is_open or any(decided.count == count for decided in self.decided.parts.values())

    def go_stale(self, why: str) -> None:
        """A link had a gap: nothing that is open can be trusted to be of now."""
        for part in self.parts:
            part.stale = part.stale or why

    def begin_at(self, clock: datetime | None) -> None:
        """The link is up again, and the controller's clock says this: an image taken before was queued in it."""
        self.go_stale("it came before the link to the controller was up")
        self.counter.begin_at(clock)

    def on_clock(self, now: datetime | None, *, follows_results: bool = False) -> None:
        """The controller told its clock, in the stream in which results come; it is asked again only after that.

        ``follows_results``: it was asked for it when every result so far had come.
        """
        self.counter.on_clock(now)
        for part in self.parts:
            if follows_results and part.result is not None and part.proven_at is None:
                part.proven_at = now
                part.stale = part.stale or part.why_of_another_time(self.counter.longest)

    def _open(self) -> Part:
        part = self.open_part()
        part.stale = "the agent did not trigger it, or its verdict is given already" if self.triggers_itself else ""
        self.parts.append(part)
        return part

    def _join(self, part: Part, capture: Capture, why_old: str) -> tuple[Arrival, Part | None]:
        """An image of a part that is open."""
        # Which of two images of one count and camera is the right one nobody can tell: the first one stays.
        if capture.camera in part.captures:
            return Arrival.DUPLICATE, None
        self._attach(part, capture)
        # The first reason stays: those that follow mostly come of it.
        part.stale = (
            part.stale
            or part.unsure
            or why_old
            or self.counter.why_apart(part)
            or self.decided.why_of_one(capture, self.counter)
            or part.why_of_another_time(self.counter.longest)
        )
        return Arrival.JOINED, part

    def _begin(self, capture: Capture, why_old: str) -> tuple[Arrival, Part]:
        """An image that is the first of its part."""
        # A part that has no result yet is not of the count whose result came last, nor of one that another part has.
        is_of_another = capture.count == self.counter.last_heard or any(p.count == capture.count for p in self.parts)
        part = None if why_old or is_of_another else self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        self._attach(part, capture)
        if why_old:
            # A leftover keeps its count to itself: no live result may join it (docs/decisions/0036).
            part.stale, part.is_leftover = part.stale or why_old, True
        return arrival, part

    @staticmethod
    def _attach(part: Part, capture: Capture) -> None:
        part.count = capture.count
        part.session = capture.session
        part.captures[capture.camera] = capture

    def _find_open(self, count: int, session: str, *, may_be_first_image: bool) -> Part | None:
        """The open part that an image of that count and session belongs to."""
        for part in self.parts:
            # The cameras of one part name the same session; a part of which only the result came has none yet.
            fits = part.session == session if part.captures else may_be_first_image
            if part.count == count and fits:
                return part
        return None

    def _next_triggered(self) -> Part | None:
        """The oldest part that the agent triggered and that no count belongs to yet."""
        return next((p for p in self.parts if p.count is None and not p.captures and p.result is None), None)
