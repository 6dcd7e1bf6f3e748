"""The least registration quality that is judged, and who is no good part at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.registering.gate import WrongQualities, gate_warnings, gate_words, quality_gate, unregistered
from edge_agent.errors import CalibrationRefused

WRONG = WrongQualities(
    by_px={1: 0.9, 2: 0.7, 4: 0.4, 8: 0.2, 16: 0.1, 32: 0.05}, off=0.4, elsewhere=0.02, upside_down=0.5
)


def spread(low: float, high: float, n: int = 40) -> list[float]:
    return np.linspace(low, high, n).tolist()


def test_the_gate_lies_below_every_good_part_and_above_a_part_in_the_wrong_place() -> None:
    for qualities in (spread(0.97, 0.99), spread(0.88, 0.95), spread(0.6, 0.83)):
        gate = quality_gate(qualities, WRONG)

        assert WRONG.elsewhere < gate <= min(0.85, qualities[0] - 0.1)


def test_good_parts_that_hardly_register_keep_their_room() -> None:
    assert quality_gate(spread(0.25, 0.4), WRONG) == pytest.approx(0.15)


def test_the_gate_comes_closer_where_it_takes_that_to_stop_a_wrong_pose() -> None:
    good = np.tanh(np.random.default_rng(0).normal(1.0, 0.15, 40)).tolist()
    far, near = (quality_gate(good, replace(WRONG, off=off)) for off in (0.05, 0.5))

    assert far < near <= 0.5


def test_more_good_parts_allow_a_closer_gate() -> None:
    few, many = (quality_gate(spread(0.6, 0.83, n), WRONG) for n in (24, 200))

    assert few < many


def test_there_is_no_gate_where_good_parts_reach_no_more_than_what_lies_elsewhere() -> None:
    gate = quality_gate(spread(-0.02, 0.05), WRONG)

    assert gate == -1.0
    assert "no gate" in " ".join(gate_words(gate, spread(-0.02, 0.05), WRONG))


def test_the_words_say_what_the_gate_stops_and_what_it_does_not() -> None:
    good = spread(0.7, 0.8)

    assert gate_words(0.45, good, WRONG) == (
        "good parts register at 0.70 to 0.80, below 0.45 a part is rejected",
        "the gate stops poses that are wrong by 4 px or more",
    )
    assert "the gate stops no pose that is wrong by 32 px or less" in gate_words(0.01, good, WRONG)
    assert "it stops a part turned" in gate_words(0.55, good, WRONG)[-1]
    assert "differ among themselves" in gate_words(0.1, spread(0.2, 0.4), WRONG)[0]


def test_a_gate_that_does_not_stop_a_turned_part_is_a_warning_with_what_to_do() -> None:
    (turned,) = gate_warnings(0.45, WRONG)
    (nothing,) = gate_warnings(-1.0, WRONG)

    assert "does not stop a part turned by half a circle (quality 0.50, rejected below 0.45)" in turned
    assert "put one through the line: it must be rejected" in turned
    assert "Nothing but the score stops a part that lies wrong" in nothing
    assert gate_warnings(0.55, WRONG) == ()


def test_images_of_something_else_are_named_and_refused() -> None:
    qualities = {f"{i}.png": q for i, q in enumerate(spread(0.9, 0.95))} | {"a.png": 0.2, "b.png": 0.1}

    with pytest.raises(CalibrationRefused, match=r"b\.png does not register.*nor do a\.png") as caught:
        unregistered(qualities, 0.02)
    assert "look at b.png" in caught.value.hint


def test_one_in_many_is_left_out_instead() -> None:
    qualities = {f"{i}.png": q for i, q in enumerate(spread(0.9, 0.95, 60))} | {"odd.png": 0.2}

    assert unregistered(qualities, 0.02) == ("odd.png",)
    with pytest.raises(CalibrationRefused, match=r"odd\.png does not register"):
        unregistered(qualities, 0.01)


def test_parts_that_all_register_badly_are_no_reason_to_refuse() -> None:
    assert unregistered({f"{i}.png": q for i, q in enumerate(spread(-0.1, 0.5))}, 0.02) == ()


@pytest.mark.parametrize("spread_of", ["normal", "uniform"])
@pytest.mark.parametrize("parts", [28, 60, 200])
def test_good_parts_are_hardly_ever_refused_for_their_quality(spread_of: str, parts: int) -> None:
    # At its closest, as a wrong pose that is nearly as good as a right one makes it.
    rng = np.random.default_rng(1)
    draw = {"normal": lambda n: rng.normal(1.5, 0.2, n), "uniform": lambda n: rng.uniform(1.2, 1.8, n)}[spread_of]
    refused = 0
    for _ in range(200):
        gate = quality_gate(np.tanh(draw(parts)).tolist(), replace(WRONG, off=0.99))
        refused += int((np.tanh(draw(400)) < gate).sum())

    assert refused / (200 * 400) < 0.001
