"""A walk over the output for the person at the gate: each signal alone, then what a gate must not open for.

Energises PASS on purpose and without a part. Whoever calls it keeps the agent out for that time, and has written down
who asked for it. Whatever happens, the last thing written is REJECT.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drivers.base import DriverError, Reason, Verdict
from drivers.modbus.coils import COIL_NAMES, CoilState, as_wired
from drivers.modbus.connection import Admit, CoilConnection, RegisterConnection, RtuLine, admit_all
from drivers.modbus.registers import REASON_CODES, BlockState, PlcWords, Status, check_word, next_seq
from drivers.timing import Deadline, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.modules import Module

__all__ = ["Fall", "Step", "StepDone", "Walk", "Walker", "coil_steps", "register_steps"]

_REFRESH_MOST_S = 0.1
_READ_EVERY_S = 0.01
_WAIT_TIMES = 4
"""So much longer than it may stand a PASS that does not fall is watched, before REJECT is written."""
_GRACE_S = 1.0
"""A slow device takes its last steps in this time behind the limit."""
_OFF, _ON = (False, False, False, False), (True, True, True, True)
_OK = REASON_CODES[Reason.OK]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to look at. ``state`` gives what to write at each refresh; ``expect`` is what the gate has to do.

    ``is_taken`` says whether a PLC must have acknowledged the part's number when the step ends; None: it is not asked.
    """

    name: str
    expect: str
    state: Callable[[int], Any]
    is_taken: bool | None = None


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


@dataclass(frozen=True, slots=True)
class _Coils:
    """Any four levels, also those that a verdict never has."""

    bits: tuple[bool, bool, bool, bool]

    def __str__(self) -> str:
        return " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, self.bits, strict=True))


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """A block whose check does not agree."""

    block: BlockState

    @property
    def words(self) -> tuple[int, ...]:
        said = self.block.words
        return (*said[:6], check_word(said[:6]) ^ 1, said[7])


def coil_steps(inverted: frozenset[str] = frozenset()) -> tuple[Step, ...]:
    """The walk over four coils. The first and the last step are the resting state; "all off" is off on the wire."""

    def fixed(*bits: int) -> Callable[[int], _Coils]:
        said = (bool(bits[0]), bool(bits[1]), bool(bits[2]), bool(bits[3]))
        return lambda _: _Coils(as_wired(said, inverted))

    def beating(is_pass: int, is_reject: int) -> Callable[[int], _Coils]:
        return lambda beat: _Coils(as_wired((bool(is_pass), bool(is_reject), True, bool(beat % 2)), inverted))

    return (
        Step("REJECT", "the gate is closed", fixed(0, 1, 0, 0)),
        Step("PASS", "the gate OPENS", beating(1, 0)),
        Step("PASS off", "the gate closes again", beating(0, 1)),
        Step("READY", "READY is on and HEARTBEAT stands still; the gate stays closed", fixed(0, 1, 1, 0)),
        Step("HEARTBEAT", "HEARTBEAT blinks; the gate stays closed", beating(0, 1)),
        Step("all off", "as after a watchdog trip or without power: the gate stays closed", lambda _: _Coils(_OFF)),
        *(
            (
                Step(
                    "all on", "as a module that is stuck, HEARTBEAT still: the gate stays closed", lambda _: _Coils(_ON)
                ),
            )
            if "REJECT" in inverted
            else ()
        ),
        Step("PASS and REJECT", "both, as with a wrong wire: the gate stays closed", beating(1, 1)),
        Step("REJECT", "the gate is closed; this is left behind", fixed(0, 1, 0, 0)),
    )


