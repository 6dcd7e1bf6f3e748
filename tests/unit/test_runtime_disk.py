"""The condition "disk": the archive gives way first, FAULT says why, and it ends when the disk takes a write again."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Verdict
from edge_agent.runtime import disk as disk_module
from edge_agent.runtime.disk import DISK, DiskWatch
from edge_agent.runtime.interlock import Health
from edge_agent.store.archive import Archive
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import JournalError
from edge_agent.store.room import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TOTAL, NEEDED, RESERVE, IMAGE = 100_000, 2_000, 4_000, 1_000


class SmallDisk(FileSystem):
    """A disk of 100,000 bytes that holds what lies below a folder, and what the test says that others put there."""

    def __init__(self, root: Path) -> None:
        self.root, self.others_bytes, self.refuses, self.keeps_images = root, 0, 0, False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def disk_bytes(self, folder: Path) -> tuple[int, int]:
        self.may_answer.wait(30)
        return TOTAL, TOTAL - self.others_bytes - sum(size for _, size in self.files(self.root))

    def unlink(self, path: Path) -> None:
        if self.keeps_images and path.name.startswith("part_"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        super().unlink(path)

    def write(self, path: Path, data: bytes) -> None:
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        super().write(path, data[:1])


class Watched:
    """A watch over the spool of one small disk, and what the journal was told."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.health, self.told = SmallDisk(folder), Health.waiting_for(DISK), list[str]()
        self.is_journal_broken = False
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.archive = Archive(folder / "archive", max_bytes=TOTAL, min_free_bytes=RESERVE, fs=self.disk)
        self.watch = DiskWatch(
            [Place("spool", self.spool, NEEDED)], self.archive, self.health, self._note, fs=self.disk
        )

    async def _note(self, kind: str, detail: str) -> None:
        assert kind == "DISK"
        if self.is_journal_broken:
            raise JournalError("database or disk is full")
        self.told.append(detail)

    @property
    def why(self) -> str:
        return self.health.reasons.get(DISK, "")

    def fill(self, free: int) -> None:
        """Others write until this is free."""
        self.disk.others_bytes += self.disk.disk_bytes(self.spool)[1] - free

    def images(self, number: int) -> None:
        for seq in range(1, number + 1):
            spooled = self.spool / f"{seq}.bmp"
            spooled.write_bytes(bytes(IMAGE))
            assert self.archive.file(seq, 1, Verdict.PASS, spooled, "0" * 64) is not None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "_LOOK_EVERY_S", 0.01)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    at = Watched(folder)
    running = asyncio.create_task(at.watch.run())
    try:
        assert at.why == "not checked yet"
        await at.until(lambda: not at.why)
        yield at
    finally:
        at.disk.may_answer.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_archive_gives_way_before_anything_stands_still(tmp_path: Path) -> None:
    async with watched(tmp_path) as at:
        at.images(10)
        at.fill(NEEDED - 500)
        await at.until(lambda: at.archive.pruned >= 3)
        await at.until(lambda: at.disk.disk_bytes(at.spool)[1] >= RESERVE)

        assert at.archive.pruned == 3, "no more than there has to be"
        assert (at.why, at.told) == ("", [])
        assert "nearly full" in at.watch.degraded()[DISK]


async def test_with_nothing_left_to_give_it_is_a_fault_that_ends_with_more_room_than_it_began(tmp_path: Path) -> None:
    async with watched(tmp_path) as at:
        at.images(2)
        at.fill(NEEDED - 2 * IMAGE - 500)
        await at.until(lambda: bool(at.why))
        assert at.archive.pruned == 2
        at.fill(NEEDED + 500)
        await at.until(lambda: "of the spool" in at.why and at.why.count("MiB") == 2)
        told_when_full = list(at.told)
        at.fill(2 * NEEDED)
        await at.until(lambda: not at.why)
        await at.until(lambda: len(at.told) == 2)

    assert len(told_when_full) == 1
    assert told_when_full[0].startswith("begins: ")
    assert at.told[1].startswith("ends")


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO, errno.EDQUOT])
async def test_a_disk_that_refuses_with_room_enough_is_a_fault_until_it_takes_a_write(
    tmp_path: Path, error: int
) -> None:
    async with watched(tmp_path) as at:
        at.images(50)
        at.disk.refuses = error
        at.health.fails(DISK, "an image could not be stored")  # as the engine does
        await at.until(lambda: os.strerror(error) in at.why)
        await at.until(lambda: at.archive.pruned > 20 or error != errno.EDQUOT)
        at.disk.refuses = 0
        await at.until(lambda: not at.why)
        await at.until(lambda: len(at.told) == 2)

    assert at.told[0] == "begins: an image could not be stored"
    assert bool(at.archive.pruned) == (error == errno.EDQUOT), "only lack of room costs images"
    assert not list(at.spool.iterdir()), "no proof stays behind"


async def test_an_archive_that_cannot_give_way_does_not_end_the_watch(tmp_path: Path) -> None:
    async with watched(tmp_path) as at:
        at.images(5)
        at.disk.keeps_images, at.disk.refuses = True, errno.EDQUOT
        at.health.fails(DISK, "an image could not be stored")
        await at.until(lambda: os.strerror(errno.EDQUOT) in at.why)
        at.disk.refuses = 0
        await at.until(lambda: not at.why)
        at.fill(NEEDED - 500)
        await at.until(lambda: "are needed" in at.why)

    assert at.archive.pruned == 0


async def test_a_disk_that_does_not_answer_is_a_fault_and_an_old_answer_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "_ANSWERS_WITHIN_S", 0.05)
    async with watched(tmp_path) as at:
        at.disk.may_answer.clear()
        await at.until(lambda: "not answered" in at.why)
        at.disk.refuses = errno.EIO
        at.disk.may_answer.set()
        await at.until(lambda: os.strerror(errno.EIO) in at.why)
        at.disk.refuses = 0
        await at.until(lambda: not at.why)


async def test_what_the_journal_did_not_take_is_told_to_it_later(tmp_path: Path) -> None:
    async with watched(tmp_path) as at:
        at.is_journal_broken = True
        at.fill(0)
        await at.until(lambda: "journal" in at.health.reasons)
        at.is_journal_broken = False
        await at.until(lambda: len(at.told) == 1)

    assert at.told[0].startswith("begins: ")
