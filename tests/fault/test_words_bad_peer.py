"""A PLC that misbehaves, whatever it speaks: never PUBLISHED, an exact error, and nothing comes late."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import (
    CommandRefused,
    DeadlineMissed,
    DriverError,
    NotConnected,
    ProtocolViolation,
    Published,
    Verdict,
)
from drivers.ethernet_ip import EthernetIpConnection
from drivers.kv_hostlink import HostLinkConnection
from drivers.output import BlockOutput, BlockState, device_output
from drivers.s7 import S7Connection
from drivers.slmp import SlmpConnection
from drivers.timing import Deadline, monotonic_s
from tests.contract.word_devices import (
    WORD_DEVICES,
    TagsOverEthernetIp,
    WordsOverHostLink,
    WordsOverS7,
    WordsOverSlmp,
)
from tests.fault.word_peers import KINDS, Kind, connected, refused_at_the_greeting

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output import PlcConnection

PASS = BlockState(1, Verdict.PASS)


@pytest.fixture(params=KINDS, ids=list(WORD_DEVICES))
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


async def test_a_request_that_is_cancelled_resets_the_connection_and_its_answer_goes_nowhere(kind: Kind) -> None:
    async with connected(kind, timeout_s=5.0) as (device, wire, lost):
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def held(request: bytes) -> bytes | None:
            reached.set()
            await go_on.wait()
            return await device.honest(request)

        device.answer = held
        asking = asyncio.create_task(wire.write(PASS))
        await reached.wait()
        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert not wire.is_up
        assert lost
        with pytest.raises(NotConnected):
            await wire.read_words(8)
        go_on.set()


async def test_an_answer_that_comes_too_late_is_never_taken_for_the_next_one(kind: Kind) -> None:
    """Not every protocol numbers its answers: the late one would fit. The connection that it would come by is gone."""
    async with connected(kind) as (device, wire, _):
        late = asyncio.Event()

        async def slow(request: bytes) -> bytes | None:
            await late.wait()
            return await device.honest(request)

        device.answer = slow
        with pytest.raises(DeadlineMissed, match="did not answer"):
            await wire.read_plc()
        late.set()
        device.answer, device.number = device.honest, 77
        with pytest.raises(DeadlineMissed):
            await wire.read_plc()

        again = kind.wire(*device.place, timeout_s=1.0, on_lost=lambda: None)
        await again.open()
        assert (await again.read_plc()).trigger_seq == 77
        again.close()


async def test_a_write_that_was_given_up_is_not_delivered_later(kind: Kind) -> None:
    """The peer takes nothing from its socket; what waits in ours is thrown away by the reset, not sent behind it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    wire = kind.wire(*listener.getsockname(), timeout_s=0.1, on_lost=lambda: None)
    opening = asyncio.create_task(wire.open())
    peer, _ = await loop.sock_accept(listener)
    for said in kind.hello:
        await loop.sock_recv(peer, 4096)
        await loop.sock_sendall(peer, said)
    await opening
    with pytest.raises(DeadlineMissed):
        await wire.write(PASS)

    with pytest.raises(ConnectionResetError):
        await _read_all(loop, peer)
    peer.close()
    listener.close()


async def _read_all(loop: asyncio.AbstractEventLoop, peer: socket.socket) -> None:
    while await loop.sock_recv(peer, 4096):
        pass


