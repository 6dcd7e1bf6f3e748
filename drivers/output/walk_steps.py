"""The steps of a walk, as data: each signal alone, then what a gate must not open for. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drivers.base import Reason, Verdict
from drivers.output.block import REASON_CODES, BlockState, PlcWords, Status, check_word, next_seq
from drivers.output.coils import COIL_NAMES, as_wired

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Levels", "Step", "coil_steps", "register_steps", "unlike"]

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
class Levels:
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
        # One bit of the check is wrong and everything else is right: the gate may open only where the check is looked
        # at.
        return (*said[:6], check_word(said[:6]) ^ 1, said[7])


def coil_steps(inverted: frozenset[str] = frozenset()) -> tuple[Step, ...]:
    """The walk over four coils. The first and the last step are the resting state; "all off" is off on the wire."""

    def fixed(*bits: int) -> Callable[[int], Levels]:
        said = (bool(bits[0]), bool(bits[1]), bool(bits[2]), bool(bits[3]))
        return lambda _: Levels(as_wired(said, inverted))

    def beating(is_pass: int, is_reject: int) -> Callable[[int], Levels]:
        return lambda beat: Levels(as_wired((bool(is_pass), bool(is_reject), True, bool(beat % 2)), inverted))

    return (
        Step("REJECT", "the gate is closed", fixed(0, 1, 0, 0)),
        Step("PASS", "the gate OPENS", beating(1, 0)),
        Step("PASS off", "the gate closes again", beating(0, 1)),
        Step("READY", "READY is on and HEARTBEAT stands still; the gate stays closed", fixed(0, 1, 1, 0)),
        Step("HEARTBEAT", "HEARTBEAT blinks; the gate stays closed", beating(0, 1)),
        Step("all off", "as after a watchdog trip or without power: the gate stays closed", lambda _: Levels(_OFF)),
        *(
            (
                Step(
                    "all on", "as a module that is stuck, HEARTBEAT still: the gate stays closed", lambda _: Levels(_ON)
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
    # Where the PLC does not count it opens for any number that is new: so the one behind what stands there.
    seq = plc.trigger_seq if is_counted else next_seq(stood_seq)
    is_open = not is_counted or plc.trigger_seq not in (0, plc.ack_seq)
    passing = BlockState(seq, Verdict.PASS, _OK, Status.READY)
    # With its old number: a new one would be a part to a PLC that takes ours.
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


def unlike(step: Step, seen: list[PlcWords], state: Any) -> str:
    """What the PLC did that it must not, or did not do; empty where there is nothing to say.

    ``seen`` is what it gave back after each write of the step, ``state`` what was written last.
    """
    if not seen:
        return ""
    # Of two reads within one scan of the PLC both may show the same.
    if len({plc.heartbeat for plc in seen}) == 1 and len(seen) > 2:
        return "the PLC's heartbeat stands still: is its program running?"
    ack, said = seen[-1].ack_seq, state.block.seq if isinstance(state, _Spoiled) else state.seq
    if step.is_taken is True and ack != said:
        return f"the PLC did not take part {said} (ack_seq is {ack}): is a part at its gate that it has not decided?"
    if step.is_taken is False and ack == said:
        return f"the PLC took part {said} from a block that it must not believe"
    return ""
