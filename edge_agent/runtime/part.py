"""A part as pairing knows it: what came of it, and how each piece came."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from drivers.timing import shown_time

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from drivers.timing import Deadline
    from edge_agent.domain import Capture, ControllerResult

__all__ = ["Arrival", "Part", "Told"]


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

    clock: datetime | None = None
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
    run: int | None = None
    """The run of the counter that its result is of."""
    proven_at: datetime | None = None
    """What its clock said when it was asked for it after the result had come."""
    stale: str = ""
    """Why nothing of this part can be trusted to be of now; empty when it can."""
    is_leftover: bool = False
    """Its image is of an earlier session or from before the link came up: no live result is of this part."""
    unsure: str = ""
    """Why its result may be of a part before it: without an image there may be no part at all."""
    repeats_count: bool = False
    """Its count had already been judged with a result; true after a counter reset, or for a repeated line."""

    @property
    def unproven(self) -> str:
        """Why its result may be older than it looks; empty once the controller told its clock after it.

        Where this machine stood still, no clock of its own tells. One that the controller never tells proves nothing.
        """
        if self.result is None or self.told.clock is None or self.proven_at is not None:
            return ""
        return "the controller has not told its clock since the result came: nothing proves that it is of now"

    def why_of_another_time(self, longest: timedelta) -> str:
        """Why its images are of another time than its result; empty if they are not, or if nothing tells yet."""
        for capture in self.captures.values():
            # Both times are the controller's: its clock and this PC's are never compared (docs/decisions/0036).
            taken, proven = capture.taken, self.proven_at
            if proven is not None and taken is not None and abs(proven - taken) > longest:
                return (
                    f"the image was taken at {shown_time(taken)}, and the controller's clock said {shown_time(proven)} "
                    f"when its result had come: more than {longest.total_seconds():g} s between the two, which is "
                    "imaging_ms and deadline_ms of [line] and a second. Does the controller need more than imaging_ms?"
                )
        return ""
