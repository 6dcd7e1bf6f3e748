"""Where a verdict leaves the PC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base.verdicts import Reason, Verdict
    from drivers.timing import Deadline

__all__ = [
    "Admit",
    "LineNow",
    "Published",
    "VerdictOutput",
    "admit_all",
]


@dataclass(frozen=True, slots=True)
class LineNow:
    """What an output may tell of the line beside READY and a verdict. The defaults say nothing.

    ``program`` is the one that the controller runs, None where it is not known. ``error`` is what is wrong with the
    line as a number above every reason's, 0 for nothing.
    """

    is_busy: bool = False
    is_bypassed: bool = False
    program: int | None = None
    error: int = 0


class Published(StrEnum):
    """What became of a verdict on its way to the line."""

    PUBLISHED = "PUBLISHED"
    """Written, echoed and read back in time."""
    LATE = "LATE"
    """The deadline passed first; REJECT stands on the wire."""
    FAILED = "FAILED"
    """The write failed or was not confirmed; the output is being brought back to REJECT."""
    WITHHELD = "WITHHELD"
    """Not published: the next part had come, or the line was not READY; what was written of it was taken back."""


class VerdictOutput(Protocol):
    """Where a verdict leaves the PC. Idle, closed, crashed and unreachable all mean REJECT.

    PASS is a window, not a state: it ends by itself after its hold time, at ``withdraw`` and at ``aclose``.
    """

    @property
    def is_confirmed(self) -> bool:
        """The peer is there and its outputs were read back as what was last written."""
        ...

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Connect, write REJECT, read back, refresh; reconnect; until cancelled. Leaves REJECT behind.

        ``is_ready`` is asked at every refresh: it drives READY and HEARTBEAT, and PASS only stands while true.
        """
        ...

    async def publish(
        self,
        part_seq: int,
        verdict: Verdict,
        by: Deadline,
        reason: Reason | None = None,
        bundle: int = 0,
        *,
        may_pass: Callable[[], bool] = lambda: True,
    ) -> Published:
        """Write the verdict, compare the echo, read it back. Never raises for a peer's fault.

        ``reason`` and ``bundle`` (16 bits that name the reference bundle) are told to a peer that has room for them.
        ``may_pass`` is asked at the last moment before PASS is written, and after each step until it is proven: once it
        says no, REJECT is written and the verdict is WITHHELD.
        """
        ...

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        """This part is here: end a PASS window now, and learn by what name the peer knows the part.

        Returns when REJECT is written or the peer is down. A part that was not begun gets no PASS from a peer that
        names its parts; ``first_sign_mono_s`` is when its first sign came.
        """
        ...

    async def withdraw(self) -> None:
        """End a PASS window now. Returns when REJECT is written or the peer is down."""
        ...

    async def read_part_present(self) -> bool:
        """The part-present input. Raises NotConnected, or DriverError where none is configured."""
        ...


Admit: TypeAlias = "Callable[[str, int], str]"
"""Asked on each new connection, before anything is written: may this peer be written to? Empty for yes, else why not.

It is given the address and port that answered, whatever name they were called by; of a serial line its device and 0."""


def admit_all(_address: str, _port: int) -> str:
    """Whoever answers may be written to."""
    return ""
