"""A few of many good parts, spread evenly."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.choosing.synthetic_defects import told_apart
from calibration.good_parts.spread import evenly


@pytest.mark.parametrize(
    ("count", "most", "indices"),
    [(0, 3, []), (1, 3, [0]), (2, 3, [0, 1]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (100, 2, [0, 99])],
)
def test_the_first_and_the_last_are_among_them(count: int, most: int, indices: list[int]) -> None:
    assert evenly(count, most) == indices


def test_a_defect_that_scores_as_a_good_part_does_is_told_apart_half_of_the_time() -> None:
    good = np.array([1.0, 2.0])

    assert told_apart(good, np.array([3.0])) == 1.0
    assert told_apart(good, np.array([2.0])) == 0.75
    assert told_apart(good, np.array([0.0])) == 0.0
    assert told_apart(np.array([1.0, np.inf]), np.array([np.inf])) == 0.75
