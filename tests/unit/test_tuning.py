"""How many threads an inspection gets where nobody says."""

from __future__ import annotations

import pytest

from edge_agent.inspection.tuning import Tuned, fewest_of_the_quickest


@pytest.mark.parametrize(
    ("times_ms", "threads"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 60.0, 3: 45.0, 4: 40.0}, 4),
        ({1: 100.0, 2: 61.0, 3: 60.0, 4: 59.0}, 2),
        ({1: 60.0, 2: 70.0}, 1),
        ({1: 62.9, 2: 60.0}, 1),
        ({1: 63.1, 2: 60.0}, 2),
    ],
)
def test_of_about_equals_the_fewest_are_taken(times_ms: dict[int, float], threads: int) -> None:
    assert fewest_of_the_quickest(times_ms) == threads


def test_all_that_was_measured_is_said() -> None:
    assert Tuned(2, {1: 100.4, 2: 61.0}).words.startswith("threads 2, ")
    assert Tuned(2, {1: 100.4, 2: 61.0}).words.endswith(": 100 ms with 1, 61 ms with 2")
