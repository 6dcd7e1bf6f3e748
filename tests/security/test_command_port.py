"""The link against a command port that is not what it should be: floods, injections, half-open peers, two clients."""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import ControllerDown, ControllerResult, ControllerUp
from drivers.keyence import link_status
from drivers.keyence.link import CvxLink
from drivers.simulated.command_port import ConnectionPolicy
from drivers.simulated.controller import SimulatedController
from drivers.transport import open_tcp
from tests.fault.keyence_peer import ScriptedController, soon, until
from tests.fault.test_keyence_link import link_to, next_of, running
from tests.security.test_ftp import rendered_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from tests.results import Figure

LINES = 100_000


@pytest.mark.promise("T-32", "100,000 bad packets of a controller", "100 log lines or fewer, the link lives on")
async def test_a_flood_of_bad_packets_is_said_in_a_few_lines_and_grows_no_memory(figure: Figure) -> None:
    packets = (b"\xff" * 20, b"\x00", b"1,2,3,4", b"0000000031,2", b"-9999.999,0", b"XX,7,7", b"\x1b[2J", b",,,,")
    with capture_logs() as logs:
        async with ScriptedController() as peer, running(link_to(peer)) as link:
            taking = asyncio.create_task(_take_all(link))
            await until(lambda: link.status().is_up, "the link")
            before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for start in range(0, LINES, 1000):
                await until(lambda: link.status().is_up, "the link")
                peer.say(b"\r".join(packets[number % len(packets)] for number in range(start, start + 1000)) + b"\r")
                peer.say(b"ER,T9,03\rRM,7,7\r" if start % 20_000 == 0 else b"")  # ends the connection in mid-command
                await asyncio.sleep(0.001)
            await until(lambda: link.status().is_up, "the link")
            grew_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
    said = [entry for entry in logs if entry["log_level"] != "debug"]

    assert len(said) <= 100
    assert grew_kib < 20_000
    figure(f"{len(said)} lines")


async def _take_all(link: CvxLink) -> None:
    while True:
        await link.next()


async def test_ten_megabytes_of_ff_cost_the_connection_and_no_memory() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(160):
            peer.say(b"\xff" * 65536)
            await asyncio.sleep(0)
        down = await next_of(link, ControllerDown)
        up = await next_of(link, ControllerUp)

        assert "without a delimiter" in down.why
        assert up.program == 22
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 60_000


async def test_what_a_controller_says_reaches_no_log_as_it_is() -> None:
    hostile = b"\x1b[2J\x1b]0;owned\x07 level=error \x7f\x85\x00 " + b"x" * 500
    with rendered_logs() as logs:
        async with ScriptedController() as peer:
            peer.answers = {"VI": b"VI," + hostile + b"\r"}
            async with running(link_to(peer)) as link:
                await next_of(link, ControllerUp)
                peer.say(hostile + b"\r" + hostile + b",0\r")
                await next_of(link, ControllerResult)
                peer.answers["EC"] = b"ER," + hostile + b",02\r"
                with pytest.raises(Exception, match="answered") as refused:
                    await link.command("EC", "x")
                assert str(refused.value).isprintable()
                await next_of(link, ControllerDown)

    assert all(character == "\n" or character.isprintable() for character in logs.getvalue())
    assert max(map(len, logs.getvalue().splitlines())) < 1000


async def test_a_peer_that_takes_the_connection_and_never_reads_is_given_up_and_left() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        connections.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    dial = partial(open_tcp, "127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=1.0)
    link = CvxLink(dial, "half-open", result_items=("count",), reply_timeout_s=0.1)
    async with running(link):
        down = await soon(link.next())
        await until(lambda: len(connections) >= 2, "another try")
    for writer in connections:
        writer.transport.abort()
    server.close()
    await server.wait_closed()

    assert isinstance(down, ControllerDown)
    assert "no reply to RM in time" in down.why


@asynccontextmanager
async def fought_over(policy: ConnectionPolicy) -> AsyncIterator[tuple[SimulatedController, CvxLink, CvxLink]]:
    """One controller, two agents."""
    peer = SimulatedController(policy=policy, timing=None, processing_s=0.0)
    await peer.start()
    dial = partial(open_tcp, "127.0.0.1", peer.port, timeout_s=1.0)
    ours, theirs = (
        CvxLink(dial, name, result_items=("count", "judgement"), reply_timeout_s=1.0) for name in ("ours", "theirs")
    )
    try:
        async with running(ours):
            await next_of(ours, ControllerUp)
            async with running(theirs):
                yield peer, ours, theirs
    finally:
        await peer.stop()


async def test_two_agents_that_throw_each_other_out_do_it_once_a_second_and_say_what_may_be() -> None:
    with capture_logs() as logs:
        async with fought_over(ConnectionPolicy.REPLACE) as (_, ours, theirs):
            await next_of(ours, ControllerDown)
            for _ in range(3):
                await next_of(theirs, ControllerUp)
                await next_of(ours, ControllerUp)
    lost = [entry for entry in logs if entry["event"] == "link_lost"]

    assert len(lost) < 40
    assert any("another program" in entry.get("hint", "") for entry in lost)


async def test_a_controller_that_ends_every_connection_is_not_said_each_time() -> None:
    with capture_logs() as logs:
        async with ScriptedController() as peer, running(link_to(peer)) as link:
            for _ in range(6):
                await next_of(link, ControllerUp)
                peer.reset()
                await next_of(link, ControllerDown)
    lost = [entry for entry in logs if entry["event"] == "link_lost"]

    assert [entry["times"] for entry in lost if entry["log_level"] == "warning"] == [1, 2, 4]
    assert len(lost) == 6


async def test_a_controller_that_flapped_and_then_stays_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with ScriptedController() as peer, running(link_to(peer)) as link:
            for _ in range(2):
                await next_of(link, ControllerUp)
                peer.reset()
                await next_of(link, ControllerDown)
            await next_of(link, ControllerUp)
            monkeypatch.setattr(link_status, "STEADY_S", 0.5)
            await peer.aclose()
            await next_of(link, ControllerDown)
            await until(lambda: sum(_is_loud(entry) for entry in logs) == 3, "the third loss")

    assert [entry["times"] for entry in logs if _is_loud(entry)] == [1, 2, 3]


def _is_loud(entry: MutableMapping[str, Any]) -> bool:
    return entry["event"] == "link_lost" and entry["log_level"] == "warning"


async def test_where_a_second_client_is_refused_the_first_keeps_the_line() -> None:
    async with fought_over(ConnectionPolicy.REFUSE) as (peer, ours, theirs):
        down = await next_of(theirs, ControllerDown)
        peer.trigger("TRG1")
        result = await next_of(ours, ControllerResult)

        assert isinstance(result, ControllerResult)
        assert (result.count, ours.status().is_up, theirs.status().is_up) == (1, True, False)
        assert down.why


async def test_where_both_are_served_a_result_is_told_to_both_and_a_command_to_one() -> None:
    async with fought_over(ConnectionPolicy.MANY) as (peer, ours, theirs):
        await next_of(theirs, ControllerUp)
        assert await asyncio.gather(ours.call("EC", "a"), theirs.call("EC", "b")) == [("a",), ("b",)]
        peer.trigger("TRG1")
        results = [await next_of(link, ControllerResult) for link in (ours, theirs)]

        assert [result.count for result in results if isinstance(result, ControllerResult)] == [1, 1]
