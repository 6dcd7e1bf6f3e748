"""When a promoted bundle is stopped: few parts stop nothing by chance, a rise is found, one escape is enough."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest, fisher_exact, hypergeom

from edge_agent.fleet.rules import (
    FIRST_LOOK,
    LEAST_PARTS,
    Counts,
    Watched,
    _tail,
    after_all,
    in_shadow,
    in_use,
    next_look,
)


def stopped_by(rate: float, before: Counts, seed: int) -> bool:
    """Whether a bundle that rejects parts at that rate is stopped before its stage is over."""
    draw, rejected, look = random.Random(seed), 0, FIRST_LOOK
    for parts in range(1, LEAST_PARTS + 1):
        rejected += draw.random() < rate
        if parts >= look:
            look = next_look(parts)
            if in_use(before, Counts(parts, rejected), is_look=True).what == "stop":
                return True
    return False


def test_a_bundle_as_good_as_the_one_before_is_hardly_ever_stopped() -> None:
    before = Counts(5000, 50)
    assert sum(stopped_by(0.01, before, seed) for seed in range(1000)) <= 8


def test_a_bundle_that_rejects_five_times_as_many_is_stopped_in_its_first_stage() -> None:
    before = Counts(5000, 100)
    assert sum(stopped_by(0.10, before, seed) for seed in range(200)) >= 195


def test_few_parts_before_ask_for_a_larger_rise() -> None:
    now = Counts(200, 12)
    assert in_use(Counts(5000, 50), now, is_look=True).what == "stop"
    assert in_use(Counts(30, 0), now, is_look=True).what == "go"
    assert in_use(Counts(0, 0), Counts(200, 200), is_look=True).what == "go", "there is nothing to compare with"


@pytest.mark.parametrize(("was", "of_was", "has", "of_has"), [(3, 400, 9, 100), (50, 5000, 12, 200), (1, 50, 30, 60)])
def test_the_rise_is_that_of_fishers_exact_test(was: int, of_was: int, has: int, of_has: int) -> None:
    p = float(fisher_exact([[has, of_has - has], [was, of_was - was]], alternative="greater").pvalue)
    is_stopped = in_use(Counts(of_was, was), Counts(of_has, has), is_look=True).what == "stop"
    assert is_stopped is (p < 0.001)


@pytest.mark.parametrize(
    "found", [(0, 1, 1, 1), (7, 700, 40, 90), (100, 100, 100, 200), (5, 10**6, 60, 10**6), (0, 30, 5, 25)]
)
def test_the_tail_is_that_of_the_hypergeometric_distribution(found: tuple[int, int, int, int]) -> None:
    was, of_was, has, of_has = found
    wanted = float(hypergeom.sf(has - 1, of_was + of_has, was + has, of_has))
    assert _tail(was + has, of_was + of_has, has, of_has) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("worse", "better"), [(9, 0), (10, 0), (30, 8), (30, 9), (30, 10), (400, 320)])
def test_the_sign_test_is_that_of_the_binomial_distribution(worse: int, better: int) -> None:
    p = float(binomtest(worse, worse + better, alternative="greater").pvalue)
    found = in_shadow(Watched(1000, worse, better, 0), is_look=True).what
    assert (found == "stop") is (p < 0.001)


def test_one_confirmed_escape_stops_at_once_and_so_does_a_rise_of_overturned_rejects() -> None:
    assert in_use(Counts(5000, 50, escaped=9), Counts(3, 0, escaped=1), is_look=False).what == "stop"
    found = in_use(Counts(5000, 500, overturned=5), Counts(100, 10, overturned=9), is_look=True)
    assert (found.what, "overturn" in found.words) == ("stop", True)


def test_between_two_looks_nothing_is_tested() -> None:
    assert in_use(Counts(5000, 0), Counts(60, 40), is_look=False).what == "wait"
    assert [next_look(parts) for parts in (0, 24, 25, 60, 199, 200, 5000)] == [25, 25, 50, 100, 200, 400, 6400]


def test_a_candidate_by_which_known_defects_pass_is_stopped_at_once() -> None:
    assert in_shadow(Watched(1, 0, 1, 0, bad_wrong=1), is_look=False).what == "stop"


def test_a_candidate_is_stopped_where_the_differences_go_one_way() -> None:
    assert in_shadow(Watched(100, 10, 0, 0), is_look=True).what == "stop"
    assert in_shadow(Watched(100, 9, 0, 0), is_look=True).what == "wait", "1 of 512 comes about by chance in a look"
    assert in_shadow(Watched(400, 40, 38, 0), is_look=True).what == "go", "as many the other way: another bundle"
    assert in_shadow(Watched(100, 0, 30, 0), is_look=True).what == "wait", "that fewer are rejected stops nothing"
    assert in_shadow(Watched(100, 12, 12, 0, good_worse=10), is_look=True).what == "stop"


def test_what_could_not_be_compared_is_no_proof() -> None:
    assert in_shadow(Watched(300, 0, 0, 100), is_look=True).what == "wait"
    assert in_shadow(Watched(300, 0, 0, 10), is_look=True).what == "go"
    found = in_shadow(Watched(300, 0, 0, 0, problem="the folder holds another bundle"), is_look=True)
    assert (found.what, "another bundle" in found.words) == ("wait", True)


def test_after_the_last_stage_an_escape_counts_against_those_of_the_bundle_before() -> None:
    def stops(before: Counts, now: Counts) -> bool:
        return after_all(before, now, is_look=False).what == "stop"

    never, some = Counts(1_000_000, 0), Counts(1_000_000, 0, escaped=10)
    assert stops(never, Counts(9_000, 0, escaped=1)), "the first one ever, in a hundredth of the parts"
    assert not stops(never, Counts(20_000, 0, escaped=1))
    assert stops(never, Counts(100_000, 0, escaped=2))
    assert not stops(some, Counts(9_000, 0, escaped=1)), "1 of 100,000 before: one of 9000 comes about by chance"
    assert not stops(some, Counts(1_000_000, 0, escaped=12))
    assert stops(some, Counts(1_000_000, 0, escaped=30))
    assert not stops(Counts(0, 0), Counts(1000, 0, escaped=3)), "there is nothing to compare with"


def test_after_the_last_stage_a_rise_has_to_be_worth_it_and_rejects_have_to_rise_everywhere() -> None:
    before, more = Counts(1_000_000, 10_000, overturned=1000), Counts(1_000_000, 20_000, overturned=1000)
    assert after_all(before, more, is_look=True, is_of_all=True).what == "stop"
    assert after_all(before, more, is_look=True).what == "go", "of one line alone it may be the light or the lot"
    assert after_all(before, more, is_look=False, is_of_all=True).what == "go", "between two looks nothing is tested"
    little = Counts(1_000_000, 11_000, overturned=1100)
    assert after_all(before, little, is_look=True, is_of_all=True).what == "go", "more than chance, and no fault"
    overturned = Counts(10_000, 100, overturned=30)
    assert after_all(before, overturned, is_look=True).what == "stop"
    assert after_all(before, Counts(10_000, 100, overturned=14), is_look=True).what == "go", "as chance does"


def test_a_rise_beyond_all_numbers_takes_no_time() -> None:
    """The chance is smaller than the smallest number there is, and is not added up term by term."""
    assert _tail(2_000_000, 4_000_000, 1_900_000, 2_000_000) == 0.0