def register_steps(plc: PlcWords, stood_seq: int, *, is_counted: bool) -> tuple[Step, ...]:
    """The walk over the register block, of the part that the PLC has at its gate.

    ``stood_seq`` is the number in the block as it stands. A part that the PLC has decided already is decided: then
    nothing is asked of ``ack_seq``.
    """
    seq = plc.trigger_seq if is_counted else next_seq(stood_seq)
    is_open = not is_counted or plc.trigger_seq not in (0, plc.ack_seq)
    passing = BlockState(seq, Verdict.PASS, _OK, Status.READY)
    resting = BlockState(seq=0 if is_counted else stood_seq)

    def beating(block: BlockState) -> Callable[[int], BlockState]:
        return lambda beat: replace(block, heartbeat=1 + beat % 0xFFFF)

    def still(block: BlockState) -> Callable[[int], BlockState]:
        return lambda _: block

    other = Step("another part", "PASS for a part that is not there: the gate stays closed",
                 beating(replace(passing, seq=next_seq(seq))), is_taken=False if is_open else None)  # fmt: skip
    return (
        Step("REJECT", "the gate is closed", still(resting)),
        Step("READY", "READY, the heartbeat stands still; the gate stays closed",
             still(replace(resting, status=Status.READY))),
        Step("HEARTBEAT", "the heartbeat counts; the gate stays closed",
             beating(replace(resting, status=Status.READY))),
        Step("FAULT", "the FAULT bit; the gate stays closed", still(replace(resting, status=Status.FAULT))),
        *((other,) if is_counted else ()),
        Step("bad check", "a PASS that was torn on its way: the gate stays closed",
             lambda beat: _Spoiled(beating(passing)(beat)), is_taken=False if is_open else None),
        Step("PASS", f"the gate OPENS for part {seq}" if is_open else "no new part is at the gate: nothing happens",
             beating(passing), is_taken=True if is_open else None),
        Step("PASS off", "the PASS is taken back; the decision of the part stands",
             beating(replace(passing, verdict=Verdict.REJECT))),
        Step("REJECT", "nothing passes; this is left behind", still(BlockState())),
    )  # fmt: skip


