"""A sample that is worn, swapped or mixed up shows by its own history, and by no other bundle's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_agent.golden.known import KnownSamples, Shown
from edge_agent.golden.usual import BASIS, FEWEST, Odd, control_of, history_by, scores_like
from edge_agent.settings import SampleSettings
from edge_agent.store.challenges import ShownSample

R2 = SampleSettings(name="R2", kind="reject", program=1)
TWELVE = [3.1, 3.4, 3.2, 3.3, 3.25, 3.15, 3.3, 3.2, 3.35, 3.2, 3.3, 3.1]


def shown(score: float | None, *, bundle: str = "b1", is_right: bool = True, odd: str = "", name: str = "R2") -> Shown:
    sample = ShownSample(name, "reject", is_right=is_right, score=score, limit=1.0, bundle=bundle, part_seq=1, odd=odd)
    return Shown("2026-11-24T10:00:00+00:00", sample)


def known(*showings: Shown, registered: tuple[SampleSettings, ...] = (R2,)) -> KnownSamples:
    by_name: dict[tuple[str, str], tuple[Shown, ...]] = {}
    for one in showings:
        key = one.sample.name, one.sample.kind
        by_name[key] = (*by_name.get(key, ()), one)
    return KnownSamples(registered, by_name)


@pytest.mark.parametrize("scores", [[], [3.0] * (FEWEST - 1), [float("nan")] * 20, [float("inf"), *[3.0] * 4]])
def test_too_few_showings_say_nothing(scores: list[float]) -> None:
    assert control_of(scores, 1.0) is None


def test_a_worn_sample_is_told_by_name() -> None:
    odd, words = known(*map(shown, TWELVE)).odd(R2, 1.9, 1.0, "b1")

    assert odd is Odd.LOW
    assert words == (
        "reject sample R2 scored 1.9 now; its first 12 times 3.1 to 3.4: it may be worn, or may have been swapped with "
        "another"
    )


@pytest.mark.parametrize("score", [3.0, 3.25, 3.5])
def test_a_usual_score_says_nothing(score: float) -> None:
    assert known(*map(shown, TWELVE)).odd(R2, score, 1.0, "b1") == ("", "")


def test_a_score_that_is_anothers_names_it() -> None:
    """R2 and R3 in the wrong order: each scores as the other does."""
    r3 = replace_name("R3")
    of_r3 = [shown(score + 5, name="R3") for score in TWELVE]
    found = known(*map(shown, TWELVE), *of_r3, registered=(R2, r3))

    assert found.odd(R2, 8.25, 1.0, "b1")[0] is Odd.HIGH
    assert "it scores as R3 does, and may have been swapped with it" in found.odd(R2, 8.25, 1.0, "b1")[1]
    assert "it scores as R2 does" in found.odd(r3, 3.25, 1.0, "b1")[1]


def replace_name(name: str) -> SampleSettings:
    return R2.model_copy(update={"name": name})


def test_who_it_is_like_is_said_only_where_one_fits() -> None:
    control = control_of(TWELVE, 1.0)

    assert scores_like(3.2, {"A": control}) == "A"
    assert scores_like(3.2, {"A": control, "B": control}) == ""
    assert scores_like(9.0, {"A": control, "B": None}) == ""


def test_scores_of_another_bundle_are_never_compared() -> None:
    found = known(*map(shown, TWELVE))

    assert found.odd(R2, 1.2, 1.0, "b2") == ("", "")
    assert found.history("R2", "reject", "b2") == []


def test_what_was_wrong_or_jumped_is_no_part_of_what_is_usual() -> None:
    showings = [
        shown(3.2),
        shown(9.0, odd="high"),
        shown(0.4, is_right=False),
        shown(None),
        shown(3.1, odd="creep-low"),
    ]

    assert history_by([one.sample for one in showings], "b1") == [3.2, 3.1]


def test_slow_wear_does_not_become_usual() -> None:
    """A hundredth less each time: told as a creep first, then as a jump, although each step is small."""
    rng = np.random.default_rng(7)
    found: list[str] = []
    showings = [shown(float(score)) for score in 3.2 + 0.05 * rng.standard_normal(BASIS)]
    for step in range(60):
        score = 3.2 - 0.01 * step + 0.05 * float(rng.standard_normal())
        odd, _ = known(*showings).odd(R2, score, 1.0, "b1")
        found.append(odd)
        showings.append(shown(score, odd=odd))

    assert found[:5] == [""] * 5
    assert found.index(Odd.CREEP_LOW) < found.index(Odd.LOW) < 55
    assert set(found) == {"", Odd.CREEP_LOW, Odd.LOW}


def test_a_golden_sample_that_gets_dirty_creeps_up() -> None:
    g1 = SampleSettings(name="G1", kind="good", program=1)
    scores = [0.40, 0.41, 0.39, 0.40, 0.42, 0.41, 0.40, 0.39, 0.41, 0.40, 0.42, 0.40, 0.42, 0.43, 0.43, 0.44]
    showings = tuple(Shown("t", replace(shown(score).sample, name="G1", kind="good")) for score in scores)

    odd, words = KnownSamples((g1,), {("G1", "good"): showings}).odd(g1, 0.445, 1.0, "b1")

    assert odd is Odd.CREEP_HIGH
    assert "golden sample G1 scored 0.445 now" in words


def test_what_line_toml_expects_comes_before_the_history() -> None:
    one = R2.model_copy(update={"score": (3.0, 3.6)})

    odd, words = known(*map(shown, TWELVE)).odd(one, 1.9, 1.0, "b1")

    assert (odd, words) == (Odd.BAND, "reject sample R2 scored 1.9; line.toml expects 3 to 3.6")
    assert known().odd(one, 3.0, 1.0, "b1") == ("", "")


def test_equal_scores_have_a_spread_all_the_same() -> None:
    assert known(*map(shown, [3.2] * 12)).odd(R2, 3.205, 1.0, "b1") == ("", "")


@pytest.mark.parametrize("times", [FEWEST, 8, BASIS])
def test_a_sample_that_stays_itself_is_seldom_told(times: int) -> None:
    """At most one jump in a thousand showings by chance, whatever its mean and spread are."""
    rng, trials = np.random.default_rng(11), 20_000
    told = 0
    for basis, new in zip(rng.normal(3, 0.1, (trials, times)), rng.normal(3, 0.1, trials), strict=True):
        control = control_of(list(basis), 1.0)
        assert control is not None
        told += control.odd(float(new), list(basis)) is not None

    # Half of a thousandth is this question's share: 10 expected of 20,000.
    assert told <= 25


def test_another_kind_of_sample_has_another_history() -> None:
    assert known(*map(shown, TWELVE)).history("R2", "good", "b1") == []
