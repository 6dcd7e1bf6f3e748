"""What does not show the part in its place is rejected for that reason, by the whole inspection."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from calibration.reporting import calibration_json, calibration_lines
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.result import CalibrationResult

    Image = NDArray[np.uint8]

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 120, 160


def plate(seed: int, angle_deg: float = 0.0, shift_px: float = 0.0) -> Image:
    """A plate with a slot and three bores, in front of a belt that shows something else each time."""
    rng = np.random.default_rng(seed)
    part = np.zeros((2 * HEIGHT, 2 * WIDTH), np.float32)
    cv2.rectangle(part, (80, 60), (240, 180), 150.0, -1)
    cv2.rectangle(part, (100, 150), (190, 166), 90.0, -1)
    for place, radius, grey in (((112, 92), 20, 60), ((200, 100), 26, 95), ((150, 110), 12, 210)):
        cv2.circle(part, place, radius, float(grey), -1, cv2.LINE_AA)
    motion = cv2.getRotationMatrix2D((WIDTH, HEIGHT), angle_deg + rng.uniform(-1, 1), 1.0)
    motion[:, 2] += (2 * (rng.uniform(-2, 2) + shift_px), 2 * rng.uniform(-2, 2))
    size = (2 * WIDTH, 2 * HEIGHT)
    covers = cv2.warpAffine((part > 0).astype(np.float32), motion, size, flags=cv2.INTER_LINEAR)
    belt = cv2.GaussianBlur(rng.normal(0, 60, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32), (0, 0), 6) + 40
    seen = cv2.warpAffine(part, motion, size, flags=cv2.INTER_CUBIC) * covers + belt * (1 - covers)
    small = cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) * rng.uniform(0.98, 1.02)
    return np.clip(small + rng.normal(0, 2, small.shape), 0, 255).astype(np.uint8)


def other_product() -> Image:
    image = np.full((HEIGHT, WIDTH), 40, np.uint8)
    for radius, grey in ((52, 150), (40, 70), (28, 200), (9, 30)):
        cv2.circle(image, (WIDTH // 2, HEIGHT // 2), radius, grey, -1, cv2.LINE_AA)
    cv2.putText(image, "B7", (55, 75), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 90, 3)
    return image


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> CalibrationResult:
    folder = tmp_path_factory.mktemp("place")
    (folder / "good").mkdir()
    for seed in range(22):
        assert cv2.imwrite(str(folder / "good" / f"{seed:02}.bmp"), plate(seed))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[26:94, 36:124] = 255
    assert cv2.imwrite(str(folder / "mask.png"), mask)
    search = SearchWishes(mask=folder / "mask.png", pose_tolerance=0.3)
    return calibrate(folder / "good", folder / "plate", CalibrationOptions(part="plate", method="paper", search=search))


@pytest.fixture(scope="module")
def inspector(result: CalibrationResult) -> Inspector:
    return Inspector(Bundle.load(result.path))


def judged(inspector: Inspector, image: Image, suffix: str = ".png") -> Inspection:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return inspector.inspect(data.tobytes())


def test_a_new_good_part_is_registered_and_lies_as_good_parts_do(inspector: Inspector) -> None:
    found = [judged(inspector, plate(seed)) for seed in range(100, 120)]

    assert all(one.reason in {Reason.OK, Reason.SCORE} for one in found)
    assert sum(one.outcome is Outcome.OK for one in found) > 10


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("black", np.zeros((HEIGHT, WIDTH), np.uint8)),
        ("white", np.full((HEIGHT, WIDTH), 255, np.uint8)),
        ("noise", np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)),
        ("upside down", plate(100, angle_deg=180.0)),
        ("a quarter turn", plate(100, angle_deg=90.0)),
        ("another product", other_product()),
        ("half outside", plate(100, shift_px=80.0)),
        ("far outside", plate(100, shift_px=150.0)),
    ],
)
@pytest.mark.promise("T-26", "an image of anything but the part", "REJECT with the right reason, all")
def test_what_does_not_show_the_part_is_rejected_as_not_aligned(inspector: Inspector, name: str, image: Image) -> None:
    found = judged(inspector, image)

    assert (found.outcome, found.reason) == (Outcome.NG, Reason.ALIGN)
    assert found.detail
    assert found.alignment is not None
    assert all(math.isfinite(getattr(found.alignment, name)) for name in ("quality", "angle_deg", "shift_x_px", "gain"))


@pytest.mark.promise("T-26", "an image of anything but the part", "REJECT with the right reason, all")
def test_a_black_bitmap_may_as_well_be_a_file_that_was_never_filled(inspector: Inspector) -> None:
    found = judged(inspector, np.zeros((HEIGHT, WIDTH), np.uint8), ".bmp")

    assert (found.outcome, found.reason) == (Outcome.NG, Reason.IMAGE_BROKEN)


@pytest.mark.parametrize(("pose", "words"), [({"angle_deg": 7.0}, "turned by"), ({"shift_px": 14.0}, "to the right")])
@pytest.mark.promise("T-26", "an image of anything but the part", "REJECT with the right reason, all")
def test_a_part_askew_is_rejected_for_how_it_lies(inspector: Inspector, pose: dict[str, float], words: str) -> None:
    found = judged(inspector, plate(100, **pose))

    assert (found.outcome, found.reason) == (Outcome.NG, Reason.ALIGN)
    assert words in found.detail
    assert "the good parts by" in found.detail


def test_a_part_in_another_light_is_rejected_for_that(inspector: Inspector) -> None:
    darker = (plate(100) * 0.6).astype(np.uint8)
    found = judged(inspector, darker)

    assert (found.outcome, found.reason) == (Outcome.NG, Reason.ALIGN)
    assert "contrast" in found.detail


def test_the_mask_goes_into_the_bundle_and_is_used(result: CalibrationResult, inspector: Inspector) -> None:
    bundle = inspector.bundle

    assert bundle.mask is not None
    assert bundle.manifest["files"]["mask.png"] == hashlib.sha256((result.path / "mask.png").read_bytes()).hexdigest()
    left, top = (int(v) for v in np.argwhere(bundle.mask).min(axis=0)[::-1])
    assert (left, top) == (36, 26)
    assert abs(judged(inspector, plate(101)).alignment.angle_deg) < 2.5  # type: ignore[union-attr]


def test_a_mask_of_another_size_or_altered_rejects_the_bundle(result: CalibrationResult, tmp_path: Path) -> None:
    shutil.copytree(result.path, tmp_path / "copy")
    path = tmp_path / "copy" / "mask.png"
    assert cv2.imwrite(str(path), np.full((10, 10), 255, np.uint8))

    with pytest.raises(BundleRejected, match=r"mask\.png was altered"):
        Bundle.load(tmp_path / "copy")

    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())
    manifest["files"]["mask.png"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "copy" / "manifest.json").write_bytes(encode_manifest(manifest))
    with pytest.raises(BundleRejected, match=r"mask\.png is \(10, 10\)"):
        Bundle.load(tmp_path / "copy")


def test_a_bundle_without_pose_limits_is_rejected(result: CalibrationResult, tmp_path: Path) -> None:
    shutil.copytree(result.path, tmp_path / "copy")
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())
    del manifest["align"]["pose"]
    (tmp_path / "copy" / "manifest.json").write_bytes(encode_manifest(manifest))

    with pytest.raises(BundleRejected, match="pose is missing"):
        Bundle.load(tmp_path / "copy")


def test_lines_json_and_manifest_say_how_parts_were_searched(result: CalibrationResult, inspector: Inspector) -> None:
    note = "the good parts lie within 10 degrees"

    assert any(note in line for line in calibration_lines(result))
    assert note in calibration_json(result)["registration_notes"]  # type: ignore[operator]
    assert note in inspector.bundle.manifest["align"]["notes"]
