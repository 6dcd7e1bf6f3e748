"""Folders of images as people have them: what is meant, what is passed over, what is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from drivers.base import ImageRefused
from edge_agent.inspection.containers.image_files import every_one, look_into, printable, read_file, unreadable

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"something")


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


LEFT = ("._p.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".part-1.bmp", "ehthumbs.db")


def test_what_programs_leave_behind_is_passed_over_with_a_note(tmp_path: Path) -> None:
    put(tmp_path, "b.PNG", "a.bmp", "c.JPeg", "d.jfif", *LEFT)
    put(tmp_path, "__MACOSX/._a.bmp", ".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.bmp/SYNOPHOTO.jpg")

    for deep in (False, True):
        found = look_into(tmp_path, deep=deep)

        assert names(found.images) == ["a.bmp", "b.PNG", "c.JPeg", "d.jfif"]
        assert set(names(found.left)) == {*LEFT, "__MACOSX", ".ipynb_checkpoints", "@eaDir"}
        assert len(found.notes) == 1
        assert "and 4 more, left there by a program" in found.notes[0]


def test_a_folder_of_other_formats_says_so_and_how_to_convert_them(tmp_path: Path) -> None:
    put(tmp_path, "a.tif", "b.tif")
    found = look_into(tmp_path)

    assert not found.images
    assert found.why_none == ": a.tif, b.tif is in a format that is not understood"
    assert "mogrify -depth 8 -format png '*.tif'" in found.hint_none
    assert ".tif is not read" in found.notes[0]


def test_folders_below_are_named_where_they_are_not_looked_into_and_walked_where_they_are(tmp_path: Path) -> None:
    put(tmp_path, "lot 1/a.png", "lot 1/deep/b.png", "odd/c.png", "notes/readme.txt")

    assert look_into(tmp_path).why_none == ": they lie in lot 1"
    assert [note for note in look_into(tmp_path).notes if "lot 1" in note]
    assert not [note for note in look_into(tmp_path).notes if "odd" in note]
    assert names(look_into(tmp_path, deep=True).images) == ["a.png", "b.png", "c.png"]


def test_a_folder_a_pipe_and_a_loop_of_links_with_an_image_s_name_stop_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "folder.png/b.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "round").symlink_to(tmp_path, target_is_directory=True)

    found = look_into(tmp_path, deep=True)

    assert names(found.images) == ["a.png", "b.png", "loop.png"]
    assert names(found.no_files) == ["pipe.png", "round"]
    assert [(path.name, why) for path, why in unreadable(found.images)] == [
        ("loop.png", "a link that leads nowhere"),
    ]
    with pytest.raises(ImageRefused, match="it is no file"):
        read_file(tmp_path / "pipe.png")


def test_a_file_that_is_too_large_or_closed_or_gone_is_refused_in_words(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(50_000_000_000)
    put(tmp_path, "closed.png")

    with pytest.raises(ImageRefused, match="50000000000 bytes are more than any image has"):
        read_file(tmp_path / "huge.png")
    with pytest.raises(ImageRefused, match="cannot be read: No such file"):
        read_file(tmp_path / "gone.png")
    if os.geteuid():  # whoever runs as root reads everything
        (tmp_path / "closed.png").chmod(0)
        with pytest.raises(ImageRefused, match="cannot be read: Permission denied"):
            read_file(tmp_path / "closed.png")


def test_a_name_that_is_not_utf_8_is_refused_and_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"part\xff\n1.png")
    try:
        path.write_bytes(b"something")
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    found = look_into(tmp_path)

    assert found.images == [path]
    with pytest.raises(ImageRefused, match="not UTF-8"):
        read_file(path)
    words = every_one(unreadable(found.images), 1)
    assert "part\\xff\\n1.png" in words
    words.encode()
    assert printable(tmp_path / "naïve ü.png").endswith("naïve ü.png")


def test_all_files_are_named_one_below_the_other(tmp_path: Path) -> None:
    words = every_one([(tmp_path / f"{n}.png", "the file is empty") for n in range(30)], 40)

    assert words.startswith("30 of 40 files cannot be used\n")
    assert words.count("the file is empty") == 30
