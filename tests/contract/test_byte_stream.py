"""What every byte stream promises: the same over TCP, a pseudo terminal, a serial URL and memory."""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from drivers.base import NotConnected
from drivers.transport import MemoryStream, SerialOptions, open_serial, open_tcp
from tests.fault.keyence_peer import soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.base import ByteStream, StreamListener


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Ear:
    """Hears a stream."""

    def __init__(self) -> None:
        self.heard = b""
        self.calls: list[str] = []
        self.why: Exception | None = None

    def stream_opened(self, stream: ByteStream) -> None:
        self.calls.append("opened")

    def data_received(self, data: bytes) -> None:
        assert data
        self.heard += data

    def stream_lost(self, why: Exception | None) -> None:
        self.calls.append("lost")
        self.why = why


class Peer(Protocol):
    """The other end, and the way to it."""

    async def open(self, listener: StreamListener) -> ByteStream: ...

    async def say(self, data: bytes) -> None: ...

    async def hear(self, size: int) -> bytes: ...

    async def go_away(self) -> None: ...


class _OverSocket:
    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = self._server.getsockname()[1]
        self._sock: socket.socket | None = None

    async def _connected(self) -> socket.socket:
        if self._sock is None:
            self._sock, _ = await soon(asyncio.get_running_loop().sock_accept(self._server))
        return self._sock

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(await self._connected(), data)

    async def hear(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            heard += await soon(asyncio.get_running_loop().sock_recv(await self._connected(), 4096))
        return heard

    async def go_away(self) -> None:
        (await self._connected()).close()

    def close(self) -> None:
        self._server.close()
        if self._sock is not None:
            self._sock.close()


class OverTcp(_OverSocket):
    async def open(self, listener: StreamListener) -> ByteStream:
        return await open_tcp("127.0.0.1", self.port, listener, timeout_s=1.0)


class OverSocketUrl(_OverSocket):
    async def open(self, listener: StreamListener) -> ByteStream:
        return await open_serial(f"socket://127.0.0.1:{self.port}", SerialOptions(), listener, timeout_s=1.0)


class OverPty:
    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._is_open = True

    async def open(self, listener: StreamListener) -> ByteStream:
        return await open_serial(self.name, SerialOptions(baud=9600), listener, timeout_s=1.0)

    async def say(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    async def hear(self, size: int) -> bytes:
        heard = b""

        def more() -> bool:
            nonlocal heard
            with suppress(BlockingIOError):
                heard += os.read(self._ours, 4096)
            return len(heard) >= size

        await until(more, "the bytes")
        return heard

    async def go_away(self) -> None:
        self.close()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._ours)
            os.close(self._theirs)


class OverMemory:
    def __init__(self) -> None:
        self._ear = Ear()
        self._end: MemoryStream | None = None

    async def open(self, listener: StreamListener) -> ByteStream:
        stream, self._end = MemoryStream.pair(listener, self._ear)
        return stream

    async def say(self, data: bytes) -> None:
        assert self._end is not None
        self._end.write(data)

    async def hear(self, size: int) -> bytes:
        await until(lambda: len(self._ear.heard) >= size, "the bytes")
        return self._ear.heard

    async def go_away(self) -> None:
        assert self._end is not None
        self._end.abort()

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(params=[OverTcp, OverSocketUrl, OverPty, OverMemory])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    made = request.param()
    yield made
    made.close()


async def test_bytes_go_both_ways_unchanged(peer: Peer) -> None:
    ear, every = Ear(), bytes(range(256))
    stream = await peer.open(ear)
    stream.write(every[:100])
    stream.write(every[100:])
    assert await peer.hear(256) == every
    await peer.say(every)
    await until(lambda: ear.heard == every, "what was said")
    stream.abort()
    await soon(stream.wait_closed())


async def test_a_large_stretch_arrives_whole(peer: Peer) -> None:
    ear, data = Ear(), os.urandom(20_000)
    stream = await peer.open(ear)
    await peer.say(data)
    await until(lambda: len(ear.heard) == len(data), "all of it")
    assert ear.heard == data
    stream.abort()
    await soon(stream.wait_closed())


async def test_a_peer_that_goes_away_is_said_once(peer: Peer) -> None:
    ear = Ear()
    stream = await peer.open(ear)
    stream.write(b"x")
    await peer.hear(1)
    await peer.go_away()
    await soon(stream.wait_closed())
    stream.write(b"into the void")
    stream.abort()

    await until(lambda: "lost" in ear.calls, "the loss")
    assert ear.calls == ["opened", "lost"]


async def test_what_was_given_up_says_so_once_and_hears_nothing_more(peer: Peer) -> None:
    ear = Ear()
    stream = await peer.open(ear)
    stream.abort()
    stream.abort()
    await soon(stream.wait_closed())
    await until(lambda: "lost" in ear.calls, "the loss")

    assert ear.calls == ["opened", "lost"]
    assert ear.heard == b""


async def test_tcp_that_nobody_serves_is_not_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotConnected, match="cannot be reached"):
        await open_tcp("127.0.0.1", port, Ear(), timeout_s=1.0)


async def test_a_name_that_nobody_can_be_asked_for_is_not_connected() -> None:
    with pytest.raises(NotConnected, match="cannot be reached"):
        await open_tcp(f"{'a' * 64}.plant.example", 502, Ear(), timeout_s=1.0)


@pytest.mark.parametrize("url", ["/dev/does-not-exist", "socket://127.0.0.1:1", "nonsense://x", ""])
async def test_a_serial_port_that_is_not_there_is_not_connected(url: str) -> None:
    with pytest.raises(NotConnected, match="cannot be opened"):
        await open_serial(url, SerialOptions(), Ear(), timeout_s=2.0)


async def test_a_serial_port_is_ours_alone() -> None:
    peer = OverPty()
    stream = await peer.open(Ear())
    try:
        with pytest.raises(NotConnected, match="exclusively"):
            await peer.open(Ear())
    finally:
        stream.abort()
        await soon(stream.wait_closed())
        peer.close()


async def test_a_line_whose_other_end_takes_nothing_is_given_up_and_does_not_stop_the_loop() -> None:
    peer, ear = OverPty(), Ear()
    stream = await peer.open(ear)
    for _ in range(200):
        stream.write(b"x" * 1000)
    await soon(stream.wait_closed())
    peer.close()

    assert isinstance(ear.why, NotConnected)


async def test_a_port_can_be_opened_again_and_again() -> None:
    peer = OverPty()
    before = open_files()
    for _ in range(20):
        stream = await peer.open(Ear())
        stream.abort()
        await soon(stream.wait_closed())

    assert open_files() == before
    peer.close()
