"""One run of the real output in the explorer's world: what its caller may do, what the wire may do, and time.

``choices`` says in words what may come next, ``take`` does it. The same words in the same order give the same run.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from drivers import timing
from drivers.base import Verdict
from drivers.modbus import connection
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.register_output import RegisterOutput
from drivers.output import block_output, device_output, outage
from drivers.timing import Deadline
from tests.explorer.output_device import CoilDevice, PlcDevice
from tests.explorer.output_loop import TICK_S, SteppedLoop
from tests.explorer.output_promises import HOLD_TICKS, REFRESH_TICKS, Promises, Violation
from tests.explorer.output_wire import TIMEOUT_TICKS, Late, Wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator

    from drivers.base import Published

__all__ = ["COILS", "GO_ON", "REGISTERS", "TIME", "Budget", "Line", "explorable"]

TIME = "time goes by"
GO_ON = "(one call more)"
COILS: type[Any] = CoilOutput
REGISTERS: type[Any] = RegisterOutput
_SPACED_TICKS = 2
"""From a part's first sign to the next part at the gate, at least; above the 100 ms within which a part is named."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may happen in one run, and what is taken for granted about the device and the caller."""

    output: type[Any] = COILS
    parts: int = 2
    faults: int = 1
    slow: int = 0
    """Answers that take a tick longer than they might."""
    deadline: int = 1
    """Ticks from asking for a publication to its deadline."""
    late_writes: int = 0
    late: Late = Late.NEVER
    withdrawals: int = 0
    ready_falls: int = 0
    permissions: int = 0
    """Ends of what a PASS rests on (``may_pass``): a bypass is over, a dry run has begun."""
    stops: int = 0
    cancels: int = 0
    miscounts: int = 0
    """Parts that the agent does not see, and counts of the PLC without a part."""
    restarts: int = 0
    """Starts of the PLC's program: its numbers begin anew."""
    is_fine: bool = False
    """The caller's calls come between any two steps of the agent, not only while all of it waits."""
    is_newest_only: bool = True
    """A verdict is published only for the part that began last."""
    is_spaced: bool = True
    """The next part comes to the PLC's gate no earlier than two ticks after the first sign of the one before."""
    is_counted_first: bool = True
    """The PLC has counted a part before the agent has its first sign."""


@dataclass(slots=True)
class _Now:
    """The run that goes on now: the output's modules ask it for the time and for connections."""

    line: Line | None = None

    def monotonic_s(self) -> float:
        assert self.line is not None
        return self.line.loop.time()

    def client(self, *args: object, **options: Any) -> Any:
        assert self.line is not None
        return self.line.wire.client_for(*args, **options)

    def say(self, event: str, **_: object) -> None:
        if self.line is not None and event == "output_left_unproven":
            self.line.is_left_unproven = True


_now = _Now()


@contextmanager
def explorable() -> Iterator[None]:
    """As long as this lasts, outputs live in the explorer's time and on its wire."""
    log = SimpleNamespace(debug=_now.say, info=_now.say, warning=_now.say)
    with pytest.MonkeyPatch.context() as patch:
        for module in (timing, device_output, block_output, outage):
            patch.setattr(module, "monotonic_s", _now.monotonic_s)
        for talking in (device_output, block_output, outage):
            patch.setattr(talking, "_log", log)
        patch.setattr(connection, "AsyncModbusTcpClient", _now.client)
        patch.setattr(timing, "random", SimpleNamespace(uniform=lambda _low, high: high))
        yield


