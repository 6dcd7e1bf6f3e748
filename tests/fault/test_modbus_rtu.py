"""The coils over a serial line (RTU), where nothing tells a late reply from the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from drivers.base import (
    CommandRefused,
    DeadlineMissed,
    DriverError,
    NotConnected,
    ProtocolViolation,
    Published,
    Verdict,
)
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.wires import CoilConnection
from drivers.output.block import check_word
from drivers.output.coils import CoilState
from drivers.timing import Deadline
from tests.fault.keyence_peer import until
from tests.fault.rtu_peer import RtuPeer, crc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
        await connection.write_proven(PASS)

    assert [frame[:-2].hex() for frame in peer.requests] == ["010f000000040105", "010100000004"]
    assert peer.coils == {0: True, 1: False, 2: True, 3: False}


def framed(hexadecimal: str) -> bytes:
    frame = bytes.fromhex(hexadecimal)
    return frame + crc(frame)


Spoil = Callable[[bytes], bytes]
WRITE_FAULTS: dict[str, tuple[Spoil, type[DriverError], str]] = {
    "mute": (lambda _: b"", DeadlineMissed, "did not answer FC15"),
    "cut": (lambda reply: reply[:-1], DeadlineMissed, "did not answer FC15"),
    "bad check": (lambda reply: reply[:-1] + bytes([reply[-1] ^ 1]), DeadlineMissed, "did not answer FC15"),
    "wrong unit": (lambda _: framed("020f00000004"), DeadlineMissed, "did not answer FC15"),
    "wrong address": (lambda _: framed("010f00070004"), ProtocolViolation, r"echoed coils \(7, 4\)"),
    "wrong count": (lambda _: framed("010f00000005"), ProtocolViolation, r"echoed coils \(0, 5\)"),
    "another function": (lambda _: framed("01020101"), ProtocolViolation, "with function code 2"),
    "flood of ones": (lambda _: b"\xff" * 2000, DeadlineMissed, "did not answer FC15"),
    "text": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", DeadlineMissed, "did not answer FC15"),
    **{
        f"exception {code}": (
            lambda _, code=code: framed(f"018f{code:02x}"),
            CommandRefused,
            f"refused with {code:02d}: ",
        )
        for code in range(1, 12)
    },
}
READ_FAULTS: dict[str, tuple[Spoil, type[DriverError], str]] = {
    "mute": (lambda _: b"", DeadlineMissed, "did not answer FC1 "),
    "other bits": (lambda _: framed("01010106"), ProtocolViolation, "reads back PASS=0 REJECT=1 READY=1"),
    "all dropped": (lambda _: framed("01010100"), ProtocolViolation, "reads back PASS=0 REJECT=0 READY=0"),
    "exception 4": (lambda _: framed("018104"), CommandRefused, "refused with 04: server device failure"),
}


@pytest.mark.parametrize("name", WRITE_FAULTS)
async def test_what_is_no_proof_is_an_exact_error_and_ends_the_connection(peer: RtuPeer, name: str) -> None:
    spoil, error, words = WRITE_FAULTS[name]
    async with connected(peer) as connection:
        peer.spoil = spoil
        with pytest.raises(error, match=words) as caught:
            await connection.write(PASS)
        assert type(caught.value) is error
        assert not connection.is_up


@pytest.mark.parametrize("name", READ_FAULTS)
async def test_a_read_back_that_is_no_proof_is_an_exact_error(peer: RtuPeer, name: str) -> None:
    spoil, error, words = READ_FAULTS[name]
    async with connected(peer) as connection:
        peer.spoil, peer.is_faulty_for = spoil, lambda function: function == 1
        with pytest.raises(error, match=words):
            await connection.write_proven(PASS)
        assert not connection.is_up


async def test_an_echo_of_a_write_that_was_not_done_is_caught_by_the_read_back(peer: RtuPeer) -> None:
    async with connected(peer) as connection:
        peer.does = False
        with pytest.raises(ProtocolViolation, match="reads back PASS=0"):
            await connection.write_proven(PASS)


async def test_replies_that_come_byte_by_byte_are_understood(peer: RtuPeer) -> None:
    peer.chunk = 1
    async with connected(peer, timeout_s=1.0) as connection:
        await connection.write_proven(PASS)


async def test_noise_before_a_reply_is_no_proof_of_anything_else(peer: RtuPeer) -> None:
    """What stands before the right echo, glued to it: it is found behind the noise, or there is silence; never PASS."""
    async with connected(peer) as connection:
        peer.spoil = lambda reply: framed("020f00000004") + reply
        try:
            await connection.write(PASS)
        except DeadlineMissed:
            assert not connection.is_up


async def test_a_line_that_is_unplugged_in_the_middle_of_a_request_is_not_connected(peer: RtuPeer) -> None:
    async with connected(peer, timeout_s=1.0) as connection:
        peer.spoil = lambda _: (peer.unplug(), b"")[1]
        with pytest.raises(NotConnected):
            await connection.write(PASS)
        assert not connection.is_up


@asynccontextmanager
async def running_output(peer: RtuPeer) -> AsyncIterator[CoilOutput]:
    output = CoilOutput(
        peer.name, 0, pass_hold_s=5.0, refresh_s=0.02, write_timeout_s=0.1, rtu=RtuLine(baud=115200, parity="none")
    )
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed and peer.coils.get(2, False), "READY")
        yield output
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.promise("T-07r", "every bad answer to a PASS, Modbus RTU", "not published, REJECT stands, comes back")
@pytest.mark.parametrize("name", [name for name in WRITE_FAULTS if not name.startswith("exception")] + ["exception 4"])
async def test_a_pass_that_is_answered_badly_is_not_published_and_reject_stands_again(peer: RtuPeer, name: str) -> None:
    async with running_output(peer) as output:
        spoil, asked = WRITE_FAULTS[name][0], len(peer.requests)

        def once(reply: bytes) -> bytes:
            is_pass = peer.requests[-1][1] == 15 and bool(peer.requests[-1][7] & 1)
            if is_pass:
                peer.spoil = lambda reply: reply
            return spoil(reply) if is_pass else reply

        peer.spoil = once
        published = await output.publish(1, Verdict.PASS, Deadline.after(5))
        stands = (peer.coils[0], peer.coils[1])

        assert published is Published.FAILED
        assert stands == (False, True), "publish returns when REJECT is proven"
        assert output.is_confirmed
        assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
        assert len(peer.requests) > asked


async def test_a_reply_that_comes_late_answers_no_later_request(peer: RtuPeer) -> None:
    async with connected(peer) as connection:
        peer.spoil = lambda _: b""
        with pytest.raises(DeadlineMissed):
            await connection.write(PASS)
    late = bytes.fromhex("010f00000004")
    opening = CoilConnection(
        peer.name, 0, unit=1, timeout_s=0.1, on_lost=lambda: None, rtu=RtuLine(baud=115200, parity="none")
    )
    peer.say(late + crc(late))
    await opening.open()
    try:
        with pytest.raises(DeadlineMissed):
            await opening.write(CoilState())  # the peer is mute: the late echo must not be taken for this one's
    finally:
        opening.abort()


@pytest.mark.parametrize(
    ("device", "why"), [("/dev/none", "it is not there: look at its cable"), ("/dev/null", "it is no serial port")]
)
async def test_a_port_that_cannot_be_opened_is_named_and_no_host(device: str, why: str) -> None:
    connection = CoilConnection(device, 0, unit=1, timeout_s=0.1, on_lost=lambda: None, rtu=RtuLine())
    with pytest.raises(NotConnected) as caught:
        await connection.open()

    assert str(caught.value).startswith(f"the serial port {device} cannot be opened: ")
    assert why in str(caught.value)
    assert "output.host" not in str(caught.value)


async def test_a_device_that_answers_as_another_unit_is_told_from_a_silent_one(peer: RtuPeer) -> None:
    def as_unit_7(reply: bytes) -> bytes:
        said = bytes([7]) + reply[1:-2]
        return said + crc(said)

    peer.spoil = as_unit_7
    async with connected(peer) as connection:
        with pytest.raises(DeadlineMissed, match="begins with 7 and not with unit 1: look at output") as caught:
            await connection.write(PASS)

    assert peer.name in str(caught.value)
    assert ":0" not in str(caught.value)


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
