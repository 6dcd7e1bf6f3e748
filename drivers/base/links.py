"""The controller's command port: what it tells, and what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from drivers.base.verdicts import Judgement
    from drivers.timing import Deadline

__all__ = [
    "ControllerClock",
    "ControllerDown",
    "ControllerEvent",
    "ControllerLink",
    "ControllerResult",
    "ControllerStatus",
    "ControllerUp",
]


@dataclass(frozen=True, slots=True)
class ControllerResult:
    """One result line of the controller, seen live. Items that the output list lacks are None.

    ``values`` are the tools' own, by the names that line.toml gives them: a number, a text, OK or NG; None where a tool
    was skipped or measured nothing.
    """

    count: int | None
    program: int | None
    judgement: Judgement | None
    fields: tuple[str, ...]
    received_mono_s: float
    values: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControllerUp:
    """The command port answers, pending output was cleared, the controller is in run mode.

    ``clock`` is the controller's own clock at that moment, as in ``Capture.taken``; None where it does not tell.
    """

    program: int
    version: str
    at_mono_s: float
    clock: datetime | None = None


@dataclass(frozen=True, slots=True)
class ControllerDown:
    """The command port is gone, or the controller left run mode. Everything until the next Up is stale."""

    why: str
    at_mono_s: float


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """The controller's program changed while the link was up."""

    program: int
    at_mono_s: float


@dataclass(frozen=True, slots=True)
class ControllerClock:
    """The controller told its clock, as in ``ControllerUp``: all results that it had sent before were emitted before.

    It was asked for it after the ControllerClock or ControllerUp before was emitted. ``follows_results``: and after
    every result that was emitted before this, so none of those is older than the clock by more than a round trip.
    """

    clock: datetime | None
    follows_results: bool = False


ControllerEvent = ControllerUp | ControllerDown | ControllerStatus | ControllerClock | ControllerResult


class ControllerLink(Protocol):
    """The controller's command port. One connection, one command in flight."""

    async def run(self) -> None:
        """Connect, bring into run mode, resynchronise, keep alive, reconnect; until cancelled."""
        ...

    async def next(self) -> ControllerEvent:
        """The next event, in order of arrival. Waits for one."""
        ...

    async def trigger(self, number: int | None, by: Deadline) -> None:
        """Send T1 to T4, or TA for None; returns when the controller accepted.

        Raises NotConnected, DeadlineMissed, CommandRefused.
        """
        ...

    def begin_anew(self, why: str) -> None:
        """Go down, clear what the controller still has to output, and come up again. While down: nothing to do."""
        ...
