"""The rendered parts: what varies, what does not, and whether the truth about a defect is the truth."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from drivers.simulated.camera import (
    Defect,
    DefectSpec,
    ZipperCamera,
    defect_catalogue,
    encode_bmp,
    encode_image,
)


@pytest.fixture(scope="module")
def camera() -> ZipperCamera:
    return ZipperCamera(width=320, height=240, seed=5)


def test_the_same_seed_and_generator_give_the_same_image(camera: ZipperCamera) -> None:
    twin = ZipperCamera(width=320, height=240, seed=5)
    first = camera.render(np.random.default_rng(1)).image

    assert np.array_equal(first, twin.render(np.random.default_rng(1)).image)
    assert not np.array_equal(first, camera.render(np.random.default_rng(2)).image)


def test_good_parts_differ_by_more_than_sensor_noise_and_stay_within_the_pose_jitter(camera: ZipperCamera) -> None:
    rng = np.random.default_rng(0)
    parts = [camera.render(rng) for _ in range(12)]
    spread = np.std([part.image for part in parts], axis=0)

    assert spread.max() > 20  # edges move: a naive difference sees them
    assert all(abs(shift) <= 12 * 0.2 for part in parts for shift in part.shift_px)
    assert all(abs(part.angle_deg) <= 1.5 for part in parts)
    assert len({part.shift_px for part in parts}) == 12
    assert not any(part.defect_mask.any() for part in parts)


def test_a_camera_without_jitter_puts_every_part_at_the_same_place() -> None:
    still = ZipperCamera(width=160, height=120, jitter_px=0.0, jitter_deg=0.0)
    rng = np.random.default_rng(0)
    first, second = still.render(rng), still.render(rng)

    assert first.shift_px == second.shift_px == (0.0, 0.0)
    assert np.abs(first.image.astype(int) - second.image).mean() < 8


@pytest.fixture(scope="module")
def still_camera() -> ZipperCamera:
    return ZipperCamera(width=400, height=300, jitter_px=0.0, jitter_deg=0.0, light_drift=0.0, brushing=0.0)


@pytest.mark.parametrize("kind", list(Defect))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_defect_changes_the_image_where_its_mask_says_and_hardly_elsewhere(
    still_camera: ZipperCamera, kind: Defect, seed: int
) -> None:
    spec = DefectSpec(kind, size_px=160.0, contrast=0.4)
    seen = still_camera.render(np.random.default_rng(seed), spec)
    good = still_camera.render(np.random.default_rng(seed))
    change = np.abs(seen.image.astype(int) - good.image)

    assert seen.defect == spec
    assert seen.defect_mask.any()
    assert np.percentile(change[seen.defect_mask], 90) > 0.15 * 255
    assert np.median(change[~seen.defect_mask]) < 12
    rows, columns = np.nonzero(seen.defect_mask)
    assert max(np.ptp(rows), np.ptp(columns)) <= 1.4 * 160 / 4


def test_a_defect_lies_on_the_metal(camera: ZipperCamera) -> None:
    rng = np.random.default_rng(3)
    for spec in defect_catalogue(12, 1):
        rows, columns = np.nonzero(camera.render(rng, spec).defect_mask)

        assert 40 < rows.mean() < 200
        assert 40 < columns.mean() < 280


def test_a_small_frame_shows_the_same_part_scaled() -> None:
    large = ZipperCamera(width=320, height=240, jitter_px=0.0, jitter_deg=0.0, light_drift=0.0)
    small = ZipperCamera(width=160, height=120, jitter_px=0.0, jitter_deg=0.0, light_drift=0.0)
    seen = large.render(np.random.default_rng(0)).image.reshape(120, 2, 160, 2).mean(axis=(1, 3))
    likeness = np.corrcoef(seen.ravel(), small.render(np.random.default_rng(0)).image.ravel())[0, 1]

    assert likeness > 0.97


def test_the_catalogue_has_every_kind_and_spreads_size_and_contrast() -> None:
    specs = defect_catalogue(20, 4)

    assert {spec.kind for spec in specs} == set(Defect)
    assert specs == defect_catalogue(20, 4) != defect_catalogue(20, 5)
    sizes = [spec.size_px for spec in specs if spec.kind is not Defect.SCRATCH]
    assert max(sizes) > 2 * min(sizes)
    assert max(spec.contrast for spec in specs) > 3 * min(spec.contrast for spec in specs)
    assert defect_catalogue(0, 1) == []


@pytest.mark.parametrize(("size_px", "contrast"), [(0, 0.1), (-3, 0.1), (900, 0.1), (10, 0), (10, 1.2)])
def test_an_impossible_defect_is_refused(size_px: float, contrast: float) -> None:
    with pytest.raises(ValueError, match="a defect has"):
        DefectSpec(Defect.HALO, size_px, contrast)


def test_a_frame_too_small_to_show_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        ZipperCamera(width=32, height=240)


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (120, 161)])
def test_a_bmp_is_read_back_as_it_was_written_by_another_reader(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = encode_bmp(image)

    assert len(data) == int.from_bytes(data[2:6], "little") == 1078 + (shape[1] + 3) // 4 * 4 * shape[0]
    with Image.open(io.BytesIO(data)) as read:
        assert read.format == "BMP"
        assert np.array_equal(np.asarray(read.convert("L")), image)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_png_and_jpg_are_read_back_by_another_reader(extension: str) -> None:
    image = ZipperCamera(width=160, height=120).render(np.random.default_rng(0)).image
    with Image.open(io.BytesIO(encode_image(image, extension))) as read:
        assert np.abs(np.asarray(read).astype(int) - image).mean() < 3


def test_what_is_no_gray_image_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_bmp(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="bmp, jpg or png"):
        encode_image(np.zeros((4, 4), np.uint8), "tiff")
