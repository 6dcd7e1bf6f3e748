"""The lock in the engine: 0 PASS while it is closed, whatever else happens, and no word of the inspection is lost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from drivers.timing import monotonic_s
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.golden.clock import ChallengeClock
from edge_agent.golden.plan import Plan
from edge_agent.runtime.bypass import decide_in_bypass
from edge_agent.runtime.locking import UNKNOWN, never_locked, safely_locked
from edge_agent.runtime.verdict import decide_verdict
from edge_agent.store.challenges import newest_challenges
from edge_agent.store.journal import JournalReader
from edge_agent.wiring.agent_state import AgentDesk
from tests.unit.test_runtime_bypass import publication
from tests.unit.test_runtime_decision import NG, PROVEN
from tests.unit.test_runtime_engine import line
from tests.virtual_line import VirtualLine
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.store.journal import PartRow

PLAN = Plan(every_parts=60, lock_out=True, programs=(1,), wanted={1: frozenset({("R1", "reject")})})
JUDGING = {1: frozenset({"b"})}


def record(*, ok: bool) -> str:
    shown = [{"name": "R1", "kind": "reject", "ok": ok, "bundle": "b"}]
    return json.dumps({"ok": ok, "through": "line", "programs": [1], "simulated": False, "shown": shown})


# --- one part ------------------------------------------------------------------------------------------------


def test_a_locked_part_is_known_to_be_good_and_a_bad_one_keeps_its_reason() -> None:
    assert decide_verdict(replace(PROVEN, locked="x")).reason is Reason.LOCKED
    assert decide_verdict(replace(PROVEN, locked="x", inspections={1: NG})).reason is Reason.SCORE


@pytest.mark.parametrize("seen", [{}, {"inspections": {1: NG}}, {"inspections": {}}])
def test_a_bypass_opens_no_lock_and_hides_no_opinion(seen: dict[str, Any]) -> None:
    """Else a reject sample under a bypass would read LOCKED, which says that nothing stood against it."""
    evidence = replace(PROVEN, locked="x", **seen)

    decision = decide_in_bypass(evidence, "A. Rossi")

    assert decision.verdict is Verdict.REJECT
    assert decision.reason is decide_verdict(evidence).reason
    assert "which changes nothing here" in decision.detail


async def test_a_locked_line_is_ready_judges_and_passes_nothing(tmp_path: Path) -> None:
    async with line(tmp_path, why_locked=lambda _program, _seq: "no challenge was passed yet") as at:
        at.image(1)
        at.result(1)
        (good,) = await at.rows(1)
        at.image(2, b"bad")
        at.result(2)
        bad = (await at.rows(2))[-1]

        assert at.engine.is_ready()
        assert at.engine.why_locked == "no challenge was passed yet"

    assert (good.verdict, good.reason, good.score) == (Verdict.REJECT, Reason.LOCKED, 1.0)
    assert (bad.verdict, bad.reason, bad.score) == (Verdict.REJECT, Reason.SCORE, 3.0)
    assert "PASS" not in [said for said, _ in at.output.said]
    assert at.output.named[0][0] is Reason.LOCKED


async def test_a_lock_that_cannot_be_asked_is_closed(tmp_path: Path) -> None:
    def broken(_program: int | None, _seq: int) -> str:
        raise RuntimeError("the clock is gone")

    async with line(tmp_path, why_locked=safely_locked(broken)) as at:
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason, row.detail) == (Verdict.REJECT, Reason.LOCKED, UNKNOWN)


async def test_each_part_is_asked_for_by_its_program_and_number(tmp_path: Path) -> None:
    asked: set[tuple[int | None, int]] = set()

    def why(program: int | None, seq: int) -> str:
        asked.add((program, seq))
        return "" if seq == 1 else "overdue"

    async with line(tmp_path, program=7, why_locked=why) as at:
        for count in (1, 2):
            at.image(count, program=7)
            at.result(count)
            await at.rows(count)
        rows = await at.rows(2)

    assert [row.reason for row in rows] == [Reason.OK, Reason.LOCKED]
    assert asked == {(7, 1), (7, 2)}


async def test_a_pass_whose_row_is_being_written_does_not_leave_once_the_line_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = {"locked": ""}
    async with line(tmp_path, deadline_s=5.0, why_locked=lambda _program, _seq: why["locked"]) as at:
        append, is_writing, may_write = at.journal.append, asyncio.Event(), asyncio.Event()

        async def held(row: PartRow) -> None:
            is_writing.set()
            await may_write.wait()
            await append(row)

        monkeypatch.setattr(at.journal, "append", held)
        at.image(1)
        at.result(1)
        await is_writing.wait()
        why["locked"] = "the last challenge was not passed"
        may_write.set()
        (row,) = await at.rows(1)
        published = await publication(tmp_path, row.part_seq)

    assert row.verdict is Verdict.PASS, "the row was decided while it was open"
    assert published is Published.WITHHELD
    assert ("PASS", 1) not in at.output.said


async def test_of_two_challenges_that_end_at_once_the_journals_last_one_says_whether_it_is_locked(
    tmp_path: Path,
) -> None:
    """One of the line was passed; one of recorded images, noted while that row is being written, was not."""
    clock = ChallengeClock(PLAN, bundles=JUDGING)
    async with line(tmp_path, why_locked=safely_locked(clock.why_locked)) as at:
        desk = AgentDesk(cast("Any", None), at.engine, at.health, cast("Any", None), at.journal, clock)

        await asyncio.gather(desk.note("CHALLENGE", record(ok=True)), desk.note("CHALLENGE", record(ok=False)))

        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            assert [one.is_passed for one in newest_challenges(reader)] == [False, True]
        assert "the last challenge was not passed" in at.engine.why_locked


async def test_the_output_asks_at_the_last_moment(tmp_path: Path) -> None:
    why = {"locked": ""}
    async with line(tmp_path, why_locked=lambda _program, _seq: why["locked"]) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        while_open = at.output.may_pass[-1]()
        why["locked"] = "overdue"

    assert while_open
    assert not at.output.may_pass[-1]()


# --- a line in virtual time, with everything going wrong ------------------------------------------------------


def run(folder: Path, *, is_held: bool = True) -> tuple[VirtualLine, list[float], list[float]]:
    """200 parts; the samples are passed before part 40, wrong before part 80; when the lock opened, and closed."""
    opened: list[float] = []
    closed: list[float] = [0.0]

    async def main() -> VirtualLine:
        clock = ChallengeClock(PLAN, bundles=JUDGING, mono_s=monotonic_s)

        def something(number: int) -> None:
            if number in (40, 120):
                clock.note(record(ok=True), at.engine.next_seq - 1)
                opened.append(monotonic_s())
            if number == 80:
                clock.note(record(ok=False), at.engine.next_seq - 1)
                closed.append(monotonic_s())

        why: Callable[[int | None, int], str] = safely_locked(clock.why_locked) if is_held else never_locked
        at = VirtualLine(folder, 5, on_part=something, why_locked=why)
        await at.run(200)
        return at

    return run_in_virtual_time(main), opened, closed


@pytest.mark.usefixtures("quiet_logs")
def test_no_part_goes_through_a_locked_gate(tmp_path: Path) -> None:
    at, opened, closed = run(tmp_path)
    at.check()
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        rows = list(journal.rows())

    assert not [w for w in at.windows if w[0] < opened[0]]
    assert not [w for w in at.windows if closed[1] < w[0] < opened[1]]
    assert [w for w in at.windows if opened[0] < w[0] < closed[1]], "a line that rejects everything proves nothing"
    assert sum(row.reason is Reason.LOCKED for row in rows) > 40
    assert not [row for row in rows[-10:] if row.verdict is Verdict.PASS], "60 parts after the last challenge"


@pytest.mark.usefixtures("quiet_logs")
def test_an_engine_that_does_not_ask_is_noticed(tmp_path: Path) -> None:
    at, opened, _ = run(tmp_path, is_held=False)

    assert [w for w in at.windows if w[0] < opened[0]]
