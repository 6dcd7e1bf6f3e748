"""The andon lamp: two lines that say bad news; a port that is not there, or goes away, disturbs nobody."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import serial
from structlog.testing import capture_logs

from drivers.andon import AndonLamp
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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
