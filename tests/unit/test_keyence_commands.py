"""The table of commands and its typed face: what is sent, what is refused before it is sent, what replies say."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import BadParameter, CommandRefused, CommandUnknown, NotNow, ProtocolViolation
from drivers.keyence.codec import refused
from drivers.keyence.commands import COMMANDS
from drivers.keyence.controller_commands import Bound, ControllerCommands, Mode, ProgramId, ScreenTarget, Version

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
    (lambda c: c.reset_trigger(), "RE"),
    (lambda c: c.enable_triggers(on=True), "TE,1"),
    (lambda c: c.enable_output(on=False), "OE,0"),
    (lambda c: c.enter_run_mode(), "R0"),
    (lambda c: c.enter_setup_mode(), "S0"),
    (lambda c: c.reset(), "RS"),
    (lambda c: c.reboot(), "RB"),
    (lambda c: c.save_settings(), "SS"),
    (lambda c: c.clear_error(), "CE"),
    (lambda c: c.switch_program(3), "PW,1,003"),
    (lambda c: c.switch_program(12, card=2), "PW,2,012"),
    (lambda c: c.write_execute_condition(5), "EXW,5"),
    (lambda c: c.show_screen(3), "VW,0,3"),
    (lambda c: c.set_shutter(1, 4), "CSH,1,4"),
    (lambda c: c.set_sensitivity(1, 50, 60), "CSE,1,50,60"),
    (lambda c: c.set_trigger_delay(1, 20), "CTD,1,020"),
    (lambda c: c.set_light_volumes(1, 128, 64), "CLV,1,0128,0064"),
    (lambda c: c.register_reference(1, 7), "BS,1,007"),
    (lambda c: c.recalculate_references(), "BS"),
    (lambda c: c.capture_screen(), "BC"),
    (lambda c: c.capture_screen(ScreenTarget.FTP), "BC,1"),
    (lambda c: c.write_limit(101, 2, Bound.UPPER, Decimal("12.500")), "DW,101,002,0,12.500"),
    (lambda c: c.write_limit(101, 2, Bound.LOWER, Decimal("1E+2")), "DW,101,002,1,100"),
    (lambda c: c.write_judgement_string(102, 1, "A,B"), "CW,102,1,A,B"),
    (lambda c: c.write_judgement_string(102, 1), "CW,102,1"),
    (lambda c: c.add_character("102", "A"), "CA,102,A"),
    (lambda c: c.delete_character("102", "A"), "CD,102,A"),
    (lambda c: c.write_stain_level("103", "25"), "SLW,103,25"),
    (lambda c: c.write_capture_position("1", "10.5"), "CPW,1,10.5"),
    (lambda c: c.execute_correction("104"), "MCC,104"),
    (lambda c: c.write_correction("104", "1.002"), "MCW,104,1.002"),
    (lambda c: c.clear_statistics(), "TC"),
    (lambda c: c.save_statistics(1, "shift1"), "TS,1,shift1"),
    (lambda c: c.clear_history(), "HC"),
    (lambda c: c.save_history(9, 1, 10, 0, "night"), "HS,9,1,10,0,night"),
    (lambda c: c.start_result_file(), "OW,0"),
    (lambda c: c.start_image_folder(), "OW,1"),
    (lambda c: c.write_string(1, 'lot "4711, b'), 'STW,1,lot "4711, b'),
    (lambda c: c.set_clock(datetime(2026, 11, 24, 6, 30)), "TW,2026,11,24,06,30,00"),  # noqa: DTZ001
    (lambda c: c.set_time_zone(20), "TZW,20"),
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
    (lambda c: c.read_execute_condition(), "05", 5),
    (lambda c: c.read_limit(101, 2, Bound.LOWER), "-0000012.500", Decimal("-12.500")),
    (lambda c: c.read_judgement_string(102, 1), "A,B", "A,B"),
    (lambda c: c.read_stain_level("103"), "25,7", ("25", "7")),
    (lambda c: c.read_correction("104"), "1.002", ("1.002",)),
    (lambda c: c.read_string(1), "", ""),
    (lambda c: c.echo("a,b"), "a,b", "a,b"),
    (lambda c: c.read_clock(), "26,11,24,06,30,00", datetime(2026, 11, 24, 6, 30)),  # noqa: DTZ001
    (lambda c: c.read_clock(), "2026,11,24,06,30,00", datetime(2026, 11, 24, 6, 30)),  # noqa: DTZ001
    (lambda c: c.read_time_zone(), "20", 20),
    (lambda c: c.read_version(), "CV-X470F,6.0.0000", Version("CV-X470F", "6.0.0000")),
    (lambda c: c.set_shutter(1, 4), "1,4", None),
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
        (lambda c: c.read_limit(1, 1, Bound.UPPER), "12,5"),
        (lambda c: c.read_limit(1, 1, Bound.UPPER), "1e5"),
        (lambda c: c.read_clock(), "26,13,24,06,30,00"),
        (lambda c: c.read_clock(), "26,02,30,06,30,00"),
        (lambda c: c.read_time_zone(), "34"),
        (lambda c: c.read_version(), "CV-X470F"),
        (lambda c: c.set_shutter(1, 4), "1,5"),
        (lambda c: c.reset(), "1"),
    ],
)
async def test_a_reply_that_cannot_be_is_a_violation(call: Callable[[Recorder], Awaitable[object]], reply: str) -> None:
    with pytest.raises(ProtocolViolation, match="controller"):
        await call(Recorder(*reply.split(",")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.trigger(5), "1 to 4"),
        (lambda c: c.switch_program(1000), "program is a whole number from 0 to 999"),
        (lambda c: c.switch_program(-1), "from 0 to 999"),
        (lambda c: c.switch_program(1, card=3), "card is a whole number from 1 to 2"),
        (lambda c: c.write_execute_condition(100), "execute condition"),
        (lambda c: c.set_shutter(5, 1), "camera is a whole number from 1 to 4"),
        (lambda c: c.set_shutter(1, 13), "shutter index"),
        (lambda c: c.set_shutter(1), "takes 2 to 9 parameters"),
        (lambda c: c.set_sensitivity(1, 9), "from 10 to 90"),
        (lambda c: c.set_light_volumes(1, *range(17)), "takes 2 to 17 parameters"),
        (lambda c: c.write_string(10, "x"), "string is a whole number"),
        (lambda c: c.write_string(1, "x" * 65), "0 to 64 characters"),
        (lambda c: c.write_string(1, "a\rOE,0"), "printable ASCII"),
        (lambda c: c.save_statistics(1, "a,b"), "holds no comma"),
        (lambda c: c.echo(""), "1 to 128 characters"),
        (lambda c: c.echo("x" * 129), "1 to 128 characters"),
        (lambda c: c.write_limit(1, 1, Bound.UPPER, Decimal("NaN")), "decimal number"),
        (lambda c: c.set_time_zone(34), "time zone"),
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
