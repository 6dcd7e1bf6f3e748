"""What tells one state of a run from another, as a value: two runs with equal values have the same future.

A coroutine cannot be copied, but it can be looked at: where it waits, and what it has in its local names. Times count
from now, in ticks; the heartbeat counts from the agent's own. Too much in the value costs time, too little would hide
a future: ``output_search`` goes on from a share of the states that it takes for equal, to see whether they are.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import math
from enum import Enum
from types import MethodType
from typing import TYPE_CHECKING, Any

from pymodbus.pdu import ModbusPDU

from drivers.modbus.connection import ModbusConnection
from drivers.output.block import BLOCK_WORDS, BlockState, PlcWords
from drivers.output.coils import CoilState
from drivers.timing import Backoff, Deadline
from tests.explorer.output_loop import TICK_S
from tests.explorer.output_promises import PartHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explorer.output_line import Line
    from tests.explorer.output_loop import Call
    from tests.explorer.output_wire import Request

__all__ = ["state_of"]

_FOR_THE_LOG_ALONE = {"_outage", "untaken", "_is_ack_owed", "_beats"}
_LONG_AGO = -10


def state_of(line: Line) -> tuple[Any, ...]:
    """The value. Its ``repr`` names it."""
    look = _Look(line)
    wire = line.wire
    under_way = {request.part for request in (wire.request, *wire.stranded) if request is not None}
    return (
        look.attributes(line.output),
        look.link(line.output._link),
        tuple(look.task(task) for task in line.loop.tasks if not task.done()),
        tuple(look.at(published) for published in line.unawaited),
        tuple(look.owner(waiter) for waiter in line.output._lock._waiters or ()),
        tuple(sorted(look.timer(call) for call in line.loop.timers if not call.is_cancelled)),
        tuple(look.call(call) for call in line.loop.ready if not call.is_cancelled),
        look.request(wire.request),
        None if wire.dial is None else look.ticks_ago(wire.dial.since_tick),
        tuple(look.request(request) for request in wire.stranded),
        (
            wire.faults_left,
            wire.late_left,
            wire.slow_left,
            wire.pass_of,
            wire.client is not None and wire.client.connected,
        ),
        line.device.state(look.beats),
        line.promises.state(under_way),
        (line.is_ready, line.is_permitted, line.begun, line.since_first_sign, line.returned, line.counted),
        (tuple(sorted(line.verdicts)), tuple(sorted(line.missed)), tuple(line.left.items())),
        tuple(sorted(part for part, task in line.publishing.items() if not task.done())),
        (line.run.done(), line.run.cancelling()),
    )


class _Look:
    """One look at a run."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._now_s = line.loop.time()
        self._names = {id(task): task.get_name() for task in line.loop.tasks}
        self._waits_for = {id(task._fut_waiter): task.get_name() for task in line.loop.tasks if not task.done()}  # type: ignore[attr-defined]
        self._shown: dict[type, Callable[[Any], Any]] = {
            Deadline: self._deadline,
            CoilState: self._coils,
            BlockState: self._registers,
            ModbusConnection: self.link,
            ModbusPDU: self._pdu,
            Backoff: self._backoff,
            asyncio.Timeout: self._timeout,
            PartHistory: self._history,
        }
        self.beats = int(getattr(line.output, "_beats", line.output._heartbeat))

    def ticks_ago(self, tick: int) -> int:
        return min(self._line.loop.ticks - tick, -_LONG_AGO)

    def _ticks_until(self, when_s: float) -> int:
        return max(math.ceil((when_s - self._now_s) / TICK_S), _LONG_AGO)

    def attributes(self, thing: Any) -> tuple[Any, ...]:
        """The plain values that an output keeps."""
        return tuple(
            (name, self.value(name, value))
            for name, value in vars(thing).items()
            if name not in _FOR_THE_LOG_ALONE and not isinstance(value, asyncio.Lock | asyncio.Event | ModbusConnection)
        )

    def value(self, name: str, value: Any) -> Any:
        """A value without anything that depends on when it is looked at, or on which object it is."""
        if isinstance(value, bool | int | str | Enum | None):
            return value
        if isinstance(value, float):
            return self._ticks_until(value) if name.endswith("_mono_s") else round(value / TICK_S, 3)
        if isinstance(value, tuple | list):
            known = tuple(value)
            return self._plc(value) if isinstance(value, PlcWords) else self._words(name, known)
        for kind, show in self._shown.items():
            if isinstance(value, kind):
                return show(value)
        if dataclasses.is_dataclass(value) and type(value).__module__.startswith("drivers"):
            return tuple(self.value(field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return type(value).__name__

    def _words(self, name: str, known: tuple[Any, ...]) -> Any:
        return self._block(known) if name == "words" else tuple(self.value("", one) for one in known)

    def _plc(self, plc: PlcWords) -> tuple[int, ...]:
        is_old = min((self._line.loop.ticks - plc.heartbeat) & 0xFFFF, 1)
        return (plc.trigger_seq, plc.ack_seq, is_old, plc.program, plc.reject_confirm)

    def _coils(self, state: CoilState) -> tuple[bool, ...]:
        return (state.is_pass, state.is_ready, state.heartbeat ^ bool(self.beats & 1))

    def _registers(self, state: BlockState) -> tuple[Any, ...]:
        return (state.seq, state.verdict, state.status, state.reason, (state.heartbeat - self.beats) & 0xFFFF)

    def _deadline(self, by: Deadline) -> int:
        return self._ticks_until(by.at_mono_s)

    def _backoff(self, backoff: Backoff) -> float:
        return round(backoff._next_s / TICK_S, 3)

    def _timeout(self, timeout: asyncio.Timeout) -> tuple[Any, ...]:
        when_s = timeout.when()
        return (timeout._state, None if when_s is None else self._ticks_until(when_s))

    def _history(self, history: PartHistory) -> int:
        return next(part for part, kept in self._line.promises.parts.items() if kept is history)

    def link(self, link: Any) -> Any:
        """A connection: whether it is up, what broke it, and how many are newer."""
        if link is None:
            return None
        broken = type(link._broken).__name__
        return (link.is_up, broken, self._line.wire.connections - link._client.number)

    def _pdu(self, pdu: ModbusPDU) -> Any:
        words = self._block(pdu.registers)
        bits = list(pdu.bits)
        if len(bits) == 4:
            bits[3] ^= bool(self.beats & 1)
        return (type(pdu).__name__, pdu.dev_id, pdu.address, words, tuple(bits))

    def _block(self, words: Any) -> tuple[int, ...]:
        """The check says nothing that the words do not; the heartbeat counts from the agent's own."""
        return (*words[:6], (words[7] - self.beats) & 0xFFFF) if len(words) == BLOCK_WORDS else tuple(words)

    def request(self, request: Request | None) -> Any:
        if request is None:
            return None
        newer = self._line.wire.connections - request.connection
        answered = None if request.reply is None else type(request.reply).__name__
        became = (request.is_carried_out, request.is_lost, answered)
        return (self._pdu(request.pdu), newer, request.part, self.ticks_ago(request.sent_tick), became)

    def task(self, task: asyncio.Task[Any]) -> tuple[Any, ...]:
        """Where a task waits."""
        told = self._told(task._fut_waiter)  # type: ignore[attr-defined]
        return (task.get_name(), task.cancelling(), told, *self.at(task.get_coro()))

    def _told(self, waiter: Any) -> Any:
        """What a task is told at its next turn; between any two steps it may not know it yet."""
        if waiter is None or not waiter.done() or waiter.cancelled():
            return None if waiter is None else waiter._state
        return repr(waiter.exception() or self.value("", waiter.result()))

    def at(self, coro: Any) -> tuple[Any, ...]:
        """Every coroutine from this one inwards: the line it is at, and what it knows there."""
        found: list[Any] = []
        while inspect.iscoroutine(coro) and coro.cr_frame is not None:
            frame = coro.cr_frame
            known = tuple((name, self.value(name, value)) for name, value in frame.f_locals.items() if name != "self")
            found.append((frame.f_code.co_qualname, frame.f_lasti, known))
            coro = coro.cr_await
        return tuple(found)

    def owner(self, future: Any) -> str:
        """Which task waits for this future."""
        return self._waits_for.get(id(future), "nobody") + ("!" if future.done() else "")

    def timer(self, call: Call) -> tuple[Any, ...]:
        return (self._ticks_until(call.when_s), *self.call(call))

    def call(self, call: Call) -> tuple[str, ...]:
        """What is going to be called, and for which task."""
        owners = [self._names[id(seen)] for seen in gc.get_referents(call.callback) if id(seen) in self._names]
        owners += [
            self.owner(arg) for arg in call.args if isinstance(arg, asyncio.Future) and id(arg) in self._waits_for
        ]
        owner = call.callback.__self__ if isinstance(call.callback, MethodType) else None
        if isinstance(owner, asyncio.Timeout):
            task = owner._task
            owners.append("" if task is None else task.get_name())
        return (getattr(call.callback, "__qualname__", type(call.callback).__name__), *owners)
