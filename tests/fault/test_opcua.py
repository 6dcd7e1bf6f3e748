"""The OPC UA server beside an agent: what it tells, whom it lets in, and that nothing of it reaches the agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from drivers.base import Published
from drivers.timing import monotonic_s
from edge_agent.runtime.process import boot_id
from tests.opcua_site import NEEDS_ASYNCUA, PASSWORD, Site, identity, opcua_processes, ready
from tests.security.web_site import part_row, reject_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from edge_agent.store.rows import PartRow

pytestmark = [pytest.mark.slow, NEEDS_ASYNCUA, pytest.mark.timeout(300)]
_WITHIN_S = 60.0
_ROOT = "ns=2;s=VisionSystem"
_LATEST = f"{_ROOT}.ResultManagement.LatestResult"


def now(row: PartRow) -> PartRow:
    """The row as if it was decided at this moment."""
    return replace(row, boot_id=boot_id(), decided_mono_s=monotonic_s(), first_sign_mono_s=monotonic_s() - 0.25)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    begin = monotonic_s()
    while not await condition():
        assert monotonic_s() - begin < _WITHIN_S
        await asyncio.sleep(0.05)


async def value(client: Any, path: str) -> Any:
    return await client.get_node(path).read_value()


async def becomes(client: Any, path: str, expected: object) -> None:
    async def does() -> bool:
        found = await value(client, path)
        return bool(getattr(found, "Text", found) == expected)

    await until(does)


class Heard:
    """What a subscription was told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.values: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        self.values.append(val)

    def status_change_notification(self, status: Any) -> None:
        """Not asked for."""


