"""The watched folder when events are lost, files are slow, and other programs interfere."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from watchdog.observers.api import BaseObserver

from drivers.base import Reason
from drivers.keyence import folder as folder_module
from drivers.keyence import folder_hints
from drivers.keyence.folder import WatchedFolder
from drivers.keyence.folder_hints import FolderHints
from tests.fault.keyence_peer import bmp, image_name, prove_bmp, soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def watched(folder: Path, *, is_bound: bool = True, **changes: Any) -> AsyncIterator[WatchedFolder]:
    options: dict[str, Any] = {
        "path": folder / "in",
        "spool": folder / "spool",
        "rescan_s": 0.1,
        "settle_s": 0.04,
        "max_bytes": 100_000,
        "prove": prove_bmp,
    }
    source = WatchedFolder(**options | changes)
    if is_bound:
        (folder / "in").mkdir(exist_ok=True)
    task = asyncio.create_task(source.run())
    try:
        if is_bound:
            await until(lambda: source.is_bound, "the folder")
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def drop(folder: Path, count: int, data: bytes | None = None) -> Path:
    """Put a whole image into the folder, in one rename."""
    part = folder / f".{count}.part"
    part.write_bytes(bmp() if data is None else data)
    return part.rename(folder / image_name(count))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are all lost."""
    monkeypatch.setattr(FolderHints, "put", lambda _self, _closed: None)


async def test_a_file_that_its_writer_closed_does_not_wait_for_the_rescan(tmp_path: Path) -> None:
    async with watched(tmp_path, rescan_s=60.0, settle_s=0.2) as source:
        (tmp_path / "in" / image_name(31)).write_bytes(bmp())

        assert (await soon(source.next())).broken is None


async def test_without_any_event_the_rescan_finds_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch)
    async with watched(tmp_path) as source:
        for count in range(200):
            drop(tmp_path / "in", count)
        seen = [await soon(source.next()) for _ in range(200)]

        assert sorted(capture.count or 0 for capture in seen) == list(range(200))
        assert not any(capture.broken for capture in seen)
        assert not files_of(tmp_path / "in")


async def test_a_slow_writer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf(monkeypatch)
    proofs: list[int] = []

    def prove(data: bytes) -> None:
        proofs.append(len(data))
        prove_bmp(data)

    async with watched(tmp_path, prove=prove, settle_s=0.5) as source:
        with (tmp_path / "in" / image_name(31)).open("wb") as file:
            for start in range(0, len(bmp()), 500):
                file.write(bmp()[start : start + 500])
                file.flush()
                await asyncio.sleep(0.02)
        capture = await soon(source.next())

        assert capture.broken is None
        assert proofs[-1] == len(bmp())


BLACK_END = bmp()[:-2000] + bytes(2000)
"""A whole image whose end is black: what a file looks like as well whose size was set before it was written."""


class Proofs(list[int]):
    """A proof that keeps in mind how often it was asked."""

    def __call__(self, data: bytes) -> None:
        self.append(len(data))
        prove_bmp(data)


@pytest.mark.parametrize("is_deaf", [False, True], ids=["closing is seen", "closing is not seen"])
async def test_a_file_whose_size_was_set_before_it_was_written_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_deaf: bool
) -> None:
    """As a copy from Windows to a share writes it."""
    if is_deaf:
        deaf(monkeypatch)
    proofs = Proofs()
    async with watched(tmp_path, settle_s=0.5, prove=proofs) as source:
        with (tmp_path / "in" / image_name(31)).open("wb") as file:
            file.truncate(len(bmp()))
            file.write(bmp()[:-2000])
            file.flush()
            await until(lambda: bool(proofs), "the first look at what is there")
            file.write(bmp()[-2000:])
        capture = await soon(source.next())

    assert (capture.broken, capture.sha256) == (None, hashlib.sha256(bmp()).hexdigest())


async def test_an_image_with_a_black_end_that_its_writer_closed_is_not_waited_for(tmp_path: Path) -> None:
    proofs = Proofs()
    async with watched(tmp_path, settle_s=60.0, prove=proofs) as source:
        (tmp_path / "in" / image_name(31)).write_bytes(BLACK_END)
        assert (await soon(source.next())).broken is None

    assert len(proofs) == 1


