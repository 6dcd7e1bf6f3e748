"""The controller link and the simulated controller over memory, TCP, a serial URL and a serial line: the same lines."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drivers.base import (
    CommandUnknown,
    ControllerDown,
    ControllerResult,
    ControllerUp,
    NotConnected,
    NotNow,
)
from drivers.keyence.commands import COMMANDS
from drivers.keyence.controller_commands import Mode, ProgramId
from drivers.keyence.link import CvxLink
from drivers.simulated.controller import ControllerTiming, SimulatedController
from drivers.timing import Deadline, monotonic_s
from drivers.transport import SerialOptions, open_serial, open_tcp
from tests.contract.memory_wire import MemoryWire
from tests.contract.test_byte_stream import open_files
from tests.fault.keyence_peer import soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from drivers.base import ByteStream, ControllerEvent, StreamListener
    from tests.results import Figure

PAGE = Path(__file__).parents[2] / "drivers" / "keyence" / "PROTOCOL.md"
ROW = re.compile(
    r"\| `(?P<sent>[^`]+)` \| `(?P<reply>[^`]+)` \| (?P<changes>yes)? ?(?P<setup>s)? ?\| (?P<mark>[C21A]) \|"
)
QUICK = ControllerTiming(
    exposure_s=0.001, processing_s=0.005, mode_change_s=0.01, program_switch_s=0.02, ready_after_switch_s=0.0
)
CLOCK = re.compile(r"TR,\d\d,11,24,06,30,\d\d")


def rows() -> list[re.Match[str]]:
    return [match for line in PAGE.read_text().splitlines() if (match := ROW.match(line))]


class Wire:
    """A way from a link to a simulated controller. ``peer`` is None while it is away."""

    def __init__(self, kind: str, delimiter: str) -> None:
        self.kind = kind
        self.delimiter = delimiter
        self.peer = SimulatedController(timing=QUICK, delimiter=delimiter, program=3)
        self.line = ""
        self.memory = MemoryWire(self.peer)

    async def start(self) -> None:
        await self.peer.start()
        await self.plug()

    async def stop(self) -> None:
        await self.memory.aclose()
        await self.peer.stop()

    async def pull(self) -> None:
        """Pull the cable, and plug it in again."""
        if self.kind == "memory":
            self.memory.cut()
        elif self.kind == "pty":
            await self.peer.wire.close_line()
            await self.plug()
        else:
            self.peer.wire.drop_all()

    async def plug(self) -> None:
        if self.kind == "pty":
            self.line = await self.peer.wire.open_line()

    async def dial(self, listener: StreamListener) -> ByteStream:
        if self.kind == "pty":
            return await open_serial(self.line, SerialOptions(), listener, timeout_s=1.0)
        if self.kind == "url":
            url = f"socket://127.0.0.1:{self.peer.port}"
            return await open_serial(url, SerialOptions(), listener, timeout_s=1.0)
        if self.kind == "memory":
            return await self.memory.dial(listener)
        return await open_tcp("127.0.0.1", self.peer.port, listener, timeout_s=1.0)

    def link(self) -> CvxLink:
        return CvxLink(
            self.dial,
            f"controller over {self.kind}",
            result_items=("count", "judgement"),
            reply_timeout_s=0.5,
            delimiter=self.delimiter,
            is_serial=self.kind in ("pty", "url"),
            poll_s=0.05,
        )


WIRES = [("memory", "\r"), ("tcp", "\r"), ("url", "\r"), ("pty", "\r\n")]


@pytest.fixture(params=WIRES, ids=lambda p: f"{p[0]}{p[1]!r}")
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    made = Wire(*request.param)
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def up(wire: Wire) -> AsyncIterator[CvxLink]:
    link = wire.link()
    task = asyncio.create_task(link.run())
    try:
        await event_of(link, ControllerUp)
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def event_of(link: CvxLink, kind: type) -> ControllerEvent:
    while not isinstance(event := await soon(link.next()), kind):
        pass
    return event


def test_the_page_has_a_row_for_every_command_and_says_of_it_what_the_table_says() -> None:
    by_name = {row["sent"].split(",")[0]: row for row in rows()}

    assert list(by_name) == list(COMMANDS)
    for name, row in by_name.items():
        assert (row["changes"] is not None, row["setup"] is not None, row["mark"]) == (
            COMMANDS[name].changes,
            COMMANDS[name].in_setup_mode,
            COMMANDS[name].sureness,
        ), name


async def test_every_command_of_the_page_is_answered_as_the_page_says(wire: Wire) -> None:
    """The clock ticks and S0 ends run mode; RB is a test of its own. All others in one session, in order."""
    async with up(wire) as link:
        for row in rows():
            name, _, rest = row["sent"].partition(",")
            if name in ("RB", "S0", "RS", "OE"):
                continue
            if name in ("TS", "HS"):
                await image_one(wire, link)  # without one there is nothing to save
            if name[0] == "T" and name[1] in "1234A":
                await until(lambda: wire.peer.is_ready, "READY")
            args = tuple(rest.split(",")) if rest else ()
            values = await soon(link.command(name, *args))
            reply = ",".join((name, *values))
            assert reply == row["reply"] or CLOCK.fullmatch(reply), row["sent"]
            COMMANDS[name].read(values, args)


async def image_one(wire: Wire, link: CvxLink) -> None:
    seen = len(wire.peer.imaged)
    await until(lambda: wire.peer.is_ready, "READY")
    await link.trigger(1)
    await soon(wire.peer.wait_imaged(seen))


async def test_setup_mode_is_reported_and_answers_only_its_own_commands(wire: Wire) -> None:
    async with up(wire) as link:
        await link.call("S0")
        down = await event_of(link, ControllerDown)
        assert isinstance(down, ControllerDown)
        assert down.why == "setup mode"
        for row in rows():
            name, _, rest = row["sent"].partition(",")
            if name in ("R0", "S0", "RB"):
                continue
            if COMMANDS[name].in_setup_mode:
                await soon(link.command(name, *rest.split(",")) if rest else link.command(name))
            else:
                with pytest.raises(NotNow):
                    await soon(link.command(name, *rest.split(",")) if rest else link.command(name))
        await link.enter_run_mode()
        await event_of(link, ControllerUp)


async def test_a_reboot_is_asked_for_and_survived(wire: Wire) -> None:
    async with up(wire) as link:
        await link.call("RB")
        await event_of(link, ControllerDown)
        await event_of(link, ControllerUp)


async def test_commands_of_the_table_do_what_they_say(wire: Wire) -> None:
    async with up(wire) as link:
        await link.call("EXW", 7)
        await link.call("STW", 1, "lot 4711, second shift")
        await link.call("PW", 1, 12)

        assert await link.call("EXR") == (7,)
        assert await link.call("STR", 1) == ("lot 4711, second shift",)
        assert await link.read_program() == ProgramId(1, 12)
        assert await link.read_mode() is Mode.RUN
        assert await link.call("EC", "a,b") == ("a,b",)
        with pytest.raises(NotNow):
            await link.call("HS", 9, 1, 10, 0)
        with pytest.raises(CommandUnknown):
            await link.command("MR", "%Trg1Ready")


async def test_a_trigger_gives_its_echo_first_and_one_result_later(wire: Wire) -> None:
    async with up(wire) as link:
        for count in (1, 2, 3):
            await until(lambda: wire.peer.is_ready, "READY")
            await link.trigger(1, Deadline.after(1))
            result = await event_of(link, ControllerResult)
            assert isinstance(result, ControllerResult)
            assert result.count == count


async def test_callers_at_once_get_their_own_replies_one_after_the_other(wire: Wire) -> None:
    async with up(wire) as link:
        texts = [f"text {number}" for number in range(20)]

        assert await asyncio.gather(*(link.call("EC", text) for text in texts)) == [(text,) for text in texts]


async def test_a_reply_that_never_comes_ends_the_wait_and_the_link_comes_back(wire: Wire) -> None:
    async with up(wire) as link:
        wire.peer.wire.is_mute = True
        with pytest.raises((NotConnected, TimeoutError)):
            await link.call("EC", "anybody there?")
        await event_of(link, ControllerDown)
        wire.peer.wire.is_mute = False
        await event_of(link, ControllerUp)


async def test_a_cable_that_is_pulled_and_plugged_in_again_brings_the_link_back(wire: Wire) -> None:
    async with up(wire) as link:
        await wire.pull()
        await event_of(link, ControllerDown)
        await event_of(link, ControllerUp)

        assert await link.call("EC", "again") == ("again",)


@pytest.mark.promise(
    "T-10", "a serial line (pty) unplugged and plugged in", "200 times, up in 2 s each, 0 files left open"
)
async def test_a_serial_line_that_is_unplugged_again_and_again_leaves_nothing_open(figure: Figure) -> None:
    wire, times, longest_s = Wire("pty", "\r"), 200 if os.environ.get("EDGE_AGENT_CHAOS") else 3, 0.0
    await wire.start()
    try:
        async with up(wire) as link:
            before = open_files()
            for _ in range(times):
                await wire.pull()
                plugged_mono_s = monotonic_s()
                await event_of(link, ControllerDown)
                await event_of(link, ControllerUp)
                longest_s = max(longest_s, monotonic_s() - plugged_mono_s)
            assert open_files() == before
    finally:
        await wire.stop()
    words = f"{times} times, longest {longest_s:.2f} s, 0 left open"
    figure(words, is_reached=longest_s <= 2.0, is_whole=times >= 200)


async def test_what_an_earlier_program_left_on_a_serial_line_is_no_answer() -> None:
    wire = Wire("pty", "\r")
    await wire.start()
    try:
        left = Leftover()
        stream = await wire.dial(left)
        stream.write(b"RM\rPR\rT1")  # two answers that nobody takes, and half a command
        await until(lambda: len(wire.peer.commands) == 2, "the commands")
        stream.abort()
        await soon(stream.wait_closed())
        async with up(wire) as link:
            assert await link.read_program() == ProgramId(1, 3)
        assert not wire.peer.imaged or wire.peer.commands[2] == "T1"
    finally:
        await wire.stop()


class Leftover:
    def stream_opened(self, stream: ByteStream) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def stream_lost(self, why: Exception | None) -> None: ...


@pytest.mark.parametrize(
    "call", [lambda link: link.read_mode(), lambda link: link.trigger(1), lambda link: link.command("EC", "x")]
)
async def test_a_link_that_does_not_run_refuses_every_command(call: Callable[[CvxLink], Awaitable[object]]) -> None:
    link = CvxLink(
        partial(open_tcp, "127.0.0.1", 1, timeout_s=0.1), "nobody", result_items=("count",), reply_timeout_s=0.1
    )
    with pytest.raises(NotConnected):
        await call(link)
