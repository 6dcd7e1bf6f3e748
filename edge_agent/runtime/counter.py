"""The controller's counter: which run of it this is, and whether what comes can be of now. Pure: no clock, no I/O.

The count restarts on RS and on a program change (cv-x-protocol), so a count names a part within one run only. A live
result with a lower count tells that the counter was reset, and so does an image in a newer session folder: whichever
comes first. When it was reset lies between two moments of the controller's clock, which it tells in the stream of its
results (docs/decisions/0045, 0047). Who pairs images and results asks here; nothing here knows which parts are open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from drivers.timing import controller_time, shown_time
from edge_agent.runtime.part import Told
from edge_agent.runtime.sessions import Found, Sessions

if TYPE_CHECKING:
    from datetime import datetime

    from edge_agent.domain import Capture
    from edge_agent.runtime.part import Part

__all__ = ["ControllerCounter"]

_JUST_BEFORE = timedelta(seconds=2)
"""A part may be imaged just before the link comes up, and its result line sent just after."""


@dataclass(slots=True)
class ControllerCounter:
    """What results, images and the controller's clock have told of its counter."""

    longest: timedelta = timedelta(seconds=3)
    """From when an image was taken to when the controller tells its clock after the part's result, at most."""
    two_senders: str = ""
    """Why images of two controllers come here; empty where nothing says so. Nothing can be placed then."""
    sessions: Sessions = field(default_factory=Sessions)
    run: int = 0
    """Runs of the counter so far: a new session, or a live count below the last one, begins the next."""
    last_heard: int | None = None
    """The count of the last live result of this link, of whichever run."""
    told: Told = field(default_factory=Told)
    """What the controller told of its clock last."""
    _last_count: int | None = None
    """Of the live results of this run."""
    _newest_image: int = 0
    """The highest count that an image of the current session, and of this run, told."""
    _has_run_session: bool = False
    """Whether an image told the session of this run."""
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

    # --- what comes ---------------------------------------------------------------------------------------

    def begin_at(self, clock: datetime | None) -> None:
        """The link is up again, and the controller's clock says this: an image taken before was queued in it."""
        self._since, before = clock, self.told.clock
        # Set back while the link was down: names of before and after have no order in common (docs/decisions/0047).
        if before is not None and clock is not None and clock < before:
            self.sessions.clock_was_set_back(clock)
        self.two_senders = ""
        self.on_clock(clock)
        self._heard_at = self._reset_after = None
        self.last_heard = None  # what the link before had not said when it went down is never said

    def on_clock(self, now: datetime | None) -> None:
        """The controller told its clock, in the stream in which results come; it is asked again only after that."""
        # With the session of when the question was put: an image that came since may be newer than this answer.
        self.told, self._asked = Told(now, self._asked), self.sessions.current or ""
        # The first clock told behind a reset: the reset was over by then.
        self._reset_by = self._reset_by or now

    def on_result(self, count: int) -> bool:
        """A live result came with this count; returns whether the one before it had the same.

        A line that comes twice and the first one after a reset look alike: neither proves anything
        (docs/decisions/0045).
        """
        # Results come in order, in one stream: a lower count is a reset of the counter (docs/decisions/0045).
        if self._last_count is not None and count < self._last_count:
            self.run, self._has_run_session, self._newest_image = self.run + 1, False, 0
            # The reset lies between the clock that was told before the last result and the one that is told next.
            self._reset_after, self._reset_by = self._heard_at, None
        self._last_count, self._heard_at = count, self.told.clock
        is_repeated, self.last_heard = count == self.last_heard, count
        return is_repeated

    def on_image(self, capture: Capture) -> tuple[str, bool]:
        """An image came, and its session is followed if it may be of now.

        Returns why it cannot be of now, empty if it may be, and whether the counter began anew with its session.
        """
        taken, told = capture.taken, self.told.clock
        # In the first two cases its session may never have been seen: it must not be followed either.
        if taken is not None and self._since is not None and taken <= self._since:
            return f"the image was taken at {shown_time(taken)}, the link is up since {shown_time(self._since)}", False
        # From the future by its own clock: it was taken before that clock was set back (docs/decisions/0047).
        if taken is not None and told is not None and taken > told + self.longest:
            at, said = shown_time(taken), shown_time(told)
            return f"the image was taken at {at}, and the controller's clock said {said} just now", False
        before, found = self.sessions.current, self.sessions.follow(capture.session, taken)
        if found is Found.ALIVE_TOO:
            self.two_senders = (
                f"images of two sessions come in turn: {capture.name!r} of session {capture.session!r}, and others of "
                f"{before!r}, which had begun before it was taken. Two controllers send their images to this agent, or "
                "write into its folder: give each of them one of its own, then restart the agent. Where there is one "
                "controller alone, its clock was set back, and a restart is enough"
            )
        if found in {Found.OVER, Found.ALIVE_TOO}:
            return f"the image is of session {capture.session!r}, which had ended: a newer one had begun", False
        # A result with a lower count may have begun this run already, and the session is its first sign in an image.
        if found is Found.NEWER and self._has_run_session:
            self.run, self._last_count = self.run + 1, None
        if found is Found.NEWER or before is None:
            self.sessions.run, self._has_run_session, self._newest_image = self.run, True, 0
        if not self._may_be_of_run_before(taken):
            self._newest_image = max(self._newest_image, capture.count or 0)
        return "", found is Found.NEWER

    # --- what is asked ------------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether images that are taken now can be told from those of before the link was up.

        The clock has whole seconds: an image of the very one in which the link came up may be of before.
        """
        told = self.told.clock
        return self._since is None or (told is not None and told > self._since)

    @property
    def run_without_session(self) -> int | None:
        """This run as long as no image told its session: a session that is not known may be it. None after that."""
        return None if self._has_run_session else self.run

    def is_of_just_before(self, capture: Capture) -> bool:
        """Whether an image was taken just before the link came up."""
        taken, since = capture.taken, self._since
        return taken is not None and since is not None and since - _JUST_BEFORE <= taken <= since

    def is_overtaken(self, part: Part) -> bool:
        """Whether anything of a later part came already, by session and count: in whichever order it came."""
        if part.count is None:
            return False
        # By the controller's own order, never by arrival: images overtake each other on the network.
        is_behind = part.session != self.sessions.current or part.count < self._newest_image
        is_unheard = part.run == self.run and (self._last_count is None or part.count >= self._last_count)
        return (bool(part.session) and is_behind) or (part.run is not None and not is_unheard)

    def why_apart(self, part: Part) -> str:
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
        by, taken = self._reset_by, [capture.taken for capture in part.captures.values()]
        return all(by is not None and moment is not None and moment > by for moment in taken)

    def _may_be_of_run_before(self, taken: datetime | None) -> bool:
        """Whether an image may be of before a reset that a result told, its session having gone on.

        Its high count would make all that comes look overtaken, for as long as the counter needs to get there again.
        """
        if self._has_run_session or self.told.clock is None:
            return False
        return taken is None or self._reset_by is None or taken <= self._reset_by
