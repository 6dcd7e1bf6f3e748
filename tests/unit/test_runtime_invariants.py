"""Pairing, decision and interlock together under any schedule of a line, checked against what really happened.

The machine is the line: it images parts, loses, repeats, delays and reorders what they send, cuts the controller's
link, resets its counter, makes the line unhealthy. It knows for every message which part it came from, and
so which PASS would be a wrong one.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from drivers.timing import Deadline, shown_time
from edge_agent.domain import Capture, ControllerResult, Inspection, Judgement, Outcome, Reason, Verdict
from edge_agent.runtime.interlock import Health, LineEvent, LineState, step
from edge_agent.runtime.pairing import Pairing
from edge_agent.runtime.part import Arrival, Part
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from tests import invariants
from tests.shards import add_shard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.results import Figure

_FAR = 1e12
SCHEDULES = int(os.environ.get("EDGE_AGENT_SCHEDULES", "0"))
"""A shard of a long run (``make schedules``); shards add up."""
A_FEW, TO_REACH = 150, 100_000


@dataclass(slots=True)
class Imaged:
    """A part as the line knows it: its number in truth, and what it sends."""

    truth: int
    is_good: bool
    capture: Capture
    result: ControllerResult


@dataclass(slots=True)
class Judged:
    decision: Decision
    has_row: bool
    truths: frozenset[int]


@dataclass(slots=True)
class Wire:
    """The output: a PASS window with the part it was opened for; it closes when nobody refreshes."""

    passing: int | None = None
    opened_for: list[int] = field(default_factory=list)


class LineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        numbers = itertools.count(1)
        self.pairing = Pairing(lambda: Part(next(numbers), 0.0, Deadline(_FAR)))
        self.health, self.state = Health(), LineState.READY
        self.truths, self.count, self.clock = itertools.count(1), 0, 1_000
        self.session = shown_time(self._clock())
        self.clock += 1
        self.pairing.begin_at(self._clock())
        self.clock += 1
        self.pairing.on_clock(self._clock())
        self.on_the_way: list[tuple[str, Imaged | datetime]] = []
        self.imaged: dict[int, Imaged] = {}
        self.of_capture: dict[int, int] = {}
        self.of_result: dict[int, int] = {}
        self.opened: list[int] = []
        self.judged: dict[int, Judged] = {}
        self.wire = Wire()
        self.has_link = True
        self.unsaid: set[int] = set()
        self.results_taken = self.taken_when_asked = 0

    def _clock(self) -> datetime:
        """The controller's."""
        return datetime(2026, 1, 1) + timedelta(seconds=self.clock)  # noqa: DTZ001 - as drivers.timing has it

    # --- the line ---------------------------------------------------------------------------------------

    FATES: ClassVar = ("both", "both", "both", "image lost", "result lost", "twice")

    @rule(is_good=st.booleans(), fate=st.sampled_from(FATES))
    def a_part_is_imaged(self, fate: str, *, is_good: bool) -> None:
        truth = next(self.truths)
        self.count += 1
        name, sha256, taken = f"{truth}.bmp", f"{truth:064d}", self._clock()
        capture = Capture(self.count, 1, self.session, name, None, sha256, 0.0, taken=taken)
        result = ControllerResult(self.count, 1, Judgement.OK, (), float(truth))
        part = self.imaged[truth] = Imaged(truth, is_good, capture, result)
        messages = [("image", part), ("result", part)] * (2 if fate == "twice" else 1)
        lost = {"image lost": {"image"}, "result lost": {"result"}}.get(fate, set())
        if lost == {"result"} and self.has_link:
            self.unsaid.add(truth)
        if not self.has_link:
            lost.add("result")
        self.on_the_way += [message for message in messages if message[0] not in lost]

    @rule(which=st.integers(0, 7))
    def something_arrives(self, which: int) -> None:
        if self.on_the_way:
            # Images overtake and fall behind; the command port is a stream and keeps its order.
            message = self.on_the_way[which % len(self.on_the_way)]
            if message[0] != "image":
                message = next(message for message in self.on_the_way if message[0] != "image")
            self.on_the_way.remove(message)
            self._take(*message)

    @rule()
    def the_link_is_cut(self) -> None:
        """What the command port had on its way is gone with it; images stay queued in the controller."""
        self.has_link = False
        self.on_the_way = [message for message in self.on_the_way if message[0] == "image"]
        self.health.fails("controller", "cable")
        self._move(LineEvent.UNHEALTHY)
        self.pairing.go_stale("cable")

    @rule()
    def the_link_is_back(self) -> None:
        if self.has_link:
            return
        self.has_link = True
        self.clock += 1
        self.pairing.begin_at(self._clock())
        self.clock += 1  # the line is READY once the clock showed another second
        self.pairing.on_clock(self._clock())
        self.health.holds("controller")
        self._look()

    @rule()
    def the_counter_is_reset(self) -> None:
        """Not while a part waits of which a live link said nothing: a reset takes longer than its deadline."""
        if self.unsaid <= set().union(*(judged.truths for judged in self.judged.values())):
            self.clock += 1
            self.session, self.count = shown_time(self._clock()), 0

    @rule()
    def a_second_passes(self) -> None:
        self.clock += 1

    @rule()
    def the_clock_is_asked_for(self) -> None:
        """One command at a time: not before the answer to the last one is here."""
        if self.has_link and not any(kind == "clock" for kind, _ in self.on_the_way):
            self.on_the_way.append(("clock", self._clock()))
            self.taken_when_asked = self.results_taken

    @rule(ok=st.booleans())
    def the_output_is_looked_at(self, *, ok: bool) -> None:
        if ok:
            self.health.holds("output")
        else:
            self.health.fails("output", "not read back")
        self._look()

    @rule()
    def the_agent_falls_silent(self) -> None:
        """Killed or stopped: nobody refreshes, the output's own watchdog drops PASS."""
        self.wire.passing = None

    @rule(which=st.integers(0, 3), row=st.booleans(), late=st.booleans())
    def a_part_is_decided(self, which: int, *, row: bool, late: bool) -> None:
        if not self.pairing.parts:
            return
        part = self.pairing.parts[which % len(self.pairing.parts)]
        decision = self._decide(self._evidence(part, late=late))
        if not row:
            decision = Decision(Verdict.FAULT, Reason.JOURNAL)
        self.pairing.close(part)
        self.judged[part.seq] = Judged(decision, row, self._truths_of(part))
        if decision.verdict is Verdict.PASS and self.state is not LineState.FAULT and self.opened[-1] == part.seq:
            self.wire.passing = part.seq
            self.wire.opened_for.append(part.seq)
        if not self.pairing.parts:
            self._move(LineEvent.ALL_DECIDED)
            self._look()

    # --- how the engine uses the three -------------------------------------------------------------------

    def _take(self, kind: str, what: Imaged | datetime) -> None:
        if isinstance(what, datetime):
            follows_results = self.taken_when_asked == self.results_taken
            self.pairing.on_clock(what, follows_results=follows_results)
            if not follows_results:
                self.the_clock_is_asked_for()
            return
        if kind == "image":
            arrival, part = self.pairing.on_capture(what.capture)
        else:
            arrival, part = self.pairing.on_result(what.result)
            self.results_taken += 1
            self.the_clock_is_asked_for()  # as the link does, at once
        if arrival is Arrival.NEW:
            assert part is not None
            self._opened(part)

    def _opened(self, part: Part) -> None:
        self._look()
        self.opened.append(part.seq)
        self._move(LineEvent.FIRST_SIGN)
        self.wire.passing = None

    def _evidence(self, part: Part, *, late: bool) -> Evidence:
        capture = part.captures.get(1)
        inspections = {}
        if capture is not None:
            good = self.imaged[int(capture.sha256)].is_good
            outcome, reason = (Outcome.OK, Reason.OK) if good else (Outcome.NG, Reason.SCORE)
            inspections[1] = Inspection(outcome, reason, 1.0 if good else 3.0, 2.0, "b", capture.sha256)
        return Evidence(
            cameras=(1,),
            judgement_policy="both",
            captures=part.captures,
            inspections=inspections,
            result=part.result,
            not_ready="" if self.state is not LineState.FAULT else str(self.health) or "FAULT",
            stale=part.stale,
            unproven=part.unproven,
            repeats_count=part.repeats_count,
            deadline_passed=late,
            next_part_is_here=self.opened[-1] != part.seq,
            locked="",
        )

    def _decide(self, evidence: Evidence) -> Decision:
        return decide_verdict(evidence)

    def _look(self) -> None:
        self._move(LineEvent.HEALTHY if self.health.is_healthy else LineEvent.UNHEALTHY)

    def _move(self, event: LineEvent) -> None:
        self.state = step(self.state, event)
        if self.state is LineState.FAULT:
            self.wire.passing = None

    @staticmethod
    def _truths_of(part: Part) -> frozenset[int]:
        images = {int(capture.sha256) for capture in part.captures.values()}
        return frozenset(images | ({int(part.result.received_mono_s)} if part.result else set()))

    # --- the five invariants -----------------------------------------------------------------------------

    @invariant()
    def no_stale_pass(self) -> None:
        """A PASS is of one part: its own image, its own live result, and that image is of a good part."""
        for seq, judged in self.judged.items():
            if judged.decision.verdict is Verdict.PASS:
                truth = self._truth_of(seq, judged)
                invariants.no_stale_pass([invariants.Passed(truth, judged.truths, self.imaged[truth].is_good)])

    def _truth_of(self, _seq: int, judged: Judged) -> int:
        """The part that stood there: the first that it rests on, where nothing else says it."""
        return min(judged.truths)

    @invariant()
    def every_part_is_accounted_for(self) -> None:
        invariants.every_part_is_accounted_for(self.opened, [*self.judged, *(part.seq for part in self.pairing.parts)])

    @invariant()
    def a_pass_has_its_row(self) -> None:
        rows = {seq: judged.decision.verdict for seq, judged in self.judged.items() if judged.has_row}
        invariants.a_pass_has_its_row(self.wire.opened_for, rows)

    @invariant()
    def the_output_drops_when_the_line_is_not_ready(self) -> None:
        if self.wire.passing is not None:
            assert self.state is not LineState.FAULT
            assert self.wire.passing == self.opened[-1], "PASS stood while the next part was here"

    @invariant()
    def nothing_leaks(self) -> None:
        nothing = invariants.Holdings(0, 0)
        invariants.nothing_leaks(
            nothing,
            nothing,
            decided=(len(self.pairing.decided.parts), 256),
            retired_sessions=(len(self.pairing.counter.sessions._over), 64),
        )


