"""A machine that stood still is told by how far the controller's clock went on meanwhile."""

from __future__ import annotations

from datetime import datetime

import pytest

from drivers.keyence.clock import ClockWitness


def noon(second: int) -> datetime:
    return datetime(2026, 12, 1, 12, 0, second)  # noqa: DTZ001 - of whatever zone


def test_clocks_that_go_on_together_say_nothing_in_whichever_part_of_a_second_they_are_asked() -> None:
    witness = ClockWitness()
    told = [(noon(0), 0.9), (noon(1), 1.0), (noon(1), 1.9), (noon(2), 2.05), (noon(3), 3.0)]

    assert [witness.stood_still_s(clock, at, at + 0.01) for clock, at in told] == [0.0] * 5


def test_a_machine_whose_clocks_stood_still_is_told_by_at_least_how_much() -> None:
    witness = ClockWitness()
    witness.stood_still_s(noon(0), 10.0, 10.01)

    assert witness.stood_still_s(noon(20), 10.3, 10.31) == pytest.approx(18.69)
    assert witness.stood_still_s(noon(21), 11.3, 11.31) == 0.0, "it is told once"


def test_a_controller_that_is_slow_to_answer_or_was_not_asked_for_long_is_no_standstill() -> None:
    witness = ClockWitness()
    witness.stood_still_s(noon(0), 10.0, 12.0)

    assert witness.stood_still_s(noon(30), 40.0, 40.01) == 0.0


def test_a_clock_that_is_not_told_or_was_set_back_says_nothing() -> None:
    witness = ClockWitness()
    witness.stood_still_s(noon(10), 0.0, 0.01)

    assert witness.stood_still_s(noon(5), 0.1, 0.11) == 0.0
    assert witness.stood_still_s(None, 0.2, 0.21) == 0.0
    assert witness.stood_still_s(noon(50), 0.3, 0.31) == 0.0
