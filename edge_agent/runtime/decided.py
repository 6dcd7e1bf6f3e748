"""What is remembered of decided parts: what still comes for them opens no second one, and joins no other.

Every count comes again with each run of the counter. So an image is told to be of a decided part by its session; where
that part had no image, by the run of the counter, or by the time of its result.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.timing import controller_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from edge_agent.domain import Capture
    from edge_agent.runtime.counter import ControllerCounter
    from edge_agent.runtime.part import Part

__all__ = ["Decided", "DecidedParts"]

# A bound, for an agent runs for months. What is older than so many parts is not on its way any more.
_REMEMBERED_PARTS = 256


@dataclass(frozen=True, slots=True)
class Decided:
    """One part that was decided: enough of it to tell what still comes for it."""

    seq: int
    count: int
    session: str
    cameras: frozenset[int]
    names: frozenset[str]
    """Of its images."""
    had_result: bool
    run: int
    told: datetime | None = None
    """What the controller's clock had said before its result came, None where nothing tells."""
    proven_at: datetime | None = None
    """The same after it."""

    def is_of_the_time(self, capture: Capture, longest: timedelta) -> bool | None:
        """Whether an image is of the time of its result; None where clock or name does not tell."""
        taken, began = capture.taken, controller_time(capture.session)
        if taken is None or self.told is None:
            return None
        by = self.proven_at or self.told + longest
        is_begun_later = began is not None and self.proven_at is not None and began > self.proven_at
        return self.told - longest <= taken <= by and not is_begun_later


@dataclass(slots=True)
class DecidedParts:
    """A bounded memory of them, in the order in which they were decided, and of those that were missed."""

    parts: OrderedDict[int, Decided] = field(default_factory=OrderedDict)
    missed: dict[int, int] = field(default_factory=dict)
    """Count to part_seq of parts that were imaged while nobody looked; their images may still be queued."""

    def add(self, part: Part, run: int) -> None:
        """The part is decided, in this run of the counter. One without a count: nothing can be told to be of it."""
        if part.count is None:
            return
        self.parts[part.seq] = Decided(
            part.seq,
            part.count,
            part.session,
            frozenset(part.captures),
            frozenset(capture.name for capture in part.captures.values()),
            had_result=part.result is not None,
            run=run,
            told=part.told.clock,
            proven_at=part.proven_at,
        )
        while len(self.parts) > _REMEMBERED_PARTS:
            self.parts.popitem(last=False)

    def note_missed(self, parts: Iterable[Part]) -> None:
        """These parts are accounted for without anything of them, and no others are."""
        self.missed = {part.count: part.seq for part in parts if part.count is not None}

    def newest_of(self, count: int, run: int) -> Decided | None:
        """The part of that count in that run of the counter which was decided last."""
        return next((d for d in reversed(self.parts.values()) if d.count == count and d.run == run), None)

    def find(self, capture: Capture, counter: ControllerCounter) -> Decided | None:
        """The part that an image is of."""
        # The newest first: every count comes again with each reset.
        for decided in reversed(self.parts.values()):
            if decided.count == capture.count and decided.session == capture.session and decided.cameras:
                return decided
        # The image of a part that was decided without one: its session is not known, its run of the counter is.
        run = counter.sessions.run_of(capture.session)
        for decided in self._without_image(capture, counter.longest):
            is_of_its_run = decided.run == (counter.run_without_session if run is None else run)
            if is_of_its_run or (run is None and decided.is_of_the_time(capture, counter.longest)):
                return decided
        return None

    def why_of_one(self, capture: Capture, counter: ControllerCounter) -> str:
        """Why an image may be of a part of that count that was decided before; empty if it cannot be.

        A session that no image had told before is taken for that of the newest run; it may as well be of one before.
        """
        decided = self.find(capture, counter) or next(self._without_image(capture, counter.longest), None)
        if decided is None or (capture.camera in decided.cameras and capture.name not in decided.names):
            return ""
        return f"part {decided.seq} had this count, {decided.count}, and is decided already: the image may belong to it"

    def _without_image(self, capture: Capture, longest: timedelta) -> Iterator[Decided]:
        """Parts of its count that had no image, and whose time may be that of this one."""
        for decided in self.parts.values():
            is_like_it = decided.count == capture.count and not decided.cameras
            if is_like_it and decided.is_of_the_time(capture, longest) is not False:
                yield decided
