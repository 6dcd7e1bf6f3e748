"""T-08c: the controller is away for a second, a minute, an hour (on a clock that jumps), and comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.base import ControllerDown, ControllerUp, NotConnected
from drivers.keyence.link import CvxLink
from drivers.timing import monotonic_s
from drivers.transport import open_tcp
from tests.fault.keyence_peer import ScriptedController
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import ByteStream, StreamListener


CONNECT_TIMEOUT_S = 1.0


@pytest.mark.promise("T-08c", "controller away for 1 s, 1 min, 1 h", "up 1.2 s after its return, 4 log lines an outage")
@pytest.mark.parametrize("away_s", [1.0, 60.0, 3600.0], ids=["1 s", "1 min", "1 h"])
@pytest.mark.parametrize("how", ["refuses", "swallows"])
def test_a_controller_that_was_away_is_up_soon_after_its_return_and_little_is_said(
    figure: Callable[[str], None], how: str, away_s: float
) -> None:
    peer = ScriptedController()
    port, back_after_s = 0, 0.0

    async def dial(listener: StreamListener) -> ByteStream:
        if how == "swallows" and peer.port == 0:  # no port is closed, no packet is answered: a pulled cable
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            raise NotConnected("no answer")
        return await open_tcp("127.0.0.1", port, listener, timeout_s=CONNECT_TIMEOUT_S)

    async def outage() -> None:
        nonlocal port, back_after_s
        await peer.listen()
        port = peer.port
        watched = CvxLink(dial, "controller", result_items=("count", "judgement"), reply_timeout_s=1.0)
        running = asyncio.create_task(watched.run())
        assert isinstance(await watched.next(), ControllerUp)
        await peer.aclose()
        peer.port = 0
        assert isinstance(await watched.next(), ControllerDown)
        await asyncio.sleep(away_s)
        peer.port = port
        await peer.listen()
        returned_s = monotonic_s()
        assert isinstance(await watched.next(), ControllerUp)
        back_after_s = monotonic_s() - returned_s
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peer.aclose()

    with capture_logs() as logs:
        run_in_virtual_time(outage)
    said = [entry["event"] for entry in logs if entry["log_level"] != "debug"]

    assert back_after_s <= 1.2
    assert said[1:-1] == ["link_lost", "link_up"]  # between the first up and the end
    figure(f"{how} {away_s:g} s: {back_after_s:.2f} s, {len(said) - 2} lines")
