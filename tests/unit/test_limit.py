"""The limit: what it promises holds, what it cannot promise is refused with the number of images it would take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from calibration.limits.limit import LimitWishes, at_rank, choose_limit, offers, plan_ranks, wishes_of
from calibration.limits.shares import false_reject_bound, images_to_expect, images_to_promise, percent, share_for
from calibration.limits.tail import extrapolate, largest_is_odd, tells_of_tail, without_largest
from edge_agent.errors import CalibrationRefused, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIALS = 4000


def draw(*size: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(8.0, size=size)


def true_rates(limits: list[float]) -> NDArray[np.float64]:
    return np.asarray(stats.gamma(8.0).sf(limits))


score_sets = arrays.arrays(
    np.float64, st.integers(20, 120), elements=st.floats(0.0, 1e6, allow_nan=False, allow_subnormal=False)
)
shares = st.floats(1e-4, 0.999)


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "1", "0%", "100%", "-1%", "1.5", "nan", "inf", "1e-400", "", "%", "one", "1 %%"])
def test_what_is_no_share_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        wishes_of(text, None, extrapolate=False)
    assert "1% or 0.01" in caught.value.hint
    with pytest.raises(UsageError):
        wishes_of(None, text, extrapolate=False)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_a_share_that_came_past_the_command_line_is_checked_too(share: float) -> None:
    with pytest.raises(UsageError):
        plan_ranks(60, LimitWishes(false_rejects=share))
    with pytest.raises(UsageError):
        plan_ranks(60, LimitWishes(review_share=share))


def test_extrapolation_without_a_target_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="needs a target") as caught:
        wishes_of(None, "5%", extrapolate=True)
    assert "--false-rejects" in caught.value.hint


def test_a_target_that_the_images_cannot_carry_is_refused_with_how_many_it_takes() -> None:
    with pytest.raises(
        CalibrationRefused, match=r"28 good images cannot carry a false-reject rate of 1\.0 %"
    ) as caught:
        choose_limit(draw(28), LimitWishes(false_rejects=0.01))

    assert "99 good images to expect it, 299 to promise it with 95 % confidence" in caught.value.hint
    assert "ask for 3.5% or more" in caught.value.hint
    assert "--extrapolate" in caught.value.hint


def test_a_tail_is_not_followed_further_than_a_tenth_of_what_the_images_carry() -> None:
    with pytest.raises(CalibrationRefused, match=r"cannot carry a false-reject rate of 0\.1 %"):
        choose_limit(draw(28), LimitWishes(false_rejects=0.001, extrapolate=True))


def test_a_review_band_narrower_than_one_part_is_refused_with_how_many_it_takes() -> None:
    with pytest.raises(CalibrationRefused, match=r"a review band of 1\.0 %") as caught:
        choose_limit(draw(40), LimitWishes(review_share=0.01))

    assert "collect 99 good images" in caught.value.hint


def test_a_review_band_that_leaves_no_good_part_is_refused() -> None:
    with pytest.raises(CalibrationRefused, match="reject all 40 good parts"):
        choose_limit(draw(40), LimitWishes(review_share=0.99))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_set_no_limit(bad: float) -> None:
    scores = draw(30)
    scores[3] = bad

    with pytest.raises(CalibrationRefused, match="1 of 30 good parts have no finite score"):
        choose_limit(scores)


@pytest.mark.parametrize("scores", [np.full(40, 3.0), draw(19)])
def test_a_tail_of_scores_that_do_not_spread_is_refused(scores: NDArray[np.float64]) -> None:
    with pytest.raises(CalibrationRefused, match="tell nothing of their tail"):
        extrapolate(scores, 0.01)


# --- what is promised -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rank"), [(20, 1), (28, 1), (38, 1), (39, 2), (200, 4)])
def test_new_good_parts_are_rejected_as_often_as_stated_and_the_bound_holds_19_times_in_20(n: int, rank: int) -> None:
    rates = true_rates([choose_limit(scores).value for scores in draw(TRIALS, n, seed=n)])
    limit = choose_limit(draw(n))

    assert limit.rank == rank
    assert np.mean(rates) == pytest.approx(limit.expected, rel=0.08)
    assert 0.935 < np.mean(rates < limit.bound_95) < 0.965


@pytest.mark.parametrize("n", [28, 60, 200])
def test_where_scores_tie_the_promise_is_kept_with_room(n: int) -> None:
    limits = [choose_limit(scores) for scores in np.random.default_rng(n).poisson(6.0, (TRIALS, n)).astype(float)]
    rates = stats.poisson(6.0).sf([math.floor(limit.value) for limit in limits])

    assert np.mean(rates) < limits[0].expected
    assert np.mean(rates < limits[0].bound_95) > 0.95


@pytest.mark.parametrize(("n", "rank"), [(20, 1), (60, 2), (100, 3), (200, 10), (3000, 300)])
def test_the_bound_is_the_beta_quantile(n: int, rank: int) -> None:
    assert false_reject_bound(n, rank) == pytest.approx(stats.beta(rank, n + 1 - rank).ppf(0.95), rel=1e-5)


@given(scores=score_sets, target=shares)
def test_a_target_is_never_exceeded_in_expectation_and_no_part_is_stopped_needlessly(
    scores: NDArray[np.float64], target: float
) -> None:
    n = len(scores)
    if target * (n + 1) < 1.0:
        with pytest.raises(CalibrationRefused):
            choose_limit(scores, LimitWishes(false_rejects=target))
        return

    limit = choose_limit(scores, LimitWishes(false_rejects=target))

    assert limit.expected <= target + 1e-9
    assert (limit.rank + 1) / (n + 1) > target - 1e-9
    assert limit.expected < limit.bound_95


@given(scores=score_sets, low=shares, high=shares)
def test_who_accepts_more_false_rejects_gets_no_higher_limit(
    scores: NDArray[np.float64], low: float, high: float
) -> None:
    low, high = sorted((max(low, 0.05), max(high, 0.05)))

    strict, lax = (choose_limit(scores, LimitWishes(false_rejects=share)) for share in (low, high))

    assert lax.value <= strict.value
    assert lax.bound_95 >= strict.bound_95


@given(scores=score_sets)
def test_no_more_good_parts_lie_above_the_limit_than_its_rank_allows_also_where_scores_tie(
    scores: NDArray[np.float64],
) -> None:
    coarse = np.round(scores, -5)

    for some in (scores, coarse):
        for limit in [choose_limit(some), *offers(some)]:
            assert np.sum(some >= limit.value) <= limit.rank - 1


@given(scores=score_sets, factor=st.floats(0.01, 100.0))
def test_the_unit_of_the_score_does_not_matter(scores: NDArray[np.float64], factor: float) -> None:
    assert choose_limit(scores * factor).rank == choose_limit(scores).rank
    assert choose_limit(scores * factor).value == pytest.approx(choose_limit(scores).value * factor)


def test_parts_that_all_score_the_same_all_pass() -> None:
    limit = choose_limit(np.full(30, 2.0))

    assert 2.0 < limit.value < 2.0000001


@pytest.mark.parametrize(("n", "rank"), [(20, 1), (38, 1), (39, 2), (148, 2), (149, 3), (209, 4)])
def test_from_39_parts_on_the_oddest_one_does_not_set_the_limit(n: int, rank: int) -> None:
    scores = draw(n)
    scores[7] = 1000.0

    assert choose_limit(scores).rank == rank
    assert (choose_limit(scores).value < 1000.0) is (n >= 39)


@pytest.mark.parametrize(
    ("share", "to_expect", "to_promise"), [(0.05, 19, 59), (0.02, 49, 149), (0.01, 99, 299), (0.001, 999, 2995)]
)
def test_the_number_of_images_is_the_least_that_does(share: float, to_expect: int, to_promise: int) -> None:
    assert (images_to_expect(share), images_to_promise(share)) == (to_expect, to_promise)
    assert false_reject_bound(to_promise) <= share < false_reject_bound(to_promise - 1)
    assert plan_ranks(to_expect, LimitWishes(false_rejects=share)) == (1, None)
    with pytest.raises(CalibrationRefused):
        plan_ranks(to_expect - 1, LimitWishes(false_rejects=share))


@given(n=st.integers(20, 4000), data=st.data())
def test_the_target_that_is_named_for_a_rank_leads_to_it(n: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, n // 2))

    wishes = wishes_of(share_for(rank, n), None, extrapolate=False)

    assert plan_ranks(n, wishes) == (rank, None)


# --- the review band ------------------------------------------------------------------------------------


def test_without_a_wish_there_is_no_band_and_ok_ends_at_the_limit() -> None:
    limit = choose_limit(draw(44))

    assert limit.review is None
    assert limit.review_from == limit.value
    assert "REVIEW" not in limit.statement


def test_a_band_of_a_tenth_means_something_from_nine_parts_on() -> None:
    limit = choose_limit(draw(9), LimitWishes(review_share=0.10))

    assert limit.review is not None
    assert limit.review.share == 1 / 10
    with pytest.raises(CalibrationRefused):
        choose_limit(draw(8), LimitWishes(review_share=0.10))


@pytest.mark.parametrize("n", [44, 200])
def test_the_band_holds_as_many_new_good_parts_as_stated(n: int) -> None:
    wishes = LimitWishes(review_share=0.05)
    limits = [choose_limit(scores, wishes) for scores in draw(TRIALS, n, seed=n)]
    stopped = true_rates([limit.review_from for limit in limits])
    bands = stopped - true_rates([limit.value for limit in limits])
    review = choose_limit(draw(n), wishes).review

    assert review is not None
    assert np.mean(bands) == pytest.approx(review.share, rel=0.08)
    assert review.share <= 0.05
    assert np.mean(stopped) == pytest.approx(review.expected, rel=0.08)
    assert 0.935 < np.mean(stopped < review.bound_95) < 0.965


@given(scores=score_sets, share=st.floats(0.05, 0.5))
def test_the_band_lies_below_the_limit(scores: NDArray[np.float64], share: float) -> None:
    limit = choose_limit(scores, LimitWishes(review_share=share))

    assert limit.review is not None
    assert limit.review_from <= limit.value
    assert limit.review.rank > limit.rank
    assert limit.value == choose_limit(scores).value


# --- the tail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "target"), [(28, 0.01), (60, 0.01), (200, 0.002)])
def test_where_the_tail_is_exponential_the_extrapolation_hits_its_target_on_average(n: int, target: float) -> None:
    tails = [extrapolate(scores, target) for scores in np.random.default_rng(n).exponential(size=(400, n))]
    rates = np.exp(-np.array([tail.value for tail in tails]))

    assert np.mean(rates) == pytest.approx(target, rel=0.2)
    assert 0.85 < np.mean((tails[0].low_90 < rates) & (rates < tails[0].high_90)) < 0.95


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (stats.norm(), 0.003, 0.007),
        (stats.gamma(8.0), 0.004, 0.009),
        (stats.lognorm(0.5), 0.007, 0.012),
        (stats.t(4), 0.008, 0.014),
    ],
    ids=["normal", "gamma", "lognormal", "t"],
)
def test_with_another_tail_one_percent_from_60_parts_is_missed_by_less_than_a_factor_of_three(
    law: Any, low: float, high: float
) -> None:
    wishes = LimitWishes(false_rejects=0.01, extrapolate=True)

    limits = [choose_limit(scores, wishes).value for scores in law.rvs(size=(1000, 60), random_state=7)]

    assert low < np.mean(law.sf(limits)) < high


def test_an_extrapolated_limit_is_called_that_and_keeps_what_is_known_without_a_model() -> None:
    scores = draw(44)

    limit = choose_limit(scores, LimitWishes(false_rejects=0.01, extrapolate=True))

    assert limit.rank == 0
    assert limit.value > scores.max()
    assert (limit.expected, limit.bound_95) == (1 / 45, false_reject_bound(44))
    assert limit.statement.startswith("EXTRAPOLATED, NOT PROVEN")
    assert limit.tail is not None
    for share in (0.01, limit.tail.low_90, limit.tail.high_90, 1 / 45, limit.bound_95):
        assert percent(share) in limit.statement


def test_nothing_is_extrapolated_where_the_images_carry_the_target() -> None:
    wishes = LimitWishes(false_rejects=0.05, extrapolate=True)

    assert choose_limit(draw(44), wishes) == choose_limit(draw(44), LimitWishes(false_rejects=0.05))


def test_an_extrapolated_limit_never_lies_below_a_good_part() -> None:
    scores = draw(44)
    scores[0] = 500.0

    assert choose_limit(scores, LimitWishes(false_rejects=0.01, extrapolate=True)).value > 500.0


# --- the limit by the tail of the scores ----------------------------------------------------------------

LAWS = {
    "normal": stats.norm(),
    "gamma": stats.gamma(8.0),
    "exponential": stats.expon(),
    "log-normal": stats.lognorm(0.5),
    "t": stats.t(4),
}


def with_an_odd_part(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """One part more, three times as far out as the oddest of the others."""
    return np.append(scores, scores.max() + 3.0 * (scores.max() - np.median(scores)))


def test_an_exponential_tail_is_the_one_that_is_written_down() -> None:
    scores = draw(40)

    found = extrapolate(scores, 0.01)

    ordered = sorted(scores, reverse=True)
    mean_excess = sum(score - ordered[10] for score in ordered[:10]) / 10
    reach = 10 * ((11 / (0.01 * 41)) ** (1 / 10) - 1)
    assert found.value == pytest.approx(ordered[10] + reach * mean_excess)


@pytest.mark.parametrize("n", [20, 31, 60, 140])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("is_odd", [False, True])
def test_a_limit_by_the_tail_keeps_its_bound_whatever_the_law_and_with_an_odd_part(
    n: int, law: str, *, is_odd: bool
) -> None:
    draws = LAWS[law].rvs(size=(400, n - is_odd), random_state=n)
    limits = [choose_limit(with_an_odd_part(scores) if is_odd else scores, by_tail=True) for scores in draws]

    rates = LAWS[law].sf([limit.value for limit in limits])

    assert limits[0].tail is not None
    assert limits[0].bound_95 == false_reject_bound(n, limits[0].rank)
    assert np.mean(rates < limits[0].bound_95) > 0.95
    assert np.mean(rates) < limits[0].expected
    assert 0.4 * limits[0].tail.target < np.mean(rates) < 1.3 * limits[0].tail.target


@pytest.mark.parametrize("n", [20, 31, 44, 100])
def test_one_odd_part_does_not_move_a_limit_by_the_tail(n: int) -> None:
    moved = []
    for seed in range(40):
        scores = draw(n - 1, seed=seed)
        limit = choose_limit(with_an_odd_part(scores), by_tail=True)
        moved.append(limit.value - choose_limit(scores, by_tail=True).value)
        assert limit.value < with_an_odd_part(scores).max()
    spread = float(np.std(draw(1000)))

    assert abs(np.mean(moved)) < 0.5 * spread  # at most up to the largest of the others, which holds the promise


def test_the_rank_that_carries_the_promise_is_known_before_any_part_is_scored() -> None:
    numbers = (20, 38, 39, 44, 100)
    ranks = {n: {choose_limit(draw(n, seed=seed), by_tail=True).rank for seed in range(20)} for n in numbers}

    assert ranks == {20: {2}, 38: {2}, 39: {3}, 44: {3}, 100: {4}}
    for n, (rank,) in ranks.items():
        assert choose_limit(draw(n), by_tail=True).value >= at_rank(draw(n), rank).value


@pytest.mark.parametrize(("n", "target"), [(20, 0.05), (44, 0.05), (60, 2.25 / 61), (74, 0.03), (200, 0.03)])
def test_the_more_parts_the_fewer_good_ones_the_tail_rejects(n: int, target: float) -> None:
    tail = choose_limit(draw(n), by_tail=True).tail

    assert tail is not None
    assert tail.target == pytest.approx(target)


def test_the_largest_score_is_odd_where_the_others_make_it_unlikely_and_seldom_otherwise() -> None:
    draws = np.random.default_rng(0).exponential(size=(1000, 44))

    assert 0.03 < np.mean([largest_is_odd(scores) for scores in draws]) < 0.07
    assert all(largest_is_odd(with_an_odd_part(scores)) for scores in draws[:100])


def test_the_tail_without_the_largest_has_not_seen_it() -> None:
    scores = draw(44)
    further = scores.copy()
    further[scores.argmax()] *= 10.0

    assert without_largest(further, 0.03) == without_largest(scores, 0.03)
    assert without_largest(scores, 0.03).value < extrapolate(further, 0.03).value


@pytest.mark.parametrize("scores", [np.full(30, 2.0), np.append(np.full(29, 2.0), 3.0), draw(19)])
def test_scores_that_tell_nothing_of_their_tail_set_the_limit_by_rank(scores: NDArray[np.float64]) -> None:
    assert not tells_of_tail(scores)
    assert choose_limit(scores, by_tail=True) == choose_limit(scores)


def test_who_asks_for_a_rate_gets_it_by_rank_as_ever() -> None:
    wishes = LimitWishes(false_rejects=0.05)

    assert choose_limit(draw(44), wishes, by_tail=True) == choose_limit(draw(44), wishes)


def test_a_review_band_below_a_limit_by_the_tail_holds_as_many_parts_as_below_one_by_rank() -> None:
    wishes = LimitWishes(review_share=0.10)

    limit = choose_limit(draw(44), wishes, by_tail=True)

    by_rank = choose_limit(draw(44), wishes)
    assert limit.review is not None
    assert by_rank.review is not None
    assert limit.review.share == by_rank.review.share
    assert limit.review_from < limit.value


@pytest.mark.parametrize("share", [0.9, 0.94, 0.95, 0.96])
def test_a_review_band_below_a_limit_by_the_tail_leaves_a_part_that_passes_or_is_refused(share: float) -> None:
    wishes = LimitWishes(review_share=share)

    if share >= 0.94:
        with pytest.raises(CalibrationRefused, match="would reject all 30 good parts"):
            choose_limit(draw(30), wishes, by_tail=True)
    else:
        limit = choose_limit(draw(30), wishes, by_tail=True)
        assert limit.review_from < limit.value


def test_a_limit_by_the_tail_says_what_is_the_model_and_what_holds_without_it() -> None:
    words = choose_limit(draw(44), by_tail=True).statement
    aside = choose_limit(with_an_odd_part(draw(43)), by_tail=True).statement

    assert "EXTRAPOLATED" not in words
    assert "by the 11 largest scores of 44 good parts" in words
    assert "5.0 % of good parts score more" in words
    assert "not below the 3rd largest score" in words
    assert "reject no more than 6.7 %; with 95 % confidence fewer than 13.6 %" in words
    assert "left aside" not in words
    assert "the largest of all left aside, for it lies further out than the others make likely" in aside


# --- the words ------------------------------------------------------------------------------------------


def test_the_statement_names_place_number_expectation_and_bound() -> None:
    words = choose_limit(draw(200)).statement

    assert "just above the 4th largest score of 200 good parts" in words
    assert "expect it to reject 2.0 %; with 95 % confidence fewer than 3.8 %" in words
    assert "What share of defects is found cannot be told from good parts." in words


@pytest.mark.parametrize(
    ("rank", "place"),
    [(1, "the largest"), (2, "the 2nd largest"), (3, "the 3rd largest"), (11, "the 11th largest"), (22, "the 22nd")],
)
def test_places_are_counted_in_english(rank: int, place: str) -> None:
    assert f"just above {place}" in at_rank(draw(60), rank).statement


@pytest.mark.parametrize(
    ("n", "target", "words"),
    [
        (299, 0.01, "To have it with 95 % confidence, ask for 0.4%."),
        (150, 0.01, "To have it with 95 % confidence takes 299 good images."),
        (60, 0.051, "To have it with 95 % confidence, ask for 1.7%."),
    ],
)
def test_a_target_that_is_only_expected_says_how_to_have_it_with_confidence(n: int, target: float, words: str) -> None:
    limit = choose_limit(draw(n), LimitWishes(false_rejects=target))

    assert words in limit.statement


@pytest.mark.parametrize(
    ("share", "words"), [(0.1015, "10.2 %"), (0.00995, "1.0 %"), (0.0033, "0.33 %"), (0.0, "0 %"), (1.0, "100.0 %")]
)
def test_shares_read_as_percent(share: float, words: str) -> None:
    assert percent(share) == words


def test_the_offers_go_from_the_highest_limit_to_the_lowest_each_once() -> None:
    offered = offers(draw(44))

    assert [limit.rank for limit in offered] == [1, 2, 4]
    assert [limit.rank for limit in offers(draw(200))] == [1, 2, 4, 6, 10, 20]
    assert [limit.value for limit in offered] == sorted((limit.value for limit in offered), reverse=True)
