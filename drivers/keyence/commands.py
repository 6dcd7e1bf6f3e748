"""Every command of the controller as data: parameters, reply, effect, time, and how sure the row is.

Adding a command is adding a row; ``ControllerCommands.call`` sends it. The page is PROTOCOL.md, "Commands".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from drivers.keyence.fields import Number, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.keyence.fields import Field, Value

__all__ = ["COMMANDS", "Command", "Reply", "Sureness"]


class Sureness(StrEnum):
    """Where a row comes from. The marks are those of PROTOCOL.md."""

    CONFIRMED = "C"
    """A driver in use on a CV-X does it."""
    TWO = "2"
    """Two independent sources agree."""
    ONE = "1"
    """One source, a transcript of the manual's chapter."""
    ASSUMED = "A"
    """The command is in the chapter; its parameters are not known beyond their meaning and are passed through."""


class Reply(StrEnum):
    """What follows the name in a reply that succeeded."""

    EMPTY = "EMPTY"
    ECHO = "ECHO"
    """Nothing, or the parameters once more: the sources say "echo" and not which."""
    FIELDS = "FIELDS"
    ANYTHING = "ANYTHING"


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table.

    ``counts``: how many parameters are allowed, where that is not just how many are named; one beyond the last one
    named is as the last. ``within_s``: what a reply may take, where that is longer than a short command's. ``changes``:
    it moves, images, deletes or stores something, so a person confirms it.
    """

    name: str
    meaning: str
    parameters: tuple[Field, ...] = ()
    reply: Reply = Reply.EMPTY
    fields: tuple[Field, ...] = ()
    counts: tuple[int, ...] = ()
    changes: bool = True
    in_setup_mode: bool = False
    within_s: float = 0.0
    sureness: Sureness = Sureness.ONE

    def arguments(self, values: Sequence[object]) -> tuple[str, ...]:
        """The texts to send. Raises ValueError, which names the command, the parameter and its range."""
        allowed = self.counts or (len(self.parameters),)
        if len(values) not in allowed:
            expected = str(allowed[0]) if len(allowed) == 1 else f"{allowed[0]} to {allowed[-1]}"
            raise ValueError(f"{self.name} takes {expected} parameters (got {len(values)})")
        last = len(self.parameters) - 1
        try:
            return tuple(self.parameters[min(at, last)].write(value) for at, value in enumerate(values))
        except ValueError as err:
            raise ValueError(f"{self.name}: {err}") from None

    def read(self, received: tuple[str, ...], arguments: tuple[str, ...]) -> tuple[Value, ...]:
        """The values that a reply says. Raises ValueError for one that cannot be this command's."""
        if self.reply is Reply.ANYTHING or (self.reply is Reply.ECHO and received == arguments):
            return received
        fields = self.fields
        # The line was split at every comma before it was known whose reply it is: a text that may hold some is put
        # together again.
        if fields and getattr(fields[-1], "may_hold_commas", False) and len(received) > len(fields):
            received = (*received[: len(fields) - 1], ",".join(received[len(fields) - 1 :]))
        if len(received) != len(fields):
            raise ValueError(f"{self.name} is answered with {len(fields)} values (got {len(received)})")
        return tuple(field.read(text) for field, text in zip(fields, received, strict=True))


def _plain(name: str, meaning: str, sureness: Sureness = Sureness.ONE, *, within_s: float = 0.0) -> Command:
    return Command(name, meaning, sureness=sureness, within_s=within_s)


def _read(
    name: str,
    meaning: str,
    *fields: Field,
    of: tuple[Field, ...] = (),
    sureness: Sureness = Sureness.ONE,
    in_setup_mode: bool = False,
) -> Command:
    return Command(
        name,
        meaning,
        of,
        Reply.FIELDS,
        fields,
        changes=False,
        in_setup_mode=in_setup_mode,
        sureness=sureness,
    )


