"""Collecting good parts: what is refused, what is kept, and going on with a folder."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.collecting.collect import ODD, Collector
from calibration.collecting.from_line import LiveWishes, _take
from drivers.base import Capture
from drivers.simulated.camera import ZipperCamera, encode_bmp
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.registration.register import RegistrationSettings
from tests.simulated.line import THUMBNAIL, good_image

if TYPE_CHECKING:
    from pathlib import Path


def collector(folder: Path) -> Collector:
    return Collector.open(folder, RegistrationSettings())


def another_part(number: int) -> bytes:
    """A part of the same size that is not this part."""
    picture = np.full(THUMBNAIL[::-1], 200, np.uint8)
    cv2.circle(picture, (40 + number, 60), 25, 40, -1)
    cv2.line(picture, (90, 10), (150, 110 - number), 90, 5)
    return encode_bmp(picture)


def test_good_parts_are_taken_and_copies_are_not(tmp_path: Path) -> None:
    found = collector(tmp_path / "good")

    said = [found.take(good_image(n), f"n{n}.bmp") for n in (1, 2, 3, 2)]

    assert said[:3] == ["", "", ""]
    assert "the same picture as good_0002" in said[3]
    assert len(found) == 3
    assert len(list((tmp_path / "good").glob("good_*.bmp"))) == 3
    assert len(list((tmp_path / "good" / ODD).iterdir())) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (good_image(1)[:5000], "broken"),
        (b"", "broken"),
        (encode_bmp(np.zeros((THUMBNAIL[1], THUMBNAIL[0] // 2), np.uint8)), "another shape"),
    ],
    ids=["cut", "empty", "shape"],
)
def test_what_cannot_carry_a_calibration_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    found = collector(tmp_path)
    found.take(good_image(1), "a.bmp")

    assert why in found.take(data, "b.bmp")
    assert len(found) == 1


def test_another_part_does_not_register(tmp_path: Path) -> None:
    found = collector(tmp_path)
    for number in range(1, 7):
        assert found.take(good_image(number), "a.bmp") == ""

    assert "does not register" in found.take(another_part(0), "b.bmp")
    assert len(found) == 6


def test_an_odd_one_among_the_first_is_put_aside_when_there_are_enough_to_tell(tmp_path: Path) -> None:
    found = collector(tmp_path)
    found.take(another_part(0), "a.bmp")
    odd = found.images[0].path.name
    for number in range(1, 5):
        found.take(good_image(number), "a.bmp")

    assert [refused.label for refused in found.refused] == [odd]
    assert (tmp_path / ODD / odd).is_file()
    assert len(found) == 4
    assert found.take(good_image(5), "a.bmp") == ""


def test_a_deleted_picture_is_replaced_and_numbers_are_not_used_again(tmp_path: Path) -> None:
    first = collector(tmp_path)
    for number in range(1, 8):
        first.take(good_image(number), "a.bmp")
    first.images[2].path.unlink()

    again = collector(tmp_path)

    assert len(again) == 6
    assert again.take(good_image(8), "../../../etc/passwd.exe") == ""
    assert again.images[-1].path.parent == tmp_path
    assert again.images[-1].path.name.startswith("good_0008_")
    assert again.images[-1].path.suffix == ".bmp"


def test_a_folder_with_a_picture_that_is_none_says_which(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"no picture")

    with pytest.raises(CalibrationRefused, match=r"holiday\.png"):
        collector(tmp_path)


def test_all_pictures_that_are_none_are_named_and_what_programs_left_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"no picture")
    (tmp_path / "empty.bmp").write_bytes(b"")
    (tmp_path / "._good_0001.bmp").write_bytes(b"")

    with pytest.raises(CalibrationRefused) as refused:
        collector(tmp_path)
    assert "holiday.png" in str(refused.value)
    assert "empty.bmp" in str(refused.value)

    (tmp_path / "holiday.png").unlink()
    (tmp_path / "empty.bmp").unlink()
    assert "._good_0001.bmp" in collector(tmp_path).notes[0]


def test_a_part_whose_file_lost_its_end_is_put_aside_once_others_tell_what_is_missing(tmp_path: Path) -> None:
    def cut(number: int) -> bytes:
        data = good_image(number)
        return data[: -THUMBNAIL[0] * 12] + bytes(THUMBNAIL[0] * 12)

    found = collector(tmp_path)
    for number in (1, 2, 3, 4):
        assert found.take(good_image(number), "a.bmp") == ""
    first = found.take(cut(5), "a.bmp")
    later = found.take(cut(6), "a.bmp")

    assert "broken: its file ends in 12 rows of zeros" in first
    assert "broken: its file ends in 12 rows of zeros" in later
    assert len(found) == 4
    assert found.take(good_image(7), "a.bmp") == ""


def test_turned_parts_need_the_angle_that_was_asked_for(tmp_path: Path) -> None:
    camera = ZipperCamera(width=THUMBNAIL[0], height=THUMBNAIL[1], seed=3)
    rng = np.random.default_rng(5)
    found = Collector.open(tmp_path, RegistrationSettings(max_angle_deg=180.0))
    for number in range(6):
        picture = camera.render(rng).image
        found.take(encode_bmp(np.ascontiguousarray(picture[::-1, ::-1]) if number % 2 else picture), "a.bmp")

    assert len(found) == 6, found.refused


def test_an_image_that_is_another_one_when_it_is_taken_is_refused(tmp_path: Path) -> None:
    found = collector(tmp_path / "good")
    came = Capture(1, 1, "s", "a.bmp", tmp_path / "a.bmp", sha256(good_image(1)).hexdigest(), 0.0)
    (tmp_path / "a.bmp").write_bytes(good_image(2))
    _take(found, came, LiveWishes(tmp_path / "good", 20, 1, 1, RegistrationSettings()))

    assert len(found) == 0
    assert "changed" in found.refused[0].why
