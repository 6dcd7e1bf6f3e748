"""A walk over the output for the person at the gate: each signal alone, then what a gate must not open for.

Energises PASS on purpose and without a part. Whoever calls it keeps the agent out for that time, and has written down
who asked for it. Whatever happens, the last thing written is REJECT.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from drivers.base import DriverError
from drivers.output.block import BlockState, BlockWire, PlcWords
from drivers.output.coils import CoilState, CoilWire, as_wired
from drivers.output.walk_steps import Levels, Step, coil_steps, register_steps, unlike
from drivers.timing import Deadline, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output.wire import NewWire

__all__ = ["BlockWalker", "Fall", "LevelWalker", "Step", "StepDone", "Walk", "Walker"]

_REFRESH_MOST_S = 0.1
# The fall of PASS is measured to this, a fiftieth of a usual watchdog.
_READ_EVERY_S = 0.01
_WAIT_TIMES = 4
"""So much longer than it may stand a PASS that does not fall is watched, before REJECT is written."""
_GRACE_S = 1.0
"""A slow device takes its last steps in this time behind the limit."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """How a step went. Every write was read back unless ``problem`` says otherwise."""

    name: str
    expect: str
    writes: int = 0
    slowest_ms: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """The whole walk. ``is_at_rest``: REJECT was written last and read back."""

    steps: tuple[StepDone, ...]
    problem: str
    is_at_rest: bool

    @property
    def is_good(self) -> bool:
        """Every step was read back, a PLC took what it had to and nothing else, and REJECT stands."""
        return not self.problem and self.is_at_rest and not any(step.problem for step in self.steps)


@dataclass(frozen=True, slots=True)
class Fall:
    """What became of a PASS that nobody renewed: read as off ``after_ms`` behind the begin of the last write.

    ``problem`` is empty if it fell by itself in time; ``is_at_rest``: PASS was read as off at the very end.
    """

    after_ms: float
    problem: str
    is_at_rest: bool


W = TypeVar("W", CoilWire, BlockWire)


@dataclass(slots=True)
class Walker(ABC, Generic[W]):
    """Walks one output over connections of its own.

    ``tell(number, total, step)`` is called when a step begins. Setting ``stop`` ends the walk at once, with REJECT.
    """

    new_wire: NewWire[W]
    write_timeout_s: float
    refresh_s: float
    tell: Callable[[int, int, Step], None] = lambda _number, _total, _step: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @abstractmethod
    def plan(self) -> tuple[Step, ...]:
        """The steps, without asking the device: of part 1 where a PLC gives the number."""

    @abstractmethod
    async def _prepared(self, link: W) -> tuple[Step, ...]:
        """The steps for the device as it stands now, on a new connection. Raises DriverError."""

    @abstractmethod
    async def _leave(self, link: W) -> None:
        """Write the resting state, and read it back. Raises DriverError."""

    async def _look(self, link: W, seen: list[PlcWords]) -> None:
        """What the device gives back, after each write of a step. Raises DriverError."""

    async def walk(self, seconds: float) -> Walk:
        """Take every step an equal share of ``seconds``, a second more at most. Raises NotConnected if nobody is there.

        What goes wrong on the way ends the walk and is told in it; then REJECT is written on a new connection.
        """
        limit = Deadline.after(seconds)
        done: list[StepDone] = []
        problem, link = "", self._link()
        is_at_rest = False
        try:
            await link.open()
            try:
                steps = await self._prepared(link)
                for number, step in enumerate(steps, 1):
                    if self.stop.is_set() or monotonic_s() >= limit.at_mono_s + _GRACE_S:
                        break
                    self.tell(number, len(steps), step)
                    share = Deadline.after(limit.left_s() / (len(steps) - number + 1))
                    done.append(await self._take(link, step, share))
                if len(done) < len(steps):
                    problem = (
                        "stopped by a person" if self.stop.is_set() else f"the time limit of {seconds:g} s is over"
                    )
            except DriverError as err:
                problem = str(err)
            finally:
                is_at_rest = await self._leave_reject(link)
        finally:
            link.close()
        return Walk(tuple(done), problem, is_at_rest)

    def _link(self) -> W:
        return self.new_wire(on_lost=_ignore)

    async def _take(self, link: W, step: Step, share: Deadline) -> StepDone:
        writes, slowest_s = 0, 0.0
        seen: list[PlcWords] = []
        while True:
            begin_mono_s = monotonic_s()
            state = step.state(writes)
            await link.write_proven(state)
            slowest_s = max(slowest_s, monotonic_s() - begin_mono_s)
            writes += 1
            await self._look(link, seen)
            if share.has_passed or self.stop.is_set():
                break
            try:
                # 0.1 s at most, as the agent's own refresh is by default (docs/decisions/0030).
                async with asyncio.timeout(min(self.refresh_s, _REFRESH_MOST_S, share.left_s())):
                    await self.stop.wait()
            except TimeoutError:
                continue
        problem = "" if self.stop.is_set() else unlike(step, seen, state)
        return StepDone(step.name, step.expect, writes, round(slowest_s * 1000, 1), problem)

    async def _leave_reject(self, link: W) -> bool:
        """REJECT on the connection there is, else on a new one, tried twice. Whether it was read back."""
        # The first time on the connection of the walk, which may be the one that has just failed.
        for at in range(3):
            try:
                if at:
                    link = self._link()
                    await link.open()
                await self._leave(link)
            except DriverError:
                continue  # the caller says that it could not be proven
            finally:
                if at:
                    link.close()
            return True
        return False


def _ignore() -> None:
    """Nobody waits for this connection but the request in flight."""


@dataclass(slots=True)
class BlockWalker(Walker[BlockWire]):
    """Walks the block of words of a PLC, of the part that it has at its gate."""

    is_counted: bool = True

    def plan(self) -> tuple[Step, ...]:
        """As ``Walker.plan``."""
        return register_steps(PlcWords(1, 0, 0, 0, 0), 0, is_counted=self.is_counted)

    async def _prepared(self, link: BlockWire) -> tuple[Step, ...]:
        await link.prepare()
        plc = await link.read_plc()
        (stood_seq,) = await link.read_words(1)
        return register_steps(plc, stood_seq, is_counted=self.is_counted)

    async def _leave(self, link: BlockWire) -> None:
        await link.write_proven(BlockState())

    async def _look(self, link: BlockWire, seen: list[PlcWords]) -> None:
        seen.append(await link.read_plc())


@dataclass(slots=True)
class LevelWalker(Walker[CoilWire]):
    """Walks four levels, and can let a PASS fall. ``watchdog_ms``: so long it may stand when nobody renews it."""

    watchdog_ms: int = 500
    inverted: frozenset[str] = frozenset()

    def plan(self) -> tuple[Step, ...]:
        """As ``Walker.plan``."""
        return coil_steps(self.inverted)

    async def let_fall(self, hold_s: float) -> Fall:
        """Have PASS stand for ``hold_s`` as the agent has it, then write nothing more and read on until it falls.

        Where it does not fall in time REJECT is written. Reads go on all the while, so that a watchdog which reads feed
        does not pass for one that writes feed. Raises NotConnected if nobody is there.
        """
        link = self._link()
        fell_ms, problem, is_at_rest = 0.0, "", False
        try:
            await link.open()
            try:
                await self._prepared(link)
                written_mono_s = await self._stand(link, hold_s)
                fell_ms, problem = await self._until_fallen(link, written_mono_s)
            except DriverError as err:
                problem = str(err)
            finally:
                is_at_rest = await self._bring_to_rest(link)
        finally:
            link.close()
        return Fall(round(fell_ms, 1), problem, is_at_rest)

    async def _prepared(self, link: CoilWire) -> tuple[Step, ...]:
        await link.prepare()
        return coil_steps(self.inverted)

    async def _leave(self, link: CoilWire) -> None:
        await link.write_proven(CoilState(inverted=self.inverted))

    async def _stand(self, link: CoilWire, hold_s: float) -> float:
        """PASS, renewed and read back as the agent does it. When the last write began."""
        until, beat = Deadline.after(hold_s), 0
        while True:
            begin_mono_s, beat = monotonic_s(), beat + 1
            levels = (True, False, True, bool(beat % 2))
            await link.write_proven(Levels(as_wired(levels, self.inverted)))
            if until.has_passed or self.stop.is_set():
                return begin_mono_s
            await asyncio.sleep(min(self.refresh_s, until.left_s()))

    async def _until_fallen(self, link: CoilWire, written_mono_s: float) -> tuple[float, str]:
        """How long PASS stood behind the last write, in ms, and what is wrong with that."""
        allowed_ms = self.watchdog_ms + self.write_timeout_s * 1000
        while not self.stop.is_set():
            # The first level is PASS, in the order of ``COIL_NAMES``. It is never inverted.
            is_pass = (await link.read_levels())[0]
            stood_ms = (monotonic_s() - written_mono_s) * 1000
            if not is_pass:
                late = f"PASS fell {stood_ms:.0f} ms after the last write, watchdog_ms is {self.watchdog_ms}"
                return stood_ms, late if stood_ms > allowed_ms else ""
            if stood_ms > _WAIT_TIMES * allowed_ms:
                return stood_ms, f"PASS still stood {stood_ms:.0f} ms after the last write: nothing drops it"
            await asyncio.sleep(_READ_EVERY_S)
        return 0.0, "stopped by a person"

    async def _bring_to_rest(self, link: CoilWire) -> bool:
        """REJECT, behind a trip that is cleared where the module can be told so. Whether PASS is off at last."""
        if await self._leave_reject(link):
            return True
        again = self._link()
        try:
            await again.open()
            await self._prepared(again)
            if await self._leave_reject(again):
                return True
        except DriverError:
            pass  # some keep their outputs down until a person clears them: then they take no REJECT, and need none
        finally:
            again.close()
        return await self._is_off()

    async def _is_off(self) -> bool:
        link = self._link()
        try:
            await link.open()
            return not (await link.read_levels())[0]
        except DriverError:
            return False  # the caller says that it could not be proven
        finally:
            link.close()
