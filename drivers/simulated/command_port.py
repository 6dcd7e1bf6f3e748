"""The controller's TCP command port: lines in, replies and results out, and what a bad network makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import tty
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["CommandPort", "ConnectionPolicy"]

_LINE_MAX_BYTES = 1024
_READ_BYTES = 4096
_SEND_TIMEOUT_S = 2.0
_REMEMBERED = 10_000
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ConnectionPolicy(StrEnum):
    """What a second connection does; which of them a CV-X follows is not documented."""

    REPLACE = "REPLACE"
    """It takes the place of the first, which is closed."""
    REFUSE = "REFUSE"
    """It is closed at once."""
    MANY = "MANY"
    """Both are served; results go to all."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.line_lock = asyncio.Lock()  # a line is never interrupted by another one
        self.socket: socket.socket | None = writer.get_extra_info("socket")
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send(self, pieces: Sequence[bytes], pause_s: float) -> None:
        async with self.line_lock:
            for at, piece in enumerate(pieces):
                if at:
                    await asyncio.sleep(pause_s)
                self.writer.write(piece)
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self.writer.drain()
            except (ConnectionError, TimeoutError):
                self.reset()  # gone, or a client that no longer reads

    def reset(self) -> None:
        """A serial line cannot be reset: there is only the cable."""
        if self.socket is None:
            return
        if not self.writer.is_closing():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


class CommandPort:
    """Serves ``answer`` on a TCP port, and on a serial line beside it.

    Lines end with CR, LF or both; what is sent ends with ``delimiter``. ``answer`` gets a line and gives its reply, ''
    for none. One command of a connection is answered before the next is looked at. ``is_mute`` makes the port swallow
    all and say nothing.
    """

    def __init__(
        self,
        host: str,
        port: int,
        answer: Callable[[str], Awaitable[str]],
        *,
        policy: ConnectionPolicy = ConnectionPolicy.REPLACE,
        delimiter: str = "\r",
    ) -> None:
        if delimiter not in ("\r", "\r\n"):
            raise ValueError(f"the delimiter is CR or CR LF, not {delimiter!r}")
        self.host = host
        self.port = port
        self.is_mute = False
        self.before_next_reply: list[str] = []
        self.commands: deque[str] = deque(maxlen=_REMEMBERED)
        self._answer = answer
        self._policy = policy
        self._delimiter = delimiter
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._line: _SerialLine | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected over TCP."""
        return sum(connection.socket is not None for connection in self._connections)

    async def open(self) -> None:
        """Listen. Port 0 becomes a free one, and stays the same at the next ``open``. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=_READ_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def open_line(self) -> str:
        """Make a pseudo terminal and serve it; the name of the end that a client opens."""
        self._line = await _SerialLine.open(self.talk_over)
        return self._line.name

    async def close_line(self) -> None:
        """Pull the cable of the serial line. Idempotent."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def close(self) -> None:
        """Stop listening, reset every connection, wait for the end of their tasks. The serial line stays."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop_all()
        talks = [task for connection, task in self._connections.items() if connection.socket is not None]
        await asyncio.gather(*talks, return_exceptions=True)
        if server is not None:
            await server.wait_closed()

    def drop_all(self) -> None:
        """Reset every connection to a client, as a pulled cable or a reboot does."""
        for connection in self._connections:
            connection.reset()

    async def send(self, *lines: str, splits: int = 1, pause_s: float = 0.0) -> None:
        """Send the lines in one write, or the bytes of them in ``splits`` writes with pauses between."""
        if self.is_mute:
            return
        data = "".join(line + self._delimiter for line in lines).encode("ascii", "replace")
        step = max(1, -(-len(data) // splits))
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        for connection in list(self._connections):
            await connection.send(pieces, pause_s)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes that are no line."""
        for connection in list(self._connections):
            await connection.send([data], 0.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer)
        if self.connections and self._policy is ConnectionPolicy.REFUSE:
            connection.reset()
            return
        if self._policy is ConnectionPolicy.REPLACE:
            self.drop_all()
        await self._keep_talking(connection)

    async def talk_over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client that came by another way than TCP, until it goes."""
        await self._keep_talking(_Connection(reader, writer))

    async def _keep_talking(self, connection: _Connection) -> None:
        writer = connection.writer
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of a server runs in a task
        self._connections[connection] = task
        try:
            await self._talk(connection)
        except ConnectionError:
            pass  # the client went away: nothing is to be done, a new one may come
        finally:
            del self._connections[connection]
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, connection: _Connection) -> None:
        pending = b""
        while chunk := await connection.reader.read(_READ_BYTES):
            *lines, pending = (pending + chunk).replace(b"\n", b"\r").split(b"\r")
            if len(pending) > _LINE_MAX_BYTES:
                connection.reset()
                return
            for line in filter(None, lines):
                if self.is_mute:
                    continue
                text = line.decode("latin-1")
                self.commands.append(text)
                reply = await self._answer(text)
                waiting, self.before_next_reply = self.before_next_reply, []
                said = [*waiting, *([reply] if reply else [])]
                if said and not self.is_mute and connection in self._connections:
                    data = "".join(one + self._delimiter for one in said).encode("ascii", "replace")
                    await connection.send([data], 0.0)


class _SerialLine:
    """Our end of a pseudo terminal. The other end is kept open as well, so that a client may come and go."""

    def __init__(self, name: str, ends: tuple[int, int]) -> None:
        self.name = name
        self._ends = ends
        self._task: asyncio.Task[None] | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def open(cls, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> _SerialLine:
        loop = asyncio.get_running_loop()
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        line = cls(os.ttyname(theirs), (ours, theirs))
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        inward, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(os.dup(ours), "rb", 0))
        outward, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(os.dup(ours), "wb", 0)
        )
        line._transports = [inward, outward]
        writer = asyncio.StreamWriter(outward, flow, reader, loop)
        line._task = loop.create_task(cls._run(serve(reader, writer)))
        return line

    @staticmethod
    async def _run(work: Awaitable[None]) -> None:
        await work

    async def close(self) -> None:
        for transport in self._transports:
            transport.abort() if isinstance(transport, asyncio.WriteTransport) else transport.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for end in self._ends:
            os.close(end)
