"""The few largest of many values, found though most are only bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent.inspection.scoring.furthest import furthest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Closer = Callable[[NDArray[np.intp]], NDArray[np.float32]]


class Counted:
    """Values, and how many of them were asked for."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values, self.asked = values, 0

    def __call__(self, where: NDArray[np.intp]) -> NDArray[np.float32]:
        self.asked += len(where)
        return self.values[where]


@pytest.mark.parametrize("count", [1, 9, 300, 400])
def test_the_largest_are_found_and_few_values_asked_for(count: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.normal(size=300).astype(np.float32)
    closer = Counted(values + rng.uniform(0.0, 0.2, 300).astype(np.float32))
    exact = Counted(values)
    bounds = closer.values + rng.uniform(0.0, 1.0, 300).astype(np.float32)

    found = furthest(bounds, count, closer, exact)

    np.testing.assert_array_equal(found, np.sort(values)[-count:])
    assert exact.asked <= closer.asked
    if count == 9:
        assert exact.asked < 40


def test_equal_bounds_lose_no_value() -> None:
    values = np.array([3.0, 1.0, 2.0, 5.0, 4.0], np.float32)

    np.testing.assert_array_equal(furthest(np.full(5, 9.0, np.float32), 2, Counted(values)), [4.0, 5.0])


def test_a_bound_that_is_not_finite_makes_all_nan() -> None:
    bounds = np.array([1.0, np.inf, 2.0], np.float32)

    assert np.isnan(furthest(bounds, 2, Counted(bounds))).all()


@pytest.mark.parametrize("step", [0, 1])
def test_a_value_that_is_not_finite_makes_all_nan_however_late_it_is_found(step: int) -> None:
    bounds = np.array([4.0, 3.0, 2.0], np.float32)
    odd = np.array([np.nan, 3.0, 2.0], np.float32)
    closer = [Counted(bounds), Counted(bounds)]
    closer[step] = Counted(odd)

    assert np.isnan(furthest(bounds, 2, *closer)).all()
