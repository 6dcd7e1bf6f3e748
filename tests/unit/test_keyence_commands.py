"""The table of commands and its typed face: what is sent, what is refused before it is sent, what replies say."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import BadParameter, CommandRefused, CommandUnknown, NotNow, ProtocolViolation
from drivers.keyence.codec import refused
from drivers.keyence.commands import COMMANDS
from drivers.keyence.controller_commands import ControllerCommands, Mode, ProgramId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.timing import Deadline

THE_CHAPTER = (
    "T1 T2 T3 T4 TA R0 S0 RM RS RB SS CE RE PW PR EXW EXR VW TE OE CSH CSE CTD CLV BS BC DW DR CW CR CA CD SLW SLR CPW "
    "MCC MCW MCR TC TS HC HS OW STW STR EC TW TR TZW TZR VI"
)


class Recorder(ControllerCommands):
    """Keeps what would be sent; answers what it is given."""

    def __init__(self, *reply: str) -> None:
        self.sent = ""
        self.reply = reply

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        self.sent = ",".join((name, *args))
        return self.reply


def test_the_table_has_every_command_of_the_chapter_and_no_other() -> None:
    assert sorted(COMMANDS) == sorted(THE_CHAPTER.split())


SAYS: list[tuple[Callable[[Recorder], Awaitable[object]], str]] = [
    (lambda c: c.trigger(3), "T3"),
    (lambda c: c.trigger(None), "TA"),
    (lambda c: c.call("RE"), "RE"),
    (lambda c: c.enable_triggers(on=True), "TE,1"),
    (lambda c: c.enable_output(on=False), "OE,0"),
    (lambda c: c.enter_run_mode(), "R0"),
    (lambda c: c.call("S0"), "S0"),
    (lambda c: c.call("RS"), "RS"),
    (lambda c: c.call("RB"), "RB"),
    (lambda c: c.call("SS"), "SS"),
    (lambda c: c.call("CE"), "CE"),
    (lambda c: c.call("PW", 1, 3), "PW,1,003"),
    (lambda c: c.call("PW", 2, 12), "PW,2,012"),
    (lambda c: c.call("EXW", 5), "EXW,5"),
    (lambda c: c.call("VW", 0, 3), "VW,0,3"),
    (lambda c: c.call("CSH", 1, 4), "CSH,1,4"),
    (lambda c: c.call("CSE", 1, 50, 60), "CSE,1,50,60"),
    (lambda c: c.call("CTD", 1, 20), "CTD,1,020"),
    (lambda c: c.call("CLV", 1, 128, 64), "CLV,1,0128,0064"),
    (lambda c: c.call("BS", 1, 7), "BS,1,007"),
    (lambda c: c.call("BS"), "BS"),
    (lambda c: c.call("BC"), "BC"),
    (lambda c: c.call("BC", 1), "BC,1"),
    (lambda c: c.call("DW", 101, 2, 0, Decimal("12.500")), "DW,101,002,0,12.500"),
    (lambda c: c.call("DW", 101, 2, 1, Decimal("1E+2")), "DW,101,002,1,100"),
    (lambda c: c.call("CW", 102, 1, "A,B"), "CW,102,1,A,B"),
    (lambda c: c.call("CW", 102, 1), "CW,102,1"),
    (lambda c: c.call("CA", "102", "A"), "CA,102,A"),
    (lambda c: c.call("CD", "102", "A"), "CD,102,A"),
    (lambda c: c.call("SLW", "103", "25"), "SLW,103,25"),
    (lambda c: c.call("CPW", "1", "10.5"), "CPW,1,10.5"),
    (lambda c: c.call("MCC", "104"), "MCC,104"),
    (lambda c: c.call("MCW", "104", "1.002"), "MCW,104,1.002"),
    (lambda c: c.call("TC"), "TC"),
    (lambda c: c.call("TS", 1, "shift1"), "TS,1,shift1"),
    (lambda c: c.call("HC"), "HC"),
    (lambda c: c.call("HS", 9, 1, 10, 0, "night"), "HS,9,1,10,0,night"),
    (lambda c: c.call("OW", 0), "OW,0"),
    (lambda c: c.call("OW", 1), "OW,1"),
    (lambda c: c.call("STW", 1, 'lot "4711, b'), 'STW,1,lot "4711, b'),
    (lambda c: c.call("TW", 2026, 11, 24, 6, 30, 0), "TW,2026,11,24,06,30,00"),
    (lambda c: c.call("TZW", 20), "TZW,20"),
]


@pytest.mark.parametrize(("call", "line"), SAYS, ids=[line for _, line in SAYS])
async def test_a_typed_command_is_sent_as_the_page_writes_it(
    call: Callable[[Recorder], Awaitable[object]], line: str
) -> None:
    recorder = Recorder()
    await call(recorder)

    assert recorder.sent == line


TELLS: list[tuple[Callable[[Recorder], Awaitable[object]], str, object]] = [
    (lambda c: c.read_mode(), "1", Mode.RUN),
    (lambda c: c.read_program(), "1,003", ProgramId(1, 3)),
    (lambda c: c.call("EXR"), "05", (5,)),
    (lambda c: c.call("DR", 101, 2, 1), "-0000012.500", (Decimal("-12.500"),)),
    (lambda c: c.call("CR", 102, 1), "A,B", ("A,B",)),
    (lambda c: c.call("SLR", "103"), "25,7", ("25", "7")),
    (lambda c: c.call("MCR", "104"), "1.002", ("1.002",)),
    (lambda c: c.call("STR", 1), "", ("",)),
    (lambda c: c.call("EC", "a,b"), "a,b", ("a,b",)),
    (lambda c: c.call("TR"), "26,11,24,06,30,00", (26, 11, 24, 6, 30, 0)),
    (lambda c: c.call("TR"), "2026,11,24,06,30,00", (2026, 11, 24, 6, 30, 0)),
    (lambda c: c.call("TZR"), "20", (20,)),
    (lambda c: c.call("VI"), "CV-X470F,6.0.0000", ("CV-X470F", "6.0.0000")),
    (lambda c: c.call("CSH", 1, 4), "1,4", ("1", "4")),
]


@pytest.mark.parametrize(("call", "reply", "told"), TELLS)
async def test_a_reply_becomes_a_value(call: Callable[[Recorder], Awaitable[object]], reply: str, told: object) -> None:
    assert await call(Recorder(*reply.split(","))) == told


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        (lambda c: c.read_mode(), "2"),
        (lambda c: c.read_mode(), ""),
        (lambda c: c.read_mode(), "1,1"),
        (lambda c: c.read_program(), "3,001"),
        (lambda c: c.read_program(), "1"),
        (lambda c: c.call("DR", 1, 1, 0), "12,5"),
        (lambda c: c.call("DR", 1, 1, 0), "1e5"),
        (lambda c: c.call("TR"), "26,13,24,06,30,00"),
        (lambda c: c.call("TZR"), "34"),
        (lambda c: c.call("VI"), "CV-X470F"),
        (lambda c: c.call("CSH", 1, 4), "1,5"),
        (lambda c: c.call("RS"), "1"),
    ],
)
async def test_a_reply_that_cannot_be_is_a_violation(call: Callable[[Recorder], Awaitable[object]], reply: str) -> None:
    with pytest.raises(ProtocolViolation, match="controller"):
        await call(Recorder(*reply.split(",")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.trigger(5), "1 to 4"),
        (lambda c: c.call("PW", 1, 1000), "program is a whole number from 0 to 999"),
        (lambda c: c.call("PW", 1, -1), "from 0 to 999"),
        (lambda c: c.call("PW", 3, 1), "card is a whole number from 1 to 2"),
        (lambda c: c.call("EXW", 100), "execute condition"),
        (lambda c: c.call("CSH", 5, 1), "camera is a whole number from 1 to 4"),
        (lambda c: c.call("CSH", 1, 13), "shutter index"),
        (lambda c: c.call("CSH", 1), "takes 2 to 9 parameters"),
        (lambda c: c.call("CSE", 1, 9), "from 10 to 90"),
        (lambda c: c.call("CLV", 1, *range(17)), "takes 2 to 17 parameters"),
        (lambda c: c.call("STW", 10, "x"), "string is a whole number"),
        (lambda c: c.call("STW", 1, "x" * 65), "0 to 64 characters"),
        (lambda c: c.call("STW", 1, "a\rOE,0"), "printable ASCII"),
        (lambda c: c.call("TS", 1, "a,b"), "holds no comma"),
        (lambda c: c.call("EC", ""), "1 to 128 characters"),
        (lambda c: c.call("EC", "x" * 129), "1 to 128 characters"),
        (lambda c: c.call("DW", 1, 1, 0, Decimal("NaN")), "decimal number"),
        (lambda c: c.call("TZW", 34), "time zone"),
    ],
)
async def test_a_parameter_out_of_its_range_is_refused_before_anything_is_sent(
    call: Callable[[Recorder], Awaitable[object]], message: str
) -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match=message):
        await call(recorder)

    assert recorder.sent == ""


@pytest.mark.parametrize(
    ("code", "kind"), [("02", CommandUnknown), ("03", NotNow), ("22", BadParameter), ("99", CommandRefused)]
)
def test_each_code_has_its_error(code: str, kind: type[CommandRefused]) -> None:
    err = refused("T1", code)

    assert type(err) is kind
    assert (err.command, err.code) == ("T1", code)


@given(st.sampled_from(sorted(COMMANDS)), st.lists(st.text(max_size=8), max_size=8))
def test_a_reply_of_any_shape_is_read_or_refused_and_nothing_else(name: str, values: list[str]) -> None:
    try:
        read = COMMANDS[name].read(tuple(values), ())
    except ValueError:
        return
    assert isinstance(read, tuple)
