"""Good images say how they lie: in place, turned anyhow, or nowhere in particular; and what a mask may be."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from calibration.good_parts.images import list_images, read_good_images
from calibration.registering.reference import check_in_view, read_mask
from calibration.registering.registered import RegisteredSet, register_all
from calibration.registering.search import SearchWishes, wishes_from
from edge_agent.errors import CalibrationRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 144, 192


def nut(rng: np.random.Generator, angle_deg: float, shift_px: float = 3.0, scale: float = 1.0) -> Image:
    """A hexagon with a bore and three marks of its own, drawn at twice the resolution."""
    image = np.full((2 * HEIGHT, 2 * WIDTH), 40, np.float32)
    centre = np.array([WIDTH, HEIGHT]) + 2 * rng.uniform(-shift_px, shift_px, 2)

    def at(turn: float, radius: float) -> NDArray[np.float64]:
        angle = math.radians(turn - angle_deg)
        return np.asarray(centre + scale * radius * np.array([math.cos(angle), math.sin(angle)]))

    corners = np.array([at(60 * k, 105) for k in range(6)]) * 16
    cv2.fillPoly(image, [corners.astype(np.int32)], 170 + rng.uniform(-5, 5), cv2.LINE_AA, 4)
    for turn, radius, size, grey in ((0, 0, 42, 60), (35, 72, 17, 90), (120, 70, 11, 235), (290, 66, 14, 20)):
        place = (at(turn, radius) * 16).astype(int).tolist()
        cv2.circle(image, place, round(size * scale * 16), grey, -1, cv2.LINE_AA, 4)
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) * rng.uniform(0.97, 1.03)
    return np.clip(small + rng.normal(0, 3, small.shape), 0, 255).astype(np.uint8)


def grain(rng: np.random.Generator) -> Image:
    field = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2)
    return np.clip(120 + 30 * field / field.std(), 0, 255).astype(np.uint8)


def nutshell(rng: np.random.Generator) -> Image:
    """An organic part: another outline and another grain each time."""
    round_ = np.linspace(0, 2 * np.pi, 120)
    radius = 45 + sum(rng.normal(0, 3) * np.cos(k * round_ + rng.uniform(0, 6)) for k in range(2, 7))
    outline = np.stack([WIDTH / 2 + radius * np.cos(round_), HEIGHT / 2 + 1.1 * radius * np.sin(round_)], axis=1)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 255, cv2.LINE_AA)
    return np.where(mask > 127, grain(rng), np.uint8(30)).astype(np.uint8)


def registered(folder: Path, draw: Callable[[np.random.Generator], Image], **wishes: object) -> RegisteredSet:
    rng = np.random.default_rng(5)
    (folder / "good").mkdir()
    for number in range(22):
        assert cv2.imwrite(str(folder / "good" / f"{number:02}.png"), draw(rng))
    good = read_good_images(list_images(folder / "good"), lambda _done, _total: None)
    return register_all(good, SearchWishes(**wishes), "auto", lambda _done, _total: None)  # type: ignore[arg-type]


def test_parts_in_a_fixture_are_searched_within_a_small_range(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, rng.uniform(-2, 2)))

    assert found.registration.settings.max_angle_deg == 10.0
    assert found.notes[0] == "the good parts lie within 10 degrees"
    assert found.pose.spans["angle_deg"].most < 20.0
    assert found.quality_min > 0.6


def test_parts_turned_anyhow_are_searched_all_round(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, rng.uniform(-180, 180)))

    assert found.registration.settings.max_angle_deg == 180.0
    assert "full circle" in found.notes[0]
    assert min(alignment.quality for alignment in found.alignments) > 0.85
    assert "angle_deg" not in found.pose.spans
    assert found.crop[2] < WIDTH


def test_turned_parts_lie_on_each_other_afterwards(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, rng.uniform(-180, 180)))
    crops = np.stack([found.cropped(index) for index in range(len(found.images))])

    assert float(crops.std(axis=0).mean()) < 0.03


def test_parts_that_lie_one_way_or_the_other_are_searched_all_round(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, 180.0 * rng.integers(0, 2) + rng.uniform(-2, 2)))

    assert found.registration.settings.max_angle_deg == 180.0
    assert min(alignment.quality for alignment in found.alignments) > 0.85


def test_turned_parts_on_a_belt_that_is_never_the_same_keep_the_whole_picture(tmp_path: Path) -> None:
    def on_belt(rng: np.random.Generator) -> Image:
        part, belt = nut(rng, rng.uniform(-180, 180), 12.0), grain(rng)
        inside = cv2.morphologyEx((part > 100).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((41, 41), np.uint8))
        return np.where(inside > 0, part, belt).astype(np.uint8)

    found = registered(tmp_path, on_belt)

    assert found.registration.settings.max_angle_deg == 180.0
    assert found.crop[2] >= 0.7 * WIDTH
    assert found.unseen_max < 0.45


def test_an_angle_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, rng.uniform(-2, 2)), max_angle_deg=30.0)

    assert found.registration.settings.max_angle_deg == 30.0
    assert found.notes[0] == "parts are searched within 30 degrees, as asked"


def test_a_round_part_is_not_searched_all_round(tmp_path: Path) -> None:
    def disc(rng: np.random.Generator) -> Image:
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        far = np.hypot(x - WIDTH / 2 - rng.uniform(-3, 3), y - HEIGHT / 2 - rng.uniform(-3, 3))
        rings = 120 + 80 * np.cos(far / 5.0) * (far < 55)
        return np.clip(rings + rng.normal(0, 6, rings.shape), 0, 255).astype(np.uint8)

    found = registered(tmp_path, disc)

    assert found.registration.settings.max_angle_deg == 10.0
    assert max(abs(alignment.angle_deg) for alignment in found.alignments) < 1.5


def test_images_that_no_motion_lays_onto_each_other_stay_as_they_are(tmp_path: Path) -> None:
    found = registered(tmp_path, grain)

    assert found.registration.settings.off
    assert "without registration" in found.notes[0]
    assert found.quality_min == -1.0
    assert found.crop == (0, 0, WIDTH, HEIGHT)
    assert all(found.pose.judge(alignment) == "" for alignment in found.alignments)


def test_organic_parts_are_judged_by_a_gate_that_they_pass(tmp_path: Path) -> None:
    found = registered(tmp_path, nutshell)

    assert any("register badly" in note for note in found.notes)
    assert all(alignment.quality >= found.quality_min for alignment in found.alignments)
    assert all(found.pose.judge(alignment) == "" for alignment in found.alignments)


def test_scale_is_found_where_it_is_asked_for(tmp_path: Path) -> None:
    found = registered(tmp_path, lambda rng: nut(rng, 0.0, scale=rng.uniform(0.95, 1.05)), max_scale=0.1)

    scales = [alignment.scale for alignment in found.alignments]
    assert max(scales) / min(scales) == pytest.approx(1.1, abs=0.03)
    assert found.pose.spans["scale"].most > 1.0


def test_place_is_not_judged_where_that_is_off(tmp_path: Path) -> None:
    assert registered(tmp_path, lambda rng: nut(rng, 0.0), pose_tolerance=None).pose.spans == {}


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((HEIGHT, WIDTH - 1), 255, np.uint8), "191 x 144, the images are 192 x 144"),
        (np.full((HEIGHT, WIDTH), 90, np.uint8), "black all over"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, picture: Image, message: str) -> None:
    path = tmp_path / "mask.png"
    assert cv2.imwrite(str(path), picture)

    with pytest.raises(UsageError, match=message) as caught:
        read_mask(path, (HEIGHT, WIDTH, 3))
    assert caught.value.hint


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_mask_that_is_no_picture_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mask.png"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match="cannot be read"):
        read_mask(path, (HEIGHT, WIDTH))


def test_what_is_light_in_a_colour_mask_is_trusted(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[10:20, 10:20, 1] = 200
    assert cv2.imwrite(str(tmp_path / "mask.png"), picture)

    mask = read_mask(tmp_path / "mask.png", (HEIGHT, WIDTH))
    assert mask.sum() == 100 * 255


def test_a_turned_part_mostly_out_of_view_is_named() -> None:
    assert check_in_view((0, 0, 9, 9), {"a.png": 0.1, "b.png": 0.3}, most=0.4) == (0, 0, 9, 9)
    with pytest.raises(CalibrationRefused, match=r"50% of it lies outside b\.png"):
        check_in_view((0, 0, 9, 9), {"a.png": 0.1, "b.png": 0.5}, most=0.4)


@pytest.mark.parametrize(
    "option", [["--max-angle", "200"], ["--max-scale", "50"], ["--pose-tolerance", "none"], ["--max-angle", "a lot"]]
)
def test_the_command_line_refuses_wishes_that_cannot_be(tmp_path: Path, option: list[str]) -> None:
    command = [str(Path(sys.executable).with_name("edge-agent")), "calibrate-reference", str(tmp_path), *option]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)

    assert ran.returncode == 64
    assert "Traceback" not in ran.stderr


def test_wishes_come_in_a_persons_words(tmp_path: Path) -> None:
    assert wishes_from("auto", 0.0, None, "1") == SearchWishes()
    assert wishes_from("180", 10.0, tmp_path, "off") == SearchWishes(180.0, 0.1, tmp_path, None)


@pytest.mark.parametrize(
    ("angle", "scale", "tolerance"),
    [("200", 0, "1"), ("nan", 0, "1"), ("left", 0, "1"), ("auto", 50, "1"), ("auto", 0, "0"), ("auto", 0, "inf")],
)
def test_wishes_that_cannot_be_are_refused(angle: str, scale: float, tolerance: str) -> None:
    with pytest.raises(UsageError):
        wishes_from(angle, scale, None, tolerance)


@pytest.mark.parametrize("mode", ["1", "P", "I;16"])
def test_a_mask_may_be_of_one_bit_with_a_palette_or_of_sixteen(tmp_path: Path, mode: str) -> None:
    marked = np.zeros((HEIGHT, WIDTH), np.uint8)
    marked[10:20, 10:20] = 255
    made = {
        "1": PillowImage.fromarray(marked > 0),
        "P": PillowImage.fromarray(marked // 255).convert("P"),
        "I;16": PillowImage.fromarray(marked.astype(np.uint16) * 257),
    }[mode]
    if mode == "P":
        made.putpalette([0, 0, 0, 255, 255, 255])
    made.save(tmp_path / "mask.png")

    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (HEIGHT, WIDTH)), marked)