@dataclass(slots=True)
class Walker:
    """Walks one output over a connection of its own. ``module``: its watchdog is armed and proven first.

    ``tell(number, total, step)`` is called when a step begins. Setting ``stop`` ends the walk at once, with REJECT.
    """

    host: str
    port: int
    unit: int
    first: int
    write_timeout_s: float
    refresh_s: float
    rtu: RtuLine | None = None
    module: Module | None = None
    watchdog_ms: int = 500
    plc_register: int | None = None
    is_counted: bool = True
    inverted: frozenset[str] = frozenset()
    admit: Admit = admit_all
    tell: Callable[[int, int, Step], None] = lambda _number, _total, _step: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def plan(self) -> tuple[Step, ...]:
        """The steps, without asking the device: of part 1 where a PLC gives the number."""
        if self.plc_register is None:
            return coil_steps(self.inverted)
        return register_steps(PlcWords(1, 0, 0, 0, 0), 0, is_counted=self.is_counted)

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

    async def let_fall(self, hold_s: float) -> Fall:
        """Have PASS stand for ``hold_s`` as the agent has it, then write nothing more and read on until it falls.

        Of coils alone. Where it does not fall in time REJECT is written. Reads go on all the while, so that a watchdog
        which reads feed does not pass for one that writes feed. Raises NotConnected if nobody is there.
        """
        link = self._coil_link()
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

    def _coil_link(self) -> CoilConnection:
        link = self._link()
        if isinstance(link, CoilConnection):
            return link
        raise ValueError("a PLC that is given registers looks at the heartbeat by itself")

    async def _stand(self, link: CoilConnection, hold_s: float) -> float:
        """PASS, renewed and read back as the agent does it. When the last write began."""
        until, beat = Deadline.after(hold_s), 0
        while True:
            begin_mono_s, beat = monotonic_s(), beat + 1
            levels = (True, False, True, bool(beat % 2))
            await link.write_proven(self.first, _Coils(as_wired(levels, self.inverted)))
            if until.has_passed or self.stop.is_set():
                return begin_mono_s
            await asyncio.sleep(min(self.refresh_s, until.left_s()))

    async def _until_fallen(self, link: CoilConnection, written_mono_s: float) -> tuple[float, str]:
        """How long PASS stood behind the last write, in ms, and what is wrong with that."""
        allowed_ms = self.watchdog_ms + self.write_timeout_s * 1000
        while not self.stop.is_set():
            is_pass = (await link.read_coils(self.first))[0]
            stood_ms = (monotonic_s() - written_mono_s) * 1000
            if not is_pass:
                late = f"PASS fell {stood_ms:.0f} ms after the last write, watchdog_ms is {self.watchdog_ms}"
                return stood_ms, late if stood_ms > allowed_ms else ""
            if stood_ms > _WAIT_TIMES * allowed_ms:
                return stood_ms, f"PASS still stood {stood_ms:.0f} ms after the last write: nothing drops it"
            await asyncio.sleep(_READ_EVERY_S)
        return 0.0, "stopped by a person"

    async def _bring_to_rest(self, link: CoilConnection) -> bool:
        """REJECT, behind a trip that is cleared where the module can be told so. Whether PASS is off at last."""
        if await self._leave_reject(link):
            return True
        again = self._coil_link()
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
        link = self._coil_link()
        try:
            await link.open()
            return not (await link.read_coils(self.first))[0]
        except DriverError:
            return False  # the caller says that it could not be proven
        finally:
            link.close()

    def _link(self) -> CoilConnection | RegisterConnection:
        kind = CoilConnection if self.plc_register is None else RegisterConnection
        return kind(
            self.host,
            self.port,
            unit=self.unit,
            timeout_s=self.write_timeout_s,
            on_lost=lambda: None,
            rtu=self.rtu,
            admit=self.admit,
        )

    async def _prepared(self, link: CoilConnection | RegisterConnection) -> tuple[Step, ...]:
        if isinstance(link, CoilConnection):
            if self.module is not None:
                resting = CoilState(inverted=self.inverted)
                await link.arm_watchdog(self.module, self.watchdog_ms, self.first, resting)
            return coil_steps(self.inverted)
        assert self.plc_register is not None  # noqa: S101 - as in _link
        plc = await link.read_plc(self.plc_register)
        (stood_seq,) = await link.read_registers(self.first, 1)
        return register_steps(plc, stood_seq, is_counted=self.is_counted)

    async def _take(self, link: CoilConnection | RegisterConnection, step: Step, share: Deadline) -> StepDone:
        writes, slowest_s, ack = 0, 0.0, None
        beats: set[int] = set()
        while True:
            begin_mono_s = monotonic_s()
            state = step.state(writes)
            await link.write_proven(self.first, state)
            slowest_s = max(slowest_s, monotonic_s() - begin_mono_s)
            writes += 1
            if isinstance(link, RegisterConnection) and self.plc_register is not None:
                plc = await link.read_plc(self.plc_register)
                ack = plc.ack_seq
                beats.add(plc.heartbeat)
            if share.has_passed or self.stop.is_set():
                break
            try:
                async with asyncio.timeout(min(self.refresh_s, _REFRESH_MOST_S, share.left_s())):
                    await self.stop.wait()
            except TimeoutError:
                continue
        problem = "" if self.stop.is_set() else _unlike(step, ack, beats, state, writes)
        return StepDone(step.name, step.expect, writes, round(slowest_s * 1000, 1), problem)

    async def _leave_reject(self, link: CoilConnection | RegisterConnection) -> bool:
        """REJECT on the connection there is, else on a new one, tried twice. Whether it was read back."""
        for at in range(3):
            try:
                if at:
                    link = self._link()
                    await link.open()
                if isinstance(link, CoilConnection):
                    await link.write_proven(self.first, CoilState(inverted=self.inverted))
                else:
                    await link.write_proven(self.first, BlockState())
            except DriverError:
                continue  # the caller says that it could not be proven
            finally:
                if at:
                    link.close()
            return True
        return False


def _unlike(step: Step, ack: int | None, beats: set[int], state: Any, writes: int) -> str:
    """What the PLC did that it must not, or did not do; empty where there is nothing to say."""
    if ack is None:
        return ""
    if len(beats) == 1 and writes > 2:
        return "the PLC's heartbeat stands still: is its program running?"
    said = state.block.seq if isinstance(state, _Spoiled) else state.seq
    if step.is_taken is True and ack != said:
        return f"the PLC did not take part {said} (ack_seq is {ack}): is a part at its gate that it has not decided?"
    if step.is_taken is False and ack == said:
        return f"the PLC took part {said} from a block that it must not believe"
    return ""
