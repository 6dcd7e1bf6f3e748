"""The controller's commands with checked parameters, over anything that can send one and wait for its reply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from drivers.base import ProtocolViolation
from drivers.keyence.codec import shown
from drivers.keyence.commands import COMMANDS

if TYPE_CHECKING:
    from drivers.keyence.fields import Value
    from drivers.timing import Deadline

__all__ = ["ControllerCommands", "Mode", "ProgramId"]


class Mode(IntEnum):
    """Whether the controller is in setup or in run mode: what ``RM`` answers."""

    SETUP = 0
    RUN = 1


@dataclass(frozen=True, slots=True)
class ProgramId:
    """A program: its SD card (1 or 2) and its number on that card."""

    card: int
    number: int


class ControllerCommands(ABC):
    """Every command of PROTOCOL.md through ``call``; methods of their own have those that the link itself sends.

    Without ``by`` a command has the link's reply time, or its own longer one. All raise what ``command`` raises, and
    ValueError for a parameter out of its range, before anything is sent.
    """

    @abstractmethod
    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """Send one command as it stands; the values of its reply.

        Raises NotConnected, DeadlineMissed, CommandRefused (CommandUnknown 02, NotNow 03, BadParameter 22),
        ProtocolViolation.
        """

    async def call(self, name: str, *values: object, by: Deadline | None = None) -> tuple[Value, ...]:
        """Send a command of the table with checked parameters; the values that its reply says.

        Raises ValueError for parameters out of range, ProtocolViolation for a reply of another form, and as ``command``
        does.
        """
        row = COMMANDS[name]
        # Before anything is sent: a refusal by the controller would look like one for another reason.
        arguments = row.arguments(values)
        received = await self.command(name, *arguments, by=by)
        try:
            return row.read(received, arguments)
        except ValueError as err:
            raise ProtocolViolation(f"the controller answered {name} with {shown(','.join(received))}: {err}") from None

    async def trigger(self, number: int | None, by: Deadline | None = None) -> None:
        """T1 to T4, or TA for None: returns when the controller accepted, not when it has imaged."""
        if number not in (None, 1, 2, 3, 4):
            raise ValueError(f"trigger {number!r}: 1 to 4, or None for all")
        await self.call("TA" if number is None else f"T{number}", by=by)

    async def enable_triggers(self, *, on: bool) -> None:
        """TE: off, every trigger is refused and READY stays off."""
        await self.call("TE", int(on))

    async def enable_output(self, *, on: bool) -> None:
        """OE: off, results and images are suppressed, and what waits is cleared."""
        await self.call("OE", int(on))

    async def enter_run_mode(self) -> None:
        """R0: asked for when this returns; ``read_mode`` tells when it is so."""
        await self.call("R0")

    async def read_mode(self) -> Mode:
        """Ask whether the controller is in setup or in run mode (``RM``)."""
        return Mode(int((await self.call("RM"))[0]))

    async def read_program(self) -> ProgramId:
        """Ask for the memory card and number of the program that the controller runs (``PR``)."""
        card, number = await self.call("PR")
        return ProgramId(int(card), int(number))
