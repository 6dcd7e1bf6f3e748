"""What we write into a data block is read by programs that nobody here wrote, and the other way round.

The server is python-snap7's, over a real socket; the clients are its client, in Python alone, and pyS7's, which share
no line with each other. Both send the same requests as we do, byte for byte.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from pyS7 import DataType, MemoryArea, S7Client, S7Tag
from pyS7.constants import ConnectionType
from pyS7.requests import ConnectionRequest, ReadRequest, WriteRequest
from snap7.client import Client
from snap7.server import Server
from snap7.type import SrvArea

from drivers.base import CommandRefused, NotConnected, Published, Verdict
from drivers.output import BlockOutput, BlockState, WordPlaces
from drivers.s7 import S7Connection, codec
from drivers.simulated.word_plc import SimulatedS7Plc
from drivers.timing import Deadline, monotonic_s
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DB = 7
WORDS = tuple(range(0xFFF8, 0x10000))
PLACES = WordPlaces(100, 120, 140)
FIRST_BYTE = 200
BLOCK = BlockState(7, Verdict.PASS, 1, bundle=0xBEEF, heartbeat=9)
CLIENTS = ["snap7", "pyS7"]


class Cpu:
    """python-snap7's server with one data block of 300 bytes."""

    def __init__(self, most: int = 8) -> None:
        self.memory = bytearray(300)
        self.server = Server(log=False, max_clients=most)
        self.server.register_area(SrvArea.DB, DB, self.memory)
        self.port = 0

    def words(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f">{count}H", self.memory, at)

    def put(self, at: int, *words: int) -> None:
        struct.pack_into(f">{len(words)}H", self.memory, at, *words)


@asynccontextmanager
async def cpu(most: int = 8) -> AsyncIterator[Cpu]:
    made = Cpu(most)
    made.server.start_to("127.0.0.1", 0)
    assert made.server.server_socket is not None
    made.port = made.server.server_socket.getsockname()[1]
    try:
        yield made
    finally:
        await asyncio.to_thread(made.server.stop)


@asynccontextmanager
async def ours(port: int, db: int = DB) -> AsyncIterator[S7Connection]:
    wire = S7Connection("127.0.0.1", port, db=db, places=PLACES, timeout_s=1.0, on_lost=lambda: None)
    await wire.open()
    try:
        yield wire
    finally:
        wire.close()


def by_snap7(port: int, written: tuple[int, ...]) -> tuple[int, ...]:
    client = Client()
    client.connect("127.0.0.1", 0, 1, port)
    try:
        if written:
            client.db_write(DB, FIRST_BYTE, bytearray(struct.pack(">8H", *written)))
        return struct.unpack(">8H", client.db_read(DB, FIRST_BYTE, 16))
    finally:
        client.disconnect()


def by_pys7(port: int, written: tuple[int, ...]) -> tuple[int, ...]:
    tag = S7Tag(MemoryArea.DB, DB, DataType.WORD, FIRST_BYTE, 0, 8)
    client = S7Client("127.0.0.1", 0, 1, port=port)
    client.connect()
    try:
        if written:
            client.write([tag], [written])
        (found,) = client.read([tag])
        assert isinstance(found, tuple)
        return tuple(int(word) for word in found)
    finally:
        client.disconnect()


async def other_client(name: str, port: int, written: tuple[int, ...] = ()) -> tuple[int, ...]:
    return await asyncio.to_thread({"snap7": by_snap7, "pyS7": by_pys7}[name], port, written)


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_we_write_into_another_server_another_client_reads_and_the_other_way_round(client: str) -> None:
    async with cpu() as plc, ours(plc.port) as wire:
        await wire.write_proven(BLOCK)
        assert plc.words(FIRST_BYTE, 8) == BLOCK.words
        assert await other_client(client, plc.port) == BLOCK.words

        assert await other_client(client, plc.port, WORDS) == WORDS
        assert await wire.read_words(8) == WORDS


@pytest.mark.parametrize("client", CLIENTS)
async def test_our_simulated_cpu_is_written_and_read_by_another_client(client: str) -> None:
    plc = SimulatedS7Plc(db=DB, first_register=100, plc_register=120)
    await plc.start()
    try:
        assert await other_client(client, plc.port, WORDS) == WORDS == plc.block
    finally:
        await plc.stop()


