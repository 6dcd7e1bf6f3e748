"""One connection to a Modbus device, TCP or RTU: requests that are proven or raised. Single use."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
)

from drivers.base import (
    Admit,
    CommandRefused,
    DeadlineMissed,
    DriverError,
    NotConnected,
    ProtocolViolation,
    admit_all,
)
from drivers.modbus.replies import EXCEPTION_MEANINGS, came_instead, reply_problem

try:
    from termios import error as termios_error
except ImportError:  # Windows has no terminals of this kind
    termios_error = OSError  # type: ignore[misc,assignment]

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU

    from drivers.output.wire import OnLost

__all__ = ["ModbusConnection", "RtuLine", "peer_name"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _cancels() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


@dataclass(frozen=True, slots=True)
class RtuLine:
    """How a serial line to a device is set; eight data bits. The host is the name of the serial port then."""

    baud: int = 19200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1


def peer_name(host: str, port: int, rtu: RtuLine | None) -> str:
    """A device, as messages call it."""
    return f"{host}:{port}" if rtu is None else host


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
        on_lost: OnLost,
        rtu: RtuLine | None = None,
        admit: Admit = admit_all,
    ) -> None:
        if rtu is not None and "://" in host:
            raise ValueError(
                f"{host}: RTU goes over a serial port of this machine; opened by URL it would block the loop"
            )
        self._host = host
        self._admit = admit
        self._peer = peer_name(host, port, rtu)
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
    def peer(self) -> str:
        """The device, as messages call it."""
        return self._peer

    @property
    def is_up(self) -> bool:
        """Connected, and nothing went wrong so far."""
        return self._broken is None and self._client.connected

    async def open(self) -> None:
        """Connect. Raises NotConnected."""
        cancels_before = _cancels()
        try:
            is_connected = await self._client.connect()
        except UnicodeError as err:  # a name that nobody can be asked for
            self.fail(NotConnected(f"no connection to {self._peer}: {err}"))
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
                self.fail(self._broken)
            return
        wire = self._socket()
        if self._broken is not None or wire is None:
            # Accepted and dropped at once: the library still calls that connected.
            self.fail(self._broken or NotConnected(f"{self._peer} closed the connection"))
        try:
            address, port = wire.getpeername()[:2]
        except OSError as err:
            self.fail(NotConnected(f"{self._peer} closed the connection: {err}"))
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
            self.fail(NotConnected(why))

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        """Discrete inputs (FC2), 64 at most. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        request = ReadDiscreteInputsRequest(address=first, count=count, dev_id=self._unit)
        reply = await self._ask("FC2 (read inputs)", request, ReadDiscreteInputsResponse)
        if len(reply.bits) < count:
            self.fail(ProtocolViolation(f"{self._peer} answered FC2 with {len(reply.bits)} inputs instead of {count}"))
        return tuple(bool(bit) for bit in reply.bits[:count])

    async def read_registers(self, first: int, count: int) -> tuple[int, ...]:
        """Holding registers (FC3). Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        request = ReadHoldingRegistersRequest(address=first, count=count, dev_id=self._unit)
        reply = await self._ask("FC3 (read registers)", request, ReadHoldingRegistersResponse)
        words = tuple(reply.registers)
        if len(words) != count:
            self.fail(ProtocolViolation(f"{self._peer} answered FC3 with {len(words)} registers instead of {count}"))
        return words

    async def write_registers(self, first: int, words: tuple[int, ...]) -> None:
        """Holding registers in one request (FC16), the echo compared.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = WriteMultipleRegistersRequest(address=first, registers=list(words), dev_id=self._unit)
        reply = await self._ask("FC16 (write registers)", request, WriteMultipleRegistersResponse)
        echo, sent = (reply.address, reply.count), (first, len(words))
        if echo != sent:
            self.fail(ProtocolViolation(f"{self._peer} echoed registers {echo} (address, count) for {sent}"))

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
            self.fail(self._broken or self._silence(name))
        except ModbusException as err:
            lost = None if self._client.connected else NotConnected(f"{self._peer} is not connected: {err}")
            self.fail(self._broken or lost or self._silence(name))
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
            self.fail(
                ProtocolViolation(
                    f"{self._peer} answered {name} as transaction {reply.transaction_id}, unit {reply.dev_id}; "
                    f"asked was transaction {request.transaction_id}, unit {request.dev_id}"
                )
            )
        if isinstance(reply, ExceptionResponse):
            code = reply.exception_code
            meaning = EXCEPTION_MEANINGS.get(code, "a code that the protocol does not define")
            self.fail(CommandRefused(f"{name} by {self._peer}", f"{code:02d}", meaning))
        if type(reply) is not reply_type:
            self.fail(ProtocolViolation(f"{self._peer} answered {name} with function code {reply.function_code}"))

    def _silence(self, name: str) -> DeadlineMissed:
        unfit = f"; {self._unfit}" if self._unfit else ""
        return DeadlineMissed(f"{self._peer} did not answer {name} within {self._timeout_s:g} s{unfit}")

    def fail(self, err: DriverError) -> NoReturn:
        """End the connection at once, and raise this."""
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