def _open_ended(name: str, meaning: str, *, changes: bool = True) -> Command:
    """In the chapter, with parameters that no source spells out: passed on as they are given."""
    reply = Reply.ECHO if changes else Reply.ANYTHING
    counts = tuple(range(_MOST_PARAMETERS + 1))
    return Command(name, meaning, (_ANY,), reply, counts=counts, changes=changes, sureness=Sureness.ASSUMED)


# No source says how many these commands take; the controller has the last word (22, wrong parameter).
_MOST_PARAMETERS = 32
_MOST_IMAGES = 8
_MOST_LIGHTS = 16
_ANY = Text("parameter", 64)
_CAMERA = Whole("camera", 1, 4)
_TOOL = Whole("tool", 0, 999, digits=3)
_ITEM = Whole("item", 0, 999, digits=3)
_BOUND = Whole("bound (0 upper, 1 lower)", 0, 1)
_SWITCH = Whole("switch (0 off, 1 on)", 0, 1)
_CARD = Whole("card", 1, 2)
_PROGRAM = Whole("program", 0, 999, digits=3)
_STRING = Whole("string", 0, 9)
_CONDITION = Whole("execute condition", 0, 99)
_ZONE = Whole("time zone", 0, 33)
_JUDGEMENT_STRING = Whole("string of the tool", 0, 99)
_LIMIT = Number("limit")
_FREE_TEXT = Text("text", 64, may_hold_commas=True)
_CLOCK: tuple[Field, ...] = (
    *(Whole("year", 2000, 2099, digits=4), Whole("month", 1, 12, digits=2), Whole("day", 1, 31, digits=2)),
    *(Whole("hour", 0, 23, digits=2), Whole("minute", 0, 59, digits=2), Whole("second", 0, 59, digits=2)),
)
# The camera, and a value for each image of a capture.
_ONE_OR_MORE = tuple(range(2, 2 + _MOST_IMAGES))

