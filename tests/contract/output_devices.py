"""Devices that the contract of an output is held against: what stands in them, over a real socket or a real pty.

A new output adds a device to ``DEVICES``: what is asked of it is the class ``Device`` and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from drivers.modbus import CoilOutput, RegisterOutput, RtuLine, write_reject, write_reject_block
from tests.fault.rtu_peer import crc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.base import LineDevice

__all__ = ["DEVICES", "Device", "Said"]

Answer: TypeAlias = "Callable[[bytes], Awaitable[bytes | None]]"
_OPTIONS: dict[str, Any] = {"pass_hold_s": 5.0, "refresh_s": 0.02, "write_timeout_s": 0.25}
_PASS, _REJECT, _READY = 0x005A, 0x00C3, 1
_PLC = 8


class Said(NamedTuple):
    """What stands in a device, or was written to it. ``beat`` counts or alternates."""

    is_pass: bool
    is_reject: bool
    is_ready: bool
    beat: int


class Device(ABC):
    """A device with an output to it. ``answer`` may be exchanged for one that misbehaves, and asks ``honest``."""

    def __init__(self) -> None:
        self.writes: list[Said] = []
        self.asked: list[bytes] = []
        self.inputs: dict[int, bool] = {}
        self.answer: Answer = self.honest
        self.number = 0
        """The part at the gate, as the device counts."""

    # what the contract asks of a kind of device

    @abstractmethod
    def output(self, **options: Any) -> LineDevice:
        """A new output to it."""

    @abstractmethod
    async def fail_safe(self) -> None:
        """What the service manager calls."""

    @property
    @abstractmethod
    def stands(self) -> Said:
        """What stands in it now."""

    @abstractmethod
    def overwrite_with_pass(self) -> None:
        """Another client writes PASS."""

    @abstractmethod
    def is_write(self, request: bytes) -> bool:
        """Whether a request writes the state."""

    @abstractmethod
    def says_pass(self, request: bytes) -> bool:
        """Whether a request writes PASS."""

    @abstractmethod
    def is_read_back(self, request: bytes) -> bool:
        """Whether a request reads the state."""

    @abstractmethod
    def echo_of(self, request: bytes) -> bytes:
        """What it answers to a write that it carried out."""

    @abstractmethod
    def carry_out(self, request: bytes) -> bytes:
        """Do what is asked, and what it answers then."""

    # what carries the requests

    @abstractmethod
    async def start(self) -> None:
        """Listen."""

    @abstractmethod
    async def stop(self) -> None:
        """Leave nothing behind."""

    @abstractmethod
    async def go_away(self) -> None:
        """It answers nobody."""

    @abstractmethod
    async def come_back(self) -> None:
        """It is there again, with what stood in it."""

    # what holds for all

    async def honest(self, request: bytes) -> bytes | None:
        """As it should."""
        return self.carry_out(request)

    @property
    def is_at_rest(self) -> bool:
        """REJECT stands, and nothing else."""
        return self.stands.is_reject and not self.stands.is_pass

    async def until(self, holds: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.002)

    async def writes_on(self, times: int = 3) -> list[Said]:
        """The next writes."""
        seen = len(self.writes)
        await self.until(lambda: len(self.writes) >= seen + times)
        return self.writes[seen:]


class _Coils(Device):
    """Four coils from 0 on."""

    def __init__(self) -> None:
        super().__init__()
        self._coils = [False] * 4

    @property
    def stands(self) -> Said:
        is_pass, is_reject, is_ready, beat = self._coils
        return Said(is_pass, is_reject, is_ready, int(beat))

    def overwrite_with_pass(self) -> None:
        self._coils[:2] = True, False

    def is_write(self, request: bytes) -> bool:
        return request[0] == 15

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and bool(request[6] & 1)

    def is_read_back(self, request: bytes) -> bool:
        return request[0] == 1

    def echo_of(self, request: bytes) -> bytes:
        return request[:5]

    def carry_out(self, request: bytes) -> bytes:
        function, first, count = struct.unpack(">BHH", request[:5])
        if function == 15:
            assert (first, count) == (0, 4)
            self._coils = [bool(request[6] >> at & 1) for at in range(4)]
            self.writes.append(self.stands)
            return self.echo_of(request)
        table = dict(enumerate(self._coils)) if function == 1 else self.inputs
        return bytes((function, 1, sum(table.get(first + at, False) << at for at in range(count))))


class _Registers(Device):
    """Eight registers from 0 on, and five of the PLC from 8 on, whose heartbeat counts the looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._block = (0,) * 8
        self._beat = 0

    @property
    def stands(self) -> Said:
        _, verdict, _, _, status, _, _, beat = self._block
        return Said(verdict == _PASS, verdict == _REJECT, bool(status & _READY), beat)

    def overwrite_with_pass(self) -> None:
        self._block = (self.number, _PASS, *self._block[2:])

    def is_write(self, request: bytes) -> bool:
        return request[0] == 16

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and struct.unpack(">H", request[8:10]) == (_PASS,)

    def is_read_back(self, request: bytes) -> bool:
        return request[:3] == b"\x03\x00\x00"

    def echo_of(self, request: bytes) -> bytes:
        return request[:5]

    def carry_out(self, request: bytes) -> bytes:
        function, first, count = struct.unpack(">BHH", request[:5])
        if function == 16:
            assert (first, count) == (0, 8)
            self._block = struct.unpack(">8H", request[6:])
            self.writes.append(self.stands)
            return self.echo_of(request)
        if function == 2:
            return bytes((2, 1, sum(self.inputs.get(first + at, False) << at for at in range(count))))
        self._beat = (self._beat + 1) % 65536
        words = (*self._block, self.number, self._block[0], self._beat, 7, 3)[first : first + count]
        return bytes((3, 2 * count)) + struct.pack(f">{count}H", *words)


