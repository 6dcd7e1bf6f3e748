"""Registration over motion that is known because the test drew it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain import Alignment
from edge_agent.errors import DataError
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.registration._coarse import WholeReference
from edge_agent.inspection.registration._refine import Pose
from edge_agent.inspection.registration.register import Registration, RegistrationSettings

_WIDTH, _HEIGHT = 480, 360


@cache
def _fine(seed: int = 3) -> np.ndarray:
    """A plate with holes and slots, drawn at twice the camera's resolution."""
    rng = np.random.default_rng(seed)
    width, height = 2 * _WIDTH, 2 * _HEIGHT
    plate = np.full((height, width), 45, np.uint8)
    cv2.rectangle(plate, (width // 5, height // 5), (4 * width // 5, 4 * height // 5), 150, -1)
    for _ in range(18):
        centre = int(rng.integers(width // 5, 4 * width // 5)), int(rng.integers(height // 5, 4 * height // 5))
        cv2.circle(plate, centre, int(rng.integers(8, 50)), int(rng.integers(20, 235)), -1)
    grain = cv2.GaussianBlur(rng.normal(0, 20, plate.shape).astype(np.float32), (0, 0), 2.0)
    return cv2.GaussianBlur(plate.astype(np.float32) + grain, (0, 0), 1.5)


def _image(
    angle: float = 0.0, x: float = 0.0, y: float = 0.0, scale: float = 1.0, *, seed: int = 1, part: int = 3
) -> np.ndarray:
    """The camera's view of the part turned counter-clockwise by degrees and shifted by pixels, with noise."""
    fine = _fine(part)
    height, width = fine.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += 2 * x, 2 * y
    moved = cv2.warpAffine(fine, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=45.0)
    seen = cv2.resize(moved, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 2.0, seen.shape)
    return np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8)


@cache
def _registration(max_angle_deg: float = 10.0) -> Registration:
    return Registration(_image(), RegistrationSettings(max_angle_deg=max_angle_deg))


def _error_px(found: Alignment, angle: float, x: float, y: float) -> float:
    """The largest error over the part's corners."""
    corners = np.array([[-0.3, -0.3], [0.3, -0.3], [0.3, 0.3], [-0.3, 0.3]]) * (_WIDTH, _HEIGHT)

    def place(degrees: float, dx: float, dy: float) -> np.ndarray:
        a = math.radians(degrees)
        return corners @ np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) + (dx, dy)

    gap = place(angle, x, y) - place(found.angle_deg, found.shift_x_px, found.shift_y_px)
    return float(np.hypot(gap[:, 0], gap[:, 1]).max())


@pytest.mark.parametrize(
    "pose", [(0, 0, 0), (2, 5.3, -4.7), (-1.4, -15, 15), (0.35, 0.5, 0.5), (8, 60, -60), (-8, -60, 40), (9.7, 3, 100)]
)
def test_known_motion_is_found_to_a_twentieth_of_a_pixel(pose: tuple[float, float, float]) -> None:
    found = _registration().register(_image(*pose, seed=5))

    assert _error_px(found, *pose) < 0.05
    assert found.quality > 0.95


def test_signs_are_counter_clockwise_right_and_down() -> None:
    reference = _image()
    turned = np.ascontiguousarray(np.rot90(reference))  # numpy turns counter-clockwise as seen
    square = np.ascontiguousarray(reference[:, 60:420])
    found = Registration(square, RegistrationSettings(max_angle_deg=180)).register(
        np.ascontiguousarray(turned[60:420]),
    )
    assert found.angle_deg == pytest.approx(90.0, abs=0.05)

    shifted = _registration().register(np.roll(reference, (6, 9), axis=(0, 1)))
    assert (shifted.shift_x_px, shifted.shift_y_px) == pytest.approx((9.0, 6.0), abs=0.02)


def test_a_full_circle_is_searched_when_asked_for() -> None:
    for angle in (180.0, -121.3, 77.0):
        found = _registration(180.0).register(_image(angle, 11, -6, seed=8))

        assert _error_px(found, angle, 11, -6) < 0.05


@pytest.mark.parametrize("pose", [(0, 158, 0), (0, -158, -118), (3, 20, 118)])
def test_a_part_is_found_a_third_of_the_image_away(pose: tuple[float, float, float]) -> None:
    found = _registration().register(_image(*pose, seed=5))

    assert _error_px(found, *pose) < 0.1


@pytest.mark.parametrize("pose", [(0, 0, 0, 1.0), (1.5, 8, -5, 1.04), (-3, -20, 11, 0.93), (0, 3, 3, 1.095)])
def test_scale_is_found_where_it_is_sought(pose: tuple[float, float, float, float]) -> None:
    registration = Registration(_image(), RegistrationSettings(max_scale=0.1))
    image = _image(*pose, seed=5)
    found = registration.register(image)
    warped = registration.warp(image, found)

    assert found.scale == pytest.approx(pose[3], abs=2e-4)
    assert (found.shift_x_px, found.shift_y_px) == pytest.approx(pose[1:3], abs=0.05)
    assert found.angle_deg == pytest.approx(pose[0], abs=0.02)
    assert found.quality > 0.95
    assert float(np.abs(warped - _image() / 255.0)[80:-80, 100:-100].mean()) < 0.015


def test_scale_stays_within_what_was_asked_for() -> None:
    registration = Registration(_image(), RegistrationSettings(max_scale=0.02))

    assert registration.register(_image(scale=1.05)).scale <= 1.02
    assert _registration().register(_image(scale=1.05)).scale == 1.0


def test_nothing_moves_where_nothing_is_to_move() -> None:
    registration = Registration(_image(), RegistrationSettings(still=True))
    same, off = registration.register(_image(seed=2)), registration.register(_image(1.0, 9.0, -4.0))

    assert (same.angle_deg, same.shift_x_px, same.shift_y_px, same.scale) == (0.0, 0.0, 0.0, 1.0)
    assert same.quality > 0.95
    assert (off.angle_deg, off.shift_x_px, off.shift_y_px) == (0.0, 0.0, 0.0)
    assert off.quality < 0.5


def test_the_quality_of_a_pose_falls_with_its_distance_from_the_right_one() -> None:
    registration, image = _registration(), _image(2.0, 9.0, -4.0, seed=5)
    right = registration.register(image)
    off = [registration.quality_at(image, replace(right, shift_x_px=right.shift_x_px + px)) for px in (0, 1, 4, 16)]

    assert off[0] == pytest.approx(right.quality, abs=1e-3)
    assert off == sorted(off, reverse=True)
    assert off[3] < 0.5 < off[1]


@pytest.mark.parametrize(
    ("pose", "share"),
    [((0, 0, 0), 0.0), ((0, 120, 0), 0.25), ((0, -240, -180), 0.75), ((90, 0, 0), 0.25), ((0, 999, 0), 1)],
)
def test_the_unseen_share_of_a_box_is_what_lies_outside_the_image(pose: tuple[float, ...], share: float) -> None:
    place = Alignment(1.0, pose[1], pose[2], pose[0], 1.0, 0.0)

    assert _registration().unseen_fraction(place, (0, 0, _WIDTH, _HEIGHT)) == pytest.approx(share, abs=0.01)


def test_gain_and_offset_are_found_and_change_nothing_else() -> None:
    pose = (1.5, 8.2, -3.9)
    darker = np.clip(_image(*pose) * 0.7 + 20.0, 0, 255).astype(np.uint8)
    found = _registration().register(darker)

    assert found.gain == pytest.approx(0.7, abs=0.02)
    assert found.offset == pytest.approx(20.0, abs=2.0)
    assert _error_px(found, *pose) < 0.05


def test_a_large_defect_does_not_pull_the_part_along() -> None:
    pose = (1.1, 4.4, 6.6)
    image = _image(*pose)
    cv2.circle(image, (250, 150), 50, 250, -1)
    found = _registration().register(image)

    assert _error_px(found, *pose) < 0.05
    assert found.quality > 0.75


@pytest.mark.parametrize(
    ("name", "image", "limit"),
    [
        ("upside down", _image(180.0), 0.65),
        ("quarter turn", _image(90.0), 0.6),
        (
            "empty nest",
            np.clip(np.random.default_rng(2).normal(45, 2, (_HEIGHT, _WIDTH)), 0, 255).astype(np.uint8),
            0.15,
        ),
        ("black", np.zeros((_HEIGHT, _WIDTH), np.uint8), 0.01),
        ("white", np.full((_HEIGHT, _WIDTH), 255, np.uint8), 0.01),
        ("noise", np.random.default_rng(2).integers(0, 256, (_HEIGHT, _WIDTH), dtype=np.uint8), 0.15),
        ("one bright pixel", np.eye(1, _HEIGHT * _WIDTH, 777, dtype=np.uint8).reshape(_HEIGHT, _WIDTH) * 255, 0.15),
        ("checkerboard", (np.indices((_HEIGHT, _WIDTH)).sum(axis=0) % 2 * 255).astype(np.uint8), 0.15),
    ],
)
def test_what_is_not_the_part_has_a_low_quality_and_finite_numbers(name: str, image: np.ndarray, limit: float) -> None:
    found = _registration().register(image)

    assert all(math.isfinite(v) for v in asdict(found).values())
    assert -1.0 <= found.quality < limit


def test_a_part_half_outside_the_image_loses_quality() -> None:
    far = _registration().register(_image(0.0, 155.0, 115.0))

    assert far.quality < 0.9


def test_a_part_that_looks_alike_at_every_angle_stays_unturned() -> None:
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    r = np.hypot(x - (_WIDTH - 1) / 2, y - (_HEIGHT - 1) / 2)
    rings = 120 + 80 * np.cos(r / 9.0) * (r < 150)
    seen = [np.clip(rings + np.random.default_rng(s).normal(0, 3, r.shape), 0, 255).astype(np.uint8) for s in (1, 2)]
    found = Registration(seen[0]).register(seen[1])

    assert abs(found.angle_deg) < 1.0
    assert math.hypot(found.shift_x_px, found.shift_y_px) < 0.1
    assert found.quality > 0.95


def test_a_round_part_is_turned_by_a_grain_that_tells() -> None:
    y, x = np.mgrid[: 2 * _HEIGHT, : 2 * _WIDTH]
    r = np.hypot(x - (2 * _WIDTH - 1) / 2, y - (2 * _HEIGHT - 1) / 2)
    rings = (120 + 80 * np.cos(r / 18.0) * (r < 300)).astype(np.float32)
    grain = cv2.GaussianBlur(np.random.default_rng(4).normal(0, 1, r.shape).astype(np.float32), (0, 0), 4.0)
    rings += grain * (3.0 / float(grain.std())) * (r < 300)

    def seen(angle: float) -> np.ndarray:
        matrix = cv2.getRotationMatrix2D(((2 * _WIDTH - 1) / 2, (2 * _HEIGHT - 1) / 2), angle, 1.0)
        moved = cv2.warpAffine(rings, matrix, (2 * _WIDTH, 2 * _HEIGHT), flags=cv2.INTER_CUBIC, borderValue=120)
        small = cv2.resize(moved, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(int(abs(angle) * 10)).normal(0, 1, small.shape)
        return np.clip(np.rint(small + noise), 0, 255).astype(np.uint8)

    registration = Registration(seen(0.0))
    for angle in (-2.6, 0.7, 1.9):
        assert registration.register(seen(angle)).angle_deg == pytest.approx(angle, abs=0.05)


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (100, 100), (97, 131)])
def test_small_images_register_too(shape: tuple[int, int]) -> None:
    scene = cv2.resize(_image(), (shape[1] + 8, shape[0] + 8), interpolation=cv2.INTER_AREA)
    reference = np.ascontiguousarray(scene[4:-4, 4:-4])
    found = Registration(reference).register(np.ascontiguousarray(scene[2:-6, 5:-3]))

    assert (found.shift_x_px, found.shift_y_px) == pytest.approx((-1.0, 2.0), abs=0.05)
    assert abs(found.angle_deg) < 0.1


def test_colour_images_register_by_their_luma_and_warp_in_colour() -> None:
    pose = (1.0, 7.0, -5.0)
    colour = [np.dstack([i, i // 2, 255 - i]) for i in (_image(), _image(*pose, seed=4))]
    registration = Registration(colour[0])
    found = registration.register(colour[1])
    warped = registration.warp(colour[1], found)

    assert _error_px(found, *pose) < 0.1
    assert warped.shape == colour[0].shape
    assert float(np.abs(warped - colour[0] / 255.0)[60:-60, 60:-60].mean()) < 0.02


def test_warp_brings_the_image_into_the_references_frame_and_back() -> None:
    pose = (5.0, 20.0, -12.0)
    registration, image = _registration(), _image(*pose, seed=6)
    found = registration.register(image)
    warped = registration.warp(image, found)
    left, top, right, bottom = registration.valid_region(found)

    assert warped.dtype == np.float32
    assert warped.flags.c_contiguous
    assert float(warped.min()) >= 0.0
    assert float(warped.max()) <= 1.0
    inner = np.s_[top:bottom, left:right]
    assert float(np.abs(warped - _image() / 255.0)[inner].mean()) < 0.015
    back = registration.warp_back(warped, found)
    assert float(np.abs(back - image / 255.0)[80:-80, 80:-80].mean()) < 0.015


def test_the_identity_warps_every_pixel_onto_itself() -> None:
    image, still = _image(), Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    np.testing.assert_array_equal(_registration().warp(image, still), image.astype(np.float32) * np.float32(1 / 255))
    assert _registration().valid_region(still) == (0, 0, _WIDTH, _HEIGHT)


@pytest.mark.parametrize("pose", [(0, 30, -20), (0, -30.5, 20.5), (7, 0, 0), (-7, 40, 10), (180, 12, 5), (90, 0, 0)])
def test_the_valid_region_came_from_inside_the_image(pose: tuple[float, float, float]) -> None:
    registration, place = _registration(), Alignment(1.0, pose[1], pose[2], pose[0], 1.0, 0.0)
    left, top, right, bottom = registration.valid_region(place)
    matrix = registration._matrix(place)
    corners = np.array([[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]], dtype=float)
    seen = corners @ matrix[:, :2].T + matrix[:, 2]

    assert (seen > -0.001).all()
    assert (seen < np.array([_WIDTH - 0.999, _HEIGHT - 0.999])).all()
    assert (right - left) * (bottom - top) > 0.3 * _WIDTH * _HEIGHT


def test_no_region_is_valid_far_outside() -> None:
    assert _registration().valid_region(Alignment(0.0, 9999.0, 0.0, 0.0, 1.0, 0.0)) == (0, 0, 0, 0)


def test_a_mask_names_what_may_be_trusted() -> None:
    board = np.random.default_rng(9).integers(30, 220, (_HEIGHT // 8, _WIDTH // 8)).astype(np.uint8)
    board = cv2.resize(board, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    window = np.s_[80:280, 100:380]
    reference, image = board.copy(), np.roll(board, (11, -14), axis=(0, 1))
    reference[window] = _image()[window]
    image[window] = _image(0.0, 3.0, 2.0)[window]
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    mask[92:268, 112:368] = 1
    found = Registration(reference, mask=mask).register(image)

    assert (found.shift_x_px, found.shift_y_px) == pytest.approx((3.0, 2.0), abs=0.1)


_BITS = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np
from edge_agent.inspection.registration.register import Registration
a, b = np.load(sys.argv[2]), np.load(sys.argv[3])
r = Registration(a).register(b)
print(*(float(v).hex() for v in (r.quality, r.shift_x_px, r.shift_y_px, r.angle_deg, r.gain, r.offset)))
"""


@pytest.mark.slow
def test_the_same_image_gives_the_same_bits_in_any_process_and_thread(tmp_path: Path) -> None:
    reference, image = _image(), _image(2.0, 7.0, 5.0, seed=9)
    np.save(tmp_path / "a.npy", reference)
    np.save(tmp_path / "b.npy", image)
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", _BITS, root, str(tmp_path / "a.npy"), str(tmp_path / "b.npy")]
    lines = {
        subprocess.run(
            command,
            env=os.environ | {"OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for n in ("1", "4")
    }
    registration = Registration(reference)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(registration.register, [image.copy() for _ in range(12)]))

    assert len(lines) == 1
    assert len(found) == 1
    one = found.pop()
    values = (one.quality, one.shift_x_px, one.shift_y_px, one.angle_deg, one.gain, one.offset)
    assert lines.pop().split() == [v.hex() for v in values]


def test_settings_survive_json() -> None:
    chosen = RegistrationSettings(max_angle_deg=180.0, pixels=8000)

    assert RegistrationSettings(**json.loads(json.dumps(asdict(chosen)))) == chosen


def test_a_reference_without_structure_is_refused_with_a_hint() -> None:
    with pytest.raises(DataError, match="too little structure") as refused:
        Registration(np.full((_HEIGHT, _WIDTH), 80, np.uint8))

    assert "reference image" in refused.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_angle_deg": 181.0}, "max_angle_deg"),
        ({"max_angle_deg": math.nan}, "max_angle_deg"),
        ({"max_shift_fraction": 0.6}, "max_shift_fraction"),
        ({"pixels": 10}, "pixels"),
        ({"max_scale": 0.5}, "max_scale"),
        ({"max_scale": -0.1}, "max_scale"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Registration(_image(), RegistrationSettings(**change))  # type: ignore[arg-type]


def test_arrays_that_cannot_be_are_refused() -> None:
    registration = _registration()
    with pytest.raises(ValueError, match="uint8"):
        registration.register(_image().astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the reference"):
        registration.register(_image()[:-1])
    with pytest.raises(ValueError, match="too small"):
        Registration(_image()[:20])
    with pytest.raises(ValueError, match="mask"):
        Registration(_image(), mask=np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="the array"):
        registration.warp_back(np.zeros((3, 3), np.float32), Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


@pytest.mark.real_images
@pytest.mark.parametrize("part", ["bottle", "transistor_400"])
def test_real_good_parts_come_closer_to_the_reference(part: str) -> None:
    folder = Path(os.environ.get("EDGE_AGENT_MVTEC", "/nowhere")) / part / "train" / "good"
    paths = sorted(folder.glob("*.png"))[:9]
    if len(paths) < 9:
        pytest.skip(f"no images in {folder}: set EDGE_AGENT_MVTEC")
    images = [decode(path.read_bytes()) for path in paths]
    registration, margin = Registration(images[0]), images[0].shape[0] // 12
    inner = np.s_[margin:-margin, margin:-margin]
    for image in images[1:]:
        found = registration.register(image)
        before = float(np.square(image / 255.0 - images[0] / 255.0)[inner].mean())
        after = float(np.square(registration.warp(image, found) - images[0] / 255.0)[inner].mean())

        assert after <= before * 1.02
        assert abs(found.angle_deg) < 5.0
        assert found.quality > 0.3


# --- a part that glitters -------------------------------------------------------------------------------


def _glittering(seed: int, angle_deg: float, *, lamp: float = 0.0) -> np.ndarray:
    """A bolt with a head, dark on light: where it is dark is every bolt's, its bright edges are each one's own.

    ``lamp`` 0.4: the light on the left is two thirds of that on the right.
    """
    rng = np.random.default_rng(seed)
    image = np.full((240, 240), 200.0, np.float32)
    cv2.rectangle(image, (112, 50), (128, 190), 110.0, -1)
    cv2.rectangle(image, (104, 40), (136, 74), 110.0, -1)
    glints = np.zeros_like(image)
    for _ in range(250):
        x, y = int(rng.integers(98, 142)), int(rng.integers(42, 188))
        cv2.line(glints, (x, y), (x + int(rng.integers(-9, 10)), y + int(rng.integers(-9, 10))), 120.0, 1, cv2.LINE_AA)
    image += np.where(image < 150.0, glints, 0.0)
    turn = cv2.getRotationMatrix2D((119.5, 119.5), angle_deg, 1.0)
    turned = cv2.warpAffine(image, turn, (240, 240), borderValue=200.0)
    turned = turned * np.exp(lamp * np.linspace(-1.0, 0.0, 240, dtype=np.float32))
    return np.clip(turned + rng.normal(0, 2, turned.shape), 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_a_part_that_glitters_is_not_laid_upside_down() -> None:
    registration = Registration(_glittering(0, 0.0), RegistrationSettings(max_angle_deg=180.0))
    turns = [-175.0, -150.0, -90.0, -40.0, 35.0, 80.0, 140.0, 160.0, 172.0, 179.0]

    found = [registration.register(_glittering(seed, turn)) for seed, turn in enumerate(turns, start=1)]

    off = [abs(math.remainder(f.angle_deg - turn, 360.0)) for f, turn in zip(found, turns, strict=True)]
    assert max(off) < 10.0, off


@pytest.mark.slow
def test_a_lamp_from_one_side_does_not_hold_a_part_that_glitters_where_it_is() -> None:
    registration = Registration(_glittering(0, 0.0, lamp=0.4), RegistrationSettings(max_angle_deg=180.0))
    turns = [-175.0, -150.0, -90.0, -40.0, 35.0, 80.0, 140.0, 160.0, 172.0, 179.0]

    found = [registration.register(_glittering(seed, turn, lamp=0.4)) for seed, turn in enumerate(turns, start=1)]

    off = [abs(math.remainder(f.angle_deg - turn, 360.0)) for f, turn in zip(found, turns, strict=True)]
    assert max(off) < 10.0, off


def test_a_pose_that_is_no_place_is_like_nothing() -> None:
    image = _glittering(0, 0.0)
    whole = WholeReference(image, 1, (119.5, 119.5), None)

    assert whole.alike(image, Pose(0.0, 0.0, 0.0)) == pytest.approx(1.0)
    assert whole.alike(image, Pose(math.pi, 0.0, 0.0)) < 0.95
    assert whole.alike(np.zeros_like(image), Pose(0.0, 0.0, 0.0)) == 0.0
    for pose in (Pose(math.inf, 0.0, 0.0), Pose(0.0, math.nan, 0.0), Pose(0.0, 0.0, -math.inf)):
        assert whole.alike(image, pose) == 0.0
