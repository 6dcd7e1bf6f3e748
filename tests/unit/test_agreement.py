"""The numbers of an attribute agreement study, value by value against published worked examples, and bad input.

``tests/data/msa_aiag.csv``: the 450 ratings of table III-C 1 of AIAG's Measurement Systems Analysis, 4th edition. They
were typed in without the manual at hand. What vouches for them is what others publish of that example: every cell of
its six cross tables, the counts of parts judged alike (42, 45 and 40 of 50; elsmar.com, thread 46508: 29, 32 and 28 of
them always good), appraiser A's row and parts (JMP, "Effectiveness Report"), and the rates.

``tests/data/msa_bearings.csv``: black spots on 15 plain bearings, out of the tests of jaspQualityControl (JASP), whose
expected values stand here too. There the positive rating is "good", so its misses are our false alarms.
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import beta

from edge_agent.report.agreement import (
    Agreement,
    Grade,
    Rate,
    agreement,
    cohen_kappa,
    fleiss_kappa,
    fleiss_kappa_of_counts,
    position_bias,
    repeatability,
)
from edge_agent.report.tally import rate_bounds
from edge_agent.store.study import shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "data"


class Example:
    """A table of ratings: three appraisers, three trials each, and the reference."""

    def __init__(self, name: str) -> None:
        with (DATA / name).open() as file:
            rows = list(csv.DictReader(file))
        self.good = np.array([row["reference"] == "1" for row in rows])
        self.by = {a: np.array([[row[f"{a}{t}"] == "1" for t in (1, 2, 3)] for row in rows]) for a in "ABC"}
        self.by["R"] = np.repeat(self.good[:, None], 3, axis=1)

    def study(self, appraiser: str) -> Agreement:
        passed = self.by[appraiser]
        order = np.arange(passed.size).reshape(passed.shape[1], -1).T
        return agreement(passed, ~self.good, np.full(passed.shape, np.nan), order, limit=None)


@pytest.fixture(scope="module")
def aiag() -> Example:
    return Example("msa_aiag.csv")


@pytest.fixture(scope="module")
def bearings() -> Example:
    return Example("msa_bearings.csv")


def test_the_aiag_table_has_the_manuals_size(aiag: Example) -> None:
    assert (aiag.good.size, int(aiag.good.sum())) == (50, 34)
    assert {name: rated.size for name, rated in aiag.by.items()} == dict.fromkeys("ABCR", 150)


@pytest.mark.parametrize(
    ("one", "other", "cells", "kappa"),
    [
        ("A", "B", (44, 6, 3, 97), 0.86),
        ("B", "C", (42, 5, 9, 94), 0.79),
        ("A", "C", (43, 7, 8, 92), 0.78),
        ("A", "R", (45, 5, 3, 97), 0.88),
        ("B", "R", (45, 2, 3, 100), 0.92),
        ("C", "R", (42, 9, 6, 93), 0.77),
    ],
)
def test_every_cross_table_and_kappa_of_the_aiag_example(
    aiag: Example, one: str, other: str, cells: tuple[int, ...], kappa: float
) -> None:
    first, second = aiag.by[one], aiag.by[other]
    found = tuple(int(((first == a) & (second == b)).sum()) for a in (False, True) for b in (False, True))

    assert found == cells
    assert cohen_kappa(first, second) == pytest.approx(kappa, abs=0.005)


class Published(NamedTuple):
    """What is published of one appraiser. Of parts judged alike and judged rightly, the numbers and their bounds."""

    right: int
    right_bounds: tuple[float, float]
    alike: int
    alike_bounds: tuple[float, float]


@pytest.mark.parametrize(
    ("appraiser", "published", "always_good", "rates"),
    [
        ("A", Published(42, (0.71, 0.93), 42, (0.71, 0.93)), 29, (0.063, 0.049)),
        ("B", Published(45, (0.78, 0.97), 45, (0.78, 0.97)), 32, (0.063, 0.020)),
        ("C", Published(40, (0.66, 0.90), 40, (0.66, 0.90)), 28, (0.125, 0.088)),
    ],
)
def test_the_rates_of_the_aiag_example_and_their_bounds(
    aiag: Example, appraiser: str, published: Published, always_good: int, rates: tuple[float, float]
) -> None:
    found = aiag.study(appraiser)

    assert (found.effectiveness, found.within) == (Rate(published.right, 50), Rate(published.alike, 50))
    assert found.effectiveness.bounds == pytest.approx(published.right_bounds, abs=0.005)
    assert found.within.bounds == pytest.approx(published.alike_bounds, abs=0.005)
    assert int(aiag.by[appraiser].all(axis=1).sum()) == always_good
    assert (found.misses.value, found.false_alarms.value) == pytest.approx(rates, abs=0.0006)
    assert (found.misses.of, found.false_alarms.of) == (48, 102)


def test_fleiss_kappa_of_the_aiag_example(aiag: Example) -> None:
    """As statsmodels (inter_rater) computes it of the same table, to the last digits."""
    found = [fleiss_kappa(aiag.by[a]) for a in "ABC"]

    assert found == pytest.approx([0.76, 0.8450733319562077, 0.7029114676173498], abs=1e-14)


def test_the_verdicts_of_the_aiag_example(aiag: Example) -> None:
    """The manual finds B's effectiveness acceptable, A's and C's marginal; every appraiser misses too many."""
    grades = {a: aiag.study(a).grades for a in "ABC"}

    assert [grades[a]["effectiveness"] for a in "ABC"] == [Grade.CONDITIONAL, Grade.ACCEPTED, Grade.CONDITIONAL]
    assert [grades[a]["misses"] for a in "ABC"] == [Grade.NOT_ACCEPTED] * 3
    assert [grades[a]["false_alarms"] for a in "ABC"] == [Grade.ACCEPTED, Grade.ACCEPTED, Grade.CONDITIONAL]
    assert {aiag.study(a).grade for a in "ABC"} == {Grade.NOT_ACCEPTED}


