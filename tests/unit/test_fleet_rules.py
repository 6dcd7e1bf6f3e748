"""When a promoted bundle is stopped: few parts stop nothing by chance, a rise is found, one escape is enough."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest, fisher_exact, hypergeom

from edge_agent.fleet.rules import FIRST_LOOK, LEAST_PARTS, Counts, Watched, _tail, in_shadow, in_use, next_look


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
