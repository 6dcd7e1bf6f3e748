"""Which image and which result belong to one part. Pure: no clock, no I/O.

The controller's total count names a part; its session folder says which run of the counter (cv-x-protocol:
the count restarts on RS and on a program change, so the count alone is no identity). What arrives for a part
that was already decided never opens a second one; what cannot be placed never joins another part.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drivers.timing import Deadline
    from edge_agent.domain import Capture, ControllerResult

__all__ = ["Arrival", "Pairing", "Part"]

_REMEMBERED_PARTS = 256
_REMEMBERED_SESSIONS = 64
_CLOCK = "%y%m%d_%H%M%S"
_REPEATED = "the result before was of this count too: it may be the same once more"
_JUST_BEFORE = timedelta(seconds=2)
"""A part may be imaged just before the link comes up, and its result line sent just after."""


class Arrival(StrEnum):
    """What an image or a result turned out to be."""

    NEW = "NEW"
    """The first sign of a part."""
    JOINED = "JOINED"
    """It belongs to a part that is open."""
    LATE = "LATE"
    """Its part was decided without it."""
    DUPLICATE = "DUPLICATE"
    """Its part has it already."""
    UNPLACEABLE = "UNPLACEABLE"
    """A result without a count: no part can be named."""


@dataclass(frozen=True, slots=True)
class Told:
    """The controller told its clock: all results that it had sent before are here, since both come in one stream.

    So a later result is of a session that began by then, or of a later one. ``session`` is what images had told when
    the clock was asked for: should the clock itself have been set back, that session is not of the future.
    """

    clock: str = ""
    session: str = ""


@dataclass(slots=True)
class Part:
    """One part on its way: what is known of it so far."""

    seq: int
    first_sign_mono_s: float
    deadline: Deadline
    count: int | None = None
    session: str = ""
    captures: dict[int, Capture] = field(default_factory=dict)
    result: ControllerResult | None = None
    told: Told = Told()
    """What the controller had told of its clock before the result came."""
    stale: str = ""
    """Why nothing of this part can be trusted to be of now; empty when it can."""
    is_leftover: bool = False
    """Its image is of an earlier session or from before the link came up: no live result is of this part."""
    unsure: str = ""
    """Why its result may be of a part before it: without an image there may be no part at all."""
    repeats_count: bool = False
    """Its count had already been judged with a result; true after a counter reset, or for a repeated line."""


@dataclass(frozen=True, slots=True)
class _Decided:
    seq: int
    count: int
    session: str
    cameras: frozenset[int]
    names: frozenset[str]
    """Of its images."""
    had_result: bool
    run: int


@dataclass(slots=True)
class Pairing:
    """Open parts, in order of their first sign, and a bounded memory of decided ones."""

    open_part: Callable[[], Part]
    """Makes the next part, with its sequence number and its deadline."""
    triggers_itself: bool = False
    """The agent triggers every part: evidence of another comes too late, or of a trigger that nobody here knows."""
    parts: list[Part] = field(default_factory=list)
    _decided: OrderedDict[int, _Decided] = field(default_factory=OrderedDict)
    _missed: dict[int, int] = field(default_factory=dict)
    """Count to part_seq of parts that were imaged while nobody looked; their images may still be queued."""
    _session: str | None = None
    _session_run: int = 0
    _retired_sessions: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """Sessions that were over, each with its run of the counter."""
    _run: int = 0
    """Runs of the counter so far: a new session, or a live count below the last one, begins the next."""
    _last_count: int | None = None
    """Of the live results of this run."""
    _last_heard: int | None = None
    """The count of the last live result of this link, of whichever run."""
    _has_run_session: bool = False
    """Whether an image told the session of this run."""
    _told: Told = Told()
    """What the controller told of its clock last."""
    _asked: str = ""
    """The session that images told when it was asked the time after."""
    _heard_at: str = ""
    """What the controller had told of its clock when the last live result came."""
    _reset_after: str = ""
    """The same of the last result before the newest reset of the counter that a result told; '' where none did."""
    _reset_by: str = ""
    """What it told first after that; '' until it does."""
    _since: str = ""
    """The controller's clock when the link last came up; '' while it is not known."""
    _just_before: str = ""
    """The same, a little earlier."""

    def on_trigger(self) -> Part:
        """The agent is about to trigger: the part exists before its count is known.

        Where the one before has none yet, nothing tells whose the next count is: neither can pass.
        """
        before = self._next_triggered()
        part = self._open()
        part.stale = ""
        if before is not None:
            before.stale = part.stale = before.stale or "two parts were triggered, and no count had come"
        return part

    def on_capture(self, capture: Capture) -> tuple[Arrival, Part | None]:
        """Place an image."""
        if capture.count is None:
            nameless = self._open()
            nameless.captures[capture.camera] = capture
            return Arrival.NEW, nameless
        why_old = self._why_old(capture)
        may_be_first = not why_old or self._just_before <= capture.taken < self._since
        part = self._find_open(capture.count, capture.session, may_be_first_image=may_be_first)
        if part is not None:
            if capture.camera in part.captures:
                return Arrival.DUPLICATE, None
            self._attach(part, capture)
            part.stale = part.stale or part.unsure or why_old or self._why_decided(capture) or self._why_apart(part)
            return Arrival.JOINED, part
        decided = self._find_decided(capture.count, capture.session)
        if decided is not None:
            return (Arrival.DUPLICATE if capture.camera in decided.cameras else Arrival.LATE), None
        if capture.count in self._missed:
            return Arrival.LATE, None
        part = None if why_old else self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        self._attach(part, capture)
        if why_old:
            part.stale, part.is_leftover = part.stale or why_old, True
        return arrival, part

    def on_result(self, result: ControllerResult) -> tuple[Arrival, Part | None]:
        """Place a result line."""
        if result.count is None:
            return Arrival.UNPLACEABLE, None
        self._missed.pop(result.count, None)  # seen live: the counter was reset, this is another part
        if self._last_count is not None and result.count < self._last_count:
            self._run, self._has_run_session = self._run + 1, False
            self._reset_after, self._reset_by = self._heard_at, ""
        self._last_count, self._heard_at = result.count, self._told.clock
        is_repeated, self._last_heard = result.count == self._last_heard, result.count
        part = next((p for p in self.parts if p.count == result.count and not p.is_leftover), None)
        if part is not None:
            if part.result is not None:
                return Arrival.DUPLICATE, None
            part.result, part.told = result, self._told
            part.stale = part.stale or (_REPEATED if is_repeated else "") or self._why_apart(part)
            return Arrival.JOINED, part
        decided = [d for d in self._decided.values() if d.count == result.count and d.run == self._run]
        if decided and not decided[-1].had_result:
            return Arrival.LATE, None
        part = self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        part.count = result.count
        part.result, part.told = result, self._told
        part.unsure = _REPEATED if is_repeated else ""
        part.repeats_count = bool(decided or part.unsure)
        return arrival, part

    def _why_decided(self, capture: Capture) -> str:
        """Why an image may be of a part of that count that was decided before; empty if it cannot be."""
        decided = self._find_decided(capture.count, capture.session) if capture.count is not None else None
        if decided is None or (capture.camera in decided.cameras and capture.name not in decided.names):
            return ""
        return f"part {decided.seq} of count {decided.count} was decided before: this image may be of it"

    def _why_apart(self, part: Part) -> str:
        """Why image and result may be of two parts, the counter reset between them; empty if they cannot be."""
        told, session = part.told, part.session
        if part.result is None or not session or not told.clock:
            return ""
        if session > told.clock and session != told.session:
            return f"the counter began anew at {session}: the result may be of a part before"
        # The session went on, without another one, if its image is of a time when the reset was over.
        is_newer = self._reset_by and all(capture.taken > self._reset_by for capture in part.captures.values())
        if session <= self._reset_after and not is_newer:
            return f"the counter began anew after {self._reset_after}: the image may be of a part before"
        return ""

    def close(self, part: Part) -> None:
        """The part is decided: what still comes for it is LATE or DUPLICATE."""
        self.parts.remove(part)
        if part.count is None:
            return
        self._decided[part.seq] = _Decided(
            part.seq,
            part.count,
            part.session,
            frozenset(part.captures),
            frozenset(capture.name for capture in part.captures.values()),
            had_result=part.result is not None,
            run=self._run,
        )
        while len(self._decided) > _REMEMBERED_PARTS:
            self._decided.popitem(last=False)

    def decided_seq(self, capture: Capture) -> int | None:
        """The part, already decided, that this image is of."""
        if capture.count is None:
            return None
        decided = self._find_decided(capture.count, capture.session)
        return self._missed.get(capture.count) if decided is None else decided.seq

    def knows(self, count: int) -> bool:
        """Whether a part of that count is open or was decided lately."""
        is_open = any(part.count == count for part in self.parts)
        return is_open or any(decided.count == count for decided in self._decided.values())

    def note_missed(self, parts: Iterable[Part]) -> None:
        """These parts are accounted for without anything of them: what still comes is LATE."""
        self._missed = {part.count: part.seq for part in parts if part.count is not None}

    def go_stale(self, why: str) -> None:
        """A link had a gap: nothing that is open can be trusted to be of now."""
        for part in self.parts:
            part.stale = part.stale or why

    def begin_at(self, clock: str) -> None:
        """The link is up again, and the controller's clock says this: an image taken before was queued in it."""
        self.go_stale("it came before the link was up")
        self._since = clock
        self.on_clock(clock)
        self._heard_at = self._reset_after = ""
        self._last_heard = None  # what the link before had not said when it went down is never said
        try:
            self._just_before = (datetime.strptime(clock, _CLOCK) - _JUST_BEFORE).strftime(_CLOCK)  # noqa: DTZ007
        except ValueError:  # the controller does not tell its clock
            self._just_before = clock

    def on_clock(self, clock: str) -> None:
        """The controller told its clock, in the stream in which results come; it is asked again only after that."""
        self._told, self._asked = Told(clock, self._asked), self._session or ""
        self._reset_by = self._reset_by or clock

    def _why_old(self, capture: Capture) -> str:
        """Why an image cannot be of now; empty if it may be."""
        if capture.taken and capture.taken < self._since:
            # Its session may never have been seen: it must not be followed either.
            return f"the image was taken at {capture.taken}, the link is up since {self._since}"
        if self._follow_session(capture.session):
            return f"the image is of session {capture.session!r}, which was over"
        return ""

    def _open(self) -> Part:
        part = self.open_part()
        part.stale = "the agent did not trigger it, or its verdict is given already" if self.triggers_itself else ""
        self.parts.append(part)
        return part

    @staticmethod
    def _attach(part: Part, capture: Capture) -> None:
        part.count = capture.count
        part.session = capture.session
        part.captures[capture.camera] = capture

    def _find_open(self, count: int, session: str, *, may_be_first_image: bool) -> Part | None:
        """The open part that an image of that count and session belongs to."""
        for part in self.parts:
            fits = part.session == session if part.captures else may_be_first_image
            if part.count == count and fits:
                return part
        return None

    def _find_decided(self, count: int, session: str) -> _Decided | None:
        for decided in reversed(self._decided.values()):
            if decided.count == count and decided.session == session and decided.cameras:
                return decided
        # The image of a part that was decided without one: its session is not known, its run of the counter is.
        unknown = None if self._has_run_session else self._run
        run = self._session_run if session == self._session else self._retired_sessions.get(session, unknown)
        lacking = (d for d in self._decided.values() if d.count == count and d.run == run and not d.cameras)
        return next(lacking, None)

    def _next_triggered(self) -> Part | None:
        """The oldest part that the agent triggered and that no count belongs to yet."""
        return next((p for p in self.parts if p.count is None and not p.captures and p.result is None), None)

    def _follow_session(self, session: str) -> bool:
        """Note the session that images come from; true if this one had been over."""
        if session == self._session:
            return False
        if session in self._retired_sessions:
            return True
        if self._session is not None:
            self._missed.clear()  # the counter begins anew
            if self._has_run_session:
                self._run, self._last_count = self._run + 1, None
            self._retired_sessions[self._session] = self._session_run
            while len(self._retired_sessions) > _REMEMBERED_SESSIONS:
                self._retired_sessions.popitem(last=False)
        self._session, self._session_run, self._has_run_session = session, self._run, True
        return False
