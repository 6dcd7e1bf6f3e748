"""Which image and which result belong to one part. Pure: no clock, no I/O.

The controller's total count names a part; its session folder says which run of the counter (cv-x-protocol:
the count restarts on RS and on a program change, so the count alone is no identity). What arrives for a part
that was already decided never opens a second one; what cannot be placed never joins another part.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from drivers.timing import controller_time, shown_time
from edge_agent.runtime.part import Arrival, Decided, Part, Told
from edge_agent.runtime.sessions import Found, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from edge_agent.domain import Capture, ControllerResult

__all__ = ["Pairing"]

# A bound, for an agent runs for months. What is older than so many parts is not on its way any more.
_REMEMBERED_PARTS = 256
_REPEATED = "the result line before had the same count: this may be that line once more, or the counter was reset"
_TWICE = "a second result of its count came: the counter may have been reset, and the next part be here"
_TWO_UNTOLD = (
    "two parts were triggered before the controller told the count of the first: nothing tells whose result comes"
)
_JUST_BEFORE = timedelta(seconds=2)
"""A part may be imaged just before the link comes up, and its result line sent just after."""


@dataclass(slots=True)
class Pairing:
    """Open parts, in order of their first sign, and a bounded memory of decided ones."""

    open_part: Callable[[], Part]
    """Makes the next part, with its sequence number and its deadline."""
    triggers_itself: bool = False
    """The agent triggers every part: evidence of another comes too late, or of a trigger that nobody here knows."""
    longest: timedelta = timedelta(seconds=3)
    """From when an image was taken to when the controller tells its clock after the part's result, at most."""
    two_senders: str = ""
    """Why images of two controllers come here; empty where nothing says so. Nothing can be placed then."""
    parts: list[Part] = field(default_factory=list)
    _decided: OrderedDict[int, Decided] = field(default_factory=OrderedDict)
    _missed: dict[int, int] = field(default_factory=dict)
    """Count to part_seq of parts that were imaged while nobody looked; their images may still be queued."""
    _sessions: Sessions = field(default_factory=Sessions)
    _run: int = 0
    """Runs of the counter so far: a new session, or a live count below the last one, begins the next."""
    _last_count: int | None = None
    """Of the live results of this run."""
    _last_heard: int | None = None
    """The count of the last live result of this link, of whichever run."""
    _newest_image: int = 0
    """The highest count that an image of the current session, and of this run, told."""
    _has_run_session: bool = False
    """Whether an image told the session of this run."""
    _told: Told = field(default_factory=Told)
    """What the controller told of its clock last."""
    _asked: str = ""
    """The session that images told when it was asked the time after."""
    _heard_at: datetime | None = None
    """What the controller had told of its clock when the last live result came."""
    _reset_after: datetime | None = None
    """The same of the last result before the newest reset of the counter that a result told; None where none did."""
    _reset_by: datetime | None = None
    """What it told first after that; None until it does."""
    _since: datetime | None = None
    """The controller's clock when the link last came up; None while it is not known."""

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
        why_old = self._why_old(capture)
        # It joins the result that it belongs to and makes it stale: one row, not two (docs/decisions/0036, Since then).
        may_be_first = not why_old or self._is_of_just_before(capture)
        part = self._find_open(capture.count, capture.session, may_be_first_image=may_be_first)
        if part is not None:
            # Which of two images of one count and camera is the right one nobody can tell: the first one stays.
            if capture.camera in part.captures:
                return Arrival.DUPLICATE, None
            self._attach(part, capture)
            why = part.unsure or why_old or self._why_apart(part) or self._why_decided(capture)
            # The first reason stays: those that follow mostly come of it.
            part.stale = part.stale or why or self._why_not_of_now(part)
            return Arrival.JOINED, part
        # No open part takes it: it may be late for one that was decided without it.
        decided = self._find_decided(capture, capture.count)
        if decided is not None:
            return (Arrival.DUPLICATE if capture.camera in decided.cameras else Arrival.LATE), None
        if capture.count in self._missed:
            return Arrival.LATE, None
        # A part that has no result yet is not of the count whose result came last, nor of one that another part has.
        is_of_another = capture.count == self._last_heard or any(p.count == capture.count for p in self.parts)
        part = None if why_old or is_of_another else self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        self._attach(part, capture)
        if why_old:
            # A leftover keeps its count to itself: no live result may join it (docs/decisions/0036).
            part.stale, part.is_leftover = part.stale or why_old, True
        return arrival, part

    def on_result(self, result: ControllerResult) -> tuple[Arrival, Part | None]:
        """Find the part that a result line belongs to, or open one.

        Returns how the result came, and its part; None for a result that no open part takes.
        """
        if result.count is None:
            return Arrival.UNPLACEABLE, None
        self._missed.pop(result.count, None)  # seen live: the counter was reset, this is another part
        # Results come in order, in one stream: a lower count is a reset of the counter (docs/decisions/0045).
        if self._last_count is not None and result.count < self._last_count:
            self._run, self._has_run_session, self._newest_image = self._run + 1, False, 0
            # The reset lies between the clock that was told before the last result and the one that is told next.
            self._reset_after, self._reset_by = self._heard_at, None
        self._last_count, self._heard_at = result.count, self._told.clock
        # A line that comes twice and the first one after a reset look alike: neither proves anything
        # (docs/decisions/0045).
        is_repeated, self._last_heard = result.count == self._last_heard, result.count
        part = next((p for p in self.parts if p.count == result.count and not p.is_leftover), None)
        if part is not None:
            # Which of two results is this part's cannot be known, so that neither is believed.
            if part.result is not None:
                part.stale = part.stale or _TWICE
                return Arrival.DUPLICATE, None
            part.result, part.told, part.run = result, self._told, self._run
            part.stale = part.stale or (_REPEATED if is_repeated else "") or self._why_apart(part)
            return Arrival.JOINED, part
        decided = [d for d in self._decided.values() if d.count == result.count and d.run == self._run]
        # It is of a part that has its row already: a second part must not be opened for it.
        if decided and not decided[-1].had_result:
            return Arrival.LATE, None
        part = self._next_triggered()
        arrival = Arrival.NEW if part is None else Arrival.JOINED
        part = part or self._open()
        part.count = result.count
        part.result, part.told, part.run = result, self._told, self._run
        # Kept for the image that may still join: it makes the part stale then.
        part.unsure = _REPEATED if is_repeated else ""
        part.repeats_count = bool(decided or part.unsure)
        return arrival, part

    def _why_decided(self, capture: Capture) -> str:
        """Why an image may be of a part of that count that was decided before; empty if it cannot be.

        A session that no image had told before is taken for that of the newest run; it may as well be of one before.
        """
        if capture.count is None:
            return ""
        decided = self._find_decided(capture, capture.count) or next(self._without_image(capture), None)
        if decided is None or (capture.camera in decided.cameras and capture.name not in decided.names):
            return ""
        return f"part {decided.seq} had this count, {decided.count}, and is decided already: the image may belong to it"

    def _why_apart(self, part: Part) -> str:
        """Why image and result may be of two parts, the counter reset between them; empty if they cannot be."""
        told, began = part.told, controller_time(part.session)
        if part.result is None or began is None or told.clock is None:
            return ""
        if began >= told.clock and part.session != told.session:  # whole seconds: the same one may be after it
            return f"the controller's counter was reset at {part.session}: the result may belong to an earlier part"
        # A session that began before the reset is over, unless its later images show that it went on.
        if self._reset_after is not None and began <= self._reset_after and not self._is_behind_reset(part):
            reset = shown_time(self._reset_after)
            return f"the controller's counter was reset after {reset}: the image may belong to an earlier part"
        return ""

    def _is_behind_reset(self, part: Part) -> bool:
        """Whether its session went on, without another one: its images are of a time when the reset was over."""
        taken = [controller_time(capture.taken) for capture in part.captures.values()]
        return all(self._reset_by is not None and moment is not None and moment > self._reset_by for moment in taken)

    def _why_not_of_now(self, part: Part) -> str:
        """Why its images are of another time than its result; empty if they are not, or if nothing tells yet."""
        for capture in part.captures.values():
            taken = controller_time(capture.taken)
            # Both times are the controller's: its clock and this PC's are never compared (docs/decisions/0036).
            if part.proven_at is not None and taken is not None and abs(part.proven_at - taken) > self.longest:
                said = shown_time(part.proven_at)
                return (
                    f"the image was taken at {capture.taken}, and the controller's clock said {said} "
                    f"when its result had come: more than {self.longest.total_seconds():g} s between the two, which is "
                    "imaging_ms and deadline_ms of [line] and a second. Does the controller need more than imaging_ms?"
                )
        return ""

    def close(self, part: Part) -> None:
        """The part is decided: what still comes for it is LATE or DUPLICATE."""
        self.parts.remove(part)
        # Nothing that comes later can be told to be of it.
        if part.count is None:
            return
        self._decided[part.seq] = Decided(
            part.seq,
            part.count,
            part.session,
            frozenset(part.captures),
            frozenset(capture.name for capture in part.captures.values()),
            had_result=part.result is not None,
            run=self._run,
            told=part.told.clock,
            proven_at=part.proven_at,
        )
        while len(self._decided) > _REMEMBERED_PARTS:
            self._decided.popitem(last=False)

    def decided_seq(self, capture: Capture) -> int | None:
        """The part, already decided, that this image is of."""
        if capture.count is None:
            return None
        decided = self._find_decided(capture, capture.count)
        return self._missed.get(capture.count) if decided is None else decided.seq

    def is_overtaken(self, part: Part) -> bool:
        """Whether anything of a later part came already, by session and count: in whichever order it came."""
        if part.count is None:
            return False
        # By the controller's own order, never by arrival: images overtake each other on the network.
        is_behind = part.session != self._sessions.current or part.count < self._newest_image
        is_unheard = part.run == self._run and (self._last_count is None or part.count >= self._last_count)
        return (bool(part.session) and is_behind) or (part.run is not None and not is_unheard)

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
        self.go_stale("it came before the link to the controller was up")
        self._since, before = controller_time(clock), self._told.clock
        # Set back while the link was down: names of before and after have no order in common (docs/decisions/0047).
        if before is not None and self._since is not None and self._since < before:
            self._sessions.clock_was_set_back(self._since)
        self.two_senders = ""
        self.on_clock(clock)
        self._heard_at = self._reset_after = None
        self._last_heard = None  # what the link before had not said when it went down is never said

    def on_clock(self, clock: str, *, follows_results: bool = False) -> None:
        """The controller told its clock, in the stream in which results come; it is asked again only after that.

        ``follows_results``: it was asked for it when every result so far had come.
        """
        now = controller_time(clock)
        # With the session of when the question was put: an image that came since may be newer than this answer.
        self._told, self._asked = Told(now, self._asked), self._sessions.current or ""
        # The first clock told behind a reset: the reset was over by then.
        self._reset_by = self._reset_by or now
        for part in self.parts:
            if follows_results and part.result is not None and part.proven_at is None:
                part.proven_at = now
                part.stale = part.stale or self._why_not_of_now(part)

    @property
    def is_settled(self) -> bool:
        """Whether images that are taken now can be told from those of before the link was up.

        The clock has whole seconds: an image of the very one in which the link came up may be of before.
        """
        told = self._told.clock
        return self._since is None or (told is not None and told > self._since)

    def _why_old(self, capture: Capture) -> str:
        """Why an image cannot be of now; empty if it may be."""
        taken, told = controller_time(capture.taken), self._told.clock
        # In the first two cases its session may never have been seen: it must not be followed either.
        if taken is not None and self._since is not None and taken <= self._since:
            return f"the image was taken at {capture.taken}, the link is up since {shown_time(self._since)}"
        # From the future by its own clock: it was taken before that clock was set back (docs/decisions/0047).
        if taken is not None and told is not None and taken > told + self.longest:
            return (
                f"the image was taken at {capture.taken}, and the controller's clock said {shown_time(told)} just now"
            )
        return self._follow_session(capture, taken)

    def _is_of_just_before(self, capture: Capture) -> bool:
        """Whether an image was taken just before the link came up."""
        taken = controller_time(capture.taken)
        return taken is not None and self._since is not None and self._since - _JUST_BEFORE <= taken <= self._since

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
            # The cameras of one part name the same session; a part of which only the result came has none yet.
            fits = part.session == session if part.captures else may_be_first_image
            if part.count == count and fits:
                return part
        return None

    def _find_decided(self, capture: Capture, count: int) -> Decided | None:
        # The newest first: every count comes again with each reset.
        for decided in reversed(self._decided.values()):
            if decided.count == count and decided.session == capture.session and decided.cameras:
                return decided
        # The image of a part that was decided without one: its session is not known, its run of the counter is.
        run = self._sessions.run_of(capture.session, None)
        # As long as no image told the session of this run, one that is not known may be it.
        unknown = None if self._has_run_session else self._run
        for decided in self._without_image(capture):
            is_of_its_run = decided.run == (unknown if run is None else run)
            if is_of_its_run or (run is None and self._is_of_the_time(decided, capture)):
                return decided
        return None

    def _without_image(self, capture: Capture) -> Iterator[Decided]:
        """Decided parts of its count that had no image, and whose time may be that of this one."""
        for decided in self._decided.values():
            is_like_it = decided.count == capture.count and not decided.cameras
            if is_like_it and self._is_of_the_time(decided, capture) is not False:
                yield decided

    def _is_of_the_time(self, decided: Decided, capture: Capture) -> bool | None:
        """Whether an image is of the time of a decided part's result; None where clock or name does not tell."""
        taken, began = controller_time(capture.taken), controller_time(capture.session)
        if taken is None or decided.told is None:
            return None
        by = decided.proven_at or decided.told + self.longest
        is_begun_later = began is not None and decided.proven_at is not None and began > decided.proven_at
        return decided.told - self.longest <= taken <= by and not is_begun_later

    def _next_triggered(self) -> Part | None:
        """The oldest part that the agent triggered and that no count belongs to yet."""
        return next((p for p in self.parts if p.count is None and not p.captures and p.result is None), None)

    def _follow_session(self, capture: Capture, taken: datetime | None) -> str:
        """Note the session that images come from; why the image is not of now, empty if it may be."""
        before, found = self._sessions.current, self._sessions.follow(capture.session, taken)
        if found is Found.ALIVE_TOO:
            self.two_senders = (
                f"images of two sessions come in turn: {capture.name!r} of session {capture.session!r}, and others of "
                f"{before!r}, which had begun before it was taken. Two controllers send their images to this agent, or "
                "write into its folder: give each of them one of its own, then restart the agent. Where there is one "
                "controller alone, its clock was set back, and a restart is enough"
            )
        if found in {Found.OVER, Found.ALIVE_TOO}:
            return f"the image is of session {capture.session!r}, which had ended: a newer one had begun"
        if found is Found.NEWER:
            self._missed.clear()  # the counter begins anew
            if self._has_run_session:
                self._run, self._last_count = self._run + 1, None
        if found is Found.NEWER or before is None:
            self._sessions.run, self._has_run_session, self._newest_image = self._run, True, 0
        if not self._may_be_of_run_before(taken):
            self._newest_image = max(self._newest_image, capture.count or 0)
        return ""

    def _may_be_of_run_before(self, taken: datetime | None) -> bool:
        """Whether an image may be of before a reset that a result told, its session having gone on.

        Its high count would make all that comes look overtaken, for as long as the counter needs to get there again.
        """
        if self._has_run_session or self._told.clock is None:
            return False
        return taken is None or self._reset_by is None or taken <= self._reset_by
