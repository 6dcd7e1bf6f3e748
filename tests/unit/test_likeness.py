"""The likeness of a part as a whole: what tells a right registration from a wrong one where fine edges do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.good_parts.images import list_images, read_good_images
from calibration.registering.gate import NO_GATE, likeness_gate, likeness_words, unregistered
from calibration.registering.part_mask import part_and_rim
from calibration.registering.registered import RegisteredSet, register_all
from calibration.registering.search import SearchWishes
from edge_agent.domain import Outcome, Reason
from edge_agent.inspection.networks.anomaly_map import to_working
from edge_agent.inspection.registration.likeness import Likeness
from edge_agent.inspection.registration.seen_area import crop_of
from edge_agent.inspection.scoring.outcome import decide_outcome

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

HEIGHT, WIDTH = 144, 192


def bolt(rng: np.random.Generator, turn_deg: float) -> Picture:
    """A bolt on a light ground: one outline, and a glitter in it that is another one each time."""
    image = np.full((HEIGHT, WIDTH), 190, np.float32)
    part = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(part, (50, 62), (74, 86), 255, -1)
    cv2.rectangle(part, (74, 68), (142, 80), 255, -1)
    glitter = 80 + cv2.GaussianBlur(rng.normal(0, 140, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1.5)
    image[part > 0] = glitter[part > 0]
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn_deg, 1.0)
    turned = cv2.warpAffine(image, turn, (WIDTH, HEIGHT), borderValue=190)
    return np.clip(turned + rng.normal(0, 2, turned.shape), 0, 255).astype(np.uint8)


def registered(folder: Path, mask: Path | None = None) -> RegisteredSet:
    rng = np.random.default_rng(5)
    folder.mkdir()
    for number in range(22):
        assert cv2.imwrite(str(folder / f"{number:02}.bmp"), bolt(rng, rng.uniform(-180, 180)))
    good = read_good_images(list_images(folder), lambda _done, _total: None)
    return register_all(good, SearchWishes(max_angle_deg=180.0, mask=mask), "auto", lambda _done, _total: None)


def test_likeness_is_a_correlation_over_the_part() -> None:
    rng = np.random.default_rng(0)
    template, region = rng.random((6, 7, 3), np.float32), rng.random((6, 7)) > 0.4
    image = rng.random((6, 7, 3), np.float32)

    a, b = (np.concatenate([x[region][:, c] - x[region][:, c].mean() for c in range(3)]) for x in (template, image))
    assert Likeness(template, region)(image) == pytest.approx((a @ b) / np.sqrt((a @ a) * (b @ b)), rel=1e-4)
    assert Likeness(template, region)(0.5 * template + 0.1) == pytest.approx(1.0)
    assert Likeness(template)(np.full_like(image, 0.4)) == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(Likeness(template)(np.full_like(image, np.nan)))


def test_a_part_has_a_rim_in_which_its_outline_shows() -> None:
    mask = np.zeros((100, 200), bool)
    mask[40:60, 50:150] = True

    rim = part_and_rim(mask)

    assert rim is not None
    assert rim[30:70, 50:150].all()
    assert not rim[:28].any()
    assert part_and_rim(None) is None


def test_the_gate_lies_between_good_parts_and_those_that_were_moved() -> None:
    good, moved = [0.86, 0.9, 0.95], [0.1, 0.3, 0.5]

    gate = likeness_gate(good, moved)

    assert 0.5 < gate < 0.86
    assert "is rejected" in likeness_words(gate, good, moved)
    assert likeness_gate(good, [0.5, 0.8, 0.9]) == NO_GATE
    assert "says nothing of where it lies" in likeness_words(NO_GATE, good, [0.9])


def test_an_image_as_like_the_others_as_most_lies_right_whatever_its_edges_say() -> None:
    qualities = {f"{i}.png": 0.9 for i in range(20)} | {"glitters.png": 0.2, "empty.png": 0.1}
    alike = {"glitters.png": 0.9, "empty.png": 0.05}

    assert unregistered(qualities, 1.0, lambda name: alike.get(name, 0.92)) == ("empty.png",)
    assert unregistered(qualities, 1.0) == ("empty.png", "glitters.png")


def test_a_part_unlike_the_reference_is_rejected_for_where_it_lies_and_nan_too() -> None:
    good = {
        "score": 0.1, "limit": 1.0, "review_from": 1.0, "quality": 0.5, "quality_min": -1.0,
        "unseen_fraction": 0.0, "unseen_max": 0.1, "likeness_min": 0.6,
    }  # fmt: skip

    assert decide_outcome(**good, likeness=0.7)[0] is Outcome.OK
    outcome, reason, words = decide_outcome(**good, likeness=0.5)
    assert (outcome, reason) == (Outcome.NG, Reason.ALIGN)
    assert "0.500 is below 0.600" in words
    assert decide_outcome(**good, likeness=float("nan"))[1] is Reason.NOT_FINITE


@pytest.mark.slow
def test_the_gate_stops_wrong_poses_of_a_part_whose_fine_edges_differ(tmp_path: Path) -> None:
    found = registered(tmp_path / "good")
    likeness, rng = found.likeness(), np.random.default_rng(99)

    def of(turned_deg: float, shift_px: float = 0.0) -> float:
        pixels = bolt(rng, 0.0)
        true = found.registration.register(pixels)
        wrong = type(true)(0.0, true.shift_x_px + shift_px, true.shift_y_px, true.angle_deg + turned_deg, 1.0, 0.0)
        return likeness(to_working(crop_of(found.registration.warp(pixels, wrong), found.crop), found.grid))

    assert [of(0.0) >= found.whole.least for _ in range(8)] == [True] * 8
    assert max(of(turned) for turned in (45.0, 90.0, 135.0, 180.0)) < found.whole.least
    assert max(of(0.0, shift) for shift in (-40.0, 40.0)) < found.whole.least


@pytest.mark.slow
def test_what_a_person_left_black_has_no_say_in_the_likeness(tmp_path: Path) -> None:
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[:, : WIDTH // 2] = 255
    assert cv2.imwrite(str(tmp_path / "mask.png"), painted)

    region = registered(tmp_path / "good", tmp_path / "mask.png").part_region

    assert region is not None
    assert region[:, : WIDTH // 2 - 2].any()
    assert not region[:, WIDTH // 2 + 2 :].any()
