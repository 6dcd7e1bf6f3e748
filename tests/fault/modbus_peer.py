"""A small Modbus TCP remote I/O on a real socket, written from the protocol, that can be told to misbehave."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

READ_COILS, READ_INPUTS, WRITE_COILS = 0x01, 0x02, 0x0F


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: MBAP transaction and unit, function code, the bytes behind it."""

    transaction: int
    unit: int
    function: int
    body: bytes

    @property
    def is_pass_write(self) -> bool:
        return self.function == WRITE_COILS and bool(self.body[5] & 1)

    def frame(self, pdu: bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
        tid = self.transaction if transaction is None else transaction
        return struct.pack(">HHHB", tid, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu


@dataclass(slots=True)
class Talk:
    """What a misbehaviour gets to work with."""

    peer: Peer
    request: Request
    writer: asyncio.StreamWriter

    def honest_reply(self) -> bytes:
        """Carries the request out."""
        return self.request.frame(self.peer.carry_out(self.request))

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()

    def reset(self) -> None:
        wire = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Talk], Awaitable[None]]


async def mute(_talk: Talk) -> None:
    """A fault: reads the request and answers nothing."""


@dataclass
class Peer:
    """The remote I/O: coils and inputs by address, and every write in its order."""

    coils: dict[int, bool] = field(default_factory=dict)
    inputs: dict[int, bool] = field(default_factory=dict)
    writes: list[tuple[int, tuple[bool, ...]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    fault: Fault | None = None
    """Answers instead of the peer while it is set; returning without an answer is being mute."""
    is_faulty_for: Callable[[Request], bool] = lambda _: True
    connections: int = 0
    port: int = 0
    host: str = "127.0.0.1"
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def verdict_bits(self) -> tuple[bool, bool]:
        """PASS and REJECT as they stand, at the addresses 0 and 1."""
        return self.coils.get(0, False), self.coils.get(1, False)

    def carry_out(self, request: Request) -> bytes:
        """Change the coils or read them; the PDU to answer."""
        address, count = struct.unpack(">HH", request.body[:4])
        if request.function == WRITE_COILS:
            bits = tuple(bool(request.body[5 + n // 8] >> (n % 8) & 1) for n in range(count))
            self.coils.update({address + n: bit for n, bit in enumerate(bits)})
            self.writes.append((address, bits))
            self.changed.set()
            return struct.pack(">BHH", WRITE_COILS, address, count)
        table = self.coils if request.function == READ_COILS else self.inputs
        packed = sum(table.get(address + n, False) << n for n in range(count))
        return struct.pack(">BBB", request.function, 1, packed)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listening socket and every connection: the device is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()
        while self._writers:
            await asyncio.sleep(0.001)

    def drop_connections(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(8)
                transaction, _, length, unit, function = struct.unpack(">HHHBB", head)
                request = Request(transaction, unit, function, await reader.readexactly(length - 2))
                self.requests.append(request)
                talk = Talk(self, request, writer)
                if self.fault is not None and self.is_faulty_for(request):
                    await self.fault(talk)
                else:
                    await talk.send(talk.honest_reply())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def until(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Wait for something to become true, looked at after every change and every few milliseconds."""
        async with asyncio.timeout(within_s):
            while not condition():
                self.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.005):
                        await self.changed.wait()


@asynccontextmanager
async def running_peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()
