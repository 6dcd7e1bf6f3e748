"""The controller's commands as typed methods, over anything that can send one command and wait for its reply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING

from drivers.base import ProtocolViolation
from drivers.keyence.codec import shown
from drivers.keyence.commands import COMMANDS

if TYPE_CHECKING:
    from drivers.keyence.fields import Value
    from drivers.timing import Deadline

__all__ = ["Bound", "ControllerCommands", "Mode", "ProgramId", "ScreenTarget", "Version"]

_CENTURY = 2000


class Mode(IntEnum):
    """What ``RM`` says."""

    SETUP = 0
    RUN = 1


class Bound(IntEnum):
    """Which limit of a judgement."""

    UPPER = 0
    LOWER = 1


class ScreenTarget(IntEnum):
    """Where a screen capture goes."""

    SD2 = 0
    FTP = 1
    USB = 2


@dataclass(frozen=True, slots=True)
class ProgramId:
    """A program: its SD card (1 or 2) and its number on that card."""

    card: int
    number: int


@dataclass(frozen=True, slots=True)
class Version:
    """What the controller calls itself."""

    model: str
    rom: str


class ControllerCommands(ABC):
    """Every command of PROTOCOL.md. Without ``by`` a command has the link's reply time, or its own longer one.

    All raise what ``command`` raises, and ValueError for a parameter out of its range, before anything is sent.
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
        arguments = row.arguments(values)
        received = await self.command(name, *arguments, by=by)
        try:
            return row.read(received, arguments)
        except ValueError as err:
            raise ProtocolViolation(f"the controller answered {name} with {shown(','.join(received))}: {err}") from None

    # imaging

    async def trigger(self, number: int | None, by: Deadline | None = None) -> None:
        """T1 to T4, or TA for None: returns when the controller accepted, not when it has imaged."""
        if number not in (None, 1, 2, 3, 4):
            raise ValueError(f"trigger {number!r}: 1 to 4, or None for all")
        await self.call("TA" if number is None else f"T{number}", by=by)

    async def reset_trigger(self) -> None:
        """RE: give up a multi-capture that was begun."""
        await self.call("RE")

    async def enable_triggers(self, *, on: bool) -> None:
        """TE: off, every trigger is refused and READY stays off."""
        await self.call("TE", int(on))

    async def enable_output(self, *, on: bool) -> None:
        """OE: off, results and images are suppressed, and what waits is cleared."""
        await self.call("OE", int(on))

    # modes

    async def enter_run_mode(self) -> None:
        """R0: asked for when this returns; ``read_mode`` tells when it is so."""
        await self.call("R0")

    async def enter_setup_mode(self) -> None:
        """S0: returns when running tools have ended."""
        await self.call("S0")

    async def read_mode(self) -> Mode:
        """RM."""
        return Mode(int((await self.call("RM"))[0]))

    async def reset(self) -> None:
        """RS: buffers, judgement, history, statistics and counters; the count starts again."""
        await self.call("RS")

    async def reboot(self) -> None:
        """RB: settings are saved, the connection is lost."""
        await self.call("RB")

    async def save_settings(self) -> None:
        """SS."""
        await self.call("SS")

    async def clear_error(self) -> None:
        """CE."""
        await self.call("CE")

    # programs

    async def switch_program(self, number: int, *, card: int = 1, by: Deadline | None = None) -> None:
        """PW: seconds; settings that were not saved are lost, the count starts again."""
        await self.call("PW", card, number, by=by)

    async def read_program(self) -> ProgramId:
        """PR."""
        card, number = await self.call("PR")
        return ProgramId(int(card), int(number))

    async def write_execute_condition(self, number: int) -> None:
        """EXW."""
        await self.call("EXW", number)

    async def read_execute_condition(self) -> int:
        """EXR."""
        return int((await self.call("EXR"))[0])

    async def show_screen(self, number: int, *, is_custom: bool = False) -> None:
        """VW."""
        await self.call("VW", int(is_custom), number)

    # cameras and lights

    async def set_shutter(self, camera: int, *indexes: int) -> None:
        """CSH: an index into the controller's list of shutter times, one for each image of a capture."""
        await self.call("CSH", camera, *indexes)

    async def set_sensitivity(self, camera: int, *values: int) -> None:
        """CSE: 10 to 90."""
        await self.call("CSE", camera, *values)

    async def set_trigger_delay(self, camera: int, *delays_ms: int) -> None:
        """CTD: 0 to 999 ms."""
        await self.call("CTD", camera, *delays_ms)

    async def set_light_volumes(self, camera: int, *volumes: int) -> None:
        """CLV: one for each light of the camera."""
        await self.call("CLV", camera, *volumes)

    async def register_reference(self, camera: int, *numbers: int) -> None:
        """BS with a camera: the image on the screen becomes a reference image."""
        await self.call("BS", camera, *numbers)

    async def recalculate_references(self) -> None:
        """BS alone."""
        await self.call("BS")

    async def capture_screen(self, to: ScreenTarget | None = None) -> None:
        """BC: to where the controller is set to, or to ``to``."""
        await self.call("BC", *(() if to is None else (int(to),)))

    # judgements of tools

    async def write_limit(self, tool: int, item: int, bound: Bound, limit: Decimal) -> None:
        """DW."""
        await self.call("DW", tool, item, int(bound), limit)

    async def read_limit(self, tool: int, item: int, bound: Bound) -> Decimal:
        """DR."""
        return Decimal((await self.call("DR", tool, item, int(bound)))[0])

    async def write_judgement_string(self, tool: int, number: int, text: str | None = None) -> None:
        """CW: without a text the controller takes what it reads now."""
        await self.call("CW", tool, number, *(() if text is None else (text,)))

    async def read_judgement_string(self, tool: int, number: int) -> str:
        """CR."""
        return str((await self.call("CR", tool, number))[0])

    async def add_character(self, *parameters: str) -> None:
        """CA, with the parameters of the controller's manual."""
        await self.call("CA", *parameters)

    async def delete_character(self, *parameters: str) -> None:
        """CD, with the parameters of the controller's manual."""
        await self.call("CD", *parameters)

    async def write_stain_level(self, *parameters: str) -> None:
        """SLW, with the parameters of the controller's manual."""
        await self.call("SLW", *parameters)

    async def read_stain_level(self, *parameters: str) -> tuple[str, ...]:
        """SLR, with the parameters of the controller's manual; what it answers, as it came."""
        return tuple(map(str, await self.call("SLR", *parameters)))

    async def write_capture_position(self, *parameters: str) -> None:
        """CPW, with the parameters of the controller's manual."""
        await self.call("CPW", *parameters)

    async def execute_correction(self, *parameters: str) -> None:
        """MCC, with the parameters of the controller's manual."""
        await self.call("MCC", *parameters)

    async def write_correction(self, *parameters: str) -> None:
        """MCW, with the parameters of the controller's manual."""
        await self.call("MCW", *parameters)

    async def read_correction(self, *parameters: str) -> tuple[str, ...]:
        """MCR, with the parameters of the controller's manual; what it answers, as it came."""
        return tuple(map(str, await self.call("MCR", *parameters)))

    # statistics, history, files

    async def clear_statistics(self) -> None:
        """TC."""
        await self.call("TC")

    async def save_statistics(self, to: int, folder: str) -> None:
        """TS."""
        await self.call("TS", to, folder)

    async def clear_history(self) -> None:
        """HC."""
        await self.call("HC")

    async def save_history(self, form: int, which: int, number: int, camera: int, folder: str | None = None) -> None:
        """HS: NotNow if there is nothing to save."""
        await self.call("HS", form, which, number, camera, *(() if folder is None else (folder,)))

    async def start_result_file(self) -> None:
        """OW,0."""
        await self.call("OW", 0)

    async def start_image_folder(self) -> None:
        """OW,1."""
        await self.call("OW", 1)

    # texts and the rest

    async def write_string(self, number: int, text: str) -> None:
        """STW: an external string, which results and file names can carry."""
        await self.call("STW", number, text)

    async def read_string(self, number: int) -> str:
        """STR."""
        return str((await self.call("STR", number))[0])

    async def echo(self, text: str) -> str:
        """EC: what comes back."""
        return str((await self.call("EC", text))[0])

    async def set_clock(self, at: datetime) -> None:
        """TW: the wall clock of the controller's time zone, to the second."""
        await self.call("TW", at.year, at.month, at.day, at.hour, at.minute, at.second)

    async def read_clock(self) -> datetime:
        """TR: naive, in the controller's time zone. Years of two and of four digits are read.

        Raises ProtocolViolation for a date that does not exist.
        """
        year, month, day, hour, minute, second = (int(value) for value in await self.call("TR"))
        year += 0 if year >= _CENTURY else _CENTURY
        try:
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the controller names no zone
        except ValueError as err:
            raise ProtocolViolation(f"the controller tells a time that is none: {err}") from None

    async def set_time_zone(self, index: int) -> None:
        """TZW: an index into the controller's list."""
        await self.call("TZW", index)

    async def read_time_zone(self) -> int:
        """TZR."""
        return int((await self.call("TZR"))[0])

    async def read_version(self) -> Version:
        """VI."""
        model, rom = await self.call("VI")
        return Version(str(model), str(rom))
