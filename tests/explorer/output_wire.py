"""The wire to one Modbus device as choices: what becomes of a request, of its answer, of a connection.

It takes the place of the Modbus library's client, so what runs above it is the real connection, output and state
machine. One request is under way at a time; a request of a connection that was given up may be carried out late.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymodbus.pdu import ModbusPDU

    from tests.explorer.output_device import Device
    from tests.explorer.output_loop import SteppedLoop
    from tests.explorer.output_promises import Promises

__all__ = ["TIMEOUT_TICKS", "Late", "Request", "Wire"]

TIMEOUT_TICKS = 2
_DEVICE_FAILURE = 4


class Late(Enum):
    """Until when a device may carry out a request of a connection that was given up."""

    NEVER = "never: the reset throws it away"
    UNTIL_READ = "until it carried out a read of a newer connection"
    ALWAYS = "at any time"


@dataclass(slots=True)
class Request:
    """One request. ``part``: whose PASS it is, None for anything else."""

    pdu: ModbusPDU
    connection: int
    part: int | None
    is_write: bool
    sent_tick: int
    answer: asyncio.Future[Any]
    is_carried_out: bool = False
    is_lost: bool = False
    """It has no answer, or its answer is lost."""
    reply: ModbusPDU | None = None
    """Set while the answer is under way."""

    def __str__(self) -> str:
        if not self.is_write:
            return "read"
        return "write REJECT" if self.part is None else f"write PASS of part {self.part}"


@dataclass(slots=True)
class Dial:
    """A connection that was asked for."""

    since_tick: int
    answer: asyncio.Future[bool]


@dataclass(slots=True)
class Wire:
    """Every connection to the device. ``faults_left``, ``late_left`` and ``slow_left`` are what may still go wrong."""

    loop: SteppedLoop
    device: Device
    promises: Promises
    late: Late
    faults_left: int
    late_left: int
    slow_left: int
    client: Client | None = None
    connections: int = 0
    request: Request | None = None
    dial: Dial | None = None
    stranded: list[Request] = field(default_factory=list)
    """Requests of connections that were given up, which the device may still carry out."""
    pass_of: int | None = None
    """The part whose PASS was sent last: a refresh says it again."""

    def client_for(self, *_: object, **options: Any) -> Client:
        """What the connection takes for the library's client."""
        return Client(self, options["timeout"], options["trace_connect"])

    # choices

    def choices(self) -> dict[str, Callable[[], None]]:
        """What may happen on the wire now, in words."""
        found: dict[str, Callable[[], None]] = {}
        if self.dial is not None:
            found["the device accepts the connection"] = self._accept
            if self.faults_left:
                found["the device refuses the connection"] = self._refuse_dial
        elif self.request is not None:
            found |= self._choices_for(self.request)
        elif self.client is not None and self.client.connected and self.faults_left:
            found["the connection breaks"] = self._break
        if self.late_left:
            for number in dict.fromkeys(stranded.connection for stranded in self.stranded):
                first = next(stranded for stranded in self.stranded if stranded.connection == number)
                found[f"the device carries out late: {first}"] = lambda first=first: self._carry_out_late(first)
        return found

    def _choices_for(self, request: Request) -> dict[str, Callable[[], None]]:
        if request.reply is not None:
            return {f"the answer comes: {request}": lambda: self._deliver(request)}
        if request.is_lost:
            return {}
        found: dict[str, Callable[[], None]] = {f"the device does: {request}": lambda: self._answer(request)}
        if self.slow_left:
            found[f"the device does, and will answer later: {request}"] = lambda: self._answer_later(request)
        if self.faults_left:
            found |= {
                f"the device does not: {request}": lambda: self._lose(request),
                f"the device does, and its answer is lost: {request}": lambda: self._lose_answer(request),
                f"the device does, and answers wrongly: {request}": lambda: self._answer_wrongly(request),
                f"the device refuses: {request}": lambda: self._refuse(request),
                f"the connection breaks before the device does: {request}": self._break,
            }
            if request.is_write:
                found[f"the device says yes and does not: {request}"] = lambda: self._pretend(request)
        return found

    def may_tick(self) -> bool:
        """Whether time may go by: what is under way takes an instant, unless it is slow or lost."""
        since = self._waiting_since
        if since is None or self._is_hopeless:
            return True
        return self.slow_left > 0 and self.loop.ticks + 1 < since + TIMEOUT_TICKS

    def tick(self) -> None:
        """Time is about to go by."""
        if self.is_waited_for and not self._is_hopeless:
            self.slow_left -= 1

    @property
    def is_waited_for(self) -> bool:
        """Whether something is under way."""
        return self._waiting_since is not None

    @property
    def _waiting_since(self) -> int | None:
        if self.dial is not None:
            return self.dial.since_tick
        return None if self.request is None else self.request.sent_tick

    @property
    def _is_hopeless(self) -> bool:
        """No answer will ever come."""
        return self.request is not None and self.request.is_lost

    # what the client does

    def ask(self, client: Client, pdu: ModbusPDU) -> asyncio.Future[Any]:
        """A request leaves."""
        assert self.request is None, "two requests at once on one connection"
        is_write = isinstance(pdu, WriteMultipleCoilsRequest | WriteMultipleRegistersRequest)
        part = self._part_of(pdu) if is_write and self.device.is_pass(pdu) else None
        self.request = Request(pdu, client.number, part, is_write, self.loop.ticks, self.loop.create_future())
        if part is not None:
            self.promises.pass_is_sent(part)
        elif is_write:
            self.promises.reject_is_sent()
        return self.request.answer

    def _part_of(self, pdu: ModbusPDU) -> int:
        """Whose PASS this is: the part that is being published; what a refresh repeats is the one before."""
        task = asyncio.current_task()
        words = [] if task is None else task.get_name().split()
        if words[:1] == ["publish"]:
            self.pass_of = int(words[1])
        assert self.pass_of is not None, "PASS was sent, and nobody published one"
        return self.pass_of

    def give_up(self, client: Client) -> None:
        """The agent resets or closes a connection: what was not carried out by then is stranded."""
        if self.client is client:
            self.client = None
        request = self.request
        if request is not None and request.connection == client.number:
            self.request = None
            if not request.is_carried_out and request.is_write and self.late is not Late.NEVER:
                self.stranded.append(request)

    # what the device does

    def _accept(self) -> None:
        dial, self.dial = self.dial, None
        assert dial is not None
        dial.answer.set_result(True)

    def _refuse_dial(self) -> None:
        dial, self.dial = self.dial, None
        assert dial is not None
        self.faults_left -= 1
        dial.answer.set_result(False)

    def _carry_out(self, request: Request) -> ModbusPDU:
        request.is_carried_out = True
        if not request.is_write and self.late is Late.UNTIL_READ:
            self.stranded = [late for late in self.stranded if late.connection >= request.connection]
        reply = _reply(request.pdu, self.device)
        if request.is_write:
            self.device.carry_out(request.pdu, request.part)
            self.promises.device_wrote(request.part)
        return reply

    def _answer(self, request: Request) -> None:
        request.reply = self._carry_out(request)
        self._deliver(request)

    def _deliver(self, request: Request) -> None:
        self.request = None
        request.answer.set_result(request.reply)

    def _answer_later(self, request: Request) -> None:
        self.slow_left -= 1
        request.reply = self._carry_out(request)

    def _lose(self, request: Request) -> None:
        self.faults_left -= 1
        request.is_lost = True

    def _lose_answer(self, request: Request) -> None:
        self._lose(request)
        self._carry_out(request)

    def _answer_wrongly(self, request: Request) -> None:
        self.faults_left -= 1
        request.reply = self._carry_out(request)
        request.reply.dev_id += 1
        self._deliver(request)

    def _refuse(self, request: Request) -> None:
        self.faults_left -= 1
        request.is_carried_out = True
        request.reply = ExceptionResponse(request.pdu.function_code, _DEVICE_FAILURE, device_id=request.pdu.dev_id)
        self._deliver(request)

    def _pretend(self, request: Request) -> None:
        self.faults_left -= 1
        request.is_carried_out = True
        request.reply = _reply(request.pdu, self.device)
        self._deliver(request)

    def _break(self) -> None:
        self.faults_left -= 1
        assert self.client is not None
        self.client.connected = False
        self.client.say_connected(False)

    def _carry_out_late(self, request: Request) -> None:
        self.late_left -= 1
        self.stranded.remove(request)
        self.device.carry_out(request.pdu, request.part)
        self.promises.device_wrote(request.part, is_late=True)


