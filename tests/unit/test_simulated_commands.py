"""The simulated controller's commands: which are answered how, without a socket."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drivers.simulated.commands import Command, ControllerState, Refused, parse
from drivers.simulated.faults import Fault, FaultPlan


def answer(state: ControllerState, line: str, now: float = 0.0) -> str:
    return state.answer(parse(line, is_in_run_mode=state.is_running(now)), now)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("XX", "ER,XX,02"),
        ("t1", "ER,t1,02"),
        ("", "ER,,02"),
        ("T5", "ER,T5,02"),
        ("MR,%Trg1Ready", "ER,MR,02"),
        ("T1,1", "ER,T1,22"),
        ("PW,1", "ER,PW,22"),
        ("PW,3,1", "ER,PW,22"),
        ("PW,1,1000", "ER,PW,22"),
        ("PW,1,-1", "ER,PW,22"),
        ("PW,1,1,1", "ER,PW,22"),
        ("EXW,100", "ER,EXW,22"),
        ("TE,2", "ER,TE,22"),
        ("OE,", "ER,OE,22"),
        ("OE,on", "ER,OE,22"),
        ("STW,10,x", "ER,STW,22"),
        ("STW,1," + 65 * "x", "ER,STW,22"),
        ("STR", "ER,STR,22"),
        ("EC,", "ER,EC,22"),
        ("EC," + 129 * "x", "ER,EC,22"),
        ("TW,2026,13,01,00,00,00", "ER,TW,22"),
        ("RM,1", "ER,RM,22"),
    ],
)
def test_a_line_that_is_no_valid_command_is_refused_with_its_code(line: str, reply: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(line, is_in_run_mode=True)

    assert refused.value.reply == reply


def test_zero_padding_makes_no_difference() -> None:
    assert parse("PW,1,002", is_in_run_mode=True) == Command("PW", ("1", "002"))
    assert parse("PW,1,2", is_in_run_mode=True) == Command("PW", ("1", "2"))


@pytest.mark.parametrize("name", ["RM", "R0", "S0", "VI", "TR", "TZR", "CE", "RB", "EC,x", "TZW,3"])
def test_setup_mode_answers_what_the_protocol_lists(name: str) -> None:
    assert parse(name, is_in_run_mode=False).name == name.split(",", maxsplit=1)[0]


@pytest.mark.parametrize("line", ["T1", "TA", "PW,1,1", "PR", "EXR", "EXW,1", "RS", "OE,1", "TE,1", "STR,1"])
def test_setup_mode_refuses_the_rest_with_03(line: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(line, is_in_run_mode=False)

    assert refused.value.reply == f"ER,{line.split(',', maxsplit=1)[0]},03"


def test_plain_commands_are_answered_as_the_protocol_writes_them() -> None:
    state = ControllerState(card=2, program=7)

    assert answer(state, "PR") == "PR,2,007"
    assert answer(state, "RM") == "RM,1"
    assert (answer(state, "EXW,05"), answer(state, "EXR")) == ("EXW", "EXR,5")
    assert (answer(state, 'STW,1,"a,b'), answer(state, "STR,1")) == ("STW", 'STR,"a,b')
    assert answer(state, "EC,hello,you") == "EC,hello,you"
    assert answer(state, "VI") == "VI,CV-X470F,6.0.0000"
    assert (answer(state, "TE,0"), state.is_trigger_enabled) == ("TE", False)
    assert (answer(state, "TZW,33"), answer(state, "TZR")) == ("TZW", "TZR,33")
    state.error = 5
    assert (answer(state, "CE"), state.error) == ("CE", 0)


def test_the_clock_is_set_runs_on_and_refuses_days_that_do_not_exist() -> None:
    state = ControllerState()

    assert answer(state, "TW,2031,12,31,23,59,58", now=100.0) == "TW"
    assert answer(state, "TR", now=103.0) == "TR,32,01,01,00,00,01"
    with pytest.raises(Refused, match="ER,TW,22"):
        answer(state, "TW,2031,02,30,00,00,00")


def test_run_mode_begins_after_r0_was_answered() -> None:
    state = ControllerState(is_run_mode=False, run_from_mono_s=5.0)

    assert not state.is_running(4.9)
    assert state.is_running(5.0)


def test_two_sessions_opened_in_one_second_have_two_names() -> None:
    state = ControllerState(clock_utc=datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC))
    state.open_session(0.0)
    first = state.session
    state.reset_counters(0.1)

    assert (first, state.session) == ("261123_080000", "261123_080001")
    assert answer(state, "OW,0") == "OW"
    assert state.session == "261123_080001"
    assert answer(state, "OW,1") == "OW"
    assert state.session == "261123_080002"


def test_the_count_has_ten_digits() -> None:
    state = ControllerState(count=9_999_999_999)

    assert state.next_count() == 0


def test_a_plan_of_faults_is_by_trigger_adds_up_and_is_drawn_from_its_seed() -> None:
    plan = FaultPlan.of({2: Fault.LOST_IMAGE, 3: (Fault.LATE_RESULT, Fault.EMPTY_IMAGE)})
    plan.add(2, Fault.LOST_RESULT)

    assert plan.faults_of(1) == frozenset()
    assert plan.faults_of(2) == {Fault.LOST_IMAGE, Fault.LOST_RESULT}
    assert plan.faults_of(3) == {Fault.LATE_RESULT, Fault.EMPTY_IMAGE}
    assert FaultPlan.drawn(100, 0.3, 7).at == FaultPlan.drawn(100, 0.3, 7).at != FaultPlan.drawn(100, 0.3, 8).at
    assert 10 < len(FaultPlan.drawn(100, 0.3, 7).at) < 50
    with pytest.raises(ValueError, match="count from 1"):
        plan.add(0, Fault.REBOOT)
