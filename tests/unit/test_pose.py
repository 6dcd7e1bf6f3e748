"""Where a part lay, judged by where good parts lie."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent.domain import Alignment
from edge_agent.inspection.registration.pose import PoseLimits, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

QUANTITIES = ("shift_x_px", "shift_y_px", "angle_deg", "gain", "offset", "scale")
STILL = Alignment(0.98, 0.0, 0.0, 0.0, 1.0, 0.0)


def lying(angles_deg: list[float]) -> list[Alignment]:
    return [replace(STILL, angle_deg=angle) for angle in angles_deg]


def test_the_words_say_how_it_lay_how_good_parts_do_and_the_limit() -> None:
    limits = PoseLimits({"angle_deg": Span(-0.4, 0.6, -1.8, 2.0)})

    assert limits.judge(replace(STILL, angle_deg=3.1)) == (
        "turned by 3.1 degrees, the good parts by -0.4 to 0.6 (limit 2.0)"
    )
    assert limits.judge(replace(STILL, angle_deg=2.0)) == ""


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e9])
def test_what_is_not_a_place_is_refused(name: str, value: float) -> None:
    limits = PoseLimits.of([STILL] * 30, 1600)

    assert limits.judge(replace(STILL, **{name: value}))
    assert limits.judge(STILL) == ""


def test_every_fault_is_named() -> None:
    found = PoseLimits.of([STILL] * 30, 1600).judge(replace(STILL, shift_x_px=90.0, gain=2.0))

    assert "shifted to the right by 90.0 px" in found
    assert "of a contrast multiplied by 2.00" in found


def test_parts_in_a_perfect_fixture_leave_the_next_part_some_room() -> None:
    limits = PoseLimits.of([STILL] * 30, 1600)

    assert limits.judge(Alignment(0.98, 7.0, -7.0, 0.4, 1.1, 12.0, 0.995)) == ""
    assert "turned" in limits.judge(replace(STILL, angle_deg=0.6))


def test_a_factor_narrows_the_margin_beyond_the_good_parts() -> None:
    good = lying(np.random.default_rng(0).uniform(-1, 1, 40).tolist())
    usual, narrow = PoseLimits.of(good, 1600), PoseLimits.of(good, 1600, 0.25)
    askew = replace(STILL, angle_deg=2.4)

    assert usual.judge(askew) == ""
    assert narrow.judge(askew)
    assert all(narrow.judge(part) == "" for part in good)


def test_angles_go_round_half_a_turn() -> None:
    limits = PoseLimits.of(lying([179.0, -179.5, 178.0, -178.8, 180.0] * 6), 1600)

    assert limits.judge(replace(STILL, angle_deg=-179.9)) == ""
    assert limits.judge(replace(STILL, angle_deg=177.0)) == ""
    assert "turned by" in limits.judge(STILL)


def test_parts_that_lie_turned_anyhow_are_not_judged_by_their_angle() -> None:
    limits = PoseLimits.of(lying(np.random.default_rng(0).uniform(-180, 180, 30).tolist()), 1600)

    assert "angle_deg" not in limits.spans
    assert limits.judge(replace(STILL, angle_deg=123.0)) == ""
    assert limits.judge(replace(STILL, shift_x_px=90.0))


def test_limits_survive_json() -> None:
    limits = PoseLimits.of(lying([-0.4, 0.6, 0.1]), 1600)

    assert PoseLimits.from_json(json.loads(json.dumps(limits.to_json()))) == limits
    assert PoseLimits.from_json({}).judge(replace(STILL, angle_deg=90.0)) == ""


@pytest.mark.parametrize(
    "content",
    [
        {"colour": {"low": 0, "high": 0, "least": 0, "most": 0}},
        {"gain": 3},
        {"gain": {"low": 1}},
        {"gain": {"low": 1, "high": 0, "least": -1, "most": 2}},
        {"gain": {"low": 0, "high": 0, "least": math.nan, "most": 2}},
        {"gain": {"low": 0, "high": 0, "least": 0, "most": math.inf}},
        {"gain": {"low": "a", "high": 0, "least": 0, "most": 0}},
    ],
)
def test_limits_that_cannot_be_are_refused(content: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        PoseLimits.from_json(content)


SIZES = (100.0, 100.0, 4.0, 100.0, 100.0, 100.0)
SPREADS: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, n: rng.normal(size=(n, 6)),
    "uniform": lambda rng, n: rng.uniform(-1, 1, (n, 6)),
    "heavy-tailed": lambda rng, n: rng.standard_t(3, (n, 6)),
}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("parts", [28, 60, 200])
def test_good_parts_are_hardly_ever_refused_for_their_place(spread: str, parts: int) -> None:
    """Six quantities together, all far wider than the least tolerances."""
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        good = [_alignment(row) for row in SPREADS[spread](rng, parts)]
        limits = PoseLimits.of(good, 1600)
        new = SPREADS[spread](rng, 400) * SIZES
        for name, values in zip(QUANTITIES, new.T, strict=True):
            span = limits.spans.get(name, Span(-1e9, 1e9, -1e9, 1e9))
            refused += int(((values < span.least) | (values > span.most)).sum())

    assert refused / (60 * 400) < 0.002


def _alignment(row: NDArray[np.float64]) -> Alignment:
    return Alignment(0.9, **dict(zip(QUANTITIES, (row * SIZES).tolist(), strict=True)))
