"""What the tests of the simulated peers talk with: raw sockets, and an FTP server that keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyftpdlib.ioloop  # before its siblings: only this one silences what asyncore says about its own age
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from drivers.simulated.ftp_push import FtpTarget
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for a condition, or fail."""
    end = monotonic_s() + within_s
    while not condition():
        assert monotonic_s() < end, "what was waited for did not happen"
        await asyncio.sleep(0.005)


@dataclass
class RawClient:
    """A TCP connection and nothing more."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def line(self, within_s: float = 3.0) -> str:
        """The next line, up to its CR."""
        async with asyncio.timeout(within_s):
            return (await self.reader.readuntil(b"\r"))[:-1].decode("latin-1")

    async def ask(self, command: str) -> str:
        """Send a command, get the next line."""
        await self.send(command.encode() + b"\r")
        return await self.line()

    async def modbus(self, pdu: bytes, transaction: int = 1, unit: int = 1, within_s: float = 3.0) -> bytes:
        """Send a Modbus request, get the PDU of the reply with the same transaction."""
        await self.send(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)
        async with asyncio.timeout(within_s):
            answered, protocol, length, of_unit = struct.unpack(">HHHB", await self.reader.readexactly(7))
            assert (answered, protocol, of_unit) == (transaction, 0, unit)
            return await self.reader.readexactly(length - 1)

    async def ended(self, within_s: float = 3.0) -> bool:
        """Wait until the peer ends the connection."""
        async with asyncio.timeout(within_s):
            try:
                while await self.reader.read(4096):
                    pass
            except ConnectionError:
                return True
        return True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    """Connect, and leave nothing behind."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):  # reset by the peer, as the test wanted
            await writer.wait_closed()


@dataclass
class FtpShelf:
    """Files that arrived, as the FTP server reported them, and where."""

    root: Path
    target: FtpTarget
    whole: list[str] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    def names(self) -> list[str]:
        """Everything that lies there, finished or not."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


@contextmanager
def ftp_shelf(root: Path, *, passive: bool = False, refuses: bool = False, port: int = 0) -> Iterator[FtpShelf]:
    """A plain pyftpdlib server in a thread of its own."""
    root.mkdir(exist_ok=True)
    authorizer = DummyAuthorizer()
    authorizer.add_user("cvx", "secret", str(root), perm="elm" if refuses else "elmwa")
    shelf: FtpShelf

    class Handler(FTPHandler):  # type: ignore[misc]
        def on_connect(self) -> None:
            shelf.connections += 1

        def on_file_received(self, file: str) -> None:
            shelf.whole.append(file)

        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            shelf.commands.append(cmd)
            super().pre_process_command(line, cmd, arg)

    Handler.authorizer = authorizer
    loop: Any = pyftpdlib.ioloop.IOLoop()
    server = FTPServer(("127.0.0.1", port), Handler, ioloop=loop)
    shelf = FtpShelf(root, FtpTarget("127.0.0.1", server.socket.getsockname()[1], "cvx", "secret", passive))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve, name="test-ftp-server")

    def end() -> None:
        stop.set()
        thread.join(5)
        loop.close()

    shelf.stop = end
    thread.start()
    try:
        yield shelf
    finally:
        end()