class TriggeringMachine(LineMachine):
    """The same line where the agent triggers: a part is there before its count, and a trigger may image nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pairing.triggers_itself = True
        self.triggered: dict[int, int] = {}

    def _truth_of(self, seq: int, judged: Judged) -> int:
        """What its own trigger imaged. A part that nobody triggered, or a trigger that imaged nothing, never passes."""
        assert seq in self.triggered, f"nothing that stood there passed on {judged.truths}"
        return self.triggered[seq]

    FATES: ClassVar = ("both", "both", "image lost", "nothing imaged", "twice")

    @rule(is_good=st.booleans(), fate=st.sampled_from(FATES))
    def a_part_is_imaged(self, fate: str, *, is_good: bool) -> None:
        if not self.has_link:
            return  # the link refuses to trigger
        part = self.pairing.on_trigger()
        self._opened(part)
        if fate != "nothing imaged":
            super().a_part_is_imaged(fate, is_good=is_good)
            self.triggered[part.seq] = max(self.imaged)

    @rule(which=st.integers(0, 3), row=st.booleans(), late=st.booleans())
    def a_part_is_decided(self, which: int, *, row: bool, late: bool) -> None:
        if not self.pairing.parts:
            return
        part = self.pairing.parts[which % len(self.pairing.parts)]
        super().a_part_is_decided(which, row=row, late=late)
        if part.count is None and self.has_link:
            self.the_link_is_cut()  # the engine begins it anew


STEPS = 60
MACHINES = [(LineMachine, "wired"), (TriggeringMachine, "the agent triggers")]
ARGUMENTS: dict[str, Callable[[random.Random, type[LineMachine]], dict[str, object]]] = {
    "a_part_is_imaged": lambda draw, machine: {"fate": draw.choice(machine.FATES), "is_good": draw.random() < 0.5},
    "something_arrives": lambda draw, _: {"which": draw.randrange(8)},
    "a_part_is_decided": lambda draw, _: {
        "which": draw.randrange(4),
        "row": draw.random() < 0.9,
        "late": draw.random() < 0.1,
    },
    "the_output_is_looked_at": lambda draw, _: {"ok": draw.random() < 0.9},
}


def marked(machine: type[LineMachine], kind: str) -> list[str]:
    """Names of the methods that hypothesis knows as a rule, or as an invariant."""
    return [name for name in dir(machine) if hasattr(getattr(machine, name), f"hypothesis_stateful_{kind}")]


def run_schedule(machine: type[LineMachine], seed: int) -> None:
    """One schedule, drawn from its number: what hypothesis does, without what finds the shortest one that fails."""
    draw, line, told = random.Random(seed), machine(), []
    rules, checks = marked(machine, "rule"), marked(machine, "invariant")
    assert rules, "this hypothesis marks its rules in another way"
    assert checks, "this hypothesis marks its invariants in another way"
    weights = [draw.random() ** 2 for _ in rules]  # each schedule has its own habits: some things seldom happen in it
    try:
        for name in draw.choices(rules, weights, k=STEPS):
            arguments = ARGUMENTS.get(name, lambda *_: {})(draw, machine)
            told.append(f"{name}({arguments})")
            getattr(line, name)(**arguments)
            for check in checks:
                getattr(line, check)()
    except AssertionError as err:
        err.add_note(f"schedule {seed} of {machine.__name__}:\n" + "\n".join(told))
        raise


@pytest.mark.parametrize(("machine", "who"), MACHINES)
def test_no_schedule_that_hypothesis_thinks_of_passes_a_part_wrongly(machine: type[LineMachine], who: str) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=A_FEW, stateful_step_count=STEPS, deadline=None))


@pytest.mark.promise(
    "T-03",
    "schedules of trigger, image, result, verdict, gap, reset",
    "100,000 of each: 0 stale PASS, every part counted",
)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("machine", "who"), MACHINES)
def test_no_schedule_passes_a_part_wrongly(machine: type[LineMachine], who: str, figure: Figure) -> None:
    count, first = SCHEDULES or A_FEW, secrets.randbits(48)
    for seed in range(first, first + count):
        run_schedule(machine, seed)
    total = add_shard(f"schedules {who}", {"schedules": count})["schedules"] if SCHEDULES else count

    figure(f"{who}: {total:,.0f}", is_whole=total >= TO_REACH)


def test_the_machine_sees_a_pairing_that_ignores_sessions() -> None:
    """A check that cannot fail is none: the image of an older session laid to a live result must be noticed."""
    machine = LineMachine()
    machine.a_part_is_imaged("both", is_good=True)
    machine.the_counter_is_reset()
    machine.a_part_is_imaged("both", is_good=False)
    first, second = machine.imaged[1], machine.imaged[2]
    _, part = machine.pairing.on_result(second.result)
    assert part is not None
    machine.opened.append(part.seq)
    part.captures[1] = replace(first.capture)
    machine.pairing.on_clock(machine._clock(), follows_results=True)
    part.stale = ""
    machine.a_part_is_decided(0, row=True, late=False)

    with pytest.raises(AssertionError, match="went through on messages"):
        machine.no_stale_pass()


def test_the_machine_lets_a_good_part_pass() -> None:
    machine = LineMachine()
    machine.a_part_is_imaged("both", is_good=True)
    for _message in ("image", "result", "clock"):
        machine.something_arrives(0)
    machine.a_part_is_decided(0, row=True, late=False)

    assert machine.wire.passing == 1
    machine.the_agent_falls_silent()
    assert machine.wire.passing is None


@pytest.mark.parametrize("begins_anew", [True, False])
def test_the_machine_sees_a_late_part_that_joins_the_next_trigger(*, begins_anew: bool) -> None:
    machine = TriggeringMachine()
    machine.a_part_is_imaged("both", is_good=True)
    if begins_anew:
        machine.a_part_is_decided(0, row=True, late=True)
        machine.the_link_is_back()
    else:
        super(TriggeringMachine, machine).a_part_is_decided(0, row=True, late=True)
    machine.a_part_is_imaged("both", is_good=False)
    machine.on_the_way = machine.on_the_way[:2]  # of the part before; nothing of this one was sent yet
    for _message in ("image", "result", "clock"):
        machine.something_arrives(0)
    while machine.pairing.parts:
        machine.a_part_is_decided(0, row=True, late=False)

    if begins_anew:
        machine.no_stale_pass()
    else:
        with pytest.raises(AssertionError, match="part 2 went through on messages"):
            machine.no_stale_pass()
