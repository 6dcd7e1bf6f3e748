"""Scripted peers of the KEYENCE drivers: a controller that answers from a table, and images small enough to cut."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING, Self, TypeVar

from drivers.base import ImageRefused, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAIT_S = 60.0
"""What is waited for comes much sooner; on a machine that is busy with other things it may take its time."""
_T = TypeVar("_T")


def bmp(fill: int = 0x80, width: int = 64, height: int = 48) -> bytes:
    """An 8-bit palettised bottom-up BMP, as a CV-X writes its mono images."""
    pixels = bytes([fill]) * (width * height)
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    offset = 14 + 40 + len(palette)
    header = struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, len(pixels), 2835, 2835, 256, 0)
    return header + info + palette + pixels


def prove_bmp(data: bytes) -> None:
    """A proof that needs no decoder: the size in the header is the size of the file."""
    if data[:2] != b"BM" or len(data) < 54:
        raise ImageRefused(Reason.IMAGE_BROKEN, "no BMP header")
    if struct.unpack_from("<I", data, 2)[0] != len(data):
        raise ImageRefused(Reason.IMAGE_BROKEN, f"{len(data)} bytes are not what the header says")


def image_name(count: int, judgement: str = "OK", camera: int = 1) -> str:
    """A name as the controller gives it."""
    return f"221020_103912_{count:010d}_CAM{camera}_{judgement}.bmp"


async def until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Wait for a condition, with a deadline."""
    by = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < by, f"waited {WAIT_S} s for {what}"
        await asyncio.sleep(0.005)


async def soon(waited: Awaitable[_T]) -> _T:
    """What comes within the time that a test waits."""
    async with asyncio.timeout(WAIT_S):
        return await waited


class _Connection(asyncio.Protocol):
    def __init__(self, controller: ScriptedController) -> None:
        self._controller = controller
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._controller.connections.append(transport)
        if self._controller.greeting:
            transport.write(self._controller.greeting)

    def data_received(self, data: bytes) -> None:
        *lines, self._held = (self._held + data).split(b"\r")
        for line in lines:
            self._controller.take(line.decode("ascii"), self.transport)


class ScriptedController:
    """A CV-X by table: ``answers`` holds what to send for a command (by its name or its whole line), None for nothing.

    R0 sets run mode after ``r0_polls`` more RM. Everything received is in ``commands``.
    """

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.connections: list[asyncio.Transport] = []
        self.answers: dict[str, bytes | None] = {}
        self.greeting = b""
        self.mode = 1
        self.r0_polls = 0
        self.program = b"1,022"
        self.port = 0
        self._server: asyncio.Server | None = None
        self._polls_to_run: int | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Every connection ends with RST."""
        for transport in self.connections:
            transport.abort()

    def finish(self) -> None:
        """Every connection ends with FIN."""
        for transport in self.connections:
            transport.close()

    def say(self, data: bytes) -> None:
        """Unsolicited bytes, on the newest connection."""
        self.connections[-1].write(data)

    def count(self, command: str) -> int:
        return self.commands.count(command)

    def take(self, line: str, transport: asyncio.Transport) -> None:
        self.commands.append(line)
        name = line.split(",", maxsplit=1)[0]
        for key in (line, name):
            if key in self.answers:
                answer = self.answers[key]
                if answer is not None:
                    transport.write(answer)
                return
        transport.write(self._answer(name) + b"\r")

    def _answer(self, name: str) -> bytes:
        if name == "RM":
            if self._polls_to_run is not None:
                self._polls_to_run -= 1
                if self._polls_to_run < 0:
                    self.mode, self._polls_to_run = 1, None
            return b"RM,%d" % self.mode
        if name == "R0":
            self._polls_to_run = self.r0_polls
        if name == "PR":
            return b"PR," + self.program
        if name == "VI":
            return b"VI,CV-X482D,6.0.0000"
        return name.encode("ascii")