async def test_it_tells_state_recipes_results_and_counters(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.journal.append(reject_row(7))
    await site.journal.publication(7, Published.PUBLISHED, 100.6)
    async with site.served():
        client = await site.connected()
        try:
            machine = f"{_ROOT}.VisionStateMachine"
            await becomes(client, f"{machine}.CurrentState", "Operational")
            await becomes(client, f"{machine}.AutomaticModeStateMachine.CurrentState", "Ready")
            await becomes(client, f"{_LATEST}.ResultId", "7")
            content = json.loads(await value(client, f"{_LATEST}.ResultContent"))
            found = {name: await value(client, f"{_LATEST}.{name}") for name in ("Verdict", "Reason", "Score", "Limit")}
            recipes = f"{_ROOT}.RecipeManagement"
            prepared = [await value(client, f"{recipes}.Recipes.Program{n}Camera1.IsPrepared") for n in (3, 4)]

            assert found == {"Verdict": "REJECT", "Reason": "SCORE", "Score": 2.0, "Limit": 1.5}
            assert (content["part_seq"], content["published"]) == (7, "PUBLISHED")
            assert await value(client, f"{_ROOT}.ResultManagement.Results.Result7.Verdict") == "REJECT"
            assert (await value(client, f"{recipes}.ActiveProgram"), prepared) == (3, [True, False])
            assert await value(client, f"{recipes}.Recipes.Program3Camera1.InternalId") == "bundle"
            assert await value(client, f"{_ROOT}.Health.Line") == site.settings.line.name
            assert len(await value(client, f"{_ROOT}.ConfigurationManagement.ActiveConfiguration.InternalId")) == 64

            site.looked = lambda: replace(ready(), state="FAULT", conditions={"controller": "no answer"})
            await becomes(client, f"{machine}.CurrentState", "Error")
            assert await value(client, f"{_ROOT}.Condition") == "controller: no answer"
            assert (await value(client, f"{machine}.AutomaticModeStateMachine.CurrentState")).Text == ""
        finally:
            await client.disconnect()


async def test_each_new_part_is_one_event_and_what_was_there_before_is_none(tmp_path: Path) -> None:
    site, heard = Site(tmp_path), Heard()
    await site.journal.append(part_row(1))
    async with site.served():
        client = await site.connected()
        try:
            await becomes(client, f"{_LATEST}.ResultId", "1")
            subscription = await client.create_subscription(100, heard)
            event_type = client.get_node("ns=2;s=ResultReadyEventType")
            await subscription.subscribe_events(client.nodes.server, event_type)
            for number in range(2, 12):
                await site.journal.append(now(part_row(number)))
                if number != 11:  # of which nobody ever learns what became of it
                    await site.journal.publication(number, Published.PUBLISHED, monotonic_s())

            async def has_all() -> bool:
                return len(heard.events) >= 10

            await until(has_all)
            await becomes(client, f"{_ROOT}.ResultManagement.Results.Result1.ResultId", "11")

            assert [event.ResultId for event in heard.events] == [str(number) for number in range(2, 12)]
            assert {event.Verdict for event in heard.events} == {"PASS"}
            assert [event.Published for event in heard.events] == ["PUBLISHED"] * 9 + [""]
            assert heard.events[0].Message.Text == "part 2: PASS (OK)"
        finally:
            await client.disconnect()


async def test_nobody_writes_calls_or_adds_whoever_it_is(tmp_path: Path) -> None:
    from asyncua import ua

    site = Site(tmp_path)
    async with site.served():
        for login in ({}, {"user": "mes", "password": PASSWORD}):
            client = await site.connected(**login)
            try:
                await becomes(client, f"{_ROOT}.VisionStateMachine.CurrentState", "Operational")
                node = client.get_node(f"{_LATEST}.Verdict")
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await node.write_value("PASS")
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await client.nodes.objects.add_object(2, "mine")
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await client.nodes.server.call_method("0:GetMonitoredItems", 1)
                assert await value(client, f"{_LATEST}.Verdict") == ""
            finally:
                await client.disconnect()


async def test_a_wrong_certificate_a_wrong_password_and_no_security_are_refused(tmp_path: Path) -> None:
    from asyncua import Client, ua

    site = Site(tmp_path, anonymous="no")
    stranger = identity(tmp_path / "pki", "stranger")
    async with site.served():
        with pytest.raises((ua.UaError, OSError, TimeoutError)):
            await site.connected(stranger, user="mes", password=PASSWORD)
        for login in ({"user": "mes", "password": "another"}, {"user": "nobody", "password": PASSWORD}):
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await site.connected(**login)
        with pytest.raises(ua.UaError):
            await site.connected()
        plain = Client(site.url, timeout=20)
        endpoints = await plain.connect_and_get_server_endpoints()
        await plain.connect_socket()
        await plain.send_hello()
        await plain.open_secure_channel()
        with pytest.raises(ua.uaerrors.BadSecurityModeInsufficient):
            await plain.create_session()
        plain.disconnect_socket()
        client = await site.connected(user="mes", password=PASSWORD)
        await client.disconnect()

        assert {endpoint.SecurityMode for endpoint in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}


async def test_a_certificate_that_is_put_into_the_folder_counts_at_once(tmp_path: Path) -> None:
    from asyncua import ua

    site = Site(tmp_path)
    stranger = identity(tmp_path / "pki", "stranger")
    async with site.served():
        with pytest.raises((ua.UaError, OSError, TimeoutError)):
            await site.connected(stranger)
        (tmp_path / "clients/stranger.pem").write_bytes(stranger.certificate.read_bytes())
        client = await site.connected(stranger)
        await client.disconnect()


async def test_a_server_that_is_killed_comes_again_and_the_agent_never_notices(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with capture_logs() as logs:
        async with site.served():
            (first,) = opcua_processes()
            os.kill(first, signal.SIGKILL)
            await site.journal.append(now(part_row(1)))

            async def is_another() -> bool:
                return bool(opcua_processes() - {first})

            await until(is_another)
            await site.listens()
            client = await site.connected()
            await becomes(client, f"{_LATEST}.ResultId", "1")
            await client.disconnect()

    assert [line["why"] for line in logs if line["event"] == "opcua_ended"] == ["it ended with exit code -9"]


async def test_a_port_that_is_taken_is_said_by_name_and_the_agent_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path)
    with socket.create_server(("127.0.0.1", site.port)), capture_logs() as logs:
        async with site.served():

            async def has_ended() -> bool:
                return any(line["event"] == "opcua_ended" for line in logs)

            await until(has_ended)
            await site.journal.append(part_row(1))

    said = capfd.readouterr().err
    assert f"127.0.0.1:{site.port} cannot be listened on: it is in use, by process {os.getpid()}" in said
    assert "Traceback" not in said


async def test_a_journal_that_is_another_file_is_read_anew(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.journal.append(part_row(1))
    async with site.served():
        (first,) = opcua_processes()
        client = await site.connected()
        await becomes(client, f"{_LATEST}.ResultId", "1")
        path = site.settings.store.journal
        path.rename(path.with_name("journal-old.sqlite"))

        async def is_gone() -> bool:
            return first not in opcua_processes()

        await until(is_gone)
        path.with_name("journal-old.sqlite").rename(path)
        await client.disconnect()

        async def is_another() -> bool:
            return bool(opcua_processes())

        await until(is_another)
        await site.listens()


async def test_clients_that_hold_all_they_can_and_send_rubbish_hold_up_no_row_of_the_journal(tmp_path: Path) -> None:
    """Connections, sessions and subscriptions are bounded, and one who behaves still reads."""
    from asyncua import ua

    from edge_agent.opcua.guard import CONNECTIONS_MAX, SUBSCRIPTIONS_MAX

    site = Site(tmp_path)
    async with site.served():
        greedy = await site.connected()
        for _ in range(SUBSCRIPTIONS_MAX):
            await greedy.create_subscription(0, Heard())
        with pytest.raises(ua.uaerrors.BadTooManySubscriptions):
            await greedy.create_subscription(0, Heard())
        sockets = []
        for _ in range(3 * CONNECTIONS_MAX):
            sock = socket.create_connection(("127.0.0.1", site.port), timeout=10)
            sock.setblocking(False)
            sockets.append(sock)
            sock.send(os.urandom(4096))
        took = []
        for number in range(1, 21):
            begin = time.perf_counter()
            await site.journal.append(now(part_row(number)))
            took.append(time.perf_counter() - begin)
        for sock in sockets:
            sock.close()
        await becomes(greedy, f"{_LATEST}.ResultId", "20")
        await greedy.disconnect()

        assert max(took) < 2.0


@pytest.mark.parametrize(
    ("asked_ms", "given_ms"), [(0.0, 100.0), (-1.0, 100.0), (float("nan"), 100.0), (1e9, 60_000.0), (250.0, 250.0)]
)
async def test_nobody_is_told_faster_than_ten_times_a_second(asked_ms: float, given_ms: float) -> None:
    from asyncua import ua

    from edge_agent.opcua.guard import Gate, GuardedServer

    server = GuardedServer(Gate(None))  # type: ignore[arg-type]  # nobody logs in
    session = server.create_session("a client", external=True)
    asked = ua.CreateSubscriptionParameters(RequestedPublishingInterval=asked_ms)
    result = await session.create_subscription(asked, lambda *_: None)
    await session.delete_subscriptions([result.SubscriptionId])

    assert result.RevisedPublishingInterval == given_ms


async def test_whatever_bytes_come_the_server_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    kinds = st.sampled_from([b"HELF", b"OPNF", b"MSGF", b"MSGC", b"CLOF", b"ERRF", b""])
    chunks = st.lists(st.tuples(kinds, st.binary(max_size=200), st.booleans()), min_size=1, max_size=4)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(chunks)
    def sent(parts: list[tuple[bytes, bytes, bool]]) -> None:
        # The server may have ended the connection already.
        with socket.create_connection(("127.0.0.1", site.port), timeout=_WITHIN_S) as sock, suppress(ConnectionError):
            for kind, body, is_true in parts:
                length = 8 + len(body) if is_true else int.from_bytes(body[:4].ljust(4, b"\0"), "little")
                sock.sendall(kind + (length.to_bytes(4, "little") if kind else b"") + body)
            with suppress(OSError):  # not connected any more
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass

    async with site.served():
        (process,) = opcua_processes()
        await asyncio.to_thread(sent)
        client = await site.connected()
        await client.disconnect()

        assert opcua_processes() == {process}


async def test_rubbish_ends_its_own_connection_and_nothing_else(tmp_path: Path) -> None:
    site = Site(tmp_path)
    giant = b"MSGF\xff\xff\xff\x7f" + bytes(100_000)
    hello = b"HELF" + (32).to_bytes(4, "little") + bytes(24)
    async with site.served():
        (process,) = opcua_processes()
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n", giant, hello + giant, bytes(64), b"OPNF\x10\0\0\0" + bytes(8)):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(rubbish)
            with suppress(ConnectionResetError):
                async with asyncio.timeout(_WITHIN_S):
                    await reader.read(-1)  # until the server ends it
            writer.close()
        client = await site.connected()
        await client.disconnect()

        assert opcua_processes() == {process}
