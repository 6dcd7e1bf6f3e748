"""What stands apart among good parts is found, and at most one clean set in twenty is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from calibration.suspects.contamination import far_out, most_suspects

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAWS = {
    "normal": stats.norm(),
    "gumbel": stats.gumbel_r(),
    "gamma": stats.gamma(8.0),
    "exponential": stats.expon(),
    "log-normal": stats.lognorm(0.5),
    "t": stats.t(4),
}
SETS = 400


@pytest.mark.parametrize("n", [20, 31, 40, 100])
@pytest.mark.parametrize("law", LAWS)
def test_at_most_one_clean_set_in_twenty_is_stopped_whatever_the_law(n: int, law: str) -> None:
    draws = LAWS[law].rvs(size=(SETS, n), random_state=n)

    stopped = sum(bool(far_out(oddity)) for oddity in draws)

    assert stopped <= stats.binom(SETS, 0.05).ppf(0.999)


def with_odd(n: int, odd: list[float], seed: int = 0) -> NDArray[np.float64]:
    """Good parts of a normal law, and behind them parts so many standard deviations out."""
    return np.append(np.random.default_rng(seed).normal(size=n), odd)


@pytest.mark.parametrize("odd", [[15.0], [12.0, 12.5], [9.0, 10.0, 30.0], [8.0, 8.1, 8.2, 8.3, 60.0]])
def test_one_to_five_among_forty_are_found_all_of_them_and_no_other(odd: list[float]) -> None:
    for seed in range(20):
        found = far_out(with_odd(40, odd, seed))

        assert list(found) == sorted(range(40, 40 + len(odd)), key=lambda part: -odd[part - 40])


def test_what_is_found_depends_on_no_scale_and_on_no_place() -> None:
    oddity = with_odd(40, [9.0, 11.0, 15.0])

    assert far_out(oddity * 1e-6 - 7.0) == far_out(oddity) == (42, 41, 40)
    assert far_out(oddity[::-1]) == (0, 1, 2)


def test_where_nothing_differs_nothing_is_far_out_and_few_parts_tell_nothing() -> None:
    assert far_out(np.zeros(40)) == ()
    assert far_out(np.append(np.zeros(39), 1.0)) == (39,)
    assert far_out(with_odd(10, [100.0])) == ()


def test_one_part_in_eight_may_stand_apart() -> None:
    assert [most_suspects(n) for n in (20, 31, 40, 45, 100)] == [2, 3, 5, 5, 10]
