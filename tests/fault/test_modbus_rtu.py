"""The coils over a serial line (RTU), where nothing tells a late reply from the next one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from drivers.base import CommandRefused, DeadlineMissed, NotConnected, ProtocolViolation, Published, Verdict
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.coils import CoilState
from drivers.modbus.connection import CoilConnection, RtuLine
from drivers.modbus.registers import check_word
from drivers.timing import Deadline
from tests.fault.keyence_peer import until
from tests.fault.rtu_peer import RtuPeer, crc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PASS = CoilState(is_pass=True, is_ready=True)


@pytest.fixture
async def peer() -> AsyncIterator[RtuPeer]:
    made = RtuPeer()
    yield made
    made.close()


@asynccontextmanager
async def connected(peer: RtuPeer, timeout_s: float = 0.1) -> AsyncIterator[CoilConnection]:
    connection = CoilConnection(
        peer.name, 0, unit=1, timeout_s=timeout_s, on_lost=lambda: None, rtu=RtuLine(baud=115200, parity="none")
    )
    try:
        await connection.open()
        yield connection
    finally:
        connection.abort()


def test_the_two_check_sums_of_this_project_are_one() -> None:
    assert crc(bytes.fromhex("01030000000a")) == check_word((0x0103, 0, 0x000A)).to_bytes(2, "little")


async def test_a_write_is_sent_echoed_and_read_back(peer: RtuPeer) -> None:
    async with connected(peer) as connection:
        await connection.write_proven(0, PASS)

    assert [frame[:-2].hex() for frame in peer.requests] == ["010f000000040105", "010100000004"]
    assert peer.coils == {0: True, 1: False, 2: True, 3: False}


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda _: b"", DeadlineMissed),
        (lambda reply: reply[:-1], DeadlineMissed),
        (lambda reply: reply[:-1] + b"\x00", DeadlineMissed),
        (lambda _: bytes.fromhex("018f04") + crc(bytes.fromhex("018f04")), CommandRefused),
        (lambda _: bytes.fromhex("010f00070004") + crc(bytes.fromhex("010f00070004")), ProtocolViolation),
    ],
    ids=["mute", "cut", "bad check", "exception 4", "another address"],
)
async def test_what_is_no_proof_is_an_error_and_ends_the_connection(
    peer: RtuPeer, spoil: Callable[[bytes], bytes], error: type[Exception]
) -> None:
    async with connected(peer) as connection:
        peer.spoil = spoil
        with pytest.raises(error):
            await connection.write(0, PASS)
        assert not connection.is_up


async def test_a_reply_that_comes_late_answers_no_later_request(peer: RtuPeer) -> None:
    async with connected(peer) as connection:
        peer.spoil = lambda _: b""
        with pytest.raises(DeadlineMissed):
            await connection.write(0, PASS)
    late = bytes.fromhex("010f00000004")
    opening = CoilConnection(
        peer.name, 0, unit=1, timeout_s=0.1, on_lost=lambda: None, rtu=RtuLine(baud=115200, parity="none")
    )
    peer.say(late + crc(late))
    await opening.open()
    try:
        with pytest.raises(DeadlineMissed):
            await opening.write(0, CoilState())  # the peer is mute: the late echo must not be taken for this one's
    finally:
        opening.abort()


async def test_a_port_that_is_not_there_is_not_connected() -> None:
    connection = CoilConnection("/dev/none", 0, unit=1, timeout_s=0.1, on_lost=lambda: None, rtu=RtuLine())
    with pytest.raises(NotConnected, match="/dev/none"):
        await connection.open()


async def test_the_output_runs_over_rtu_and_leaves_reject(peer: RtuPeer) -> None:
    output = CoilOutput(
        peer.name, 0, pass_hold_s=5.0, refresh_s=0.05, write_timeout_s=0.1, rtu=RtuLine(baud=115200, parity="none")
    )
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed and peer.coils.get(2, False), "READY")
        assert await output.publish(1, Verdict.PASS, Deadline.after(2)) is Published.PUBLISHED
        assert (peer.coils[0], peer.coils[1]) == (True, False)
        await output.withdraw()
        assert (peer.coils[0], peer.coils[1]) == (False, True)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (peer.coils[0], peer.coils[1], peer.coils[2]) == (False, True, False)
