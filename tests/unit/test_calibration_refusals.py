"""Images that cannot carry a calibration are refused with what to do, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.collecting.from_line import LiveWishes
from calibration.collecting.holding import held_folder, held_target
from calibration.gathering import gather
from calibration.good_parts.images import list_images
from calibration.options import CalibrationOptions
from calibration.registering.reference import clip_to_valid, explicit_crop, part_box
from calibration.registering.registered import grid_for
from edge_agent.errors import AlreadyRunning, CalibrationRefused, UsageError
from edge_agent.inspection.registration.register import RegistrationSettings
from edge_agent.tools.collecting import collect_from_line
from tests.command_line import edge_agent_here

if TYPE_CHECKING:
    from pathlib import Path


NOT_ASKED: Any = None
"""Settings of a line that is never opened."""


def draw_part(seed: int, *, height: int = 48, width: int = 64, colour: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 30.0, np.float32)
    centre = (width / 2 + rng.uniform(-1, 1), height / 2 + rng.uniform(-1, 1))
    box = cv2.boxPoints((centre, (width * 0.6, height * 0.5), rng.uniform(-3, 3)))
    cv2.fillConvexPoly(image, (box * 16).astype(np.int32), 150 + rng.uniform(-5, 5), cv2.LINE_AA, 4)
    image += rng.normal(0, 2, image.shape)
    grey = np.clip(image, 0, 255).astype(np.uint8)
    return np.dstack([grey] * 3) if colour else grey


def write(folder: Path, name: str, image: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    assert cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed in range(22):
        write(tmp_path / "good", f"{seed:02}.bmp", draw_part(seed))
    return tmp_path / "good"


def refused(images: Path, **options: object) -> CalibrationRefused:
    out = images.parent / "bundle"
    before = sorted(images.parent.rglob("*"))
    with pytest.raises(CalibrationRefused) as caught:
        calibrate(images, out, CalibrationOptions(**options))  # type: ignore[arg-type]

    assert sorted(images.parent.rglob("*")) == before
    assert caught.value.hint
    return caught.value


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "not a folder" in str(refused(tmp_path / "nothing"))


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()

    assert "0 good images are too few" in str(refused(tmp_path / "good"))


def test_too_few_images(images: Path) -> None:
    for name in ("00", "01", "02"):
        (images / f"{name}.bmp").unlink()

    assert "19 good images are too few: at least 20" in str(refused(images))


@pytest.mark.parametrize("content", [b"", b"not an image", b"BM"])
def test_an_unreadable_image_is_named(images: Path, content: bytes) -> None:
    (images / "05.bmp").write_bytes(content)

    assert "05.bmp" in str(refused(images))


def test_all_files_that_cannot_be_used_are_named_at_once(images: Path) -> None:
    (images / "05.bmp").write_bytes(b"")
    (images / "06.bmp").write_bytes(b"II*\0 a TIFF under another name")
    (images / "11.bmp").write_bytes((images / "11.bmp").read_bytes()[:-1])
    (images / "12.bmp").unlink()
    (images / "12.bmp").symlink_to(images / "nowhere.bmp")

    words = str(refused(images))

    assert "4 of 22 files cannot be used" in words
    assert "05.bmp: the file is empty" in words
    assert "06.bmp: a TIFF file" in words
    assert "11.bmp: broken BMP file" in words
    assert "12.bmp: a link that leads nowhere" in words


def test_a_folder_of_other_formats_says_so(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for number in range(30):
        (tmp_path / "good" / f"{number}.tif").write_bytes(b"II*\0")

    error = refused(tmp_path / "good")

    assert "0.tif, 1.tif, 10.tif, 11.tif, 12.tif and 25 more is in a format" in str(error)
    assert "mogrify" in error.hint


def test_all_copies_and_all_images_of_another_shape_are_named(images: Path) -> None:
    (images / "copy.bmp").write_bytes((images / "03.bmp").read_bytes())
    (images / "more.bmp").write_bytes((images / "04.bmp").read_bytes())
    assert "03.bmp and copy.bmp show the same picture; 04.bmp and more.bmp" in str(refused(images))

    write(images, "copy.bmp", draw_part(9, width=80))
    write(images, "more.bmp", draw_part(9, width=80))
    assert "copy.bmp, more.bmp 80 x 48 grey" in str(refused(images))


def test_what_programs_leave_behind_is_no_image_of_a_part(images: Path) -> None:
    (images / "._01.bmp").write_bytes(b"\0\5\26\7")
    (images / "Thumbs.db").write_bytes(b"")
    for name in ("00", "01", "02"):
        (images / f"{name}.bmp").unlink()

    assert "19 good images are too few" in str(refused(images))


def test_a_second_calibration_into_the_same_folder_is_refused(images: Path) -> None:
    out = images.parent / "bundle"
    with held_target(out), held_target(images.parent / "other"):
        with pytest.raises(AlreadyRunning, match="another calibration is writing"):
            calibrate(images, out, CalibrationOptions())
        assert not out.exists()
    with held_target(out):
        pass

    assert [path.name for path in images.parent.iterdir()] == ["good"]


def test_two_collections_into_one_folder_do_not_meet(tmp_path: Path) -> None:
    with held_folder(tmp_path), pytest.raises(AlreadyRunning, match="is collecting into"), held_folder(tmp_path):
        pass
    with held_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(AlreadyRunning, match="is collecting into"):
            collect_from_line(NOT_ASKED, tmp_path, LiveWishes(tmp_path, 20, 1, 1, RegistrationSettings()), print)


def test_a_target_that_exists_is_told_before_an_hour_of_collecting(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()

    ran = edge_agent_here(
        *("calibrate-reference", str(tmp_path / "good"), "--live", "20", "--out", str(tmp_path / "bundle")),
        *("--config", str(tmp_path / "line.toml")),
    )

    assert ran.code == 65
    assert "exists already" in ran.err
    assert not (tmp_path / "good").exists()


def test_a_truncated_image_is_named(images: Path) -> None:
    path = images / "07.bmp"
    path.write_bytes(path.read_bytes()[:-100])

    assert "07.bmp" in str(refused(images))


def test_another_size_is_named(images: Path) -> None:
    write(images, "09.bmp", draw_part(9, width=80))

    assert "09.bmp 80 x 48 grey" in str(refused(images))


def test_colour_among_grey_is_named(images: Path) -> None:
    write(images, "09.bmp", draw_part(9, colour=True))

    assert "09.bmp 64 x 48 colour" in str(refused(images))


def test_a_copied_file_is_named(images: Path) -> None:
    (images / "copy.bmp").write_bytes((images / "03.bmp").read_bytes())

    assert "03.bmp and copy.bmp show the same picture" in str(refused(images))


def test_the_same_picture_in_another_file_format_is_named(images: Path) -> None:
    write(images, "copy.png", draw_part(3))

    assert "03.bmp and copy.png show the same picture" in str(refused(images))


@pytest.mark.slow
def test_an_image_of_something_else_is_named(images: Path) -> None:
    other = np.random.default_rng(1).integers(0, 255, (48, 64)).astype(np.uint8)
    write(images, "11.bmp", other)

    assert "11.bmp does not register" in str(refused(images))


def test_a_target_that_exists_is_kept(images: Path) -> None:
    (images.parent / "bundle").mkdir()
    (images.parent / "bundle" / "notes.txt").write_text("mine")

    assert "exists already" in str(refused(images))
    assert "not a bundle" in str(refused(images, overwrite=True))


def test_a_target_without_a_folder_to_stand_in(images: Path) -> None:
    with pytest.raises(CalibrationRefused, match="is not a folder"):
        calibrate(images, images.parent / "a" / "b", CalibrationOptions())


@pytest.mark.parametrize(
    "options",
    [{"method": "magic"}, {"crop": "left"}, {"crop": (0, 0, 65, 48)}, {"part": ""}],
)
def test_options_that_cannot_be_are_usage_errors(images: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        calibrate(images, images.parent / "bundle", CalibrationOptions(**options))  # type: ignore[arg-type]

    assert not (images.parent / "bundle").exists()


def test_the_part_is_boxed_with_a_margin_on_a_uniform_background() -> None:
    mean = np.full((100, 200, 1), 0.1, np.float32)
    mean[30:60, 50:120] = 0.8

    assert part_box(mean, 4.0) == (168, 88, 344, 184)


def test_a_background_that_is_not_uniform_is_not_cropped() -> None:
    mean = np.random.default_rng(0).random((100, 200, 1), dtype=np.float32)

    assert part_box(mean, 1.0) is None


def test_the_crop_stays_where_all_images_have_pixels() -> None:
    valid = {"a": (5, 0, 200, 100), "b": (0, 0, 190, 95)}

    assert clip_to_valid((0, 0, 200, 100), valid) == (5, 0, 185, 95)


def test_a_part_out_of_view_is_named() -> None:
    with pytest.raises(CalibrationRefused, match=r"b\.bmp is shifted furthest"):
        clip_to_valid((0, 0, 200, 100), {"a.bmp": (0, 0, 200, 100), "b.bmp": (0, 0, 90, 100)})


def test_a_crop_outside_the_image_is_a_usage_error() -> None:
    assert explicit_crop((8, 8, 40, 40), 48, 64) == (8, 8, 40, 40)
    with pytest.raises(UsageError, match="does not lie in"):
        explicit_crop((30, 8, 40, 40), 48, 64)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1200, 1600, (192, 256, 64)),
        (900, 900, (256, 256, 64)),
        (120, 160, (60, 80, 32)),
        (48, 64, (40, 53, 32)),
        (32, 46, (32, 46, 32)),
        (100, 1600, (40, 640, 32)),
    ],
)
def test_the_working_size_follows_the_crop(height: int, width: int, expected: tuple[int, int, int]) -> None:
    grid = grid_for(height, width)

    assert (grid.height, grid.width, grid.patch) == expected


def test_an_image_that_changes_after_it_was_read_is_named(images: Path) -> None:
    def swap(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("read", total):
            write(images, "03.bmp", draw_part(99))

    with pytest.raises(CalibrationRefused, match=r"03\.bmp changed") as caught:
        gather(list_images(images), CalibrationOptions(), swap)

    assert "nobody writes to" in caught.value.hint
