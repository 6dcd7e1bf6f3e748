"""A time that an inspection must not take longer than: how it is written, what is chosen for it, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from calibration.choosing import within
from calibration.choosing.within import MENU, TimeWish, Tried, choose, wish_of, wish_of_line
from edge_agent.commands.calibrate import _time_of_line
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.networks.extractor import NATIVE_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable

HEIGHT, WIDTH = 1200, 1600


def taking(ms_of_a_megapixel: float, before_ms: float = 10.0) -> Callable[[tuple[int, int]], tuple[float, float]]:
    """A machine on which an inspection takes so long at a size (height, width), and so long before any network."""
    return lambda size: (before_ms + ms_of_a_megapixel * size[0] * size[1] / 1e6, before_ms)


def sized(pixels: int) -> tuple[int, int]:
    """The native view of a crop that is all part."""
    scale = min(1.0, (pixels / (HEIGHT * WIDTH)) ** 0.5)
    return int(HEIGHT * scale), int(WIDTH * scale)


@pytest.mark.parametrize(
    ("text", "ms"), [("60ms", 60.0), ("60", 60.0), (" 60 ms ", 60.0), ("0.06s", 60.0), ("1.5 s", 1500.0)]
)
def test_a_time_is_read(text: str, ms: float) -> None:
    assert wish_of(text) == TimeWish(pytest.approx(ms), is_asked=True)


@pytest.mark.parametrize("text", ["", "soon", "60min", "60 fps", "-5", "0", "0ms", "nan", "inf", "1e9", "6,0ms", "61s"])
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(UsageError, match="--within") as refused:
        wish_of(text)

    assert "60ms" in refused.value.hint


def test_no_wish_is_none() -> None:
    assert wish_of(None) is None


def test_the_largest_size_that_is_quick_enough_is_taken() -> None:
    found = choose(TimeWish(100.0, is_asked=True), sized, taking(120.0))

    assert found.chosen.pixels == 700_000
    assert found.chosen.took_ms * (1 + within.MARGIN) <= 100.0
    assert found.largest.pixels == MENU[0], "to say what the time costs"
    assert found.largest.took_ms > 100.0


def test_a_quick_machine_looks_at_more_than_by_default() -> None:
    found = choose(TimeWish(1000.0, is_asked=True), sized, taking(120.0))

    assert found.chosen.pixels == MENU[0] > NATIVE_PIXELS
    assert found.chosen == found.largest


def test_a_small_part_is_timed_once_whatever_the_menu() -> None:
    timed: list[tuple[int, int]] = []

    def took(size: tuple[int, int]) -> tuple[float, float]:
        timed.append(size)
        return 50.0, 10.0

    with pytest.raises(CalibrationRefused):
        choose(TimeWish(20.0, is_asked=True), lambda _pixels: (100, 100), took)

    assert timed == [(100, 100)]


def test_where_no_size_fits_it_is_said_what_takes_how_long_and_what_to_do() -> None:
    with pytest.raises(CalibrationRefused) as refused:
        choose(TimeWish(20.0, is_asked=True), sized, taking(120.0))

    message = str(refused.value)
    assert "20 ms" in message
    assert "28 ms" in message, "the smallest size of the menu"
    assert "10 ms" in message, "reading and registering alone"
    for way in ("faster PC", "--crop", "--within"):
        assert way in refused.value.hint


def test_the_time_of_a_line_is_its_deadline_less_what_a_part_needs_besides() -> None:
    assert wish_of_line(deadline_ms=200, cameras=1) == TimeWish(200 - within.BESIDE_MS, is_asked=False)
    assert wish_of_line(deadline_ms=230, cameras=2) == TimeWish((230 - within.BESIDE_MS) / 2, is_asked=False)
    assert wish_of_line(deadline_ms=20, cameras=1) is None, "no inspection can be that quick: the agent says so"


def test_calibration_knows_the_deadline_of_a_line_that_it_can_read(tmp_path: Path) -> None:
    example = (Path(__file__).parents[2] / "deploy/line.example.toml").read_text(encoding="utf-8")
    (tmp_path / "line.toml").write_text(example, encoding="utf-8")
    assert "deadline_ms = 700\n" in example

    assert _time_of_line(tmp_path / "line.toml") == TimeWish(700 - within.BESIDE_MS, is_asked=False)
    assert _time_of_line(tmp_path / "none.toml") is None
    (tmp_path / "line.toml").write_text("deadline", encoding="utf-8")
    assert _time_of_line(tmp_path / "line.toml") is None


def test_a_deadline_only_ever_makes_the_size_smaller() -> None:
    assert choose(TimeWish(5000.0, is_asked=False), sized, taking(120.0)).chosen.pixels == NATIVE_PIXELS
    assert choose(TimeWish(60.0, is_asked=False), sized, taking(120.0)).chosen.pixels == 350_000


def test_a_deadline_that_no_size_keeps_is_warned_of_and_refused_by_the_agent_alone() -> None:
    found = choose(TimeWish(20.0, is_asked=False), sized, taking(120.0))

    assert found.chosen.pixels == MENU[-1]
    assert "20 ms" in found.warning
    assert not choose(TimeWish(60.0, is_asked=False), sized, taking(120.0)).warning


def test_a_time_that_was_tried_knows_its_size() -> None:
    assert Tried(150_000, (300, 400), 12.0, 5.0).words == "400 x 300 px"
