"""Names that a line may set: other naming rules, and the one image of several that is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Judgement
from drivers.keyence.folder_hints import network_filesystem
from drivers.keyence.names import NameRule

if TYPE_CHECKING:
    from pathlib import Path

LOT = r"(?P<lot>[^_]+)_(?P<taken>[0-9]{6}_[0-9]{6})_(?P<count>[0-9]{10})_CAM(?P<camera>[1-4])_(?P<judgement>OK|NG)\.bmp"


@pytest.mark.parametrize(
    ("name", "count", "camera", "kind"),
    [
        ("220921_034158_0000000001_&Cam1Img.bmp", 1, 1, ""),
        ("221013_092241_0000000842_21_&Cam1Img.Height.bmp", 842, 1, "HEIGHT"),
        ("20200705_063955_0000108000_&Cam2Img.Bmp", 108000, 2, ""),
    ],
)
def test_names_of_an_xg_x_and_of_a_vision_database_are_read_where_that_is_set(
    name: str, count: int, camera: int, kind: str
) -> None:
    read = NameRule.of("xg-x").read(f"SD1/007/Image/20200705_063635/{name}")

    assert read is not None
    assert (read.count, read.camera, read.kind, read.judgement) == (count, camera, kind, None)
    assert NameRule.of().read(name) is None


def test_a_pattern_of_ones_own_reads_external_strings_in_front() -> None:
    read = NameRule.of(LOT).read("SD1_022/221020_103900/CAM1/lot4711_221020_103912_0000000031_CAM1_NG.bmp")

    assert read is not None
    assert (read.count, read.judgement, read.session, read.program) == (31, Judgement.NG, "221020_103900", 22)


@pytest.mark.parametrize("pattern", ["(", "[0-9]+", r"(?P<camera>[1-4])\.bmp"])
def test_a_pattern_that_names_no_count_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"count|regular expression"):
        NameRule.of(pattern)


@given(st.text(max_size=300))
def test_a_pattern_whose_groups_hold_anything_reads_or_does_not_and_never_fails(name: str) -> None:
    rule = NameRule.of(r"(?P<count>.*?)_(?P<camera>.*)_(?P<judgement>.*)")
    read = rule.read(name)

    assert read is None or (1 <= read.camera <= 4 and read.judgement in (None, *Judgement))


def test_of_several_images_of_one_capture_only_the_judged_type_is_a_part() -> None:
    rule = NameRule.of("cv-x", "NORMAL")

    assert not rule.is_beside("230516_082343_0000000214_CAM1_NORMAL_OK.bmp")
    assert rule.is_beside("230516_082343_0000000214_CAM1_SHAPE1_OK.bmp")
    assert rule.is_beside("230516_082343_0000000214_CAM1_OK.bmp")
    assert not rule.is_beside("part.bmp")  # nobody knows what it is: it surfaces
    assert not NameRule.of().is_beside("230516_082343_0000000214_CAM1_SHAPE1_OK.bmp")


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:40 / {share} rw,relatime shared:1 - cifs //nas/images rw
31 22 0:41 / {share}/local rw - ext4 /dev/sdb1 rw
32 22 0:42 / {share}/a\\040b rw - nfs4 nas:/b rw
broken line
"""


@pytest.mark.parametrize(
    ("below", "kind"), [("", "cifs"), ("deep/er", "cifs"), ("local/x", ""), ("a b/c", "nfs4"), ("../other", "")]
)
def test_a_folder_on_another_machine_is_told_by_its_mount(tmp_path: Path, below: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    share = tmp_path / "share"
    mounts.write_text(MOUNTS.format(share=share))

    assert network_filesystem(share / below, mounts) == kind


def test_where_mounts_are_not_told_a_folder_counts_as_local(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path, tmp_path / "none") == ""