class _Tcp(Device):
    """Over Modbus TCP."""

    def __init__(self) -> None:
        super().__init__()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.place: tuple[str, int] = ("127.0.0.1", 0)
        self.way: dict[str, Any] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.place = ("127.0.0.1", self.port)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self.until(lambda: not self._writers)

    async def go_away(self) -> None:
        await self.stop()

    async def come_back(self) -> None:
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                request = await reader.readexactly(length - 1)
                self.asked.append(request)
                reply = await self.answer(request)
                if reply is not None:
                    writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)


class _Rtu(Device):
    """Over a serial line."""

    def __init__(self) -> None:
        super().__init__()
        self._ours = self._theirs = -1
        self._held = b""
        self._is_away = False
        self._answering: set[asyncio.Task[None]] = set()
        self.place: tuple[str, int] = ("", 0)
        self.way: dict[str, Any] = {"rtu": RtuLine(baud=115200, parity="none")}

    async def start(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.place = (os.ttyname(self._theirs), 0)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    async def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        os.close(self._ours)
        os.close(self._theirs)

    async def go_away(self) -> None:
        self._is_away = True

    async def come_back(self) -> None:
        self._is_away = False

    def _read(self) -> None:
        self._held += os.read(self._ours, 4096)
        while len(self._held) >= 8:
            size = 9 + self._held[6] if self._held[1] in (15, 16) else 8
            if len(self._held) < size:
                return
            frame, self._held = self._held[:size], self._held[size:]
            assert crc(frame[:-2]) == frame[-2:]
            if not self._is_away:
                self.asked.append(frame[1:-2])
                task = asyncio.get_running_loop().create_task(self._reply(frame[0], frame[1:-2]))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _reply(self, unit: int, request: bytes) -> None:
        reply = await self.answer(request)
        if reply is not None and not self._is_away:
            frame = bytes((unit,)) + reply
            os.write(self._ours, frame + crc(frame))


class _ToCoils(_Coils):
    place: tuple[str, int]
    way: dict[str, Any]

    def output(self, **options: Any) -> LineDevice:
        return CoilOutput(*self.place, **self.way, **_OPTIONS | options)

    async def fail_safe(self) -> None:
        await write_reject(*self.place, **self.way, unit=1, first_coil=0, timeout_s=1.0)


class _ToRegisters(_Registers):
    place: tuple[str, int]
    way: dict[str, Any]

    def output(self, **options: Any) -> LineDevice:
        return RegisterOutput(*self.place, **self.way, **{"plc_timeout_s": 5.0} | _OPTIONS | options)

    async def fail_safe(self) -> None:
        await write_reject_block(*self.place, **self.way, unit=1, first_register=0, timeout_s=1.0)


class CoilsOverTcp(_ToCoils, _Tcp):
    """Four coils of a remote I/O, Modbus TCP."""


class CoilsOverRtu(_ToCoils, _Rtu):
    """Four coils of a remote I/O, Modbus RTU."""


class RegistersOverTcp(_ToRegisters, _Tcp):
    """A block of registers of a PLC, Modbus TCP."""


class RegistersOverRtu(_ToRegisters, _Rtu):
    """A block of registers of a PLC, Modbus RTU."""


DEVICES: dict[str, type[Device]] = {
    "coils over TCP": CoilsOverTcp,
    "coils over RTU": CoilsOverRtu,
    "registers over TCP": RegistersOverTcp,
    "registers over RTU": RegistersOverRtu,
}
