"""A remote I/O that misbehaves in every way a socket allows: never PUBLISHED, an exact error, and back by itself."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.base import (
    CommandRefused,
    DeadlineMissed,
    DriverError,
    NotConnected,
    ProtocolViolation,
    Published,
    Verdict,
)
from drivers.modbus import CoilOutput, write_reject
from drivers.modbus.wires import CoilConnection
from drivers.output.coils import CoilState
from drivers.timing import Deadline
from tests.byte_proxy import ByteProxy
from tests.fault.modbus_peer import READ_COILS, WRITE_COILS, Fault, Peer, Talk, mute, running_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_S = 0.1
PASS = CoilState(is_pass=True, is_ready=True)


async def carry_out_and_mute(talk: Talk) -> None:
    talk.honest_reply()


async def reset(talk: Talk) -> None:
    talk.reset()


async def hang_up(talk: Talk) -> None:
    talk.writer.close()


async def wrong_transaction(talk: Talk) -> None:
    pdu = talk.peer.carry_out(talk.request)
    await talk.send(talk.request.frame(pdu, transaction=talk.request.transaction + 1))


async def swapped_transaction(talk: Talk) -> None:
    number = int.from_bytes(talk.request.transaction.to_bytes(2, "big"), "little")
    await talk.send(talk.request.frame(talk.peer.carry_out(talk.request), transaction=number))


async def unit_255(talk: Talk) -> None:
    await talk.send(talk.request.frame(talk.peer.carry_out(talk.request), unit=255))


async def wrong_unit_in_pieces(talk: Talk) -> None:
    reply = talk.request.frame(talk.peer.carry_out(talk.request), unit=talk.request.unit + 1)
    await talk.send(reply[:6])
    await asyncio.sleep(0.005)
    await talk.send(reply[6:7])
    await asyncio.sleep(0.005)
    await talk.send(reply[7:])


async def transaction_zero(talk: Talk) -> None:
    await talk.send(talk.request.frame(talk.peer.carry_out(talk.request), transaction=0))


async def wrong_unit(talk: Talk) -> None:
    await talk.send(talk.request.frame(talk.peer.carry_out(talk.request), unit=talk.request.unit + 1))


async def wrong_address(talk: Talk) -> None:
    pdu = bytearray(talk.peer.carry_out(talk.request))
    pdu[2] ^= 1
    await talk.send(talk.request.frame(bytes(pdu)))


async def wrong_count(talk: Talk) -> None:
    pdu = bytearray(talk.peer.carry_out(talk.request))
    pdu[4] ^= 1
    await talk.send(talk.request.frame(bytes(pdu)))


async def flipped_bits(talk: Talk) -> None:
    pdu = bytearray(talk.peer.carry_out(talk.request))
    pdu[2] ^= 0b11
    await talk.send(talk.request.frame(bytes(pdu)))


async def another_function(talk: Talk) -> None:
    await talk.send(talk.request.frame(b"\x02\x01\x01"))


async def unknown_function(talk: Talk) -> None:
    await talk.send(talk.request.frame(b"\x2b\x0e\x01\x01\x00"))


async def echo_without_doing_it(talk: Talk) -> None:
    await talk.send(talk.request.frame(b"\x0f" + talk.request.body[:4]))


async def flood(talk: Talk) -> None:
    await talk.send(*[b"\xff" * 100] * 20)


async def half_a_reply(talk: Talk) -> None:
    await talk.send(talk.honest_reply()[:9])


async def http(talk: Talk) -> None:
    await talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def refuse_with(code: int) -> Fault:
    async def fault(talk: Talk) -> None:
        await talk.send(talk.request.frame(bytes([talk.request.function | 0x80, code])))

    return fault


WRITE_FAULTS: list[tuple[Fault, type[DriverError], str]] = [
    (mute, DeadlineMissed, "did not answer FC15"),
    (carry_out_and_mute, DeadlineMissed, "did not answer FC15"),
    (half_a_reply, DeadlineMissed, "did not answer FC15"),
    (reset, NotConnected, "closed the connection"),
    (hang_up, NotConnected, "closed the connection"),
    (wrong_transaction, DeadlineMissed, "did not answer FC15 .*; it answered transaction 2, asked was transaction 1: "),
    (
        swapped_transaction,
        DeadlineMissed,
        "did not answer FC15 .*; it answered transaction 256, asked was transaction 1",
    ),
    (wrong_unit, DeadlineMissed, "it answered as unit 2, asked was unit 1: set output.unit to 2 if that is its number"),
    (unit_255, DeadlineMissed, "it answered as unit 255, asked was unit 1: set output.unit to 255 "),
    (wrong_unit_in_pieces, DeadlineMissed, "it answered as unit 2, asked was unit 1"),
    (transaction_zero, ProtocolViolation, "as transaction 0"),
    (wrong_address, ProtocolViolation, r"echoed coils \(1, 4\)"),
    (wrong_count, ProtocolViolation, r"echoed coils \(0, 5\)"),
    (another_function, ProtocolViolation, "with function code 2"),
    (unknown_function, ProtocolViolation, "function code 0x2b"),
    (http, ProtocolViolation, "this is not Modbus TCP"),
    *[(refuse_with(code), CommandRefused, f"refused with {code:02d}: ") for code in range(1, 12)],
]
READ_FAULTS: list[tuple[Fault, type[DriverError], str]] = [
    (mute, DeadlineMissed, "did not answer FC1 "),
    (reset, NotConnected, "closed the connection"),
    (transaction_zero, ProtocolViolation, "as transaction 0"),
    (flipped_bits, ProtocolViolation, "reads back PASS=0 REJECT=1 READY=1 HEARTBEAT=0 after PASS=1"),
    (refuse_with(4), CommandRefused, "refused with 04: server device failure"),
    (http, ProtocolViolation, "this is not Modbus TCP"),
]


def named(faults: list[tuple[Fault, type[DriverError], str]]) -> list[str]:
    return [f"{fault.__name__}-{pattern[-24:]}" for fault, _, pattern in faults]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with running_peer() as running:
        yield running


@asynccontextmanager
async def connected(peer: Peer) -> AsyncIterator[CoilConnection]:
    connection = CoilConnection(peer.host, peer.port, unit=1, timeout_s=TIMEOUT_S, on_lost=lambda: None)
    await connection.open()
    try:
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def running_output(peer: Peer, *, port: int = 0, pass_hold_s: float = 5.0) -> AsyncIterator[CoilOutput]:
    output = CoilOutput(
        peer.host, port or peer.port, pass_hold_s=pass_hold_s, refresh_s=0.02, write_timeout_s=TIMEOUT_S
    )
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await peer.until(lambda: output.is_confirmed)
        yield output
    finally:
        peer.fault = None
        task.cancel()
        await asyncio.wait([task])


class TestConnection:
    @pytest.mark.parametrize(("fault", "error", "pattern"), WRITE_FAULTS, ids=named(WRITE_FAULTS))
    async def test_a_bad_answer_to_a_write_is_an_exact_error_and_ends_the_connection(
        self, peer: Peer, fault: Fault, error: type[DriverError], pattern: str
    ) -> None:
        peer.fault = fault
        async with connected(peer) as connection:
            with pytest.raises(error, match=pattern) as caught:
                await connection.write(PASS)

            assert type(caught.value) is error
            assert not connection.is_up
            peer.fault = None
            with pytest.raises(DriverError):
                await connection.write(PASS)

    @pytest.mark.parametrize(("fault", "error", "pattern"), READ_FAULTS, ids=named(READ_FAULTS))
    async def test_a_bad_answer_to_a_read_back_is_an_exact_error_and_ends_the_connection(
        self, peer: Peer, fault: Fault, error: type[DriverError], pattern: str
    ) -> None:
        peer.fault = fault
        peer.is_faulty_for = lambda request: request.function == READ_COILS
        async with connected(peer) as connection:
            await connection.write(PASS)
            with pytest.raises(error, match=pattern) as caught:
                await connection.read_back(PASS)

            assert type(caught.value) is error
            assert not connection.is_up

    async def test_an_echo_of_a_write_that_was_not_done_is_caught_by_the_read_back(self, peer: Peer) -> None:
        peer.fault = echo_without_doing_it
        peer.is_faulty_for = lambda request: request.function == WRITE_COILS
        async with connected(peer) as connection:
            with pytest.raises(ProtocolViolation, match="its watchdog dropped the outputs"):
                await connection.write_proven(PASS)

    async def test_a_flood_of_ones_is_an_error_and_bounded(self, peer: Peer) -> None:
        peer.fault = flood
        async with connected(peer) as connection:
            with pytest.raises((ProtocolViolation, DeadlineMissed, NotConnected)):
                await connection.write(PASS)

    async def test_replies_split_at_every_byte_are_understood(self, peer: Peer) -> None:
        cut = 0

        async def split(talk: Talk) -> None:
            reply = talk.honest_reply()
            await talk.send(reply[:cut])
            await asyncio.sleep(0.001)
            await talk.send(reply[cut:])

        peer.fault = split
        async with connected(peer) as connection:
            for cut in range(1, 12):  # noqa: B007 - split sees it
                await connection.write_proven(PASS)

    async def test_a_late_reply_glued_before_the_right_one_is_skipped(self, peer: Peer) -> None:
        async def glued(talk: Talk) -> None:
            late = talk.request.frame(b"\x0f\x00\x00\x00\x04", transaction=talk.request.transaction - 1 or 99)
            await talk.send(late + talk.honest_reply())

        peer.fault = glued
        async with connected(peer) as connection:
            await connection.write_proven(PASS)

            assert peer.verdict_bits == (True, False)

    async def test_what_came_to_an_earlier_request_is_not_told_of_a_silent_peer(self, peer: Peer) -> None:
        async def late_before_the_right_one(talk: Talk) -> None:
            late = talk.request.frame(b"\x0f\x00\x00\x00\x04", transaction=99)
            await talk.send(late + talk.honest_reply())

        async with connected(peer) as connection:
            peer.fault = late_before_the_right_one
            await connection.write(PASS)
            peer.fault = mute
            with pytest.raises(DeadlineMissed) as caught:
                await connection.write(PASS)

        assert str(caught.value).endswith("s")

    async def test_a_cancelled_request_ends_the_connection(self, peer: Peer) -> None:
        peer.fault = mute
        async with connected(peer) as connection:
            task = asyncio.create_task(connection.write(PASS))
            await peer.until(lambda: len(peer.requests) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            assert not connection.is_up

    async def test_nobody_listening_is_not_connected(self) -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            connection = CoilConnection(*unheard.getsockname(), unit=1, timeout_s=TIMEOUT_S, on_lost=lambda: None)
            with pytest.raises(NotConnected, match=r"look at its power, its cable, and at output\.host"):
                await connection.open()


class TestOutput:
    @pytest.mark.promise("T-07", "every bad answer to a PASS, Modbus TCP", "not published, REJECT stands, comes back")
    @pytest.mark.parametrize(("fault", "error", "pattern"), WRITE_FAULTS, ids=named(WRITE_FAULTS))
    async def test_a_pass_that_is_answered_badly_is_not_published_and_reject_stands_again(
        self, peer: Peer, fault: Fault, error: type[DriverError], pattern: str
    ) -> None:
        async with running_output(peer) as output:
            peer.is_faulty_for = lambda request: request.is_pass_write
            peer.fault = fault

            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED

            assert peer.verdict_bits == (False, True), "REJECT was proven on a fresh connection before publish returned"
            await peer.until(lambda: output.is_confirmed)
            peer.fault = None
            assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED

    @pytest.mark.parametrize(("fault", "error", "pattern"), READ_FAULTS, ids=named(READ_FAULTS))
    async def test_a_pass_that_is_not_read_back_is_not_published_and_reject_stands_again(
        self, peer: Peer, fault: Fault, error: type[DriverError], pattern: str
    ) -> None:
        async with running_output(peer) as output:
            peer.is_faulty_for = lambda request: request.function == READ_COILS and peer.verdict_bits == (True, False)
            peer.fault = fault

            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED

            assert peer.verdict_bits == (False, True)
            peer.fault = None
            await peer.until(lambda: output.is_confirmed)
            assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED

    @pytest.mark.parametrize("fault", [mute, reset, http, flood, refuse_with(6), wrong_address])
    async def test_a_peer_that_answers_nothing_well_is_never_confirmed_until_it_behaves(
        self, peer: Peer, fault: Fault
    ) -> None:
        async with running_output(peer) as output:
            peer.fault = fault
            await peer.until(lambda: not output.is_confirmed)

            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED
            assert await output.publish(2, Verdict.REJECT, Deadline.after(5)) is Published.FAILED
            assert not any(request.is_pass_write for request in peer.requests)
            assert output.problem

            peer.fault = None
            await peer.until(lambda: output.is_confirmed)
            assert peer.verdict_bits == (False, True)
            assert output.problem == ""

    async def test_a_write_that_was_given_up_and_comes_late_is_overwritten(self, peer: Peer) -> None:
        """The device sits on PASS until another connection has brought REJECT, then carries it out."""
        held: list[Talk] = []

        async def hold(talk: Talk) -> None:
            held.append(talk)

        async with running_output(peer) as output:
            peer.is_faulty_for = lambda request: request.is_pass_write
            peer.fault = hold
            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED
            assert peer.verdict_bits == (False, True)

            held[0].honest_reply()
            assert peer.verdict_bits == (True, False)
            await peer.until(lambda: peer.verdict_bits == (False, True), within_s=1)

    async def test_a_pass_that_was_given_up_on_its_way_never_arrives(self, peer: Peer) -> None:
        """Closed in order, the connection would deliver it once the network moves again, to another part."""
        async with ByteProxy((peer.host, peer.port)) as network, running_output(peer, port=network.port) as output:
            network.hold()
            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED
            network.go_on()
            await peer.until(lambda: output.is_confirmed)
            assert peer.verdict_bits == (False, True)
            assert not any(request.is_pass_write for request in peer.requests)

            assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
            assert sum(request.is_pass_write for request in peer.requests) >= 1

    async def test_a_device_that_dropped_its_outputs_and_keeps_them_down_is_not_confirmed(self, peer: Peer) -> None:
        """A latched watchdog: writes are echoed, the outputs stay all 0, which is neither PASS nor REJECT."""

        async def latched(talk: Talk) -> None:
            talk.peer.coils = dict.fromkeys(range(4), False)
            await echo_without_doing_it(talk)

        async with running_output(peer) as output:
            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
            peer.is_faulty_for = lambda request: request.function == WRITE_COILS
            peer.fault = latched
            await peer.until(lambda: not output.is_confirmed)
            assert "its watchdog dropped the outputs" in output.problem
            assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.FAILED

            peer.fault = None
            await peer.until(lambda: output.is_confirmed)
            assert peer.verdict_bits == (False, True), "the window of before is not resumed"

    async def test_a_device_that_is_away_and_comes_back_finds_reject_first(self, peer: Peer) -> None:
        async with running_output(peer) as output:
            assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
            await peer.stop()
            await peer.until(lambda: not output.is_confirmed)
            writes_before = len(peer.writes)
            await peer.start()
            await peer.until(lambda: output.is_confirmed)

            assert peer.writes[writes_before] == (0, (False, True, False, False))

    async def test_an_outage_is_said_once_and_its_end_with_its_length(self, peer: Peer) -> None:
        with capture_logs() as logs:
            async with running_output(peer) as output:
                await peer.stop()
                await peer.until(lambda: output._outage._tries >= 3)
                await peer.start()
                await peer.until(lambda: output.is_confirmed)

        loud = [(log["event"], log["log_level"]) for log in logs if log["log_level"] != "debug"]
        assert loud == [("output_confirmed", "info"), ("output_lost", "warning"), ("output_confirmed", "info")]
        assert [log["outage_s"] for log in logs if log["event"] == "output_confirmed"][1] > 0

    async def test_a_peer_that_comes_and_goes_does_not_fill_the_log(self, peer: Peer) -> None:
        with capture_logs() as logs:
            async with running_output(peer) as output:
                for _ in range(5):
                    seen = peer.connections
                    peer.drop_connections()
                    await peer.until(lambda: peer.connections > seen and output.is_confirmed)  # noqa: B023 - awaited here

        loud = [log["event"] for log in logs if log["log_level"] != "debug"]
        assert loud == ["output_confirmed", "output_lost", "output_confirmed"]

    async def test_stopping_while_the_peer_is_mute_is_bounded_and_says_so(self, peer: Peer) -> None:
        output = CoilOutput(peer.host, peer.port, pass_hold_s=5, refresh_s=0.02, write_timeout_s=0.05)
        task = asyncio.create_task(output.run(lambda: True))
        await peer.until(lambda: output.is_confirmed)
        assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
        peer.fault = mute
        with capture_logs() as logs:
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)

        assert done
        assert "output_left_unproven" in [log["event"] for log in logs]
        peer.fault = None
        await output.withdraw()
        assert not output.is_confirmed
        assert await output.publish(2, Verdict.REJECT, Deadline.after(5)) is Published.FAILED


class TestFailSafe:
    async def test_reject_is_written_and_proven(self, peer: Peer) -> None:
        peer.coils = {7: True, 8: False, 9: True, 10: True}

        await write_reject(peer.host, peer.port, unit=3, first_coil=7, timeout_s=TIMEOUT_S)

        assert peer.coils == {7: False, 8: True, 9: False, 10: False}
        assert {request.unit for request in peer.requests} == {3}

    @pytest.mark.parametrize(("fault", "error", "pattern"), WRITE_FAULTS, ids=named(WRITE_FAULTS))
    async def test_a_bad_answer_is_an_exact_error(
        self, peer: Peer, fault: Fault, error: type[DriverError], pattern: str
    ) -> None:
        peer.fault = fault

        with pytest.raises(error, match=pattern):
            await write_reject(peer.host, peer.port, unit=1, first_coil=0, timeout_s=TIMEOUT_S)

    async def test_a_write_that_is_not_done_is_an_error(self, peer: Peer) -> None:
        peer.fault = echo_without_doing_it
        peer.is_faulty_for = lambda request: request.function == WRITE_COILS

        with pytest.raises(ProtocolViolation, match="reads back"):
            await write_reject(peer.host, peer.port, unit=1, first_coil=0, timeout_s=TIMEOUT_S)

    async def test_a_peer_that_accepts_and_resets_is_not_connected(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)

            async def reset_each() -> None:
                while True:
                    wire, _ = await asyncio.get_running_loop().sock_accept(server)
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    wire.close()

            task = asyncio.create_task(reset_each())
            try:
                for _ in range(20):
                    with pytest.raises(NotConnected):
                        await write_reject(*server.getsockname(), unit=1, first_coil=0, timeout_s=TIMEOUT_S)
            finally:
                task.cancel()
                await asyncio.wait([task])


async def test_a_name_that_nobody_can_be_asked_for_is_not_connected() -> None:
    with pytest.raises(NotConnected, match="no connection to a"):
        await write_reject(f"{'a' * 64}.plant.example", 502, unit=1, first_coil=0, timeout_s=1.0)
