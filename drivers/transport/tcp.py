"""A TCP connection as a ByteStream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from drivers.base import NotConnected

if TYPE_CHECKING:
    from drivers.base import ByteStream, StreamListener

__all__ = ["open_tcp", "quick_and_alive"]

# Two seconds of silence, then three questions a second apart: a dead peer is noticed within five seconds also where
# polls cannot find it, while a long command is out.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 3000))


def quick_and_alive(transport: asyncio.BaseTransport) -> None:
    """Set the socket of a connection so that small writes leave at once and a dead peer is noticed within seconds."""
    sock = transport.get_extra_info("socket")
    # Without it a small write waits for the acknowledgement of the one before, tens of milliseconds.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        # Not every system has each of them; without them a dead peer is found later, by a poll.
        if hasattr(socket, option):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class _TcpStream(asyncio.Protocol):
    """Small writes leave at once; a peer that went away is noticed within seconds."""

    def __init__(self, listener: StreamListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream protocol gets no other
        self._transport = transport
        quick_and_alive(transport)
        self._listener.stream_opened(self)

    def data_received(self, data: bytes) -> None:
        self._listener.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        # Before the listener hears of it: who waits for the end in there must not wait for ever.
        self._closed.set()
        self._listener.stream_lost(exc)


async def open_tcp(host: str, port: int, listener: StreamListener, *, timeout_s: float) -> ByteStream:
    """Connect within ``timeout_s``.

    Raises:
        NotConnected: refused, unreachable, or not in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            _, stream = await asyncio.get_running_loop().create_connection(lambda: _TcpStream(listener), host, port)
    except TimeoutError:
        raise NotConnected(f"{host}:{port} did not accept the connection within {timeout_s:g} s") from None
    except (OSError, UnicodeError) as err:  # UnicodeError: a name that nobody can be asked for
        raise NotConnected(f"{host}:{port} cannot be reached: {err}") from err
    return stream