@pytest.mark.parametrize(
    ("appraiser", "published", "within", "with_reference"),
    [
        (
            "A",
            Published(12, (0.51911, 0.95669), 14, (0.68052, 0.99831)),
            0.905462184873949,
            0.612918660287081,
        ),
        ("B", Published(11, (0.44900, 0.92213), 14, (0.68052, 0.99831)), 0.91, 0.48608895977317),
        (
            "C",
            Published(9, (0.32287, 0.83664), 12, (0.51911, 0.95669)),
            0.543918918918919,
            0.220151828847481,
        ),
    ],
)
def test_bounds_and_fleiss_kappa_of_the_bearings(
    bearings: Example, appraiser: str, published: Published, within: float, with_reference: float
) -> None:
    found = bearings.study(appraiser)

    assert (found.effectiveness, found.within) == (Rate(published.right, 15), Rate(published.alike, 15))
    assert found.effectiveness.bounds == pytest.approx(published.right_bounds, abs=6e-6)
    assert found.within.bounds == pytest.approx(published.alike_bounds, abs=6e-6)
    assert found.fleiss_within == pytest.approx(within, abs=1e-14)
    assert found.fleiss_reference == pytest.approx(with_reference, abs=1e-14)


def test_rates_and_kappas_of_the_bearings(bearings: Example) -> None:
    found = {a: bearings.study(a) for a in "ABC"}

    assert [round(100 * found[a].false_alarms.value, 2) for a in "ABC"] == [16.67, 26.67, 10.0]
    assert [round(100 * found[a].misses.value, 2) for a in "ABC"] == [20.0, 20.0, 66.67]
    assert fleiss_kappa(np.concatenate([bearings.by[a] for a in "ABC"], axis=1)) == pytest.approx(0.641666666666666)
    against = [cohen_kappa(bearings.by[a], bearings.by["R"]) for a in "ABC"]
    assert against == pytest.approx([0.612903225806452, 0.492307692307692, 0.264150943396226])


