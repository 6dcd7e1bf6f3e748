"""Scores, limits and decisions: what the numbers promise, and that nothing unclear passes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration.limits.limit import choose_limit, leave_one_out_scores
from edge_agent.domain import Outcome, Reason
from edge_agent.inspection.scoring.knn import Bank, standardisation
from edge_agent.inspection.scoring.outcome import decide_outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

GOOD = {
    "score": 1.0,
    "limit": 2.0,
    "review_from": 1.5,
    "quality": 0.95,
    "quality_min": 0.85,
    "unseen_fraction": 0.0,
    "unseen_max": 0.02,
}


def draw(n: int, seed: int = 0, d: int = 30) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_the_score_is_the_mean_squared_distance_to_the_k_nearest() -> None:
    good, part = draw(40), draw(1, seed=1)[0]
    bank = Bank.of(good, 15)
    mean, scale = good.astype(float).mean(0), good.astype(float).std(0)
    distances = sorted((((good - part) / scale) ** 2).sum(1))

    assert bank.score(part) == pytest.approx(np.mean(distances[:15]))
    np.testing.assert_allclose(bank.mean, mean)


def test_a_feature_that_one_good_part_alone_excites_does_not_drown_the_others() -> None:
    good = draw(40)
    good[:, 3] = 0.0
    good[7, 3] = 1e-4
    part = draw(1, seed=1)[0]
    part[3] = 0.5

    without_it = np.delete(good, 7, axis=0)

    assert Bank.of(without_it, 15).score(part) < 3 * Bank.of(draw(40), 15).score(draw(1, seed=1)[0])


def test_each_depth_counts_as_much_however_many_features_it_has() -> None:
    good, part = draw(40, d=156), draw(1, d=156, seed=1)[0]

    score = Bank.of(good, 5, (2, 50)).score(part)

    each = ((good - part) / good.astype(float).std(0)) ** 2
    weighed = each[:, :6].sum(axis=1) * 78 / 6 + each[:, 6:].sum(axis=1) * 78 / 150
    assert score == pytest.approx(np.sort(weighed)[:5].mean())
    assert Bank.of(good, 5, (52,)).score(part) == Bank.of(good, 5).score(part)


def test_features_that_never_vary_keep_scale_one() -> None:
    _, scale = standardisation(np.full((20, 6), 3.0, np.float32))

    assert scale.tolist() == [1.0] * 6


def test_an_embedding_that_is_not_finite_has_no_score() -> None:
    part = draw(1)[0]
    part[5] = np.nan

    assert math.isnan(Bank.of(draw(40), 15).score(part))


@pytest.mark.parametrize("k", [0, 21])
def test_a_bank_smaller_than_k_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="neighbours"):
        Bank.of(draw(20), k)


def test_leaving_one_out_leaves_it_out_of_the_standardisation_too() -> None:
    bank, queries = draw(25), draw(25, seed=1)

    scores = leave_one_out_scores(bank, queries, 5)

    assert scores[4] == Bank.of(np.delete(bank, 4, axis=0), 5).score(queries[4])


def test_new_good_parts_are_rejected_as_often_as_the_statement_says() -> None:
    rejected, total = 0, 0
    for trial in range(60):
        good = draw(28, seed=trial, d=30)
        limit = choose_limit(leave_one_out_scores(good, good, 5))
        bank = Bank.of(good, 5)
        scores = [bank.score(part) for part in draw(40, seed=1000 + trial, d=30)]
        rejected, total = rejected + sum(s >= limit.value for s in scores), total + len(scores)

    assert limit.expected == 1 / 29
    assert 0.5 / 29 < rejected / total < 1.6 / 29


def test_everything_proven_is_ok() -> None:
    assert decide_outcome(**GOOD)[:2] == (Outcome.OK, Reason.OK)


@pytest.mark.parametrize("score", [1.5, 1.9, math.nextafter(2.0, 0.0)])
def test_a_score_in_the_band_is_to_be_reviewed_and_says_where_it_lies(score: float) -> None:
    outcome, reason, words = decide_outcome(**{**GOOD, "score": score})

    assert (outcome, reason) == (Outcome.REVIEW, Reason.SCORE)
    assert "to be reviewed" in words
    assert "from 1.5 to the limit 2" in words


def test_without_a_band_ok_ends_at_the_limit() -> None:
    no_band = {**GOOD, "review_from": 2.0}

    assert decide_outcome(**{**no_band, "score": math.nextafter(2.0, 0.0)})[0] is Outcome.OK
    assert decide_outcome(**{**no_band, "score": 2.0})[0] is Outcome.NG


@pytest.mark.parametrize("change", [{"quality": 0.84}, {"unseen_fraction": 0.03}, {"pose_fault": "turned"}])
def test_what_cannot_be_compared_is_not_left_to_a_review(change: dict[str, float | str]) -> None:
    assert decide_outcome(**{**GOOD, "score": 1.7, **change})[0] is Outcome.NG


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score": 2.0}, Reason.SCORE),
        ({"score": 2.1}, Reason.SCORE),
        ({"quality": 0.84}, Reason.ALIGN),
        ({"quality": 0.84, "score": 9.0}, Reason.ALIGN),
        ({"unseen_fraction": 0.03}, Reason.ALIGN),
        *(({name: bad}, Reason.NOT_FINITE) for name in GOOD for bad in (math.nan, math.inf, -math.inf)),
    ],
)
def test_anything_else_is_not_good(change: dict[str, float], reason: Reason) -> None:
    outcome, found, detail = decide_outcome(**{**GOOD, **change})

    assert (outcome, found) == (Outcome.NG, reason)
    assert detail