_ROWS = (
    # imaging
    *(_plain(f"T{number}", f"software trigger {number}; the reply says accepted", Sureness.TWO) for number in "1234"),
    _plain("TA", "all triggers at once", Sureness.TWO),
    _plain("RE", "reset the trigger state of a multi-capture"),
    Command("TE", "allow (1) or block (0) every trigger", (_SWITCH,), sureness=Sureness.TWO),
    Command("OE", "allow (1), or suppress and clear (0) all output", (_SWITCH,), sureness=Sureness.TWO),
    # modes
    Command("R0", "to run mode; the mode changes after the reply", in_setup_mode=True, sureness=Sureness.TWO),
    Command("S0", "to setup mode, once running tools have ended", in_setup_mode=True, within_s=10.0),
    _read("RM", "read the mode", Whole("mode", 0, 1), sureness=Sureness.TWO, in_setup_mode=True),
    _plain("RS", "reset buffers, judgement, history, statistics, counters", Sureness.TWO, within_s=5.0),
    Command("RB", "save the settings and reboot", in_setup_mode=True, within_s=20.0),
    _plain("SS", "save the program and the global settings", within_s=20.0),
    Command("CE", "clear the error", in_setup_mode=True),
    # programs
    Command("PW", "switch the program", (_CARD, _PROGRAM), within_s=20.0, sureness=Sureness.TWO),
    # 9999 and not 999: a reply is taken with whatever number it has; one that has no bundle is FAULT anyway.
    _read("PR", "read the program", _CARD, Whole("program", 0, 9999), sureness=Sureness.TWO),
    Command("EXW", "set the execute condition", (_CONDITION,), sureness=Sureness.TWO),
    _read("EXR", "read the execute condition", _CONDITION, sureness=Sureness.TWO),
    Command("VW", "change the screen", (Whole("kind (0 image, 1 custom)", 0, 1), Whole("screen", 0, 99))),
    # cameras and lights; several values where a capture takes several images
    *(
        Command(name, meaning, (_CAMERA, field), Reply.ECHO, counts=tuple(range(2, 2 + most)))
        for name, meaning, field, most in (
            ("CSH", "set the shutter of a camera", Whole("shutter index", 0, 12), _MOST_IMAGES),
            ("CSE", "set the sensitivity of a camera", Whole("sensitivity", 10, 90), _MOST_IMAGES),
            ("CTD", "set the trigger delay of a camera in ms", Whole("delay", 0, 999, digits=3), _MOST_IMAGES),
            ("CLV", "set the light volumes; 8 up to 255 on X100/200", Whole("volume", 0, 1023, digits=4), _MOST_LIGHTS),
        )
    ),
    Command(
        "BS",
        "register a reference image, or recalculate all",
        (_CAMERA, Whole("image", 0, 999, digits=3)),
        counts=(0, *_ONE_OR_MORE),
        within_s=10.0,
    ),
    Command("BC", "capture the screen", (Whole("to (0 SD2, 1 FTP, 2 USB)", 0, 2),), counts=(0, 1), within_s=5.0),
    # judgements of tools
    Command("DW", "write a judgement limit", (_TOOL, _ITEM, _BOUND, _LIMIT)),
    _read("DR", "read a judgement limit", _LIMIT, of=(_TOOL, _ITEM, _BOUND)),
    Command("CW", "write a judgement string", (_TOOL, _JUDGEMENT_STRING, _FREE_TEXT), counts=(2, 3)),
    _read("CR", "read a judgement string", _FREE_TEXT, of=(_TOOL, _JUDGEMENT_STRING)),
    _open_ended("CA", "add a character to an OCR dictionary"),
    _open_ended("CD", "delete a character of an OCR dictionary"),
    _open_ended("SLW", "write the detection level of a stain tool"),
    _open_ended("SLR", "read the detection level of a stain tool", changes=False),
    _open_ended("CPW", "write a capture position of a robot"),
    _open_ended("MCC", "execute the measurement correction"),
    _open_ended("MCW", "write the measurement correction"),
    _open_ended("MCR", "read the measurement correction", changes=False),
    # statistics, history, files
    Command("TC", "clear the statistics", reply=Reply.ECHO),
    Command("TS", "save the statistics", (Whole("to", 0, 9), Text("folder")), Reply.ECHO, within_s=20.0),
    Command("HC", "clear the image history", reply=Reply.ECHO),
    Command(
        "HS",
        "save the image history",
        (
            Whole("format (0 BMP, 1 1/2, 2 1/4, 3 1/8, 9 JPEG, 10 PNG)", 0, 10),
            Whole("which (0 latest, 1 NG only)", 0, 1),
            Whole("how many", 0, 999),
            Whole("camera (0 all)", 0, 4),
            Text("folder"),
        ),
        Reply.ECHO,
        counts=(4, 5),
        within_s=20.0,
    ),
    Command("OW", "start a new result file (0) or image folder (1)", (Whole("which", 0, 1),)),
    # texts and the rest
    Command("STW", "write an external string", (_STRING, _FREE_TEXT)),
    _read("STR", "read an external string", _FREE_TEXT, of=(_STRING,)),
    _read(
        "EC",
        "echo test",
        Text("text", 128, may_hold_commas=True),
        of=(Text("text", 128, 1, may_hold_commas=True),),
        in_setup_mode=True,
    ),
    Command("TW", "set the clock", _CLOCK, in_setup_mode=True),
    _read("TR", "read the clock", Whole("year", 0, 2099), *_CLOCK[1:], in_setup_mode=True, sureness=Sureness.TWO),
    Command("TZW", "set the time zone", (_ZONE,), in_setup_mode=True, sureness=Sureness.TWO),
    _read("TZR", "read the time zone", _ZONE, in_setup_mode=True, sureness=Sureness.TWO),
    _read("VI", "read model and version", Text("model"), Text("version", may_hold_commas=True), in_setup_mode=True),
)

COMMANDS: dict[str, Command] = {row.name: row for row in _ROWS}
"""By name, in the order of the page."""
