"""Whether collecting more good parts would pay: seen by parts that are new to what was learned, and said in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.backbones import DEFAULT_BACKBONE
from calibration.calibrate import calibrate
from calibration.choosing import learning_curve
from calibration.choosing.learning_curve import MOST_PARTS, PartsCurve, parts_curve
from calibration.good_parts.images import list_images, read_good_images
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from calibration.registering.registered import register_all
from calibration.registering.search import SearchWishes
from calibration.report_pages import write_report
from calibration.reporting import calibration_json, calibration_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet

HEIGHT, WIDTH = 128, 160
RISING = PartsCurve(40, is_tied=True, parts=(7, 15, 30), told_apart=(0.8716, 0.9, 0.925))


def plate(rng: np.random.Generator, *, makes: int = 1) -> NDArray[np.uint8]:
    """A plate with marks; they lie in one of so many ways."""
    image = np.full((HEIGHT, WIDTH), 30, np.float32)
    image[16:112, 20:140] = 150
    marks = np.random.default_rng(int(rng.integers(makes)))
    for _ in range(14):
        place = (int(marks.integers(28, 132)), int(marks.integers(24, 104)))
        cv2.circle(image, place, int(marks.integers(3, 8)), float(marks.integers(60, 250)), -1, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def written(folder: Path, draw: Callable[[np.random.Generator], NDArray[np.uint8]], count: int = 32) -> Path:
    rng = np.random.default_rng(5)
    folder.mkdir()
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number:02}.bmp"), draw(rng))
    return folder


def registered(folder: Path) -> RegisteredSet:
    images = read_good_images(list_images(folder), lambda _done, _total: None)
    return register_all(images, SearchWishes(registration="off"), "full", lambda _done, _total: None)


def curve(parts: RegisteredSet, steps: list[tuple[int, int]] | None = None, seed: int = 0) -> PartsCurve:
    watch = [] if steps is None else steps
    network = DEFAULT_BACKBONE.overview_onnx()
    return parts_curve(parts, network, seed=seed, progress=lambda done, total: watch.append((done, total)))


@pytest.fixture(scope="module")
def of_one_make(tmp_path_factory: pytest.TempPathFactory) -> RegisteredSet:
    return registered(written(tmp_path_factory.mktemp("one") / "good", plate))


# --- what is seen ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_parts_pay_where_each_shows_something_new_and_not_where_all_are_alike(
    of_one_make: RegisteredSet, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []

    alike = curve(of_one_make, steps)
    manifold = curve(registered(written(tmp_path / "good", lambda rng: plate(rng, makes=12))))

    assert alike.parts == manifold.parts == (6, 12, 24)
    assert alike.pays is False
    assert manifold.pays is True
    assert manifold.told_apart[0] < manifold.told_apart[-1]
    assert manifold.told_apart[0] < alike.told_apart[0]
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.slow
def test_the_same_parts_and_seed_give_the_same_curve(of_one_make: RegisteredSet) -> None:
    assert curve(of_one_make, seed=3) == curve(of_one_make, seed=3)


@pytest.mark.slow
def test_parts_that_are_compared_free_of_the_place_have_a_curve_too(of_one_make: RegisteredSet) -> None:
    found = curve(replace(of_one_make, is_tied=False))

    assert found.parts == (6, 12, 24)
    assert found.pays is True
    assert found.statement.endswith("; where each place is compared with all places some 400 good parts are wanted")


def test_what_would_take_too_long_is_not_tried_and_said(of_one_make: RegisteredSet) -> None:
    many = replace(of_one_make, images=of_one_make.images * 6, alignments=of_one_make.alignments * 6)

    found = curve(many)

    assert found == PartsCurve(192, is_tied=True, problem=f"not tried with more than {MOST_PARTS} good parts")
    assert (found.pays, found.gain, found.statement) == (None, None, "not tried with more than 160 good parts")


def test_on_a_narrow_strip_no_defect_fits_and_that_is_said(of_one_make: RegisteredSet) -> None:
    assert (
        curve(replace(of_one_make, crop=(0, 40, WIDTH, 20))).statement == "not tried on an inspected area this narrow"
    )


@pytest.mark.slow
@pytest.mark.parametrize("error", [cv2.error("no clone"), ValueError("no shape")])
def test_no_calibration_fails_for_a_curve_that_cannot_be_drawn(
    of_one_make: RegisteredSet, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_args: object, **_more: object) -> list[object]:
        raise error

    monkeypatch.setattr(learning_curve, "make_defects", fails)

    found = curve(of_one_make)

    assert found.pays is None
    assert found.statement == f"it could not be found out: {error}"


# --- what is said ---------------------------------------------------------------------------------------


def test_the_sentence_says_what_was_seen_and_what_follows() -> None:
    flat = replace(RISING, told_apart=(0.92, 0.91, 0.939))

    assert RISING.gain == pytest.approx(0.0267)
    assert RISING.statement == (
        "learned from 7, 15 and 30 of the 40 good parts, a synthetic defect scored above a new good part in 87.2, 90.0 "
        "and 92.5 of 100 cases: about as many again are likely to pay"
    )
    assert flat.pays is False
    assert flat.statement.endswith(": more of the same will change little")
    assert replace(flat, told_apart=(0.92, 0.91, 0.941)).pays is True
    assert RISING.to_json() == {
        "statement": RISING.statement,
        "pays": True,
        "parts": [7, 15, 30],
        "told_apart": [0.8716, 0.9, 0.925],
    }


def test_a_surface_wants_some_400_good_images_whatever_else_is_known() -> None:
    few, enough = (PartsCurve(total, is_tied=False, problem="not tried with more") for total in (399, 400))

    assert few.pays is True
    assert "some 400 good parts are wanted" in few.statement
    assert enough.pays is None
    assert enough.statement == "not tried with more"


@pytest.mark.slow
def test_a_calibration_says_it_in_its_lines_its_json_and_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("views", "local"):
        brief = replace(METHODS[name].recipe, min_steps=10, max_steps=10)
        monkeypatch.setitem(METHODS, name, replace(METHODS[name], recipe=brief))
    folder = written(tmp_path / "good", plate)
    options = CalibrationOptions(crop="full", threads=1)

    result = calibrate(folder, tmp_path / "bundle", options)
    write_report(tmp_path / "report.html", result)

    assert result.parts_curve is not None
    assert result.parts_curve.parts == (6, 12, 24)
    assert f"more good parts: {result.parts_curve.statement}" in calibration_lines(result)
    assert calibration_json(result)["more_parts"] == result.parts_curve.to_json()
    assert "Would more good parts pay?" in (tmp_path / "report.html").read_text()
    assert "learning curve" in result.timings_s


@pytest.mark.slow
def test_a_method_that_is_not_the_mean_of_views_does_not_ask(tmp_path: Path) -> None:
    folder = written(tmp_path / "good", plate)

    result = calibrate(folder, tmp_path / "bundle", CalibrationOptions(crop="full", threads=1, method="paper"))

    assert result.parts_curve is None
    assert calibration_json(result)["more_parts"] is None
    assert not any(line.startswith("more good parts") for line in calibration_lines(result))
