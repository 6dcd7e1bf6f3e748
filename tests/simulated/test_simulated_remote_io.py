"""The simulated remote I/O on a real socket: functions, watchdog, latch, faults, power."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from drivers.simulated.gate import Gate
from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo
from drivers.timing import monotonic_s
from tests.simulated.simulated_wire import RawClient, connected, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PASS = bytes.fromhex("0F 0000 0004 01 05")  # PASS, READY
REJECT = bytes.fromhex("0F 0000 0004 01 06")  # REJECT, READY
ECHO = bytes.fromhex("0F 0000 0004")
READ = bytes.fromhex("01 0000 0004")
NOTHING_ON = bytes.fromhex("01 01 00")
PASS_ON = bytes.fromhex("01 01 05")
REJECT_ON = bytes.fromhex("01 01 06")
BRIEF_S = 0.08
LONG_S = 30.0


@asynccontextmanager
async def remote_io(**options: Any) -> AsyncIterator[SimulatedRemoteIo]:
    made = SimulatedRemoteIo(**{"watchdog_s": LONG_S, **options})
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[tuple[SimulatedRemoteIo, RawClient]]:
    async with remote_io(**options) as io, connected(io.port) as client:
        yield io, client


async def test_another_makers_client_reads_and_writes() -> None:
    async with remote_io() as io:
        io.set_input(3, True)
        client = AsyncModbusTcpClient("127.0.0.1", port=io.port, timeout=2, retries=0, reconnect_delay=0)
        assert await client.connect()
        try:
            assert not (await client.write_coils(0, [True, False, True, False])).isError()
            assert not (await client.write_coil(9, True)).isError()
            assert (await client.read_coils(0, count=10)).bits[:10] == [True, False, True, *[False] * 6, True]
            assert (await client.read_discrete_inputs(2, count=3)).bits[:3] == [False, True, False]
            assert (await client.read_coils(15, count=2)).exception_code == 2
            assert (await client.read_input_registers(0, count=1)).exception_code == 1
            assert not (await client.write_register(0x1120, 700)).isError()
            assert (await client.read_holding_registers(0x1120, count=1)).registers == [700]
            assert not (await client.write_registers(0x1122, [1])).isError()
        finally:
            client.close()
        assert io.watchdog_s == 0.7
        assert io.coils[9]


async def test_requests_arrive_in_any_pieces_and_several_at_once() -> None:
    async with talking() as (io, client):
        frame = struct.pack(">HHHB", 7, 0, len(PASS) + 1, 1) + PASS
        for byte in frame:
            await client.send(bytes((byte,)))
        await client.send(frame + frame)
        async with asyncio.timeout(3):
            replies = await client.reader.readexactly(3 * (7 + len(ECHO)))

        assert replies == 3 * (struct.pack(">HHHB", 7, 0, len(ECHO) + 1, 1) + ECHO)
        assert io.writes == 3


@pytest.mark.parametrize(
    "frame", ["0001 0001 0002 01 07", "0001 0000 0001 01", "0001 0000 00FF 01", "474554202F20485454"]
)
async def test_what_is_no_modbus_ends_the_connection(frame: str) -> None:
    async with talking() as (io, client):
        await client.send(bytes.fromhex(frame))

        assert await client.ended()
        assert io.history == []


async def test_outputs_drop_when_writes_stop_and_not_before() -> None:
    async with talking(watchdog_s=BRIEF_S) as (io, client):
        assert await client.modbus(PASS) == ECHO
        written = monotonic_s()
        await until(lambda: not any(io.coils))

        off = [change for change in io.history if change.cause == "watchdog"]
        assert [(change.coil, change.value) for change in off] == [(0, False), (2, False)]
        assert off[0].mono_s >= written - 0.02 + BRIEF_S
        assert (io.watchdog_trips, io.is_latched) == (1, True)
        assert await client.modbus(READ) == NOTHING_ON


async def test_reads_do_not_feed_the_watchdog() -> None:
    async with talking(watchdog_s=BRIEF_S) as (io, client):
        await client.modbus(PASS)
        end = monotonic_s() + 2 * BRIEF_S
        while monotonic_s() < end:
            await client.modbus(READ)

        assert io.watchdog_trips == 1
        assert not any(io.coils)


async def test_a_coupler_set_to_any_telegram_is_fed_by_reads() -> None:
    async with talking() as (io, client):
        assert await client.modbus(bytes.fromhex("06 1122 0001")) == bytes.fromhex("06 1122 0001")
        await client.modbus(PASS)
        fed = io._fed_mono_s
        await client.modbus(READ)
        assert fed is not None
        assert io._fed_mono_s is not None
        assert io._fed_mono_s > fed
        assert await client.modbus(bytes.fromhex("03 1122 0001")) == bytes.fromhex("03 02 0001")

        assert io.watchdog_trips == 0
        assert io.coils[0]


async def test_a_watchdog_that_was_never_fed_never_trips() -> None:
    async with talking(watchdog_s=0.01) as (io, client):
        end = monotonic_s() + 0.05
        while monotonic_s() < end:
            await client.modbus(READ)

        assert io.watchdog_trips == 0


async def test_after_a_trip_no_stale_pass_gets_through_until_reject_was_written() -> None:
    async with talking(watchdog_s=BRIEF_S) as (io, client):
        await client.modbus(PASS)
        await until(lambda: io.is_latched)
        for stale in (PASS, bytes.fromhex("05 0000 FF00"), bytes.fromhex("05 0002 FF00"), PASS):
            await client.modbus(stale)
            assert await client.modbus(READ) == NOTHING_ON
        io.watchdog_s = LONG_S
        assert await client.modbus(REJECT) == ECHO
        assert await client.modbus(READ) == REJECT_ON
        assert await client.modbus(PASS) == ECHO
        assert await client.modbus(READ) == PASS_ON
        assert io.watchdog_trips == 1


async def test_a_latched_coupler_may_answer_a_stale_pass_with_an_exception() -> None:
    async with talking(watchdog_s=BRIEF_S, latched_writes="exception") as (io, client):
        await client.modbus(PASS)
        await until(lambda: io.is_latched)

        assert await client.modbus(PASS) == bytes.fromhex("8F 04")
        io.watchdog_s = LONG_S
        assert await client.modbus(bytes.fromhex("0F 0000 0004 01 00")) == ECHO
        assert not io.is_latched


async def test_the_reset_register_clears_the_latch_by_its_sequence_only() -> None:
    async with talking(watchdog_s=BRIEF_S) as (io, client):
        await client.modbus(PASS)
        await until(lambda: io.is_latched)
        for word, is_latched in ((0xAFFE, True), (0xBECF, True), (0x0000, True), (0xBECF, True), (0xAFFE, False)):
            await client.modbus(struct.pack(">BHH", 6, 0x1121, word))
            assert io.is_latched is is_latched
        assert not any(io.coils)


async def test_a_vanished_client_does_not_keep_its_pass() -> None:
    async with remote_io(watchdog_s=BRIEF_S) as io:
        async with connected(io.port) as client:
            await client.modbus(PASS)
        assert io.coils[0]
        await until(lambda: not any(io.coils))

        assert io.history[-1].cause == "watchdog"


async def test_a_blocked_loop_cannot_stretch_a_pass() -> None:
    async with talking(watchdog_s=BRIEF_S) as (io, client):
        await client.modbus(PASS)
        late = struct.pack(">HHHB", 9, 0, len(PASS) + 1, 1) + PASS
        begin = monotonic_s()
        while monotonic_s() < begin + 2 * BRIEF_S:
            pass  # nothing runs, as in a process that hangs
        client.writer.write(late)
        async with asyncio.timeout(3):
            await client.reader.readexactly(7 + len(ECHO))

        assert not any(io.coils)
        assert io.watchdog_trips == 1


async def test_stop_drops_the_outputs_and_says_so() -> None:
    async with remote_io() as io:
        async with connected(io.port) as client:
            await client.modbus(PASS)
            await io.stop()
            await io.stop()
            assert await client.ended()
        assert [change[1:] for change in io.history[-2:]] == [(0, False, "stop"), (2, False, "stop")]


async def test_a_power_cycle_forgets_all_and_comes_back_on_its_port() -> None:
    async with remote_io() as io:
        port = io.port
        async with connected(port) as client:
            await client.modbus(PASS)
            await io.power_cycle(0.02)
            assert await client.ended()
        async with connected(port) as client:
            assert await client.modbus(READ) == NOTHING_ON
            assert await client.modbus(REJECT) == ECHO
        assert {change.cause for change in io.history} == {"write", "power"}
        assert Gate(io.history).windows()[0][1] < float("inf")


@pytest.mark.parametrize("fault", [IoFault.MUTE, IoFault.UNANSWERED])
async def test_a_mute_coupler_leaves_open_whether_it_did_it(fault: IoFault) -> None:
    async with talking() as (io, client):
        await io.misbehave(fault)
        with pytest.raises(TimeoutError):
            await client.modbus(PASS, within_s=0.05)
        assert io.coils[0] is (fault is IoFault.UNANSWERED)
        await io.misbehave(None)
        assert await client.modbus(REJECT, transaction=2) == ECHO


async def test_a_late_coupler_does_it_late() -> None:
    async with talking(late_s=0.05) as (io, client):
        await io.misbehave(IoFault.LATE)
        begin = monotonic_s()
        assert await client.modbus(PASS) == ECHO
        assert monotonic_s() - begin >= 0.05
        assert io.history[0].mono_s - begin >= 0.05


async def test_faults_of_the_answer() -> None:
    async with talking() as (io, client):
        await io.misbehave(IoFault.WRONG_ECHO)
        assert await client.modbus(PASS) == bytes.fromhex("0F 0007 0004")
        await io.misbehave(IoFault.EXCEPTION)
        assert await client.modbus(PASS) == bytes.fromhex("8F 04")
        assert await client.modbus(READ) == bytes.fromhex("81 04")
        await io.misbehave(IoFault.STUCK)
        assert await client.modbus(PASS) == ECHO
        assert not any(io.coils)
        await io.misbehave(IoFault.DROP)
        await client.send(struct.pack(">HHHB", 1, 0, len(PASS) + 1, 1) + PASS)
        assert await client.ended()
        assert io.history == []


async def test_a_coupler_that_refuses_is_back_on_its_port_and_kept_its_watchdog() -> None:
    async with remote_io(watchdog_s=BRIEF_S) as io:
        async with connected(io.port) as client:
            await client.modbus(PASS)
            await io.misbehave(IoFault.REFUSE)
            assert await client.ended()
        with pytest.raises(OSError, match=r"111|refused|Connect"):
            async with connected(io.port):
                pass
        await until(lambda: not any(io.coils))
        await io.misbehave(None)
        async with connected(io.port) as client:
            assert await client.modbus(REJECT) == ECHO


async def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="bad size"):
        SimulatedRemoteIo(coils=2, pass_coil=2)
    with pytest.raises(ValueError, match="bad size"):
        SimulatedRemoteIo(watchdog_s=0)
    with pytest.raises(IndexError, match="no input 16"):
        SimulatedRemoteIo().set_input(16, True)
    async with talking() as (_, client):
        assert await client.modbus(bytes.fromhex("03 0000 0001")) == bytes.fromhex("83 02")
        assert await client.modbus(bytes.fromhex("06 1120 0000")) == bytes.fromhex("86 03")
        assert await client.modbus(bytes.fromhex("0F 000F 0002 01 03")) == bytes.fromhex("8F 02")
        assert await client.modbus(bytes.fromhex("02 0010 0001")) == bytes.fromhex("82 02")
