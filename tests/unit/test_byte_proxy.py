"""The proxy does to the bytes what its trouble says, once, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from drivers.timing import monotonic_s
from tests.byte_proxy import Bend, ByteProxy, Trouble, Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SENT = b"0000000017,1\r"


@dataclass
class Called:
    """A peer that keeps every piece that it is sent, and whether it was reset."""

    pieces: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_reset: bool = False
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while piece := await reader.read(4096):
                self.pieces.append(piece)
        except ConnectionResetError:
            self.is_reset = True
        self.has_ended.set()
        writer.close()


@dataclass
class Talk:
    proxy: ByteProxy
    called: Called
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes = SENT) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_called(self) -> None:
        async with asyncio.timeout(5):
            while not self.called.writers:
                await asyncio.sleep(0.002)

    async def until_heard(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            while len(b"".join(self.called.pieces)) < size:
                await asyncio.sleep(0.002)
        return b"".join(self.called.pieces)


@asynccontextmanager
async def talk() -> AsyncIterator[Talk]:
    called = Called()
    server = await asyncio.start_server(called.serve, "127.0.0.1", 0)
    async with ByteProxy(server.sockets[0].getsockname()[:2]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield Talk(proxy, called, reader, writer)
        finally:
            writer.transport.abort()
            server.close()
    async with asyncio.timeout(5):
        await called.has_ended.wait()


async def test_without_trouble_every_byte_goes_both_ways_and_so_does_the_end() -> None:
    async with talk() as at:
        await at.say()
        assert await at.until_heard(len(SENT)) == SENT
        at.called.writers[0].write(b"T1\r")
        assert await at.reader.readexactly(3) == b"T1\r"
        at.writer.write_eof()
        assert await at.reader.read() == b""

    assert not at.called.is_reset


@pytest.mark.parametrize(
    ("trouble", "heard"),
    [
        (Trouble(Bend.LOST, Way.TO_CALLED, after_bytes=9), b"000000001,1\r"),
        (Trouble(Bend.GARBLED, Way.TO_CALLED, after_bytes=9, bit=1), b"0000000015,1\r"),
        (Trouble(Bend.REPEATED, Way.TO_CALLED, after_bytes=9), SENT + SENT),
        (Trouble(Bend.SPLIT, Way.TO_CALLED), SENT),
        (Trouble(Bend.DELAYED, Way.TO_CALLED, after_bytes=4, for_s=0.1), SENT),
        (Trouble(Bend.MERGED, Way.TO_CALLED, for_s=0.1), SENT),
    ],
    ids=lambda value: value.bend if isinstance(value, Trouble) else "",
)
async def test_a_trouble_does_what_it_says_once(trouble: Trouble, heard: bytes) -> None:
    async with talk() as at:
        at.proxy.arm(trouble)
        await at.say()
        assert await at.until_heard(len(heard)) == heard
        await at.say()
        assert await at.until_heard(len(heard + SENT)) == heard + SENT

    assert at.proxy.struck == [trouble]
    assert not at.proxy.is_armed


async def test_a_trouble_waits_for_its_byte_and_its_way() -> None:
    async with talk() as at:
        at.proxy.arm(Trouble(Bend.LOST, Way.TO_CALLED, after_bytes=len(SENT) + 2))
        await at.say()
        await at.until_heard(len(SENT))
        at.called.writers[0].write(SENT)
        assert await at.reader.readexactly(len(SENT)) == SENT
        await at.say(b"abcd")

        assert await at.until_heard(len(SENT) + 3) == SENT + b"abd"


async def test_pieces_and_one_piece() -> None:
    async with talk() as at:
        at.proxy.arm(Trouble(Bend.SPLIT, Way.TO_CALLED))
        await at.say()
        await at.until_heard(len(SENT))
        assert len(at.called.pieces) > 1

        at.called.pieces.clear()
        at.proxy.arm(Trouble(Bend.MERGED, Way.TO_CALLED, for_s=0.2))
        for _ in range(3):
            await at.say()
            await asyncio.sleep(0.02)
        await at.until_heard(3 * len(SENT))
        assert at.called.pieces == [3 * SENT]


async def test_a_delay_is_as_long_as_it_says_and_what_follows_waits_behind_it() -> None:
    async with talk() as at:
        at.proxy.arm(Trouble(Bend.DELAYED, Way.TO_CALLED, after_bytes=3, for_s=0.3))
        begun_s = monotonic_s()
        await at.say()
        await at.say(b"next")
        assert await at.until_heard(len(SENT) + 4) == SENT + b"next"

        assert monotonic_s() - begun_s >= 0.3
        assert at.called.pieces[0] == SENT[:3]


async def test_what_waits_when_its_sender_resets_the_connection_is_thrown_away() -> None:
    async with talk() as at:
        at.proxy.arm(Trouble(Bend.DELAYED, Way.TO_CALLED, after_bytes=3, for_s=0.2))
        await at.say()
        await at.until_heard(3)
        wire = at.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at.writer.transport.abort()
        async with asyncio.timeout(5):
            await at.called.has_ended.wait()

    assert b"".join(at.called.pieces) == SENT[:3]
    assert at.called.is_reset


@pytest.mark.parametrize("bend", [Bend.CUT, Bend.HALF_OPEN])
async def test_a_connection_that_ends_is_reset_for_both(bend: Bend) -> None:
    async with talk() as at:
        at.proxy.arm(Trouble(bend, Way.TO_CALLED, after_bytes=3, for_s=0.2))
        begun_s = monotonic_s()
        await at.say()
        if bend is Bend.HALF_OPEN:
            await at.until_called()
            at.called.writers[0].write(b"never told")
        with pytest.raises(ConnectionResetError):
            await at.reader.readexactly(1)
        async with asyncio.timeout(5):
            await at.called.has_ended.wait()

    assert at.called.is_reset
    assert b"".join(at.called.pieces) == (SENT[:3] if bend is Bend.CUT else b"")
    assert (monotonic_s() - begun_s >= 0.2) is (bend is Bend.HALF_OPEN)


async def test_a_pulled_cable_holds_everything_and_loses_nothing() -> None:
    async with talk() as at:
        at.proxy.hold()
        await at.say()
        await asyncio.sleep(0.1)
        assert at.called.pieces == []
        at.proxy.go_on()

        assert await at.until_heard(len(SENT)) == SENT
