"""Calibration and inspection without registration: where it means nothing, or where a person says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.collecting.collect import Collector
from calibration.good_parts.images import list_images, read_good_images
from calibration.options import CalibrationOptions
from calibration.registering.registered import RegisteredSet, register_all
from calibration.registering.search import SearchWishes, wishes_from
from calibration.reporting import calibration_lines
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.registration.register import Registration, RegistrationSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

HEIGHT, WIDTH = 96, 128


def blanks() -> Callable[[np.random.Generator], Image]:
    """A surface in an even light, another brightness each time: nothing to register by."""
    greys = itertools.count(60, 5)
    return lambda _rng: np.full((HEIGHT, WIDTH), next(greys), np.uint8)


def disc(rng: np.random.Generator) -> Image:
    """A part that lies anywhere in the picture, on an even ground."""
    image = np.full((HEIGHT, WIDTH), 40, np.float32)
    centre = (round(rng.uniform(30, WIDTH - 30)), round(rng.uniform(30, HEIGHT - 30)))
    cv2.circle(image, centre, 14, 180.0, -1, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def surface(rng: np.random.Generator) -> Image:
    """A texture without any fixed feature: images are laid on each other by chance."""
    field = cv2.GaussianBlur(rng.normal(0.0, 1.0, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2.0)
    return np.clip(120 + 30 * field / field.std(), 0, 255).astype(np.uint8)


def written(folder: Path, draw: Callable[[np.random.Generator], Image], count: int = 22) -> Path:
    rng = np.random.default_rng(3)
    folder.mkdir()
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number:02}.bmp"), draw(rng))
    return folder


def registered(folder: Path, draw: Callable[[np.random.Generator], Image], registration: str) -> RegisteredSet:
    good = read_good_images(list_images(written(folder / "good", draw)), lambda _done, _total: None)
    return register_all(good, SearchWishes(registration=registration), "auto", lambda _done, _total: None)


def test_an_image_lies_as_it_is_where_registration_is_off() -> None:
    flat = np.full((HEIGHT, WIDTH), 99, np.uint8)
    registration = Registration(flat, RegistrationSettings(off=True))

    found = registration.register(disc(np.random.default_rng(0)))

    assert (found.shift_x_px, found.shift_y_px, found.angle_deg, found.scale) == (0.0, 0.0, 0.0, 1.0)
    np.testing.assert_allclose(registration.warp(flat, found), 99 / 255, rtol=1e-6)
    with pytest.raises(ValueError, match="the reference"):
        registration.register(flat[1:])


def test_a_surface_without_an_edge_is_calibrated_without_registration(tmp_path: Path) -> None:
    found = registered(tmp_path, blanks(), "auto")

    assert found.registration.settings.off
    assert any("too little structure" in note and "without registration" in note for note in found.notes)
    assert len(found.images) == 22
    assert found.crop == (0, 0, WIDTH, HEIGHT)


def test_a_person_who_insists_on_registration_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match="too little structure") as caught:
        registered(tmp_path, blanks(), "on")

    assert "--registration off" in caught.value.hint


def test_a_person_who_named_an_angle_is_told_what_is_out_of_view_and_not_that_options_do_not_go_together(
    tmp_path: Path,
) -> None:
    grain = written(tmp_path / "good", surface)
    good = read_good_images(list_images(grain), lambda _done, _total: None)

    with pytest.raises(CalibrationRefused, match="not in view in all images") as caught:
        register_all(good, SearchWishes(max_angle_deg=5.0), "full", lambda _done, _total: None)

    assert "--registration off" in caught.value.hint


def test_parts_without_registration_are_inspected_wherever_they_lay(tmp_path: Path) -> None:
    found = registered(tmp_path, disc, "off")

    union = np.max([image.pixels() for image in found.images], axis=0) > 110
    rows, columns = np.flatnonzero(union.any(axis=1)), np.flatnonzero(union.any(axis=0))
    x, y, width, height = found.crop
    assert x <= columns[0]
    assert y <= rows[0]
    assert x + width > columns[-1]
    assert y + height > rows[-1]
    assert (width, height) != (WIDTH, HEIGHT)


@pytest.mark.slow
def test_nothing_is_rejected_for_how_it_lies_where_registration_is_off(tmp_path: Path) -> None:
    images = written(tmp_path / "good", disc)
    options = CalibrationOptions(search=SearchWishes(registration="off"), method="views")
    result = calibrate(images, tmp_path / "bundle", options)
    assert result.registration == ()
    assert "no registration" in calibration_lines(result)[1]
    bundle = Bundle.load(result.path)
    inspector = Inspector(bundle)

    assert bundle.registration.off
    assert bundle.manifest["registration"]["off"] is True
    inspector.warm_up()
    upside_down = np.full((HEIGHT, WIDTH), 230, np.uint8)
    found = inspector.inspect(cv2.imencode(".bmp", upside_down)[1].tobytes())
    assert found.alignment is None
    assert (found.outcome, found.reason) == (Outcome.NG, Reason.LIGHT), "all of it is bright"
    too_small = inspector.inspect(cv2.imencode(".bmp", upside_down[1:])[1].tobytes())
    assert too_small.outcome is Outcome.NG
    assert too_small.reason not in (Reason.SCORE, Reason.ALIGN)


def test_collecting_goes_on_where_nothing_can_be_registered(tmp_path: Path) -> None:
    collector = Collector.open(tmp_path / "good", RegistrationSettings())
    rng, draw = np.random.default_rng(3), blanks()

    refused = [collector.take(cv2.imencode(".bmp", draw(rng))[1].tobytes(), "a.bmp") for _ in range(14)]

    assert refused == [""] * 14
    assert collector.qualities == {}


@pytest.mark.parametrize("words", [("auto", 0.0, None, "1", "maybe"), ("20", 0.0, None, "1", "off")])
def test_wishes_that_cannot_be_are_refused(words: tuple[str, float, None, str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        wishes_from(*words)

    assert caught.value.hint
