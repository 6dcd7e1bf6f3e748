"""A TCP way between the agent and a peer that bends the bytes which go through it: any peer, whatever it speaks.

What it cannot do is deliver a byte that the sender's kernel would have thrown away: what waits in it when its sender
resets the connection is gone, as it would be without a proxy.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Bend", "ByteProxy", "Trouble", "Way"]

_READ_BYTES = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PIECES_MAX = 50
"""Of a split, then the rest in one: an image is 60,000 bytes."""
_BETWEEN_PIECES_S = 0.001


class Way(StrEnum):
    """Which of the two streams of a connection: named by who opened it, and who was called."""

    TO_CALLED = "to the one that was called"
    TO_CALLER = "to the one that called"


class Bend(StrEnum):
    """What happens to the bytes. Of all but LOST and GARBLED each one arrives, or none after it."""

    DELAYED = "delayed"
    """All of them, from one on, for a while."""
    SPLIT = "split"
    """Into pieces of one byte."""
    MERGED = "merged"
    """What comes within a while arrives in one piece."""
    REPEATED = "repeated"
    """What came in one piece comes twice."""
    CUT = "cut"
    """The connection is reset in both directions in mid-stream."""
    HALF_OPEN = "half-open"
    """Nothing moves any more in either direction, and no one is told; reset after a while."""
    LOST = "lost"
    """One byte is missing."""
    GARBLED = "garbled"
    """One bit is another."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One bend, of the first connection on which ``after_bytes`` more have gone this way."""

    bend: Bend
    way: Way
    after_bytes: int = 0
    for_s: float = 0.5
    bit: int = 0
    """Of a garbled byte, 0 to 7."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """One way of one connection. ``is_open`` belongs to both of its ways."""

    way: Way
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_open: asyncio.Event

    def raise_if_reset(self) -> None:
        """Raise what the sender ended the connection with."""
        if (error := self.reader.exception()) is not None:
            raise error

    async def all_within(self, for_s: float) -> bytes:
        """What comes within that time, or until the end."""
        came, until_s = b"", monotonic_s() + for_s
        with suppress(TimeoutError):
            while piece := await asyncio.wait_for(self.reader.read(_READ_BYTES), until_s - monotonic_s()):
                came += piece
        return came


class ByteProxy:
    """Carries every connection to ``targets``: a trouble that is armed strikes once, whichever connection it meets.

    Listens on any port of 127.0.0.1; with ``host``, another address of this machine, on the ports of the targets, so
    that what names a port to the other side (FTP) names the right one. ``hold`` lets everything wait as in a pulled
    cable, ``go_on`` lets it arrive.
    """

    def __init__(self, *targets: tuple[str, int], host: str = "") -> None:
        self._targets = targets
        self._host = host
        self._servers: list[asyncio.Server] = []
        self._talks: set[asyncio.Task[None]] = set()
        self._moves = asyncio.Event()
        self._moves.set()
        self._trouble: Trouble | None = None
        self._left_bytes = 0
        self.struck: list[Trouble] = []

    @property
    def port(self) -> int:
        """Where it listens for the first of the targets."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def is_armed(self) -> bool:
        """Whether a trouble has not struck yet."""
        return self._trouble is not None

    def arm(self, trouble: Trouble) -> None:
        """This is what strikes next; it replaces what has not struck yet."""
        self._trouble, self._left_bytes = trouble, trouble.after_bytes

    def hold(self) -> None:
        """Nothing moves from now on; nothing is lost either."""
        self._moves.clear()

    def go_on(self) -> None:
        """All that waited arrives."""
        self._moves.set()

    async def __aenter__(self) -> Self:
        for target in self._targets:
            at = (self._host, target[1]) if self._host else ("127.0.0.1", 0)
            self._servers.append(await asyncio.start_server(partial(self._carry, target), *at))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        for talk in tuple(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _carry(self, target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        writers = [writer]
        try:
            await self._moves.wait()
            far_reader, far_writer = await asyncio.open_connection(*target)
            writers.append(far_writer)
            is_open = asyncio.Event()
            is_open.set()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(_Stream(Way.TO_CALLED, reader, far_writer, is_open)))
                both.create_task(self._pump(_Stream(Way.TO_CALLER, far_reader, writer, is_open)))
        except* (OSError, asyncio.CancelledError):
            pass  # one end is gone, and with it the way to the other
        finally:
            for one in writers:
                with suppress(OSError):
                    one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                one.transport.abort()

    async def _pump(self, stream: _Stream) -> None:
        while data := await stream.reader.read(_READ_BYTES):
            if not self._moves.is_set():
                await self._moves.wait()
                stream.raise_if_reset()
            await stream.is_open.wait()
            trouble, at = self._strikes(stream.way, len(data))
            if trouble is None:
                stream.writer.write(data)
            else:
                await _bend(stream, trouble, data[:at], data[at:])
            await stream.writer.drain()
        stream.writer.write_eof()

    def _strikes(self, way: Way, size: int) -> tuple[Trouble | None, int]:
        """The trouble that strikes among the next ``size`` bytes of a stream, and at which of them."""
        trouble, at = self._trouble, self._left_bytes
        if trouble is None or trouble.way is not way:
            return None, 0
        if at >= size:
            self._left_bytes -= size
            return None, 0
        self._trouble = None
        self.struck.append(trouble)
        return trouble, at


async def _bend(stream: _Stream, trouble: Trouble, before: bytes, data: bytes) -> None:
    """What came in one piece is ``before`` and ``data``; the trouble strikes at the first byte of ``data``."""
    write = stream.writer.write
    match trouble.bend:
        case Bend.DELAYED:
            write(before)
            await asyncio.sleep(trouble.for_s)
            stream.raise_if_reset()
            write(data)
        case Bend.MERGED:
            write(before + data + await stream.all_within(trouble.for_s))
        case Bend.SPLIT:
            for number in range(min(len(data), _PIECES_MAX)):
                write(data[number : number + 1])
                await asyncio.sleep(_BETWEEN_PIECES_S)
            write(data[_PIECES_MAX:])
        case Bend.CUT:
            write(before)
            await stream.writer.drain()
            raise ConnectionResetError("cut")
        case Bend.HALF_OPEN:
            stream.is_open.clear()
            await asyncio.sleep(trouble.for_s)
            raise ConnectionResetError("it was half-open")
        case _:
            write(_altered(trouble, before, data))


def _altered(trouble: Trouble, before: bytes, data: bytes) -> bytes:
    if trouble.bend is Bend.LOST:
        return before + data[1:]
    if trouble.bend is Bend.GARBLED:
        return before + bytes([data[0] ^ 1 << trouble.bit]) + data[1:]
    return 2 * (before + data)
