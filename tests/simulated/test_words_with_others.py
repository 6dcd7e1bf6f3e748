"""What we write is read by programs that nobody here wrote, and what they write by us; byte for byte the same requests.

SLMP: the server is aslmp's, the clients are pymcprotocol and plc-comm-slmp. Host link: the client is
plc-comm-kv-hostlink; a server that somebody else wrote was not to be had, so both clients speak to our simulated KV.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aslmp.profile import Encoding
from aslmp.testing import FX5U_32MT_DS, PEDANTIC, PlcSimulator
from aslmp.testing.server import Entry
from hostlink import HostLinkConnectionOptions, open_and_connect
from pymcprotocol import Type3E
from slmp import AsyncSlmpClient, SlmpTarget

from drivers.base import CommandRefused, DeadlineMissed, NotConnected, Published, Verdict
from drivers.kv_hostlink import HostLinkConnection
from drivers.output import BlockOutput, BlockState, WordPlaces
from drivers.simulated.word_plc import SimulatedHostLinkPlc, SimulatedSlmpPlc
from drivers.slmp import SlmpConnection
from drivers.timing import Deadline, monotonic_s
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.output import WordConnection

WORDS = tuple(range(0xFFF8, 0x10000))
PLACES = WordPlaces(100, 120, 140)
BLOCK = BlockState(7, Verdict.PASS, 1, bundle=0xBEEF, heartbeat=9)


@asynccontextmanager
async def ours(kind: type[WordConnection], port: int) -> AsyncIterator[WordConnection]:
    wire = kind("127.0.0.1", port, places=PLACES, timeout_s=1.0, on_lost=lambda: None)
    await wire.open()
    try:
        yield wire
    finally:
        wire.close()


@asynccontextmanager
async def cpu(target: Any = PEDANTIC, **entry: Any) -> AsyncIterator[tuple[PlcSimulator, int]]:
    """Aslmp's server with one port."""
    async with PlcSimulator(target=target, entries=(Entry(name="tcp", protocol="tcp", **entry),)) as made:
        yield made, made.port_of("tcp")


def by_pymcprotocol(port: int, written: tuple[int, ...] = ()) -> list[int]:
    client = Type3E()
    client.connect("127.0.0.1", port)
    try:
        if written:
            client.batchwrite_wordunits("D100", list(written))
        found: list[int] = client.batchread_wordunits("D100", 8)
        return [word & 0xFFFF for word in found]
    finally:
        client.close()


async def by_plc_comm_slmp(port: int, written: tuple[int, ...] = ()) -> list[int]:
    target = SlmpTarget(network=0, station=0xFF, module_io=0x03FF, multidrop=0)
    async with AsyncSlmpClient(
        "127.0.0.1", port, transport="tcp", default_target=target, plc_profile="melsec:iq-f"
    ) as client:
        if written:
            await client.write_devices("D100", list(written), bit_unit=False)
        return [int(word) for word in await client.read_devices("D100", 8, bit_unit=False)]


async def other_client(name: str, port: int, written: tuple[int, ...] = ()) -> list[int]:
    if name == "pymcprotocol":
        return await asyncio.to_thread(by_pymcprotocol, port, tuple(word - 0x10000 for word in written))
    return await by_plc_comm_slmp(port, written)


