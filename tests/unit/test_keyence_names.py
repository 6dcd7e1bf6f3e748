"""Image names: what the controller writes is read, what it does not write is not guessed."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Judgement
from drivers.keyence.names import ImageName, Place, parse_image_path, place_of, printable


def test_a_bare_name_gives_what_it_carries() -> None:
    assert parse_image_path("221020_103912_0000000031_CAM1_OK.bmp") == ImageName(
        taken=datetime(2022, 10, 20, 10, 39, 12),  # noqa: DTZ001 - of whatever zone
        count=31,
        camera=1,
        kind="",
        judgement=Judgement.OK,
        extension="bmp",
        session="",
        program=None,
    )


def test_folders_add_program_and_session() -> None:
    name = parse_image_path("/SD2/cv-x/image/SD1_022/221020_103900/CAM3/221020_103912_0000094530_CAM3_NG.JPG")

    assert name is not None
    assert (name.program, name.session, name.camera, name.count) == (22, "221020_103900", 3, 94530)
    assert (name.judgement, name.extension) == (Judgement.NG, "jpg")


def test_the_image_type_of_a_multi_image_capture_is_kept() -> None:
    name = parse_image_path("230516_082343_0000000214_CAM1_NORMAL_OK.bmp")

    assert name is not None
    assert name.kind == "NORMAL"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "part.bmp",
        "221020_103912_0000000031_CAM1.bmp",
        "221020_103912_0000000031_CAM5_OK.bmp",
        "221020_103912_31_CAM1_OK.bmp",
        "221020_103912_0000000031_CAM1_OK.bmp.txt",
        "221020_103912_0000000031_CAM1_NG_OK.bmp",
        "221020_103912_0000000031_CAM1_ok.bmp",
        "221020_103912_000000003\u0661_CAM1_OK.bmp",
        "221020_103912_0000000031_CAM1_OK.bmp\n",
        "220921_034158_0000000001_&Cam1Img.bmp",
        "CAM2/221020_103912_0000000031_CAM1_OK.bmp",
    ],
)
def test_other_names_are_not_guessed(path: str) -> None:
    assert parse_image_path(path) is None


def test_the_second_card_never_shares_a_program_number_with_the_first() -> None:
    assert place_of("SD2_022/a.bmp").program == 1022


def test_place_tells_what_the_folders_tell() -> None:
    assert place_of("SD1_001/200705_063635/CAM4/whatever.png") == Place(1, "200705_063635", 4)
    assert place_of("whatever.png") == Place(None, "", None)
    assert place_of("SD3_001/20200705_063635/CAM9/x") == Place(None, "", None)


@given(st.text())
def test_any_text_is_read_or_refused(path: str) -> None:
    parse_image_path(path)
    place_of(path)


@given(st.text(max_size=400), st.integers(20, 300))
def test_a_printable_name_has_no_control_byte_and_no_more_than_its_limit(text: str, limit: int) -> None:
    shown = printable(text, limit)

    assert len(shown) <= limit
    assert shown.isprintable()


def test_escapes_are_told_from_backslashes() -> None:
    assert printable("a\x1bb") == "a\\x1bb"
    assert printable("a\\x1bb") == "a\\\\x1bb"
    assert printable("‮gpj.bmp") == "\\u202egpj.bmp"  # noqa: PLE2502


def test_a_capped_name_keeps_its_extension() -> None:
    assert printable("x" * 300 + ".bmp", 30) == "x" * 19 + "...xxxx.bmp"


def test_a_count_that_no_journal_could_hold_is_not_taken() -> None:
    pattern = re.compile(r"part_(?P<count>[0-9]+)\.bmp")
    longest = parse_image_path(f"part_{'9' * 18}.bmp", pattern)

    assert longest is not None
    assert longest.count < 2**63
    assert parse_image_path(f"part_{'9' * 19}.bmp", pattern) is None
