"""When samples are due, overdue, and the line is locked: also over restarts and with clocks that somebody set."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from edge_agent.golden.clock import ChallengeClock
from edge_agent.golden.plan import Plan
from edge_agent.runtime.locking import UNKNOWN, safely_locked
from edge_agent.shifts import next_shift
from edge_agent.store.challenges import Challenged, ShownSample, read_challenge

if TYPE_CHECKING:
    from collections.abc import Iterator

R1 = ShownSample("R1", "reject", is_right=True, score=3.1, limit=1.0, bundle="b", part_seq=10)
G1 = replace(R1, name="G1", kind="good", score=0.4)
BEGIN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LOCK = Plan(every_h=8, lock_out=True, programs=(1,), wanted={1: frozenset({("R1", "reject"), ("G1", "good")})})


@dataclass
class Clocks:
    """A wall clock that somebody may set, and a steady one that only goes on."""

    wall: datetime = BEGIN
    steady_s: float = 100.0

    def go(self, **span: float) -> None:
        self.wall += timedelta(**span)
        self.steady_s += timedelta(**span).total_seconds()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def passed(**more: Any) -> str:
    samples = [sample.to_json() for sample in more.pop("samples", (R1, G1))]
    told = {"ok": True, "through": "line", "programs": [1], "simulated": False, "part_seq": 10, "shown": samples}
    return json.dumps({**told, **more})


def record(at: datetime, **more: Any) -> Challenged:
    found = read_challenge(passed(**more), at.isoformat())
    assert found is not None
    return found


def clock_at(clocks: Clocks, plan: Plan, *known: Challenged, **more: Any) -> ChallengeClock:
    more.setdefault("bundles", dict.fromkeys(range(1, 10), frozenset({"b"})))
    return ChallengeClock(plan, known, mono_s=lambda: clocks.steady_s, now=lambda: clocks.wall, **more)


# --- the schedule -------------------------------------------------------------------------------------------


def test_a_line_without_a_schedule_owes_nothing(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan())

    assert clock.standing(1, 1).words == ""
    assert clock.degraded(1, 1) == {}
    assert clock.why_locked(1, 1) == ""


def test_by_hours_it_is_told_ahead_and_overdue_after(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan(every_h=8))
    assert "no challenge was passed yet" in clock.standing(1, 1).overdue
    assert clock.standing(1, 1).is_asked

    clock.note(passed(), 10)
    assert clock.standing(1, 11).words == "samples are due in 8 h"
    clocks.go(hours=7, minutes=11, seconds=59)
    assert clock.standing(1, 11).is_soon is False  # a tenth of eight hours is 48 minutes
    clocks.go(seconds=1)
    assert clock.standing(1, 11).is_soon is True
    clocks.go(minutes=18)
    assert (clock.standing(1, 11).words, clock.standing(1, 11).is_soon) == ("samples are due in 30 min", True)
    assert clock.standing(1, 11).is_asked
    clocks.go(minutes=29, seconds=59)
    assert clock.standing(1, 11).overdue == ""
    clocks.go(seconds=1)
    assert clock.standing(1, 11).overdue == "the challenge is overdue since 2026-11-24T18:00+00:00"


def test_by_parts_exactly_so_many_may_come(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan(every_parts=100))
    clock.note(passed(), 10)

    assert clock.standing(1, 11).words == "samples are due in 100 parts"
    assert clock.standing(1, 11).is_soon is False
    assert (clock.standing(1, 110).due_parts, clock.standing(1, 110).is_soon) == (1, True)
    assert [clock.standing(1, seq).is_soon for seq in (100, 101, 102)] == [False, True, True]
    assert clock.standing(1, 110).overdue == ""
    assert clock.standing(1, 111).overdue == "the challenge is overdue since part 111"
    assert clock.standing(1, 150).overdue == "the challenge is overdue since part 111"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_by_shift_from_its_start_with_some_minutes_of_grace(clocks: Clocks) -> None:
    plan = Plan(shift_starts=("06:00", "14:00", "22:00"), grace_min=30)
    clock = clock_at(clocks, plan)
    clock.note(passed(), 10)  # 11:00 in Berlin

    assert clock.standing(1, 11).due_s == 3.5 * 3600
    clocks.go(hours=3, minutes=29)
    assert clock.standing(1, 11).overdue == ""
    clocks.go(minutes=1)
    assert clock.standing(1, 11).overdue == "the challenge is overdue since 2026-11-24T13:30+00:00"


@pytest.mark.usefixtures("berlin")
def test_a_shift_that_was_missed_stays_missed_when_the_next_one_begins(clocks: Clocks) -> None:
    """At 22:00 nothing becomes right that was wrong since 14:30: a lock does not open by itself."""
    clock = clock_at(clocks, replace(LOCK, every_h=None, shift_starts=("06:00", "14:00", "22:00"), grace_min=30))
    clock.note(passed(), 10)

    for _ in range(7 * 24 * 6):
        clocks.go(minutes=10)
        assert bool(clock.why_locked(1, 11)) is (clocks.wall >= BEGIN + timedelta(hours=3.5))


def test_whichever_comes_first_counts(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan(every_h=8, every_parts=100))
    clock.note(passed(), 10)

    assert clock.standing(1, 11).words == "samples are due in 100 parts or in 8 h"
    assert "since part 111" in clock.standing(1, 111).overdue
    clocks.go(hours=9)
    assert "since 2026" in clock.standing(1, 11).overdue


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("passed_utc", "due_utc"),
    [
        ("2026-03-29T00:10+00:00", "2026-03-29T04:00+00:00"),  # 01:10 CET; 06:00 is CEST by then
        ("2026-10-25T00:10+00:00", "2026-10-25T05:00+00:00"),  # 02:10 CEST; 06:00 is CET by then
    ],
    ids=["put forward in that night", "put back in that night"],
)
def test_a_shift_begins_by_the_clock_on_the_wall(passed_utc: str, due_utc: str) -> None:
    clocks = Clocks(wall=datetime.fromisoformat(passed_utc))
    clock = clock_at(clocks, Plan(shift_starts=("06:00",)))
    clock.note(passed(), 10)

    due = datetime.fromisoformat(due_utc)
    assert clock.standing(1, 11).due_s == (due - clocks.wall).total_seconds()


@pytest.mark.usefixtures("berlin")
def test_the_hour_that_comes_twice_has_no_beginning_in_the_past() -> None:
    """02:30 comes at 00:30 and at 01:30 UTC; who stands at 01:10 UTC (02:10 again) is behind the first one."""
    now = datetime.fromisoformat("2026-10-25T01:10+00:00")

    assert next_shift(now.astimezone(), ("02:30",)) > now


# --- clocks that are set, restarts ---------------------------------------------------------------------------


def test_a_clock_that_is_set_back_makes_no_challenge_younger(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan(every_h=8))
    clock.note(passed(), 10)

    clocks.go(hours=7)
    clocks.wall -= timedelta(hours=24)
    assert clock.standing(1, 11).overdue == ""
    clocks.go(hours=1)
    assert "overdue since" in clock.standing(1, 11).overdue


def test_a_restart_goes_by_the_date_and_by_the_newest_time_of_the_journal(clocks: Clocks) -> None:
    then = clocks.wall - timedelta(hours=7)

    assert clock_at(clocks, Plan(every_h=8), record(then)).standing(1, 11).overdue == ""
    assert clock_at(clocks, Plan(every_h=8), record(then - timedelta(hours=2))).standing(1, 11).overdue
    # Set back by three hours while no agent ran: the journal has seen a later time than it is now.
    late = clock_at(clocks, Plan(every_h=8), record(then), newest_utc=clocks.wall + timedelta(hours=3))
    assert "overdue since" in late.standing(1, 11).overdue


def test_a_challenge_of_the_future_proves_nothing(clocks: Clocks) -> None:
    clock = clock_at(clocks, LOCK, record(clocks.wall + timedelta(hours=2)))

    assert "the clock was set back" in clock.why_locked(1, 11)


def test_a_minute_is_what_a_time_server_may_put_back_and_what_is_no_time_proves_nothing(clocks: Clocks) -> None:
    for ahead_s, is_known in ((0, True), (59, True), (60, False), (61, False)):
        clock = clock_at(clocks, Plan(every_h=8), record(clocks.wall + timedelta(seconds=ahead_s)))
        assert (clock.standing(1, 11).overdue == "") is is_known, ahead_s
    for text in ("", "yesterday", "2026-11-24", "2026-11-24T10:00"):
        clock = clock_at(clocks, Plan(every_h=8), replace(record(clocks.wall), at_utc=text))
        assert "the clock was set back" in clock.standing(1, 11).overdue, text


def test_of_several_programs_the_one_that_is_due_first_is_told_while_none_is_known(clocks: Clocks) -> None:
    wanted = {1: frozenset({("R1", "reject")}), 2: frozenset({("R9", "reject")})}
    nine = replace(R1, name="R9")
    by_parts = clock_at(clocks, Plan(every_parts=100, programs=(1, 2), wanted=wanted))
    by_parts.note(passed(), 10)
    by_parts.note(passed(programs=[2], samples=[nine]), 40)
    by_hours = clock_at(clocks, Plan(every_h=8, programs=(1, 2), wanted=wanted))
    by_hours.note(passed(), 10)
    clocks.go(hours=1)
    by_hours.note(passed(programs=[2], samples=[nine]), 40)

    assert [by_parts.standing(program, 41).due_parts for program in (1, 2, None)] == [70, 100, 70]
    assert [by_hours.standing(program, 41).due_s for program in (1, 2, None)] == [7 * 3600, 8 * 3600, 7 * 3600]
    by_hours.note(passed(programs=[2], samples=[nine], ok=False), 40)
    assert "not passed" in by_hours.standing(None, 41).overdue
    assert by_hours.standing(1, 41).overdue == ""


def test_minutes_up_to_two_hours_then_hours(clocks: Clocks) -> None:
    clock = clock_at(clocks, Plan(every_h=8))
    clock.note(passed(), 10)
    said = []
    for minutes in (0, 359, 2, 117):
        clocks.go(minutes=minutes)
        said.append(clock.standing(1, 11).words.removeprefix("samples are due in "))

    assert said == ["8 h", "2 h", "119 min", "2 min"]


def test_a_part_number_of_another_journal_is_not_counted_from(clocks: Clocks) -> None:
    for part_seq in (None, 500, 11):
        known = replace(record(clocks.wall), part_seq=part_seq)
        assert "not known how many parts" in clock_at(clocks, Plan(every_parts=100), known).standing(1, 11).overdue


def test_a_part_that_was_under_way_when_the_challenge_ended_is_not_held_back(clocks: Clocks) -> None:
    """Part 10 has its number and waits for its verdict while the record is written: none has come since then."""
    clock = clock_at(clocks, replace(LOCK, every_h=None, every_parts=100))
    clock.note(passed(), 10)

    assert [clock.why_locked(1, seq) for seq in (9, 10, 11)] == ["", "", ""]
    assert [clock.standing(1, seq).due_parts for seq in (9, 10, 11, 12)] == [100, 100, 100, 99]


# --- the lock ------------------------------------------------------------------------------------------------


def test_the_lock_opens_with_a_whole_challenge_through_the_line_and_closes_with_one_that_fails(clocks: Clocks) -> None:
    clock = clock_at(clocks, LOCK)
    assert "no challenge was passed yet" in clock.why_locked(1, 1)
    clock.note(passed(), 10)
    assert clock.why_locked(1, 11) == ""
    clock.note(passed(ok=False), 12)
    assert "the last challenge was not passed" in clock.why_locked(1, 13)
    clock.note(passed(), 14)
    assert clock.why_locked(1, 15) == ""
    clocks.go(hours=8)
    assert "overdue since" in clock.why_locked(1, 15)


@pytest.mark.parametrize(
    "more",
    [
        {"through": "images"},
        {"samples": (R1,)},
        {"samples": (R1, replace(G1, kind="reject"))},
        {"samples": (R1, replace(G1, is_right=False))},
        {"samples": ()},
        {"simulated": True},
        {"simulated": 0},
        {"ok": 1},
    ],
    ids=["recorded images", "one is missing", "of another kind", "one was wrong", "unnamed", "simulated", "0", "1"],
)
def test_what_does_not_open_the_lock(clocks: Clocks, more: dict[str, Any]) -> None:
    clock = clock_at(clocks, LOCK)

    clock.note(passed(**more), 10)

    assert "no challenge was passed yet" in clock.why_locked(1, 11)


def test_a_simulated_run_opens_its_own_lock_and_no_real_one(clocks: Clocks) -> None:
    simulated = record(clocks.wall, simulated=True)

    assert clock_at(clocks, LOCK, simulated, is_simulated=True).why_locked(1, 11) == ""
    assert clock_at(clocks, LOCK, simulated).why_locked(1, 11) != ""
    failed = replace(simulated, is_passed=False)
    assert clock_at(clocks, LOCK, failed, record(clocks.wall)).why_locked(1, 11) == ""


def test_each_program_has_its_own_samples(clocks: Clocks) -> None:
    plan = replace(LOCK, programs=(1, 2), wanted={**LOCK.wanted, 2: frozenset({("R9", "reject")})})
    clock = clock_at(clocks, plan, record(clocks.wall))

    assert clock.why_locked(1, 11) == ""
    assert clock.why_locked(2, 11) != ""
    assert clock.why_locked(None, 11) != ""
    clock.note(passed(ok=False, programs=[2], samples=[replace(R1, name="R9", is_right=False)]), 12)
    assert clock.why_locked(1, 13) == ""
    assert clock.why_locked(2, 13) != ""
    clock.note(passed(), 12)
    clock.note(passed(ok=False, programs=[2]), 12)  # samples of program 1, while the controller ran the other one
    assert clock.why_locked(1, 13) != ""
    clock.note(passed(), 12)
    clock.note(passed(ok=False, programs=[]), 13)
    assert clock.why_locked(1, 14) != ""


def test_a_sample_that_is_given_to_another_program_was_not_shown_to_that_one(clocks: Clocks) -> None:
    """It was shown to program 1; then line.toml says program 2, and the agent is started anew."""
    moved = replace(LOCK, programs=(1, 2), wanted={1: frozenset({("R5", "reject")}), 2: LOCK.wanted[1]})
    clock = clock_at(clocks, moved, record(clocks.wall))

    assert "no challenge was passed yet" in clock.why_locked(2, 11)
    clock.note(passed(programs=[2]), 11)
    assert clock.why_locked(2, 12) == ""


# --- a new bundle ----------------------------------------------------------------------------------------------

NEW = "the bundle is new since the last challenge: show the samples"


def judging(*ids: str) -> dict[str, dict[int, frozenset[str]]]:
    return {"bundles": {1: frozenset(ids)}}


def test_a_new_bundle_closes_the_lock_until_it_was_shown_the_samples(clocks: Clocks) -> None:
    """Another limit is another bundle: its id covers the limit."""
    known = record(clocks.wall)
    clock = clock_at(clocks, LOCK, known, **judging("b2"))

    assert clock_at(clocks, LOCK, known, **judging("b")).why_locked(1, 11) == ""
    assert clock.why_locked(1, 11) == f"the line is locked, nothing passes: {NEW}"
    assert clock.why_locked(None, 11) != ""
    assert clock.degraded(1, 11) == {"challenge": NEW}
    clock.note(passed(samples=(R1,)), 12)
    assert NEW in clock.why_locked(1, 13), "one of two samples"
    clock.note(passed(), 14)
    assert NEW in clock.why_locked(1, 15), "by a bundle that judges no longer"
    clock.note(passed(samples=[replace(one, bundle="b2") for one in (R1, G1)]), 16)
    assert clock.why_locked(1, 17) == ""


def test_going_back_to_a_bundle_closes_the_lock_as_well(clocks: Clocks) -> None:
    older = record(clocks.wall - timedelta(hours=1))
    newer = record(clocks.wall, samples=[replace(one, bundle="b2") for one in (R1, G1)])

    assert NEW in clock_at(clocks, LOCK, newer, older, **judging("b")).why_locked(1, 11)


def test_a_challenge_that_failed_by_the_bundle_of_before_is_told_as_that(clocks: Clocks) -> None:
    failed = record(clocks.wall, ok=False)

    assert "was not passed" in clock_at(clocks, LOCK, failed, **judging("b2")).why_locked(1, 11)


def test_only_the_program_whose_bundle_is_new_is_locked(clocks: Clocks) -> None:
    plan = replace(LOCK, programs=(1, 2), wanted={**LOCK.wanted, 2: frozenset({("R9", "reject")})})
    known = [record(clocks.wall), record(clocks.wall, programs=[2], samples=[replace(R1, name="R9")])]
    clock = clock_at(clocks, plan, *known, bundles={1: frozenset({"b"}), 2: frozenset({"b2"})})

    assert clock.why_locked(1, 11) == ""
    assert NEW in clock.why_locked(2, 11)
    assert NEW in clock.why_locked(None, 11)


def test_the_bundle_of_every_camera_has_to_have_judged(clocks: Clocks) -> None:
    both = judging("b", "c")

    assert NEW in clock_at(clocks, LOCK, record(clocks.wall), **both).why_locked(1, 11)
    assert NEW in clock_at(clocks, LOCK, record(clocks.wall, bundles=["b", "c0"]), **both).why_locked(1, 11)
    assert clock_at(clocks, LOCK, record(clocks.wall, bundles=["b", "c"]), **both).why_locked(1, 11) == ""


@pytest.mark.parametrize("bundles", [{}, {1: frozenset()}, {2: frozenset({"b"})}])
def test_a_lock_without_a_known_bundle_stays_closed(clocks: Clocks, bundles: dict[int, frozenset[str]]) -> None:
    assert NEW in clock_at(clocks, LOCK, record(clocks.wall), bundles=bundles).why_locked(1, 11)


def test_without_a_lock_a_new_bundle_is_told_as_due_and_holds_nothing_back(clocks: Clocks) -> None:
    clock = clock_at(clocks, replace(LOCK, lock_out=False), record(clocks.wall), **judging("b2"))

    assert (clock.standing(1, 11).overdue, clock.standing(1, 11).locked) == (NEW, "")
    assert clock.why_locked(1, 11) == ""


def test_unnamed_samples_and_recorded_images_prove_the_bundle_that_judged_them(clocks: Clocks) -> None:
    """Images are of one camera: of two cameras' bundles one is enough, where nothing hangs on it."""
    plan = Plan(every_h=8, programs=(1, 2))
    images = record(clocks.wall, through="images", samples=(), bundles=["b"])
    line = replace(images, through="line")
    both = {"bundles": {1: frozenset({"b", "c"}), 2: frozenset({"d"})}}

    assert clock_at(clocks, plan, images, **both).standing(1, 11).overdue == ""
    assert clock_at(clocks, plan, line, **both).standing(1, 11).overdue == NEW
    assert clock_at(clocks, plan, images, bundles={1: frozenset({"c"})}).standing(1, 11).overdue == NEW
    assert clock_at(clocks, plan, images, **both).standing(2, 11).overdue == "", "they are of program 1"


def test_a_program_that_has_no_sample_never_opens(clocks: Clocks) -> None:
    """line.toml is refused so; whatever else comes to it, nothing passes that was proven by nothing."""
    clock = clock_at(clocks, LOCK, record(clocks.wall, programs=[7], samples=()))

    assert clock.why_locked(7, 11) != ""


def test_a_question_that_cannot_be_answered_locks_and_is_logged_once_each_time() -> None:
    answers: list[str | Exception] = ["", ZeroDivisionError("x"), ZeroDivisionError("x"), "overdue", ValueError("y")]

    def asked(_program: int | None, _seq: int) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    why = safely_locked(asked)
    with capture_logs() as logged:
        said = [why(1, 1) for _ in range(5)]

    assert said == ["", UNKNOWN, UNKNOWN, "overdue", UNKNOWN]
    assert [entry["error"] for entry in logged] == ["ZeroDivisionError('x')", "ValueError('y')"]