async def test_where_images_end_in_black_only_the_first_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a share nobody hears a file being closed."""
    monkeypatch.setattr(folder_hints, "network_filesystem", lambda _path: "cifs")
    proofs = Proofs()
    async with watched(tmp_path, settle_s=0.1, prove=proofs) as source:
        drop(tmp_path / "in", 31, BLACK_END)
        first = await soon(source.next())
        for_the_first = len(proofs)
        drop(tmp_path / "in", 32, BLACK_END)
        second = await soon(source.next())

    assert (first.broken, second.broken) == (None, None)
    assert (for_the_first > 1, len(proofs) - for_the_first) == (True, 1)


async def test_a_file_that_stays_broken_surfaces_once_and_is_kept_as_evidence(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 31, bmp()[:-1])
        drop(tmp_path / "in", 32)
        first, second = await soon(source.next()), await soon(source.next())

        assert {first.count: first.broken, second.count: second.broken} == {31: Reason.IMAGE_BROKEN, 32: None}
        broken = first if first.broken else second
        assert broken.path is not None
        assert broken.path.parent.name == "broken"
        assert not files_of(tmp_path / "in")


async def test_a_broken_file_that_is_completed_in_time_is_judged(tmp_path: Path) -> None:
    proofs = Proofs()
    async with watched(tmp_path, settle_s=0.5, prove=proofs) as source:
        (tmp_path / "in" / image_name(31)).write_bytes(bmp()[:-100])
        await until(lambda: bool(proofs), "the first look at what is there")
        with (tmp_path / "in" / image_name(31)).open("ab") as file:
            file.write(bmp()[-100:])

        assert (await soon(source.next())).broken is None


async def test_an_empty_and_an_oversized_file_surface_as_broken(tmp_path: Path) -> None:
    async with watched(tmp_path, max_bytes=5000) as source:
        drop(tmp_path / "in", 1, b"")
        drop(tmp_path / "in", 2, b"BM" + b"x" * 5000)
        seen = {capture.count: capture for capture in [await soon(source.next()) for _ in range(2)]}

        assert "empty" in seen[1].detail
        assert "larger than" in seen[2].detail
        assert all(capture.broken is Reason.IMAGE_BROKEN for capture in seen.values())


@pytest.mark.promise("T-14", "a name again, a crowd, a file that changes or goes", "each judged once, or told")
async def test_the_same_name_again_is_another_image(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 31)
        first = await soon(source.next())
        drop(tmp_path / "in", 31, bmp(fill=7))
        second = await soon(source.next())

        assert first.name == second.name
        assert first.sha256 != second.sha256


async def test_files_that_lay_there_before_are_stale_and_new_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    drop(tmp_path / "in", 1)
    async with watched(tmp_path) as source:
        assert (await soon(source.next())).broken is Reason.STALE
        drop(tmp_path / "in", 2)
        assert (await soon(source.next())).broken is None


async def test_files_that_came_while_the_agent_stood_still_are_stale_and_later_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_PAUSE_MAX_S", 0.5)
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 1)
        time.sleep(1.0)  # noqa: ASYNC251 - the event loop stands still: that is the fault
        stale = await soon(source.next())
        drop(tmp_path / "in", 2)
        fresh = await soon(source.next())

        assert (stale.count, stale.broken) == (1, Reason.STALE)
        assert "stood still" in stale.detail
        assert stale.sha256 == hashlib.sha256(bmp()).hexdigest()
        assert (fresh.count, fresh.broken) == (2, None)


@pytest.mark.promise("T-14", "a name again, a crowd, a file that changes or goes", "each judged once, or told")
async def test_a_crowd_of_files_is_of_a_time_when_nobody_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_CROWD", 3)
    deaf(monkeypatch)
    (tmp_path / "in").mkdir()
    async with watched(tmp_path, rescan_s=0.2) as source:
        for count in range(4):
            (tmp_path / "in" / image_name(count)).write_bytes(bmp()[: -count or None])  # in one turn of the loop
        seen = [await soon(source.next()) for _ in range(4)]

        assert {capture.broken for capture in seen} == {Reason.STALE}
        assert "one of 4 files" in seen[0].detail


async def test_an_oversized_file_of_a_backlog_is_no_evidence_either(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    drop(tmp_path / "in", 1, bytes(200_000))
    async with watched(tmp_path) as source:
        seen = await soon(source.next())

        assert (seen.broken, "larger" in seen.detail) == (Reason.IMAGE_BROKEN, True)


@pytest.mark.promise("T-14", "a name again, a crowd, a file that changes or goes", "each judged once, or told")
async def test_a_restart_judges_nothing_twice_and_overlooks_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 1)
        assert (await soon(source.next())).count == 1
    drop(tmp_path / "in", 2)
    async with watched(tmp_path) as source:
        again = await soon(source.next())

        assert (again.count, again.broken) == (2, Reason.STALE)
        assert [path.parent.name for path in files_of(tmp_path)].count("left") == 1


async def test_sub_folders_that_come_later_are_looked_into(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        folder = tmp_path / "in" / "SD1_022" / "221020_103900" / "CAM2"
        folder.mkdir(parents=True)
        (folder / image_name(31, camera=2)).write_bytes(bmp())
        capture = await soon(source.next())

        assert (capture.program, capture.session, capture.camera) == (22, "221020_103900", 2)


async def test_other_files_and_links_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bmp"
    outside.write_bytes(bmp())
    async with watched(tmp_path) as source:
        (tmp_path / "in" / "result.txt").write_text("31,0\r")
        (tmp_path / "in" / "link.bmp").symlink_to(outside)
        (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
        os.mkfifo(tmp_path / "in" / "pipe.bmp")
        drop(tmp_path / "in", 31)

        assert (await soon(source.next())).count == 31
        assert outside.exists()
        assert (tmp_path / "in" / "result.txt").exists()


async def test_a_spool_inside_the_folder_is_not_watched(tmp_path: Path) -> None:
    async with watched(tmp_path, spool=tmp_path / "in" / "spool") as source:
        drop(tmp_path / "in", 1)
        assert (await soon(source.next())).count == 1
        drop(tmp_path / "in", 2)
        assert (await soon(source.next())).count == 2


async def test_a_missing_folder_is_said_once_and_taken_up_when_it_comes(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with watched(tmp_path, is_bound=False) as source:
            await until(lambda: any(entry["event"] == "folder_not_bound" for entry in logs))
            assert not source.is_bound
            (tmp_path / "in").mkdir()
            await until(lambda: source.is_bound)
            drop(tmp_path / "in", 31)
            assert (await soon(source.next())).count == 31

    said = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert said == ["folder_not_bound", "folder_bound"]


async def test_a_folder_that_is_replaced_is_watched_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        (tmp_path / "in").rename(tmp_path / "old")
        await until(lambda: not source.is_bound)
        (tmp_path / "in").mkdir()
        await until(lambda: source.is_bound)
        drop(tmp_path / "in", 31)

        assert (await soon(source.next())).broken is None


async def test_an_observer_that_dies_is_replaced_and_nothing_is_overlooked(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        dead = source._hints._observer
        assert dead is not None
        await asyncio.to_thread(dead.stop)
        drop(tmp_path / "in", 31)
        assert (await soon(source.next())).count == 31
        await until(lambda: source._hints._observer not in (dead, None))


async def test_without_inotify_the_rescan_does_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: BaseObserver, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    with capture_logs() as logs:
        async with watched(tmp_path) as source:
            drop(tmp_path / "in", 31)
            assert (await soon(source.next())).count == 31

    assert [entry["event"] for entry in logs].count("folder_hints_unavailable") == 1


async def test_another_file_system_means_copy_and_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = os.replace

    def across(source: str, target: Path) -> None:
        if Path(source).is_relative_to(tmp_path / "in"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        move(source, target)

    monkeypatch.setattr(folder_module.os, "replace", across)
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 31)
        capture = await soon(source.next())

        assert capture.broken is None
        assert capture.path is not None
        assert capture.path.read_bytes() == bmp()
        assert not files_of(tmp_path / "in")


async def test_a_file_that_cannot_be_taken_away_is_rejected_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: str, _target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(folder_module.os, "replace", refuse)
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 31)
        capture = await soon(source.next())
        assert capture.broken is Reason.DISK
        assert "taken out of the watched folder" in capture.detail
        drop(tmp_path / "in", 32)

        assert (await soon(source.next())).count == 32


@pytest.mark.promise("T-14", "a name again, a crowd, a file that changes or goes", "each judged once, or told")
async def test_a_file_that_changes_between_proof_and_move_is_proven_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = os.replace

    def overtaken(source: str, target: Path) -> None:
        Path(source).write_bytes(bmp()[:-1])
        move(source, target)

    monkeypatch.setattr(folder_module.os, "replace", overtaken)
    async with watched(tmp_path) as source:
        drop(tmp_path / "in", 31)

        assert (await soon(source.next())).broken is Reason.IMAGE_BROKEN


@pytest.mark.promise("T-14", "a name again, a crowd, a file that changes or goes", "each judged once, or told")
async def test_a_file_that_is_deleted_before_it_was_taken_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch)
    with capture_logs() as logs:
        async with watched(tmp_path, rescan_s=0.05, settle_s=60.0) as source:
            path = drop(tmp_path / "in", 31)
            await until(lambda: bool(source._looks))
            path.unlink()
            await until(lambda: any(entry["event"] == "image_vanished" for entry in logs))


async def test_what_nobody_takes_waits_in_the_folder(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        for count in range(300):
            drop(tmp_path / "in", count)
        await until(lambda: len(files_of(tmp_path / "spool" / "ready")) == 256)
        await until(lambda: len(source._looks) == 44)
        seen = [await soon(source.next()) for _ in range(300)]

        assert not any(capture.broken for capture in seen)


async def test_names_with_control_bytes_come_out_as_text(tmp_path: Path) -> None:
    async with watched(tmp_path) as source:
        (tmp_path / "in" / "a\x1b[31m\nb.bmp").write_bytes(bmp())
        (tmp_path / "in" / os.fsdecode(b"\xff.bmp")).write_bytes(bmp())
        names = {(await soon(source.next())).name for _ in range(2)}

        assert names == {"a\\x1b[31m\\nb.bmp", "\\udcff.bmp"}
