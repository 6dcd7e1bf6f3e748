"""A Modbus TCP coupler with outputs, inputs and an output watchdog that drops the outputs when writes stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import StrEnum
from typing import Literal, NamedTuple

from drivers.simulated.modbus_pdu import ModbusFault, Request, parse_request, read_bits_reply, read_words_reply
from drivers.timing import monotonic_s

__all__ = ["CoilChange", "IoFault", "SimulatedRemoteIo"]

Cause = Literal["write", "watchdog", "power", "stop"]

_HEADER = struct.Struct(">HHHB")
_PDU_MAX_BYTES = 253
_HISTORY_MAX = 1_000_000
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_WRITES = frozenset((5, 6, 15, 16))
_COIL_WRITES = frozenset((5, 15))
# Beckhoff BK9xxx: time since the last feed, watchdog time in ms, reset, type 1 any telegram / 0 writes only.
_ELAPSED, _WATCHDOG_MS, _WATCHDOG_RESET, _WATCHDOG_TYPE = 0x1020, 0x1120, 0x1121, 0x1122
_RESET_SEQUENCE = (0xBECF, 0xAFFE)


class IoFault(StrEnum):
    """How the coupler misbehaves, until told otherwise."""

    MUTE = "MUTE"
    """Requests are taken and neither carried out nor answered."""
    UNANSWERED = "UNANSWERED"
    """Requests are carried out and not answered."""
    LATE = "LATE"
    """Requests are carried out and answered only after ``late_s``."""
    REFUSE = "REFUSE"
    """The port is closed; connections are reset."""
    WRONG_ECHO = "WRONG_ECHO"
    """Writes are not carried out, and answered with another address."""
    STUCK = "STUCK"
    """Writes are answered as if done; the outputs stay as they are."""
    EXCEPTION = "EXCEPTION"
    """Every request is answered with exception 4, device failure."""
    DROP = "DROP"
    """The connection is reset at the first request."""


class CoilChange(NamedTuple):
    """An output changed. ``cause`` is write, watchdog, power or stop."""

    mono_s: float
    coil: int
    value: bool
    cause: Cause


class SimulatedRemoteIo:
    """Coils are outputs, discrete inputs are inputs; both are zero-based. Everything starts, and ends, at 0.

    The watchdog is armed by the first write and fed by writes only (Beckhoff type 0). When nothing was written for
    ``watchdog_s`` all outputs drop to 0 and stay there, *latched*: writes are answered but change nothing, until one
    sets ``pass_coil`` to 0 (or the watchdog's reset register is written). A PASS that was on its way when the agent
    hung is therefore lost, never carried out late. ``history`` holds changes only, the latest half a million at least.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        coils: int = 16,
        inputs: int = 16,
        watchdog_s: float = 0.5,
        pass_coil: int = 0,
        late_s: float = 0.5,
        latched_writes: Literal["ignored", "exception"] = "ignored",
    ) -> None:
        if not (1 <= coils <= 65536 and 1 <= inputs <= 65536 and 0 <= pass_coil < coils and watchdog_s > 0):
            raise ValueError(f"bad size: {coils} coils, {inputs} inputs, PASS on {pass_coil}, watchdog {watchdog_s} s")
        self.host = host
        self.port = port
        self.history: list[CoilChange] = []
        self.watchdog_trips = 0
        self.writes = 0
        self.watchdog_s = watchdog_s
        self.is_latched = False
        self.fault: IoFault | None = None
        self._pass_coil = pass_coil
        self._late_s = late_s
        self._latched_writes = latched_writes
        self._outputs = [False] * coils
        self._inputs = [False] * inputs
        self._is_fed_by_reads = False
        self._fed_mono_s: float | None = None
        self._reset_step = 0
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def coils(self) -> tuple[bool, ...]:
        """What the outputs are now."""
        self._expire(monotonic_s())
        return tuple(self._outputs)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._talks)

    def set_input(self, address: int, value: bool) -> None:  # noqa: FBT001 - an input has a level, not an option
        """Set the level of an input. Raises IndexError."""
        if not 0 <= address < len(self._inputs):
            raise IndexError(f"there is no input {address}; the last is {len(self._inputs) - 1}")
        self._inputs[address] = value

    # life

    async def start(self) -> None:
        """Listen. Port 0 becomes a free one and stays. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop the outputs, leave no socket and no task. Idempotent."""
        self._drop_outputs(monotonic_s(), "stop")
        await self._hang_up()

    async def power_cycle(self, off_s: float) -> None:
        """Lose power for that long: outputs 0, connections reset, watchdog unarmed, nothing latched."""
        self._drop_outputs(monotonic_s(), "power")
        await self._hang_up()
        await asyncio.sleep(off_s)
        self.is_latched = False
        await self.start()

    async def misbehave(self, fault: IoFault | None) -> None:
        """From now on do this; None for good manners again."""
        if self.fault is IoFault.REFUSE and fault is not IoFault.REFUSE:
            await self.start()
        elif fault is IoFault.REFUSE and self.fault is not IoFault.REFUSE:
            await self._hang_up(keeps_watchdog=True)
        self.fault = fault

    async def _hang_up(self, *, keeps_watchdog: bool = False) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._talks:
            _reset(writer)
        await asyncio.gather(*self._talks.values(), return_exceptions=True)
        if server is not None:
            await server.wait_closed()
        if not keeps_watchdog:
            self._fed_mono_s = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    # watchdog

    def _feed(self, now_mono_s: float) -> None:
        self._fed_mono_s = now_mono_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.watchdog_s, self._tick)

    def _set_watchdog(self, seconds: float) -> None:
        """The time counts from now on, also for one that runs."""
        self.watchdog_s = seconds
        if self._timer is not None:
            self._timer.cancel()
            self._tick()

    def _tick(self) -> None:
        self._timer = None
        now = monotonic_s()
        self._expire(now)
        if self._fed_mono_s is not None:
            wait_s = max(0.001, self._fed_mono_s + self.watchdog_s - now)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _expire(self, now_mono_s: float) -> None:
        if self._fed_mono_s is not None and now_mono_s - self._fed_mono_s >= self.watchdog_s:
            self._fed_mono_s = None
            self.is_latched = True
            self.watchdog_trips += 1
            self._drop_outputs(now_mono_s, "watchdog")

    def _drop_outputs(self, now_mono_s: float, cause: Cause) -> None:
        self._set_outputs(0, [False] * len(self._outputs), now_mono_s, cause)

    def _set_outputs(self, first: int, values: list[bool], now_mono_s: float, cause: Cause) -> None:
        for coil, value in enumerate(values, first):
            if self._outputs[coil] != value:
                self._outputs[coil] = value
                self.history.append(CoilChange(now_mono_s, coil, value, cause))
        if len(self.history) > _HISTORY_MAX:
            del self.history[: _HISTORY_MAX // 2]

    # requests

    def _carry_out(self, request: Request) -> bytes:
        now = monotonic_s()
        self._expire(now)
        if request.function in (1, 2):
            values = self._outputs if request.function == 1 else self._inputs
            _check_range(request, len(values))
            reply = read_bits_reply(request.function, values[request.first : request.first + request.count])
        elif request.function == 3:
            words = [self._read_word(address, now) for address in range(request.first, request.first + request.count)]
            reply = read_words_reply(words)
        elif request.function in _COIL_WRITES:
            _check_range(request, len(self._outputs))
            self._write_coils(request, now)
            reply = request.echo
        else:
            for at, word in enumerate(request.words):
                self._write_word(request.first + at, word)
            reply = request.echo
        self.writes += request.function in _WRITES
        if not self.is_latched and (request.function in _WRITES or (self._is_fed_by_reads and self._fed_mono_s)):
            self._feed(now)
        return reply

    def _write_coils(self, request: Request, now_mono_s: float) -> None:
        if self.is_latched:
            at = self._pass_coil - request.first
            if not 0 <= at < len(request.bits) or request.bits[at]:
                if self._latched_writes == "exception":
                    raise ModbusFault(4)
                return
            self.is_latched = False
        if self.fault is not IoFault.STUCK:
            self._set_outputs(request.first, list(request.bits), now_mono_s, "write")

    def _read_word(self, address: int, now_mono_s: float) -> int:
        if address == _WATCHDOG_MS:
            return min(65535, round(self.watchdog_s * 1000))
        if address == _WATCHDOG_TYPE:
            return int(self._is_fed_by_reads)
        if address == _ELAPSED:
            fed = self._fed_mono_s
            return 0 if fed is None else min(65535, round((now_mono_s - fed) * 1000))
        if address == _WATCHDOG_RESET:
            return 0
        raise ModbusFault(2)

    def _write_word(self, address: int, word: int) -> None:
        if address == _WATCHDOG_MS and word > 0:
            self._set_watchdog(word / 1000)
        elif address == _WATCHDOG_TYPE and word in (0, 1):
            self._is_fed_by_reads = word == 1
        elif address == _WATCHDOG_RESET:
            self._reset_step = self._reset_step + 1 if word == _RESET_SEQUENCE[self._reset_step] else 0
            if self._reset_step == len(_RESET_SEQUENCE):
                self._reset_step, self.is_latched = 0, False
        else:
            raise ModbusFault(3 if address in (_WATCHDOG_MS, _WATCHDOG_TYPE) else 2)

    # connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of a server runs in a task
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._talks[writer] = task
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away; the watchdog decides what that means for the outputs
        finally:
            del self._talks[writer]
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await self._next(reader)) is not None:
            head, request = asked
            if self.fault is IoFault.DROP:
                _reset(writer)
                return
            if self.fault is IoFault.LATE:
                await asyncio.sleep(self._late_s)
            reply = self._reply(request)
            if reply:
                writer.write(self._framed(head, reply))
                await writer.drain()

    def _reply(self, request: bytes) -> bytes:
        """The reply, b'' for none."""
        if self.fault is IoFault.MUTE:
            return b""
        if self.fault is IoFault.EXCEPTION:
            return self._error(request)
        if self.fault is IoFault.WRONG_ECHO:
            return self._wrong_echo(request)
        reply = self._answer(request)
        return b"" if self.fault is IoFault.UNANSWERED else reply

    # what the protocol makes of it: Modbus TCP

    async def _next(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
        """The next request: what stands before it, and itself. None: nothing after this can be trusted."""
        head = await reader.readexactly(_HEADER.size)
        _, protocol, length, _ = _HEADER.unpack(head)
        if protocol != 0 or not 2 <= length <= _PDU_MAX_BYTES + 1:
            return None
        return head, await reader.readexactly(length - 1)

    def _framed(self, head: bytes, reply: bytes) -> bytes:
        """An answer as it goes over the wire."""
        transaction, _, _, unit = _HEADER.unpack(head)
        return _HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply

    def _answer(self, request: bytes) -> bytes:
        """Do what is asked, and what is said then."""
        try:
            return self._carry_out(parse_request(request))
        except ModbusFault as err:
            return bytes((request[0] | 0x80, err.code))

    def _error(self, request: bytes) -> bytes:
        """A device failure."""
        return bytes((request[0] | 0x80, 4))

    def _wrong_echo(self, request: bytes) -> bytes:
        """A write is answered as if it had been another one, and not carried out."""
        try:
            parsed = parse_request(request)
        except ModbusFault as err:
            return bytes((request[0] | 0x80, err.code))
        return parsed.wrong_echo if parsed.function in _WRITES else self._answer(request)


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def _check_range(request: Request, size: int) -> None:
    if request.first + request.count > size:
        raise ModbusFault(2)