class Line:
    """One run, from an output that is up and confirmed."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.loop = SteppedLoop()
        self.device = PlcDevice(self.loop) if issubclass(budget.output, RegisterOutput) else CoilDevice(self.loop)
        self.promises = Promises(self.loop, self.device)
        self.wire = Wire(
            self.loop, self.device, self.promises, budget.late, budget.faults, budget.late_writes, budget.slow
        )
        self.is_ready = True
        self.is_permitted = True
        self.begun = 0
        self.begun_tick = 0
        self.returned = 0
        """The newest part whose ``begin_part`` has returned."""
        self.verdicts: set[int] = set()
        self.counted = 0
        self.missed: set[int] = set()
        self.left = {
            name: getattr(budget, name)
            for name in ("withdrawals", "ready_falls", "permissions", "stops", "cancels", "miscounts", "restarts")
        }
        self.publishing: dict[int, asyncio.Task[None]] = {}
        self.unawaited: list[Coroutine[Any, Any, Published]] = []
        """Publications that were asked for, and whose task had no turn yet."""
        self.is_left_unproven = False
        _now.line = self
        with self.loop.current():
            self._start()

    def _start(self) -> None:
        options: dict[str, float] = {
            "pass_hold_s": HOLD_TICKS * TICK_S,
            "refresh_s": REFRESH_TICKS * TICK_S,
            "write_timeout_s": TIMEOUT_TICKS * TICK_S,
        }
        self.output = self.budget.output("explored", 502, **options)
        self.promises.is_connected = lambda: self._is_connected
        self.run = self.loop.create_task(self.output.run(lambda: self.is_ready), name="run")
        self.run.add_done_callback(self._has_ended)
        self._answer_all()
        while not self.output.is_confirmed:  # a PLC's heartbeat has to be seen changing first
            self._tick()
            self._answer_all()

    @property
    def _is_connected(self) -> bool:
        return bool(device_output.DeviceOutput.is_confirmed.fget(self.output))  # type: ignore[attr-defined]

    def _answer_all(self) -> None:
        """All goes well, at once: of the wire's choices that is the first."""
        self.loop.settle()
        while self.wire.is_waited_for:
            next(iter(self.wire.choices().values()))()
            self.loop.settle()

    # choices

    def choices(self) -> list[str]:
        """What may come next, in words."""
        return list(self._open_choices())

    def take(self, choice: str) -> None:
        """Let it come. Raises Violation."""
        _now.line = self
        with self.loop.current():
            self._open_choices()[choice]()
            if not self.budget.is_fine:
                self.loop.settle()
            self.promises.look()
            if self.loop.complaints:
                raise Violation(f"the event loop complains: {self.loop.complaints[0]}")
            if self.promises.broken:
                raise Violation(self.promises.broken)

    def throw_away(self) -> None:
        """Nobody goes on from here."""
        _now.line = self
        with self.loop.current():
            self.loop.throw_away()
        for coro in self.unawaited:
            coro.close()

    def _open_choices(self) -> dict[str, Callable[[], None]]:
        if self.loop.ready:
            return {GO_ON: self.loop.make_one_call} | self._callers_choices()
        found = self.wire.choices() | self._callers_choices()
        if isinstance(self.device, PlcDevice):
            found |= self._plc_choices(self.device)
        if self.wire.may_tick():
            found[TIME] = self._tick
        return found

    def _tick(self) -> None:
        self.wire.tick()
        is_disturbed = (self.wire.faults_left, self.wire.slow_left) != (self.budget.faults, self.budget.slow)
        self.promises.before_tick(is_disturbed=is_disturbed)
        self.loop.tick()
        self.device.tick()

    # the caller: what the engine does with an output, in any order that it may come in

    def _callers_choices(self) -> dict[str, Callable[[], None]]:
        found = self._choices_of_parts()
        for part, task in self.publishing.items():
            if self.left["cancels"] and not task.done():
                found[f"who publishes part {part} is cancelled"] = lambda task=task: self._cancel(task)
        if self.left["withdrawals"]:
            found["withdraw is called"] = self._withdraw
        if not self.is_ready:
            found["the line is ready again"] = self._rises
        elif self.left["ready_falls"]:
            found["the line is not ready"] = self._falls
        if self.left["permissions"]:
            found["what a PASS rests on is over"] = self._forbid
        if self.left["stops"]:
            found["run is cancelled"] = self._stop
        return found

    def _choices_of_parts(self) -> dict[str, Callable[[], None]]:
        found: dict[str, Callable[[], None]] = {}
        following = self.begun + 1
        while following in self.missed:
            following += 1
        if following <= self.budget.parts and self._may_begin(following):
            found[f"part {following} begins"] = lambda: self._begin(following)
        first = self.begun if self.budget.is_newest_only else 1
        for part in range(max(first, 1), self.returned + 1):
            if part not in self.verdicts and part not in self.missed:
                found[f"PASS of part {part} is published"] = lambda part=part: self._publish(part, Verdict.PASS)
                found[f"REJECT of part {part} is published"] = lambda part=part: self._publish(part, Verdict.REJECT)
        return found

    def _may_begin(self, part: int) -> bool:
        if not isinstance(self.device, PlcDevice):
            return True
        return self.counted >= (part if self.budget.is_counted_first else part - 1)

    def _begin(self, part: int) -> None:
        self.begun, self.begun_tick = part, self.loop.ticks
        first_sign_mono_s = self.loop.time()

        async def begin() -> None:
            ended = self.promises.begins(part)
            await self.output.begin_part(part, first_sign_mono_s)
            self.promises.withdrawn(ended)
            self.returned = max(self.returned, part)

        self.loop.create_task(self._watched(begin), name=f"begin {part}")

    def _publish(self, part: int, verdict: Verdict) -> None:
        self.verdicts.add(part)
        self.promises.publishes(part, verdict, self.loop.ticks + self.budget.deadline)
        by = Deadline(self.loop.time() + self.budget.deadline * TICK_S)
        published = self.output.publish(part, verdict, by, may_pass=lambda: self.is_permitted)
        self.unawaited.append(published)

        async def publish() -> None:
            self.unawaited.remove(published)
            self.promises.is_told(part, verdict, await published)

        self.publishing[part] = self.loop.create_task(self._watched(publish), name=f"publish {part}")

    def _withdraw(self) -> None:
        self.left["withdrawals"] -= 1

        async def withdraw() -> None:
            ended = self.promises.withdrawing()
            await self.output.withdraw()
            self.promises.withdrawn(ended)

        self.loop.create_task(self._watched(withdraw), name="withdraw")

    async def _watched(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """No call of an output may raise for a peer's fault."""
        try:
            await call()
        except Exception as err:  # noqa: BLE001 - whatever it is, it is told
            self.promises.broken = self.promises.broken or f"a call raised {err!r}"

    def _falls(self) -> None:
        self.left["ready_falls"] -= 1
        self.is_ready = False
        self.promises.unready_since = self.loop.ticks

    def _rises(self) -> None:
        self.is_ready = True
        self.promises.unready_since = None

    def _forbid(self) -> None:
        self.left["permissions"] -= 1
        self.is_permitted = self.promises.is_permitted = False

    def _cancel(self, task: asyncio.Task[None]) -> None:
        self.left["cancels"] -= 1
        task.cancel()

    def _stop(self) -> None:
        self.left["stops"] -= 1
        self.run.cancel()

    def _has_ended(self, run: asyncio.Task[None]) -> None:
        if run.cancelled():
            self.promises.ended(is_unproven=self.is_left_unproven)
        else:
            self.promises.broken = self.promises.broken or f"run ended with {run.exception()!r}"

    # the line before the PLC

    @property
    def since_first_sign(self) -> int:
        """Ticks, as far as they count for the next part."""
        return min(self.loop.ticks - self.begun_tick, _SPACED_TICKS)

    def _plc_choices(self, plc: PlcDevice) -> dict[str, Callable[[], None]]:
        found: dict[str, Callable[[], None]] = {}
        part = self.counted + 1
        is_seen = self.counted <= self.begun or self.counted in self.missed
        is_spaced = self.since_first_sign >= _SPACED_TICKS or self.begun < self.counted
        if part <= self.budget.parts and (not self.budget.is_spaced or (is_seen and is_spaced)):
            found[f"part {part} is at the gate, and counted"] = lambda: self._count(plc, part)
        if self.left["miscounts"]:
            found["the PLC counts a part that is none"] = lambda: self._miscount(plc)
            if self.begun < self.counted and self.counted not in self.missed:
                found[f"the agent does not see part {self.counted}"] = self._miss
        if self.left["restarts"]:
            found["the PLC's program starts anew"] = lambda: self._restart(plc)
        return found

    def _count(self, plc: PlcDevice, part: int) -> None:
        self.counted = part
        plc.counts(part)

    def _miscount(self, plc: PlcDevice) -> None:
        self.left["miscounts"] -= 1
        plc.counts(None)

    def _miss(self) -> None:
        self.left["miscounts"] -= 1
        self.missed.add(self.counted)

    def _restart(self, plc: PlcDevice) -> None:
        self.left["restarts"] -= 1
        plc.counts_anew()