async def test_closing_is_in_order_and_resets_nothing(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[type[BaseException]] = []
    async with connected(kind) as (device, wire, _):
        await wire.read_words(8)
        listen = device.request

        async def noted(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
            try:
                return await listen(reader)
            except (asyncio.IncompleteReadError, ConnectionError) as err:
                ends.append(type(err))
                raise

        monkeypatch.setattr(device, "request", noted)
        await wire.read_words(8)
        await wire.read_words(8)
        wire.close()
        wire.close()
        await device.until(lambda: not device._writers)

        assert ends == [asyncio.IncompleteReadError], "read to its end, not reset"
        assert not wire.is_up
        with pytest.raises(NotConnected, match="was closed"):
            await wire.read_words(8)


async def test_a_dial_that_is_cancelled_leaves_no_connection(kind: Kind) -> None:
    async with connected(kind) as (device, _, _):
        wire = kind.wire(*device.place, timeout_s=5.0, on_lost=lambda: None)
        dialling = asyncio.create_task(wire.open())
        await asyncio.sleep(0)
        dialling.cancel()
        await asyncio.wait([dialling])

        assert dialling.cancelled()
        assert not wire.is_up
        with pytest.raises(NotConnected):
            await wire.read_words(8)


async def test_an_abort_ends_it_at_once_and_small_requests_leave_at_once(kind: Kind) -> None:
    async with connected(kind) as (_, wire, _):
        sock = wire._wire._socket()
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        wire.abort()
        assert not wire.is_up


async def test_a_peer_that_is_not_admitted_is_left_at_once(kind: Kind) -> None:
    async with connected(kind) as (device, _, _):
        wire = kind.wire(*device.place, timeout_s=1.0, on_lost=lambda: None, admit=lambda *_: "it is another line's")
        with pytest.raises(NotConnected, match="it is another line's"):
            await wire.open()
        assert not wire.is_up


async def test_a_peer_that_has_answered_and_goes_is_not_taken_for_one_that_serves_another_client() -> None:
    async with connected(WordsOverSlmp) as (device, wire, lost):
        await wire.read_words(8)
        for writer in device._writers:
            writer.close()
        await device.until(lambda: lost)
        with pytest.raises(NotConnected) as caught:
            await wire.read_words(8)

    assert "closed the connection" in str(caught.value)
    assert "serves one client" not in str(caught.value)


async def test_a_second_answer_ends_the_connection(kind: Kind) -> None:
    async with connected(kind) as (device, wire, lost):

        async def twice(request: bytes) -> bytes | None:
            reply = await device.honest(request)
            return None if reply is None else reply * 2

        device.answer = twice
        with pytest.raises(ProtocolViolation, match="behind its answer"):
            await wire.write(PASS)
        assert not wire.is_up
        assert lost
        await device.until(lambda: not device._writers)


async def test_bytes_that_nobody_asked_for_end_the_connection(kind: Kind) -> None:
    async with connected(kind) as (device, wire, lost):
        await wire.write(PASS)
        for writer in device._writers:
            writer.write(device.echo_of(device.asked[-1]))
        await device.until(lambda: lost)

        assert not wire.is_up
        with pytest.raises(ProtocolViolation, match="nobody had asked for"):
            await wire.read_words(8)


async def test_an_answer_in_pieces_is_one(kind: Kind) -> None:
    async with connected(kind) as (device, wire, _):

        async def slowly(request: bytes) -> bytes | None:
            reply = await device.honest(request)
            assert reply is not None
            (writer,) = device._writers
            for at in range(len(reply)):
                writer.write(reply[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
            return None

        device.answer = slowly
        await wire.write_proven(PASS)
        assert device.stands.is_pass


async def test_half_an_answer_is_none_and_is_shown(kind: Kind) -> None:
    async with connected(kind) as (device, wire, _):

        async def half(request: bytes) -> bytes | None:
            reply = await device.honest(request)
            return None if reply is None else reply[: len(reply) // 2]

        device.answer = half
        with pytest.raises(DeadlineMissed, match="what came is b"):
            await wire.read_words(8)


async def test_a_peer_that_resets_is_told_at_once_also_between_two_requests(kind: Kind) -> None:
    async with connected(kind, timeout_s=5.0) as (device, wire, lost):

        async def reset(_: bytes) -> bytes | None:
            for writer in device._writers:
                writer.transport.abort()
            return None

        device.answer = reset
        began_mono_s = monotonic_s()
        with pytest.raises(NotConnected, match="closed the connection"):
            await wire.read_words(8)
        assert monotonic_s() - began_mono_s < 2.0
        assert lost


async def test_nobody_there_is_said_with_what_to_look_at(kind: Kind) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wire = kind.wire(*closed.getsockname(), timeout_s=0.5, on_lost=lambda: None)
        with pytest.raises(NotConnected, match=r"output\.host and output\.port"):
            await wire.open()
    assert not wire.is_up


async def test_an_error_of_the_plc_is_said_in_words_and_ends_the_connection() -> None:
    async with connected(WordsOverSlmp) as (device, wire, _):

        async def refuses(_: bytes) -> bytes | None:
            return bytes.fromhex("d00000ffff03000b00 5500 00ffff0300 01140000".replace(" ", ""))

        device.answer = refuses
        with pytest.raises(CommandRefused, match=r"end code 0055: .*online change"):
            await wire.write(PASS)
        assert not wire.is_up
    async with connected(WordsOverHostLink) as (line, wire, _):

        async def errs(_: bytes) -> bytes | None:
            return b"E4\r\n"

        line.answer = errs
        with pytest.raises(CommandRefused, match="E4: the PLC takes no writes"):
            await wire.write(PASS)
        assert not wire.is_up
    for answer, words in (
        ("0300001602f080320300000002000200010000 0501 0a", r"code 0A: .*optimised block access"),
        ("0300001302f080320200000002000000008104", r"error 8104: .*PUT/GET"),
        ("0300001302f0803202000000020000000087ff", r"error 87FF: see the list"),
    ):
        async with connected(WordsOverS7) as (siemens, wire, _):

            async def denies(_: bytes, answer: str = answer) -> bytes | None:
                return bytes.fromhex(answer)

            siemens.answer = denies
            with pytest.raises(CommandRefused, match=words):
                await wire.write(PASS)
            assert not wire.is_up


async def test_an_s7_answer_to_another_request_is_none() -> None:
    """It has the form of an answer and carries the number of the request before."""
    async with connected(WordsOverS7) as (device, wire, _):
        await wire.write(PASS)
        before = device.echo_of(device.asked[-1])

        async def again(_: bytes) -> bytes | None:
            return before

        device.answer = again
        with pytest.raises(ProtocolViolation, match="it is the answer to request 2, not to 3"):
            await wire.write(PASS)
        assert not wire.is_up


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        ((), "within 0.15 s: .*write_timeout_ms"),
        (("0300000b06800001000080",), r"refused with reason 128: there is no CPU at output\.rack and output\.slot"),
        (("0300000e09e00001000700c0010a",), "confirms no connection"),
        (("0300000e0ad00001000700c0010a",), "its length is not that of its frame"),
        (("0300ffff",), "it says that it has 65535 bytes"),
        (("485454502f312e31",), "no frame of ISO-on-TCP"),
        (
            (
                "+",
                "0300001b02f080320300000001000800000000f000000100010050",
            ),
            "wants requests of 80 bytes",
        ),
        (
            (
                "+",
                "0300001302f080320200000001000000008104",
            ),
            "PUT/GET",
        ),
        (
            (
                "+",
                "0300001602f080320300000001000200010000 0501ff",
            ),
            "no answer to the setup of communication",
        ),
        (("+",), "within 0.15 s"),
    ],
)
async def test_a_cpu_that_does_not_agree_to_a_connection_is_said_with_what_to_look_at(
    hello: tuple[str, ...], why: str
) -> None:
    class Device(WordsOverS7):
        pass

    confirmed = WordsOverS7.hello[0].hex()
    Device.hello = tuple(bytes.fromhex(confirmed if said == "+" else said) for said in hello)
    await refused_at_the_greeting(Device(), why)


async def test_an_answer_to_a_read_is_none_to_a_write_and_the_other_way_round(kind: Kind) -> None:
    async with connected(kind) as (device, wire, _):
        read = await wire.read_words(8)
        reply_to_read = device.carry_out(device.asked[-1])
        assert len(read) == 8

        async def other(_: bytes) -> bytes | None:
            return reply_to_read

        device.answer = other
        with pytest.raises(ProtocolViolation):
            await wire.write(PASS)
        assert not wire.is_up


# Each kind's own beginnings, so that more than the first byte of an answer is reached.
HEADS = {
    WordsOverSlmp: bytes.fromhex("d00000ffff0300"),
    WordsOverHostLink: b"0",
    WordsOverS7: bytes.fromhex("0300001602f0803203000000020002000100000501"),
    TagsOverEthernetIp: bytes.fromhex("6f0014000100000000000000020000000000000000000000000000000000020000000000b200"),
}


@pytest.mark.parametrize("kind_", KINDS, ids=list(WORD_DEVICES))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_bytes_the_peer_sends_no_pass_is_published_and_each_error_is_a_drivers_own(
    kind_: Kind, data: st.DataObject
) -> None:
    head = HEADS[kind_]
    replies = data.draw(
        st.lists(
            st.one_of(
                st.binary(min_size=1, max_size=40),
                st.binary(max_size=40).map(lambda rest: head + rest),
                st.just(b"OK\r\n"),
                st.lists(st.integers(0, 70_000), min_size=1, max_size=9).map(
                    lambda words: " ".join(map(str, words)).encode() + b"\r\n"
                ),
            ),
            min_size=1,
            max_size=3,
        )
    )
    asyncio.run(_fuzzed(kind_, replies))


async def _fuzzed(kind: Kind, replies: list[bytes]) -> None:
    device = kind()
    await device.start()
    turn = iter(replies)

    async def garbage(request: bytes) -> bytes | None:
        """Any bytes for a write, and for its read-back once they are used up: nothing was written."""
        return next(turn, b"\xff") if device.is_write(request) or device.is_read_back(request) else None

    device.answer = garbage
    wire = kind.wire(*device.place, timeout_s=0.03, on_lost=lambda: None)
    try:
        await wire.open()
        with pytest.raises(DriverError):
            await wire.write_proven(PASS)
        assert not wire.is_up
        assert not device.stands.is_pass
    finally:
        wire.abort()
        await device.stop()


async def test_no_pass_is_published_while_the_answers_are_bent_and_it_comes_back(kind: Kind) -> None:
    device = kind()
    await device.start()
    output = device.output(refresh_s=0.02, write_timeout_s=0.1)
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await device.until(lambda: output.is_confirmed)
        for bad in (
            b"\xff",
            b"\r\n",
            b"",
            b"E9\r\n",
            bytes.fromhex("d00000ffff0300ffff"),
            b"OK\r\nOK\r\n",
            b"\3\0\0\x16",
            b"o\0\x14\0",
        ):
            device.number += 1
            await output.begin_part(device.number, monotonic_s())

            async def bent(request: bytes, bad: bytes = bad) -> bytes | None:
                return bad or None if device.says_pass(request) else await device.honest(request)

            device.answer = bent
            assert await output.publish(device.number, Verdict.PASS, Deadline.after(5)) is not Published.PUBLISHED
            device.answer = device.honest
            await device.until(lambda: output.is_confirmed and device.is_at_rest)
        device.number += 1
        await output.begin_part(device.number, monotonic_s())
        assert await output.publish(device.number, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
    finally:
        task.cancel()
        await asyncio.wait([task])
        await device.stop()


async def test_only_one_request_is_out_at_a_time(kind: Kind) -> None:
    async with connected(kind, timeout_s=1.0) as (device, wire, _):
        held = asyncio.Event()

        async def waits(request: bytes) -> bytes | None:
            await held.wait()
            return await device.honest(request)

        device.answer = waits
        first = asyncio.create_task(wire.read_words(8))
        await device.until(lambda: device.asked)
        with pytest.raises(RuntimeError, match="one request at a time"):
            await wire.read_words(8)
        held.set()
        with suppress(DriverError):
            await first
        assert len(device.asked) == 1


def test_the_connections_of_all_kinds_are_what_is_tested() -> None:
    assert {getattr(kind.wire, "func", kind.wire) for kind in KINDS} == {
        SlmpConnection,
        HostLinkConnection,
        S7Connection,
        EthernetIpConnection,
    }


async def test_a_name_that_nobody_can_be_asked_for_is_not_connected(kind: Kind) -> None:
    wire = kind.wire(f"{'a' * 64}.plant.example", 5000, timeout_s=1.0, on_lost=lambda: None)

    with pytest.raises(NotConnected, match="no connection to a"):
        await wire.open()
    assert not wire.is_up


@pytest.mark.parametrize("is_steady_first", [False, True])
async def test_a_plc_that_refuses_a_question_for_ever_is_not_dialled_for_each(
    kind: Kind, *, is_steady_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_output, "_RECONNECT_CAP_S", 0.3)
    device = kind()
    await device.start()
    dials = 0

    def dialled(*, on_lost: Callable[[], None]) -> PlcConnection:
        nonlocal dials
        dials += 1
        return kind.wire_without_inputs(*device.place, timeout_s=0.15, on_lost=on_lost)

    output = BlockOutput("plc", dialled, plc_place="D1", pass_hold_s=0.3, refresh_s=0.02)
    running = asyncio.create_task(output.run(lambda: True))
    try:
        await device.until(lambda: output.is_confirmed)
        if is_steady_first:
            await device.writes_on(20)
        for _ in range(60):
            with pytest.raises(DriverError):
                await output.read_inputs((0,))
            await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await device.stop()

    assert 2 <= dials < 15