def test_fleiss_kappa_of_fourteen_judges() -> None:
    """The example of Wikipedia's article "Fleiss' kappa": 14 judges, 10 subjects, 5 categories, 0.210."""
    table = (
        "0 0 0 0 14, 0 2 6 4 2, 0 0 3 5 6, 0 3 9 2 0, 2 2 8 1 1, 7 7 0 0 0, 3 2 6 3 0, 2 5 3 2 2, 6 5 2 1 0, 0 2 2 3 7"
    )
    counts = np.array([[int(n) for n in row.split()] for row in table.split(",")])

    assert fleiss_kappa_of_counts(counts) == pytest.approx(0.210, abs=0.0005)
    as_ratings = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert fleiss_kappa(as_ratings) == pytest.approx(fleiss_kappa_of_counts(counts))


@pytest.mark.parametrize(("seen", "of"), [(0, 48), (3, 48), (42, 50), (50, 50), (1, 1), (5, 102)])
def test_the_bounds_are_those_of_the_beta_distribution(seen: int, of: int) -> None:
    low = 0.0 if seen == 0 else beta.ppf(0.025, seen, of - seen + 1)
    high = 1.0 if seen == of else beta.ppf(0.975, seen + 1, of - seen)

    assert rate_bounds(seen, of) == pytest.approx((low, high), abs=1e-8)


def of_six(passed: list[str], **changed: Any) -> Agreement:
    """Two good and one defective part by default, P for passed; the order is run by run."""
    verdicts = np.array([[letter == "P" for letter in row] for row in passed])
    order = np.arange(verdicts.size).reshape(verdicts.shape[1], -1).T
    facts: dict[str, Any] = {
        "is_defective": np.array([False, False, True]),
        "scores": np.full(verdicts.shape, np.nan),
        "positions": order,
        "limit": 2.0,
        **changed,
    }
    return agreement(verdicts, **facts)


@pytest.mark.parametrize(
    ("passed", "defective"),
    [(["PP", "PP", "PP"], [False] * 3), (["RR", "RR", "RR"], [True] * 3), (["P", "P", "R"], [False, False, True])],
    ids=["no defective part", "no good part", "one run"],
)
def test_what_is_no_study_is_refused(passed: list[str], defective: list[bool]) -> None:
    with pytest.raises(ValueError, match="good parts, defective parts, and two runs"):
        of_six(passed, is_defective=np.array(defective))


def test_a_perfect_study_is_accepted_and_one_that_passes_all_has_no_kappa() -> None:
    perfect, blind = of_six(["PPP", "PPP", "RRR"]), of_six(["PP", "PP", "PP"])

    assert perfect.grade is Grade.ACCEPTED
    assert perfect.kappa_reference == (1.0, 1.0, 1.0)
    assert (perfect.fleiss_within, perfect.fleiss_reference) == (1.0, 1.0)
    assert blind.grade is Grade.NOT_ACCEPTED
    assert blind.kappa_between == ((0, 1, None),)
    assert blind.fleiss_within is None
    assert blind.kappa_reference == (0.0, 0.0), "it is no better than chance"


def test_a_reject_that_nobody_looked_at_is_a_false_alarm() -> None:
    found = of_six(["PP", "PP", "RR"], unseen_good=1)

    assert found.false_alarms == Rate(1, 5)
    assert found.effectiveness == Rate(3, 3)
    assert found.grade is Grade.NOT_ACCEPTED


@pytest.mark.parametrize(
    ("rate", "name", "grade"),
    [
        (Rate(90, 100), "effectiveness", Grade.ACCEPTED),
        (Rate(89, 100), "effectiveness", Grade.CONDITIONAL),
        (Rate(80, 100), "effectiveness", Grade.CONDITIONAL),
        (Rate(79, 100), "effectiveness", Grade.NOT_ACCEPTED),
        (Rate(2, 100), "misses", Grade.ACCEPTED),
        (Rate(5, 100), "misses", Grade.CONDITIONAL),
        (Rate(6, 100), "misses", Grade.NOT_ACCEPTED),
        (Rate(5, 100), "false_alarms", Grade.ACCEPTED),
        (Rate(10, 100), "false_alarms", Grade.CONDITIONAL),
        (Rate(11, 100), "false_alarms", Grade.NOT_ACCEPTED),
    ],
)
def test_the_limits_of_aiag_hold_at_their_edges(rate: Rate, name: str, grade: Grade) -> None:
    perfect = of_six(["PP", "PP", "RR"])

    changed = replace(perfect, **{name: rate})
    assert changed.grades[name] is grade
    assert changed.grade is grade


