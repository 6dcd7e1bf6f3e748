"""One connection to a Modbus device, TCP or RTU: requests that are proven or raised. Single use."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import structlog
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
)

from drivers.base import CommandRefused, DeadlineMissed, DriverError, NotConnected, ProtocolViolation
from drivers.modbus.coils import COIL_NAMES
from drivers.modbus.registers import PLC_WORDS, PlcWords
from drivers.modbus.replies import EXCEPTION_MEANINGS, came_instead, reply_problem

try:
    from termios import error as termios_error
except ImportError:  # Windows has no terminals of this kind
    termios_error = OSError  # type: ignore[misc,assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymodbus.pdu import ModbusPDU

    from drivers.modbus.coils import CoilLevels
    from drivers.modbus.modules import Module
    from drivers.modbus.registers import BlockWords

_log = structlog.get_logger(__name__)

__all__ = ["Admit", "CoilConnection", "ModbusConnection", "RegisterConnection", "RtuLine", "admit_all"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Admit: TypeAlias = "Callable[[str, int], str]"
"""Asked on each new connection, before anything is written: may this peer be written to? Empty for yes, else why not.

It is given the address and port that answered, whatever name they were called by; of a serial line its device and 0."""


def admit_all(_address: str, _port: int) -> str:
    """Whoever answers may be written to."""
    return ""


def _cancels() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


@dataclass(frozen=True, slots=True)
class RtuLine:
    """How a serial line to a device is set; eight data bits. The host is the name of the serial port then."""

    baud: int = 19200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1


class ModbusConnection:
    """Writes, compares the echo, reads back. Any failure, and any cancelled request, ends the connection.

    What an ended connection still carries is thrown away where that is possible (TCP reset), so that a write
    that was given up is not delivered behind a later one. ``timeout_s`` bounds the dial and each request. On RTU, where
    nothing tells a late reply from the next one, the line is left quiet for ``timeout_s`` before the first request.
    ``admit`` has the last word on who is written to.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int,
        timeout_s: float,
        on_lost: Callable[[], None],
        rtu: RtuLine | None = None,
        admit: Admit = admit_all,
    ) -> None:
        if rtu is not None and "://" in host:
            raise ValueError(
                f"{host}: RTU goes over a serial port of this machine; opened by URL it would block the loop"
            )
        self._host = host
        self._admit = admit
        self._peer = f"{host}:{port}" if rtu is None else host
        self._rtu = rtu
        self._unit = unit
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._timer: asyncio.Timeout | None = None
        self._unfit = ""
        """What came since the last request and was no answer to it."""
        self._broken: DriverError | None = None
        # The library would repeat each failed try as an ERROR of its own; this driver says it once an outage.
        library_log = logging.getLogger("pymodbus")
        if library_log.level == logging.NOTSET:
            library_log.setLevel(logging.CRITICAL)
        common: dict[str, Any] = {"timeout": timeout_s, "retries": 0, "reconnect_delay": 0}
        common |= {"trace_packet": self._see_packet, "trace_connect": self._see_connect}
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient
        if rtu is None:
            self._client = AsyncModbusTcpClient(host, port=port, **common)
        else:
            self._client = AsyncModbusSerialClient(
                host, baudrate=rtu.baud, parity=rtu.parity[0].upper(), stopbits=rtu.stop_bits, **common
            )

    @property
    def is_up(self) -> bool:
        """Connected, and nothing went wrong so far."""
        return self._broken is None and self._client.connected

    async def open(self) -> None:
        """Connect. Raises NotConnected."""
        cancels_before = _cancels()
        try:
            is_connected = await self._client.connect()
        except BaseException:
            self.abort()
            raise
        self._heed_cancel(cancels_before)
        if not is_connected:
            self.abort()
            raise NotConnected(self._why_not_there())
        if self._rtu is not None:
            self._refuse_foreign(self._host, 0)
            await asyncio.sleep(self._timeout_s)
            if self._broken is not None:
                self._fail(self._broken)
            return
        wire = self._socket()
        if self._broken is not None or wire is None:
            # Accepted and dropped at once: the library still calls that connected.
            self._fail(self._broken or NotConnected(f"{self._peer} closed the connection"))
        try:
            address, port = wire.getpeername()[:2]
        except OSError as err:
            self._fail(NotConnected(f"{self._peer} closed the connection: {err}"))
        self._refuse_foreign(address, port)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _why_not_there(self) -> str:
        if self._rtu is None:
            return (
                f"no connection to the remote I/O at {self._peer} within {self._timeout_s:g} s: "
                "look at its power, its cable, and at output.host and output.port"
            )
        if not os.path.exists(self._host):  # noqa: PTH110 - on Windows the name of a port is no path
            why = "it is not there: look at its cable, and at output.serial.device (ls -l /dev/serial/by-id)"
        elif not os.access(self._host, os.R_OK | os.W_OK):
            why = "this user may not open it (the group dialout may, mostly)"
        else:
            why = "another program holds it, or it is no serial port, or it cannot be set to output.serial's baud rate"
        return f"the serial port {self._host} cannot be opened: {why}"

    def _refuse_foreign(self, address: str, port: int) -> None:
        if why := self._admit(address, port):
            self._fail(NotConnected(why))

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        """Discrete inputs (FC2), 64 at most. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        request = ReadDiscreteInputsRequest(address=first, count=count, dev_id=self._unit)
        reply = await self._ask("FC2 (read inputs)", request, ReadDiscreteInputsResponse)
        if len(reply.bits) < count:
            self._fail(ProtocolViolation(f"{self._peer} answered FC2 with {len(reply.bits)} inputs instead of {count}"))
        return tuple(bool(bit) for bit in reply.bits[:count])

    async def read_registers(self, first: int, count: int) -> tuple[int, ...]:
        """Holding registers (FC3). Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        request = ReadHoldingRegistersRequest(address=first, count=count, dev_id=self._unit)
        reply = await self._ask("FC3 (read registers)", request, ReadHoldingRegistersResponse)
        words = tuple(reply.registers)
        if len(words) != count:
            self._fail(ProtocolViolation(f"{self._peer} answered FC3 with {len(words)} registers instead of {count}"))
        return words

    async def write_registers(self, first: int, words: tuple[int, ...]) -> None:
        """Holding registers in one request (FC16), the echo compared.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = WriteMultipleRegistersRequest(address=first, registers=list(words), dev_id=self._unit)
        reply = await self._ask("FC16 (write registers)", request, WriteMultipleRegistersResponse)
        echo, sent = (reply.address, reply.count), (first, len(words))
        if echo != sent:
            self._fail(ProtocolViolation(f"{self._peer} echoed registers {echo} (address, count) for {sent}"))

    def close(self) -> None:
        """End the connection in order; nothing is outstanding."""
        self._broken = self._broken or NotConnected(f"the connection to {self._peer} was closed")
        self._client.close()

    def abort(self) -> None:
        """End the connection at once; what was not delivered yet never will be."""
        wire = self._socket()
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._client.ctx.transport.abort()  # type: ignore[attr-defined]
        self._forget_unsent()
        self.close()

    def _forget_unsent(self) -> None:
        """Bytes that a serial port has not sent yet: a write that is given up must not go, nor closing wait for it."""
        port: Any = getattr(self._client.ctx.transport, "sync_serial", None)
        if self._rtu is not None and port is not None:
            with suppress(OSError, ValueError, termios_error):
                port.reset_output_buffer()

    async def _ask(self, name: str, request: ModbusPDU, reply_type: type[ModbusPDU]) -> Any:
        if self._broken is not None:
            raise self._broken
        cancels_before = _cancels()
        try:
            async with asyncio.timeout(self._timeout_s) as self._timer:
                reply = await self._client.execute(False, request)
        except TimeoutError:
            self._fail(self._broken or self._silence(name))
        except ModbusException as err:
            lost = None if self._client.connected else NotConnected(f"{self._peer} is not connected: {err}")
            self._fail(self._broken or lost or self._silence(name))
        except BaseException:
            # Cancelled with the request on the wire: whether the device carries it out is not known.
            self.abort()
            self._on_lost()
            raise
        finally:
            self._timer = None
        self._heed_cancel(cancels_before)
        self._check(name, request, reply, reply_type)
        return reply

    def _heed_cancel(self, cancels_before: int) -> None:
        """asyncio.wait_for of Python 3.11, inside the library, swallows a cancel that meets the result."""
        if _cancels() > cancels_before:
            self.abort()
            self._on_lost()
            raise asyncio.CancelledError

    def _check(self, name: str, request: ModbusPDU, reply: Any, reply_type: type[ModbusPDU]) -> None:
        is_another = self._rtu is None and reply.transaction_id != request.transaction_id
        if is_another or reply.dev_id != request.dev_id:
            self._fail(
                ProtocolViolation(
                    f"{self._peer} answered {name} as transaction {reply.transaction_id}, unit {reply.dev_id}; "
                    f"asked was transaction {request.transaction_id}, unit {request.dev_id}"
                )
            )
        if isinstance(reply, ExceptionResponse):
            code = reply.exception_code
            meaning = EXCEPTION_MEANINGS.get(code, "a code that the protocol does not define")
            self._fail(CommandRefused(f"{name} by {self._peer}", f"{code:02d}", meaning))
        if type(reply) is not reply_type:
            self._fail(ProtocolViolation(f"{self._peer} answered {name} with function code {reply.function_code}"))

    def _silence(self, name: str) -> DeadlineMissed:
        unfit = f"; {self._unfit}" if self._unfit else ""
        return DeadlineMissed(f"{self._peer} did not answer {name} within {self._timeout_s:g} s{unfit}")

    def _fail(self, err: DriverError) -> NoReturn:
        self._broken = err
        self.abort()
        raise err

    def _see_packet(self, is_sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - the library's signature
        if is_sending:
            self._unfit = ""
            return data
        asked = self._client.ctx.request_transaction_id
        self._unfit = came_instead(data, asked, self._unit, is_rtu=self._rtu is not None) or self._unfit
        problem = "" if self._rtu is not None else reply_problem(data)
        if not problem:
            return data
        self._break(ProtocolViolation(f"{self._peer} sent {data[:40]!r}: {problem}"))
        return b""

    def _see_connect(self, is_connected: bool) -> None:  # noqa: FBT001 - the library's signature
        if not is_connected:
            self._break(NotConnected(f"{self._peer} closed the connection"))

    def _break(self, err: DriverError) -> None:
        """Called by the library between requests and in them: a request that waits is woken."""
        self._broken = self._broken or err
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time())
        self._on_lost()

    def _socket(self) -> socket.socket | None:
        """The open socket of this connection, None if there is none."""
        transport: Any = self._client.ctx.transport  # None while not connected, whatever its annotation says
        if transport is None:
            return None
        wire: socket.socket | None = transport.get_extra_info("socket") if self._rtu is None else None
        return None if wire is None or wire.fileno() < 0 else wire


class CoilConnection(ModbusConnection):
    """The four coils of a remote I/O."""

    async def arm_watchdog(self, module: Module, watchdog_ms: int, first_coil: int, resting: CoilLevels) -> None:
        """Set the module's own watchdog and read it back; nothing for a module that cannot be asked.

        One that is found running as it should is left alone: a PASS of the connection before may stand, and whoever
        stops its watchdog may die before starting it. Where it has to be set, ``resting`` is written and read back
        first, from ``first_coil`` on. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        if not module.arming:
            return
        time = module.count(watchdog_ms)
        if await self._unlike_proof(module, time) is None:
            return
        if await self._has_tripped(module):
            # Cleared on purpose, and said: it dropped the outputs while nobody wrote. Until then it takes no write.
            _log.warning("watchdog_had_tripped", peer=self._peer, module=module.name)
        else:
            await self.write_proven(first_coil, resting)
        for register, value in module.arming:
            await self.write_registers(register, (time if value is None else value,))
        unlike = await self._unlike_proof(module, time)
        if unlike is not None:
            self._fail(
                ProtocolViolation(
                    f"{self._peer}: {unlike} of the watchdog of a {module.name}: without it a PASS of a dead agent "
                    "would stand"
                )
            )

    async def _unlike_proof(self, module: Module, time: int) -> str | None:
        """The first register that does not read as a watchdog that runs as it should; None if all do."""
        for register, value in module.proof:
            expected = time if value is None else value
            (found,) = await self.read_registers(register, 1)
            if found != expected:
                return f"register 0x{register:04x} reads {found} and not {expected}"
        return None

    async def _has_tripped(self, module: Module) -> bool:
        if module.tripped is None:
            return False
        state, after_a_trip = module.tripped
        return await self.read_registers(state, 1) == (after_a_trip,)

    async def write(self, first_coil: int, state: CoilLevels) -> None:
        """Write all four coils in one request (FC15) and compare the echo.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = WriteMultipleCoilsRequest(address=first_coil, bits=list(state.bits), dev_id=self._unit)
        reply = await self._ask("FC15 (write coils)", request, WriteMultipleCoilsResponse)
        echo, sent = (reply.address, reply.count), (first_coil, len(state.bits))
        if echo != sent:
            self._fail(ProtocolViolation(f"{self._peer} echoed coils {echo} (address, count) for a write of {sent}"))

    async def read_coils(self, first_coil: int) -> tuple[bool, ...]:
        """The four coils as they stand (FC1).

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = ReadCoilsRequest(address=first_coil, count=len(COIL_NAMES), dev_id=self._unit)
        reply = await self._ask("FC1 (read coils)", request, ReadCoilsResponse)
        return tuple(bool(bit) for bit in reply.bits[: len(COIL_NAMES)])

    async def read_back(self, first_coil: int, expected: CoilLevels) -> None:
        """Read the four coils (FC1) and compare.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        found = await self.read_coils(first_coil)
        if found != expected.bits:
            shown = " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, found, strict=False))
            self._fail(
                ProtocolViolation(
                    f"{self._peer} reads back {shown} after {expected} was written: "
                    "its watchdog dropped the outputs and waits to be cleared, or another client writes them"
                )
            )

    async def write_proven(self, first_coil: int, state: CoilLevels) -> None:
        """Write, compare the echo, read back, compare. Raises as ``write`` and ``read_back`` do."""
        await self.write(first_coil, state)
        await self.read_back(first_coil, state)


class RegisterConnection(ModbusConnection):
    """The register block of a PLC, and the words that the PLC gives back."""

    async def write(self, first: int, state: BlockWords) -> None:
        """Write block and heartbeat in one request (FC16) and compare the echo.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        await self.write_registers(first, state.words)

    async def read_back(self, first: int, expected: BlockWords) -> None:
        """Read the block (FC3) and compare.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        found = await self.read_registers(first, len(expected.words))
        if found != expected.words:
            self._fail(
                ProtocolViolation(
                    f"{self._peer} reads back {found} after {expected.words} was written: another client writes them, "
                    "or output.first_register is a place that the PLC's program writes"
                )
            )

    async def write_proven(self, first: int, state: BlockWords) -> None:
        """Write, compare the echo, read back, compare. Raises as ``write`` and ``read_back`` do."""
        await self.write(first, state)
        await self.read_back(first, state)

    async def read_plc(self, first: int) -> PlcWords:
        """What the PLC gives back (FC3). Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        return PlcWords(*await self.read_registers(first, PLC_WORDS))