class Client:
    """As much of the Modbus library's client as the connection uses."""

    def __init__(self, wire: Wire, timeout_s: float, say_connected: Callable[[bool], None]) -> None:
        wire.connections += 1
        self.number = wire.connections
        self.connected = False
        self.say_connected = say_connected
        self._wire = wire
        self._timeout_s = timeout_s
        self._is_given_up = False
        self.ctx = SimpleNamespace(transport=None)

    async def connect(self) -> bool:
        self._wire.dial = dial = Dial(self._wire.loop.ticks, self._wire.loop.create_future())
        try:
            async with asyncio.timeout(self._timeout_s):
                self.connected = await dial.answer
        except TimeoutError:
            return False
        finally:
            self._wire.dial = None
        if self.connected:
            self._wire.client = self
            self.ctx.transport = _Transport()
        return self.connected

    async def execute(self, _no_response: bool, request: ModbusPDU) -> Any:  # noqa: FBT001 - the library's signature
        return await self._wire.ask(self, request)

    def close(self) -> None:
        self.connected = False
        self._wire.give_up(self)


class _Transport:
    """A socket that takes every option. What a reset throws away is told by ``Late``."""

    def get_extra_info(self, _name: str) -> _Transport:
        return self

    def setsockopt(self, *_: object) -> None: ...

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.1", 502)

    def fileno(self) -> int:
        return 1

    def abort(self) -> None: ...


def _reply(pdu: ModbusPDU, device: Device) -> ModbusPDU:
    """The honest answer, from what stands at the device before the request changes it."""
    common: dict[str, Any] = {"dev_id": pdu.dev_id, "address": pdu.address}
    if isinstance(pdu, WriteMultipleCoilsRequest):
        return WriteMultipleCoilsResponse(**common, count=len(pdu.bits))
    if isinstance(pdu, WriteMultipleRegistersRequest):
        return WriteMultipleRegistersResponse(**common, count=len(pdu.registers))
    words = device.read(pdu.address, pdu.count)
    if isinstance(pdu, ReadCoilsRequest):
        return ReadCoilsResponse(**common, bits=[bool(word) for word in words])
    return ReadHoldingRegistersResponse(**common, registers=list(words))
