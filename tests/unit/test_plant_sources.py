"""The images of a large replay: in one order from any place; whoever goes on is told what is not the same."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import fsspec
import pytest

from edge_agent.errors import DataError, Unavailable, UsageError
from edge_agent.inspection.containers.image_files import look_into
from edge_agent.tools.plant import library
from edge_agent.tools.plant.library import need_libraries
from edge_agent.tools.plant.manifest import HEAD, IMAGES, Plan, chunk_entries, planned
from edge_agent.tools.plant.progress import Progress, duration_words
from edge_agent.tools.plant.sources import open_source
from edge_agent.warehouse.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ("b.bmp", "b/2.png", "b/10.png", "a.png", "a/c/1.BMP", "a-b/1.jpg", "a b.bmp")
BUNDLES, VERSIONS = {"1/1": "ab" * 32}, {"numpy": "2.4.6"}


def folder_of(root: Path) -> Path:
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    (root / "notes.txt").write_text("no image")
    (root / "x.tif").write_bytes(b"II*\0")
    return root


def plan_of(root: Path, out: Path, **changes: dict[str, str]) -> Plan:
    out.mkdir(exist_ok=True)
    given = {"bundles": BUNDLES, "versions": VERSIONS, **changes}
    return planned(open_source(str(root)), out, given["bundles"], given["versions"], None)[0]


def test_a_folder_that_is_not_there_an_empty_one_and_a_link_to_nowhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        open_source(str(tmp_path / "no"))
    with pytest.raises(DataError, match="holds no images"):
        plan_of(tmp_path, tmp_path / "out")
    (tmp_path / "1.bmp").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"1\.bmp cannot be read"):
        plan_of(tmp_path, tmp_path / "out")
    with pytest.raises(Unavailable, match="cannot be opened"):
        open_source("nobody-knows-this://x")


@pytest.mark.parametrize("open_it", [open_source, target_of])
def test_an_address_with_a_password_is_refused_and_not_repeated(open_it: Callable[[str], object]) -> None:
    """It would stand in replay.json, in every report and in the log."""
    for address in ("ftp://ada:s3cret@127.0.0.1:1/images", "s3://KEY:s3cret@bucket/images", "sftp://a:s3cret@h@x/"):
        with pytest.raises(UsageError) as raised:
            open_it(address)
        assert "s3cret" not in f"{raised.value} {raised.value.hint}"


def test_a_listing_has_the_order_of_a_replay_in_one_process_and_its_notes(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "images")
    source, whole = open_source(str(root)), look_into(root, deep=True)

    assert [entry.name for entry in source.entries()] == [path.relative_to(root).as_posix() for path in whole.images]
    assert source.notes == whole.notes


def test_objects_come_in_the_order_of_a_folder(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "images")
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe_file(f"/parts/{name}", (root / name).read_bytes())
    try:
        source = open_source("memory://parts")
        found = [(entry.name, entry.size_bytes, source.read(entry.name)) for entry in source.entries()]
    finally:
        memory.rm("/parts", recursive=True)

    assert found == [(entry.name, entry.size_bytes, entry.name.encode()) for entry in open_source(str(root)).entries()]


def test_who_goes_on_gets_the_same_plan_and_is_told_what_is_not_the_same(tmp_path: Path) -> None:
    root, out = folder_of(tmp_path / "images"), tmp_path / "out"
    plan = plan_of(root, out)
    (out / IMAGES).write_bytes(b"")  # as a power cut may leave it
    assert plan_of(root, out) == plan
    assert [entry.name for _, entries in chunk_entries(out, plan) for entry in entries] == [
        entry.name for entry in open_source(str(root)).entries()
    ]

    with pytest.raises(DataError, match="for program/camera 1/1 bundle abababababab judged, now it is cdcdcdcdcdcd"):
        plan_of(root, out, bundles={"1/1": "cd" * 32})
    with pytest.raises(DataError, match=r"numpy 2\.4\.6, this is 3\.0"):
        plan_of(root, out, versions={"numpy": "3.0"})
    os.utime(root / "a.png", ns=(1, 1))
    with pytest.raises(DataError, match=r'the first that differs was \["a\.png"'):
        plan_of(root, out)
    assert not (out / f"{IMAGES}.new").exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\udcff", '{"schema_version": 1, "mark": "", "source": 1}'])
def test_a_head_that_is_no_head_is_refused(tmp_path: Path, content: str) -> None:
    root, out = folder_of(tmp_path / "images"), tmp_path / "out"
    out.mkdir()
    (out / HEAD).write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(DataError, match="replay to go on with"):
        plan_of(root, out)


def test_a_head_or_a_list_that_somebody_changed_is_refused(tmp_path: Path) -> None:
    root, out = folder_of(tmp_path / "images"), tmp_path / "out"
    plan = plan_of(root, out)
    lines = (out / IMAGES).read_bytes().splitlines(keepends=True)
    (out / IMAGES).write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(DataError, match="was changed"):
        list(chunk_entries(out, plan))

    (out / HEAD).write_text(json.dumps({**json.loads((out / HEAD).read_text()), "images": 3}))
    with pytest.raises(DataError, match="another version, or changed"):
        plan_of(root, out)


def test_progress_tells_the_rate_of_late_and_the_time_left() -> None:
    now = [0.0]
    to = io.StringIO()
    progress = Progress(1000, to, lambda: now[0])
    progress.tell(100, is_first=True)
    for second in range(1, 42):
        now[0] = second * 10.0
        progress.tell(100 + second * 20)

    lines = to.getvalue().splitlines()
    assert lines[0] == "100 of 1000 images (10.0%)"
    assert lines[-1] == "920 of 1000 images (92.0%), 2.0 a second, 40 s left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (720, "12 min"), (12_000, "3 h 20 min"), (271 * 86400, "271 days 0 h")],
)
def test_a_time_is_said_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == "distributed" else object())

    with pytest.raises(Unavailable, match="distributed, which is not installed") as refused:
        need_libraries()
    assert "edge-agent[plant]" in refused.value.hint


@pytest.mark.slow
def test_where_the_extra_is_not_installed_all_that_asks_for_it_still_loads() -> None:
    code = (
        "import sys\n"
        "for name in ('dask', 'distributed', 'fsspec', 'pyarrow'): sys.modules[name] = None\n"
        "import edge_agent.commands.main, edge_agent.commands.replay, edge_agent.tools.plant.order\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)

    assert ran.returncode == 0, ran.stderr
