"""A part as pairing knows it: what came of it, and how each piece came."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from drivers.timing import Deadline
    from edge_agent.domain import Capture, ControllerResult

__all__ = ["Arrival", "Decided", "Part", "Told"]


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


@dataclass(frozen=True, slots=True)
class Decided:
    """What is remembered of a part that was decided, to tell what still comes for it."""

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