CLIENTS = ["pymcprotocol", "plc-comm-slmp"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_slmp_what_we_write_into_another_server_another_client_reads_and_the_other_way_round(client: str) -> None:
    async with cpu(max_connections=4) as (plc, port), ours(SlmpConnection, port) as wire:
        await wire.write_proven(BLOCK)
        assert plc.memory.read_words("D", 100, 8) == BLOCK.words
        assert tuple(await other_client(client, port)) == BLOCK.words

        assert tuple(await other_client(client, port, WORDS)) == WORDS
        assert await wire.read_words(8) == WORDS


@pytest.mark.parametrize("client", CLIENTS)
async def test_slmp_our_requests_are_those_of_another_client_but_for_the_time_that_the_cpu_is_given(
    client: str,
) -> None:
    async with cpu(max_connections=4) as (plc, port):
        await other_client(client, port, WORDS)
        theirs = [record.data for record in plc.transcript if record.direction == "rx"]
        plc.clear_transcript()
        async with ours(SlmpConnection, port) as wire:
            await wire.write_range(100, WORDS)
            await wire.read_words(8)
        sent = [record.data for record in plc.transcript if record.direction == "rx"]

    assert len(sent) == 2
    assert [request[:9] + request[11:] for request in sent] == [request[:9] + request[11:] for request in theirs]


@pytest.mark.parametrize("client", CLIENTS)
async def test_slmp_our_simulated_plc_answers_another_client(client: str) -> None:
    plc = SimulatedSlmpPlc(first_register=100, plc_register=120)
    await plc.start()
    try:
        found = await other_client(client, plc.port, WORDS)
        assert tuple(found) == WORDS == plc.block
    finally:
        await plc.stop()


async def test_slmp_a_real_output_passes_parts_by_another_server() -> None:
    async with cpu(max_connections=4) as (plc, port):
        memory = plc.memory
        output = BlockOutput(
            "the PLC",
            partial(SlmpConnection, "127.0.0.1", port, places=PLACES, timeout_s=0.5),
            plc_place="D120",
            part_present_input=17,
            pass_hold_s=5.0,
            refresh_s=0.02,
            plc_timeout_s=5.0,
        )

        async def program() -> None:
            """Its heartbeat, and what it takes."""
            while True:
                memory.write_words("D", 122, [(memory.get_u16("D", 122) + 1) % 65536])
                memory.write_words("D", 121, [memory.get_u16("D", 100)])
                await asyncio.sleep(0.005)

        tasks = [asyncio.create_task(program()), asyncio.create_task(output.run(lambda: True))]
        try:
            await until(lambda: output.is_confirmed)
            for number in (1, 2, 3):
                memory.write_words("D", 120, [number])
                await output.begin_part(number, monotonic_s())
                verdict = Verdict.REJECT if number == 2 else Verdict.PASS
                assert await output.publish(number, verdict, Deadline.after(5)) is Published.PUBLISHED
                assert memory.read_words("D", 100, 2) == (number, 0x00C3 if number == 2 else 0x005A)
            memory.write_words("D", 141, [0b10])
            assert await output.read_part_present() is True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert memory.read_words("D", 100, 2)[1] == 0x00C3


async def test_slmp_an_entry_that_another_client_holds_is_said() -> None:
    """As an FX5U was measured: it takes the second connection, and drops it at once."""
    async with cpu(FX5U_32MT_DS) as (_, port), ours(SlmpConnection, port) as first:
        await first.write_proven(BLOCK)
        second = SlmpConnection("127.0.0.1", port, places=PLACES, timeout_s=1.0, on_lost=lambda: None)
        with pytest.raises(NotConnected, match="serves one client"):
            await _opened_and_read(second)
        await first.write_proven(BLOCK)


async def _opened_and_read(wire: WordConnection) -> None:
    await wire.open()
    await wire.read_words(8)


async def test_slmp_a_port_that_is_set_to_ascii_is_silent_to_us_and_a_place_beyond_the_last_d_has_its_words() -> None:
    async with cpu(FX5U_32MT_DS, encoding=Encoding.ASCII_XY_HEX) as (_, port):
        wire = SlmpConnection("127.0.0.1", port, places=PLACES, timeout_s=0.2, on_lost=lambda: None)
        await wire.open()
        with pytest.raises(DeadlineMissed):
            await wire.read_words(8)
    async with cpu(FX5U_32MT_DS) as (_, port), ours(SlmpConnection, port) as wire:
        with pytest.raises(CommandRefused, match="end code C056: that is beyond the last D"):
            await wire.read_range(7999, 2)


async def test_host_link_our_simulated_kv_is_written_and_read_by_another_client_and_by_ours() -> None:
    plc = SimulatedHostLinkPlc(first_register=100, plc_register=120)
    await plc.start()
    options = HostLinkConnectionOptions("127.0.0.1", plc_profile="keyence:kv-8000", port=plc.port, transport="tcp")
    try:
        async with ours(HostLinkConnection, plc.port) as wire, await open_and_connect(options) as client:
            await wire.write_proven(BLOCK)
            assert tuple(await client.read_consecutive("DM100", 8, data_format=".U")) == BLOCK.words
            await client.write_consecutive("DM100", list(WORDS), data_format=".U")
            assert await wire.read_words(8) == WORDS == plc.block
    finally:
        await plc.stop()


async def test_host_link_our_requests_are_those_of_another_client() -> None:
    heard: list[bytes] = []
    gone: list[bool] = []

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.read(1000):
            heard.append(line)
            writer.write(b"OK\r\n" if line.startswith(b"WRS") else b"65528 " * 7 + b"65535\r\n")
        writer.close()
        await writer.wait_closed()
        gone.append(True)

    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = HostLinkConnectionOptions("127.0.0.1", plc_profile="keyence:kv-8000", port=port, transport="tcp")
    async with server:
        async with await open_and_connect(options) as client:
            await client.write_consecutive("DM100", list(WORDS), data_format=".U")
            await client.read_consecutive("DM100", 8, data_format=".U")
        theirs = heard[:]
        heard.clear()
        async with ours(HostLinkConnection, port) as wire:
            await wire.write_range(100, WORDS)
            await wire.read_words(8)
        await until(lambda: len(gone) == 2)

    assert heard == theirs


def test_no_program_of_others_is_loaded_by_an_agent() -> None:
    """They are there for these tests alone: a line PC has none of them."""
    said = "import sys; import edge_agent.wiring.output, edge_agent.wiring.simulation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.split()

    assert "drivers.slmp.connection" in loaded
    assert not {"aslmp", "slmp", "hostlink", "pymcprotocol"} & set(loaded)
