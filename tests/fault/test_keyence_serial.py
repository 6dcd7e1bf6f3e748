"""What a serial line says of itself when it is lost, over a real pty: the plug, never another program or an address."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.base import ControllerDown, ControllerUp, NotConnected
from drivers.keyence.link import CvxLink
from drivers.transport import SerialOptions, open_serial
from tests.contract.test_byte_stream import Ear
from tests.fault.keyence_peer import ScriptedController
from tests.fault.test_keyence_link import link_to, next_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from typing import Any


class Plug(asyncio.Transport):
    """The controller's end of a serial line: a scripted controller answers behind it."""

    def __init__(self, controller: ScriptedController) -> None:
        super().__init__()
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.name = os.ttyname(self._theirs)
        self._controller = controller
        self._held = b""
        controller.connections.append(self)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def _read(self) -> None:
        *lines, self._held = (self._held + os.read(self._ours, 4096)).split(b"\r")
        for line in lines:
            if line:
                self._controller.take(line.decode("ascii"), self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        os.write(self._ours, data)

    def pull(self) -> None:
        """As when the adapter is pulled out: the port is gone."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def abort(self) -> None:
        """There is no connection on a serial line that could be ended."""


@asynccontextmanager
async def plugged() -> AsyncIterator[tuple[ScriptedController, Plug, CvxLink]]:
    """A link over a serial line, up."""
    peer = ScriptedController()
    peer.answers["EC"] = b"ER,EC,02\r"
    plug = Plug(peer)
    dial = partial(open_serial, plug.name, SerialOptions(), timeout_s=1.0)
    items = ("count", "judgement")
    link = CvxLink(dial, f"controller {plug.name}", result_items=items, reply_timeout_s=0.5, is_serial=True)
    try:
        async with running(link):
            await next_of(link, ControllerUp)
            yield peer, plug, link
    finally:
        with suppress(OSError, ValueError):
            plug.pull()


def lost(logs: list[MutableMapping[str, Any]]) -> MutableMapping[str, Any]:
    (said,) = [entry for entry in logs if entry["event"] == "link_lost"]
    return said


async def test_a_serial_line_that_is_unplugged_soon_after_it_came_up_says_that_it_is_the_plug() -> None:
    with capture_logs() as logs:
        async with plugged() as (_, plug, link):
            plug.pull()
            down = await next_of(link, ControllerDown)

    assert isinstance(down, ControllerDown)
    assert down.why.startswith(f"controller {plug.name}: the serial line was lost: ")
    assert "plug" in lost(logs)["hint"]
    assert "program" not in str(lost(logs))


async def test_a_controller_that_falls_silent_soon_after_it_came_up_is_not_said_to_have_another_client() -> None:
    for over in ("serial", "network"):
        with capture_logs() as logs:
            if over == "serial":
                async with plugged() as (peer, _, link):
                    peer.answers |= dict.fromkeys(("RM", "PR", "TR"))
                    await next_of(link, ControllerDown)
            else:
                async with ScriptedController() as peer, running(link_to(peer)) as link:
                    await next_of(link, ControllerUp)
                    peer.answers |= dict.fromkeys(("RM", "PR", "TR"))
                    await next_of(link, ControllerDown)

        assert "no reply to" in lost(logs)["why"]
        assert "program" not in str(lost(logs)), over


@pytest.mark.parametrize("how", ["reset", "finish"])
async def test_a_connection_that_the_controller_ends_soon_may_be_another_clients_doing(how: str) -> None:
    with capture_logs() as logs:
        async with ScriptedController() as peer, running(link_to(peer)) as link:
            await next_of(link, ControllerUp)
            getattr(peer, how)()
            await next_of(link, ControllerDown)

    assert "another program" in lost(logs)["hint"]


async def test_a_port_that_another_program_holds_is_said_as_that() -> None:
    async with plugged() as (_, plug, _link):
        with pytest.raises(NotConnected, match="another program has it open"):
            await open_serial(plug.name, SerialOptions(), Ear(), timeout_s=1.0)
