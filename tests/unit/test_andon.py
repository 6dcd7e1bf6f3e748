"""The andon lamp: two lines that say bad news; a port that is not there, or goes away, disturbs nobody."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import serial
from structlog.testing import capture_logs

from drivers.andon import AndonLamp
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


_AT_MOST_S = 30.0


@asynccontextmanager
async def lit(lamp: AndonLamp) -> AsyncIterator[None]:
    task = asyncio.create_task(lamp.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every port that is opened. pyserial's own loop:// joins RTS to CTS and DTR to DSR."""
    opened: list[Any] = []
    real = serial.serial_for_url

    def noting(url: str, **options: Any) -> Any:
        opened.append(real(url, **options))
        return opened[-1]

    monkeypatch.setattr(serial, "serial_for_url", noting)
    return opened


async def test_each_line_follows_what_it_is_asked_for_and_both_fall_at_the_end(ports: list[Any]) -> None:
    now = {"fault": True, "bypass": False}
    lamp = AndonLamp("loop://", rts=lambda: now["fault"], dtr=lambda: now["bypass"])
    async with lit(lamp):
        await until(lambda: lamp.is_up)
        (port,) = ports
        assert (port.cts, port.dsr) == (True, False)
        now |= {"fault": False, "bypass": True}
        await until(lambda: (port.cts, port.dsr) == (False, True))
    assert not lamp.is_up
    assert not port.is_open
    assert (port.rts, port.dtr) == (False, False)


async def test_a_line_that_is_asked_for_nothing_stays_down(ports: list[Any]) -> None:
    lamp = AndonLamp("loop://")
    async with lit(lamp):
        await until(lambda: lamp.is_up)
        assert (ports[0].cts, ports[0].dsr) == (False, False)


@pytest.mark.parametrize("url", ["/dev/there-is-no-such-port", "nonsense://x"])
async def test_a_port_that_is_not_there_is_said_once(url: str) -> None:
    with capture_logs() as logs:
        async with lit(AndonLamp(url)):
            await until(lambda: len(logs) >= 3)

    assert {entry["event"] for entry in logs} == {"lamp_lost"}
    assert [entry["log_level"] for entry in logs][:3] == ["warning", "debug", "debug"]


async def test_a_port_without_such_lines_is_said_and_tried_again() -> None:
    """A pseudo terminal is a port, and has neither RTS nor DTR."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    lamp = AndonLamp(os.ttyname(theirs))
    try:
        with capture_logs() as logs:
            async with lit(lamp):
                await until(lambda: lamp.is_up or len(logs) >= 2)
    finally:
        os.close(ours)
        os.close(theirs)

    assert {entry["event"] for entry in logs} <= {"lamp_lost", "lamp_lit"}


async def test_a_lamp_that_goes_away_comes_back(ports: list[Any]) -> None:
    lamp = AndonLamp("loop://", rts=lambda: True)
    with capture_logs() as logs:
        async with lit(lamp):
            await until(lambda: lamp.is_up)
            ports[0]._update_rts_state = _gone  # pulled out: the next level cannot be set
            await until(lambda: len(ports) == 2 and lamp.is_up)
            assert ports[1].cts

    assert [entry["event"] for entry in logs] == ["lamp_lit", "lamp_lost", "lamp_lit"]


def _gone() -> None:
    raise serial.SerialException("device disconnected")


@dataclass
class HeldUp:
    """A device server that is gone without a word: who sets a line hears nothing for long, but is let go at last."""

    inside: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    sets: int = 0
    is_over: bool = False

    def level(self) -> None:
        self.sets += 1
        if self.sets > 4:  # opening sets both lines, and so does the first level
            self.inside.set()
            self.go.wait(_AT_MOST_S)
            self.is_over = True


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldUp]:
    server = HeldUp()
    monkeypatch.setattr("serial.urlhandler.protocol_loop.Serial._update_rts_state", server.level)
    try:
        yield server
    finally:
        server.go.set()


async def test_a_port_that_holds_up_whoever_sets_it_holds_up_no_event_loop(held_up: HeldUp) -> None:
    """The service's watchdog goes on to be fed, and the agent ends when it is told to."""
    lamp = AndonLamp("loop://", rts=lambda: True)
    async with lit(lamp):
        await until(held_up.inside.is_set, within_s=_AT_MOST_S)
        assert not held_up.is_over
    assert not held_up.is_over
    assert not lamp.is_up


async def test_the_lines_are_set_by_a_thread_and_asked_for_by_the_loop(ports: list[Any]) -> None:
    asked: set[int] = set()
    setting: set[int] = set()

    def wanted() -> bool:
        asked.add(threading.get_ident())
        return True

    lamp = AndonLamp("loop://", rts=wanted)
    async with lit(lamp):
        await until(lambda: lamp.is_up)
        ports[0]._update_rts_state = lambda: setting.add(threading.get_ident())
        await until(lambda: bool(setting))

    assert asked == {threading.get_ident()}
    assert threading.get_ident() not in setting


async def test_the_end_of_the_loop_does_not_wait_for_a_port_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go, ended = threading.Event(), threading.Event(), threading.Event()

    def hangs(*_args: object, **_options: object) -> Any:
        opening.set()
        go.wait(_AT_MOST_S)
        ended.set()
        raise serial.SerialException("at last")

    monkeypatch.setattr(serial, "serial_for_url", hangs)
    try:
        async with lit(AndonLamp("socket://192.0.2.1:4001")):
            await until(opening.is_set)
        await asyncio.get_running_loop().shutdown_default_executor()

        assert not ended.is_set()
    finally:
        go.set()