def test_our_requests_are_those_of_another_client_but_for_their_number() -> None:
    """Its reference of a connection is by chance, its number of a request 0, and it reads bytes as we do."""
    place = S7Tag(MemoryArea.DB, DB, DataType.WORD, FIRST_BYTE, 0, 8)
    as_bytes = S7Tag(MemoryArea.DB, DB, DataType.BYTE, FIRST_BYTE, 0, 16)
    connect = ConnectionRequest(0, 2, ConnectionType.S7Basic).serialize()

    assert codec.write_request(0, DB, FIRST_BYTE, WORDS) == WriteRequest([place], [WORDS]).serialize()
    assert codec.read_request(0, DB, FIRST_BYTE, 8) == ReadRequest([as_bytes]).serialize()
    assert codec.connect_request(0, 2) == connect[:8] + b"\0\1" + connect[10:]


async def test_a_real_output_passes_parts_by_another_server() -> None:
    async with cpu() as plc:
        wire = partial(S7Connection, "127.0.0.1", plc.port, db=DB, places=PLACES, timeout_s=0.5)
        output = BlockOutput(
            "the PLC",
            wire,
            plc_place="DB7.DBW240",
            part_present_input=9,
            pass_hold_s=5.0,
            refresh_s=0.02,
            plc_timeout_s=5.0,
        )

        async def program() -> None:
            """Its heartbeat, and what it takes."""
            while True:
                plc.put(242, plc.words(FIRST_BYTE, 1)[0], (plc.words(244, 1)[0] + 1) % 65536)
                await asyncio.sleep(0.005)

        tasks = [asyncio.create_task(program()), asyncio.create_task(output.run(lambda: True))]
        try:
            await until(lambda: output.is_confirmed)
            for number in (1, 2, 3):
                plc.put(240, number)
                await output.begin_part(number, monotonic_s())
                verdict = Verdict.REJECT if number == 2 else Verdict.PASS
                assert await output.publish(number, verdict, Deadline.after(5)) is Published.PUBLISHED
                assert plc.words(FIRST_BYTE, 2) == (number, 0x00C3 if number == 2 else 0x005A)
            assert await output.read_part_present() is False
            plc.memory[281] = 0b10  # DBX281.1
            assert await output.read_part_present() is True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert plc.words(FIRST_BYTE, 2)[1] == 0x00C3


async def test_a_data_block_that_is_not_there_or_too_short_has_its_words_and_nothing_is_written() -> None:
    async with cpu() as plc:
        async with ours(plc.port, db=8) as wire:
            with pytest.raises(CommandRefused, match=r"the read of DB8\.DBW200 .*code 0A: .*optimised block access"):
                await wire.read_words(8)
            assert not wire.is_up
        async with ours(plc.port, db=8) as wire:
            with pytest.raises(CommandRefused, match=r"error 8404: .*output\.db"):
                await wire.write(BLOCK)
        async with ours(plc.port) as wire:
            with pytest.raises(CommandRefused, match=r"code 05: the data block has no such bytes"):
                await wire.read_range(149, 2)
        assert not any(plc.memory)


async def test_a_cpu_whose_connections_are_all_taken_is_said() -> None:
    async with cpu(most=1) as plc, ours(plc.port) as first:
        await first.write_proven(BLOCK)
        second = S7Connection("127.0.0.1", plc.port, db=DB, places=PLACES, timeout_s=1.0, on_lost=lambda: None)
        with pytest.raises(NotConnected, match="all its connections may be taken"):
            await second.open()
        assert not second.is_up
        await first.write_proven(BLOCK)


async def test_a_server_that_is_killed_with_a_request_out_is_told_at_once() -> None:
    """A process of its own: its kernel resets what was open when it dies."""
    said = (
        "import sys; from snap7.server import Server; from snap7.type import SrvArea; s = Server(log=False);"
        "s.register_area(SrvArea.DB, 7, bytearray(300)); s.start_to('127.0.0.1', 0);"
        "print(s.server_socket.getsockname()[1], flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", said, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    lost = asyncio.Event()
    wire = S7Connection("127.0.0.1", port, db=DB, places=PLACES, timeout_s=5.0, on_lost=lost.set)
    await wire.open()
    await wire.write_proven(BLOCK)
    process.kill()
    await asyncio.wait_for(lost.wait(), 5)
    assert not wire.is_up
    with pytest.raises(NotConnected):
        await wire.read_words(8)
    await process.wait()


def test_no_program_of_others_is_loaded_by_an_agent() -> None:
    """They are there for these tests alone: a line PC has none of them."""
    said = "import sys; import edge_agent.wiring.output, edge_agent.wiring.simulation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.split()

    assert "drivers.s7.connection" in loaded
    assert not {"snap7", "s7", "pyS7"} & set(loaded)