def test_repeatability_is_pooled_over_the_parts_and_measured_by_the_nearest_to_the_limit() -> None:
    scores = np.array([[1.0, 1.2], [0.5, 0.5], [3.0, 3.4], [np.nan, 9.0]])

    found = repeatability(scores, 2.0)

    assert found is not None
    assert found.deviation == pytest.approx(((0.02 + 0.0 + 0.08) / 3) ** 0.5)
    assert (found.nearest, found.nearest_part) == (pytest.approx(0.9), 0)
    assert found.share == pytest.approx(found.deviation / 0.9)
    assert repeatability(np.full((3, 2), np.nan), 2.0) is None
    assert repeatability(scores, None) is None
    of_good = repeatability(scores, 2.0, np.array([True, True, False, False]))
    assert of_good is not None
    assert (of_good.deviation, of_good.nearest_part) == (pytest.approx(0.1), 0)
    on_it = repeatability(np.array([[2.0, 2.0]]), 2.0)
    assert on_it is not None
    assert on_it.share == float("inf")


def test_a_score_that_repeats_to_the_last_bit_has_no_spread_and_no_bias() -> None:
    """The mean of three equal numbers is not always that number."""
    scores = np.tile(np.random.default_rng(3).uniform(0.1, 0.9, 50)[:, None], (1, 3))
    assert (scores.mean(axis=1) != scores[:, 0]).any()

    spread = repeatability(scores, 1.0)
    bias = position_bias(np.ones((50, 3), bool), scores, shown(50, 3))

    assert spread is not None
    assert spread.deviation == 0.0
    assert (bias.score_chance, bias.is_biased) == (1.0, False)


def shown(parts: int, runs: int) -> NDArray[np.int64]:
    return np.arange(parts * runs).reshape(runs, parts).T


def test_bias_by_position_is_found_in_verdicts_and_in_scores() -> None:
    right = np.ones((20, 3), bool)
    flat = np.tile(np.linspace(0.1, 0.9, 20)[:, None], (1, 3))
    none = position_bias(right, flat, shown(20, 3))
    late_wrong = right.copy()
    late_wrong[:8, 2] = False
    drifting = flat + np.array([0.0, 0.01, 0.02])

    assert (none.chance, none.score_chance, none.is_biased) == (1.0, 1.0, False)
    wrong = position_bias(late_wrong, np.full((20, 3), np.nan), shown(20, 3))
    assert (wrong.first, wrong.last, wrong.score_chance) == (Rate(0, 20), Rate(8, 20), None)
    assert wrong.chance == pytest.approx(2 * math.comb(20, 8) / math.comb(40, 8))
    assert wrong.is_biased
    assert position_bias(right, drifting, shown(20, 3)).is_biased


@pytest.mark.parametrize(("parts", "runs"), [(50, 3), (50, 2), (12, 3)])
def test_bias_by_position_is_told_no_more_often_than_is_said_where_there_is_none(parts: int, runs: int) -> None:
    """Every run shows the same parts: the thirds are no samples of their own."""
    draw, told, studies = np.random.default_rng(7), 0, 400
    for seed in range(studies):
        positions = np.empty((parts, runs), np.int64)
        for run, order in enumerate(shuffled(parts, runs, seed)):
            positions[list(order), run] = run * parts + np.arange(parts)
        scores = draw.normal(0.5, 0.2, (parts, 1)) + draw.normal(0.0, 0.05, (parts, runs))
        told += position_bias(np.ones((parts, runs), bool), scores, positions).is_biased

    assert told / studies < 0.07
