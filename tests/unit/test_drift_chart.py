"""The control chart of one quantity: what it tells, when it began, and what it does not cry about."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent.drift.change_point import change_point
from edge_agent.drift.chart import RULES, Chart
from edge_agent.drift.usual import FEWEST, Usual

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.drift.chart import Change

USUAL = Usual(mean=100.0, spread=2.0, parts=40)


def fed(chart: Chart, values: Iterable[float], first: int = 1) -> Change | None:
    for number, value in enumerate(values, start=first):
        chart.add(float(value), number, f"t{number}")
    return chart.change


def noise(number: int, seed: int = 1, by: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100.0 + by, 2.0, number)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": math.nan},
        {"spread": 0.0},
        {"spread": -1.0},
        {"spread": math.inf},
        {"wander": -0.1},
        {"wander": math.nan},
        {"parts": FEWEST - 1},
    ],
)
def test_what_cannot_be_usual_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="nothing usual"):
        Usual(**{"mean": 1.0, "spread": 1.0, "parts": 40, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [{}, {"mean": 1.0}, {"mean": "x", "spread": 1.0, "parts": 40, "wander": 0.0}])
def test_a_section_that_says_nothing_usual_is_refused(content: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        Usual.from_json(content)


def test_too_few_values_say_nothing_and_no_number_is_none() -> None:
    with pytest.raises(ValueError, match="too few"):
        Usual.of([1.0, math.nan, math.inf] * 4, 0.1)
    chart = Chart(USUAL)

    assert chart.add(math.nan, 1, "t1") is None
    assert (chart.sigma, chart.parts) == (0.0, 0)


def test_what_is_usual_is_not_moved_by_an_odd_part_and_never_narrower_than_can_be_measured() -> None:
    plain, odd = Usual.of(noise(60), 0.1), Usual.of([*noise(60), 5000.0], 0.1)

    assert odd.mean == pytest.approx(plain.mean, abs=0.3)
    assert odd.spread == pytest.approx(plain.spread, rel=0.2)
    assert Usual.of([7.0] * 20, 0.5).spread == 0.5
    assert Usual.from_json(plain.to_json()) == plain


def test_a_mean_that_wanders_by_itself_widens_the_limit() -> None:
    lots = np.repeat(np.random.default_rng(3).normal(0.0, 2.0, 10), 20)
    calm, wandering = Usual.of(noise(200), 0.1), Usual.of(noise(200) + lots, 0.1)

    assert calm.wander < 0.3 < wandering.wander
    assert RULES.limits(replace(wandering, parts=2000)) > RULES.limits(replace(calm, parts=2000))
    assert RULES.limits(calm) == RULES.limits(wandering)  # from so few parts nobody knows


def test_good_parts_as_they_always_are_say_nothing() -> None:
    assert fed(Chart(USUAL), noise(5000)) is None


def test_one_odd_part_is_marked_and_is_no_change_nor_are_three() -> None:
    chart = Chart(USUAL)
    fed(chart, noise(100))

    point = chart.add(1e9, 101, "t101")
    assert point is not None
    assert point.is_outside
    fed(chart, [1e9, 1e9], 102)
    assert chart.change is None
    assert abs(chart.sigma) < 0.5


def test_a_jump_is_told_by_the_run_rule_and_its_beginning_is_found() -> None:
    chart = Chart(USUAL)
    fed(chart, noise(300))
    change = fed(chart, noise(40, seed=2, by=12.0), 301)

    assert change is not None
    assert change.rule == "10 of 10 beyond 2.5"
    assert 310 <= change.told_seq <= 312
    assert (change.since_seq, change.since_utc, change.is_sudden) == (301, "t301", True)


def test_a_slow_change_is_told_by_the_ewma_and_its_beginning_is_found_roughly() -> None:
    chart = Chart(USUAL)
    fed(chart, noise(300))
    slope = noise(400, seed=2) - np.arange(400) * 0.03
    change = fed(chart, slope, 301)

    assert change is not None
    assert change.rule == "EWMA"
    assert not change.is_sudden
    assert 301 - 40 <= change.since_seq <= 301 + 80
    assert chart.mean < 100.0


def test_from_a_thousand_parts_on_the_limits_are_those_of_the_line() -> None:
    chart = Chart(USUAL)
    before = chart.limit
    fed(chart, noise(RULES.refines, by=0.4))

    assert chart.limit < before / 2
    assert chart.usual.mean == pytest.approx(100.4, abs=0.2)
    assert (chart.usual.parts, chart.usual.since_utc) == (RULES.refines, "t1")
    change = fed(chart, noise(200, seed=2, by=3.0), RULES.refines + 1)
    assert change is not None
    assert change.since_seq in range(RULES.refines - 9, RULES.refines + 12)


def test_parts_at_which_a_change_stood_do_not_become_usual() -> None:
    chart = Chart(USUAL)
    fed(chart, noise(RULES.refines * 2, by=14.0))

    assert chart.usual is USUAL
    assert chart.change is not None


def test_a_change_goes_when_it_is_back_and_not_before() -> None:
    chart = Chart(USUAL)
    fed(chart, noise(40, by=12.0))
    assert chart.change is not None

    fed(chart, [101.0] * 3, 41)
    assert chart.change is not None
    fed(chart, noise(60, seed=4), 44)
    assert chart.change is None


def test_after_a_stop_nothing_before_it_counts_and_a_change_that_stands_is_asked_again() -> None:
    halfway = Chart(USUAL)
    fed(halfway, [106.0] * 30)
    assert halfway.sigma > 1
    halfway.begin_anew()
    assert halfway.sigma == 0.0

    for after, stays in ((noise(RULES.settles, seed=5), False), (noise(RULES.settles, seed=5, by=12.0), True)):
        chart = Chart(USUAL)
        told = fed(chart, noise(40, by=12.0))
        chart.begin_anew()
        fed(chart, after[:-1], 100)
        assert chart.change is told  # too few parts after the stop to say that it is gone
        fed(chart, after[-1:], 200)
        assert chart.change is (told if stays else None)


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("far", [6.0, 10.0, 16.0])
def test_a_change_to_the_other_side_is_another_change(far: float, stops: bool) -> None:  # noqa: FBT001
    chart = Chart(USUAL)
    fed(chart, [*noise(100), *noise(300, 2, -far)])
    before = chart.change
    if stops:  # a new lamp, put in overnight
        chart.begin_anew()
    after = fed(chart, noise(200, 3, far), first=401)

    assert before is not None
    assert after is not None
    assert (before.since_seq, chart.now > 100.0) == (101, True)
    assert abs(after.since_seq - 401) <= 3


def test_a_change_that_goes_on_in_its_direction_stays_the_same_change() -> None:
    chart = Chart(USUAL)
    before = fed(chart, [*noise(100), *noise(200, 2, 8.0)])

    assert fed(chart, [*noise(200, 3, 20.0), *noise(200, 4, 6.0)], first=301) is before


def test_after_a_stop_a_change_that_stands_is_as_it_was_until_a_part_has_come() -> None:
    chart = Chart(USUAL)
    fed(chart, [*noise(100), *noise(100, 2, -10.0)])
    before = chart.now
    chart.begin_anew()
    chart.begin_anew()

    assert chart.change is not None
    assert chart.now == before == pytest.approx(90.0, abs=2.0)
    chart.add(85.0, 201, "t201")
    assert chart.now == 85.0


def test_a_move_that_matters_to_nobody_is_not_told_and_the_score_is_not_waited_for() -> None:
    assert fed(Chart(USUAL, floor=20.0), noise(400, by=14.0)) is None
    assert fed(Chart(USUAL), noise(400, by=14.0)) is not None
    assert Chart(USUAL, most=1.0).limit == 1.0
    assert Chart(USUAL, floor=4.0, most=1.0).limit == 2.0


@pytest.mark.parametrize(("is_sudden", "slope"), [(True, 0.0), (False, 0.05)])
def test_the_change_point_is_found_as_a_step_and_as_a_slope(is_sudden: bool, slope: float) -> None:  # noqa: FBT001
    rng, found = np.random.default_rng(7), []
    for _ in range(30):
        changed = np.arange(1, 101) * slope + (2.0 if is_sudden else 0.0)
        began = change_point([*rng.normal(0, 1, 50), *(rng.normal(0, 1, 100) + changed)])
        found.append((began.index, began.is_sudden))

    assert abs(np.median([index for index, _ in found]) - 50) <= (1 if is_sudden else 8)
    assert sum(sudden is is_sudden for _, sudden in found) >= 28


def test_a_single_value_is_its_own_change_point() -> None:
    assert change_point([4.0]).index == 0
