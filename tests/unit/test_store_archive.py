"""The archive: received bytes unchanged under names of ours, the oldest PASS goes first, the spool is emptied."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import structlog

from edge_agent.domain import Verdict
from edge_agent.store.archive import Archive
from edge_agent.store.fs import FileSystem, write_durably
from edge_agent.store.reserve import Reserve
from edge_agent.store.stock import PASSES, Image, Stock

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many images one reading of the folders makes known, instead of thousands."""
    monkeypatch.setattr("edge_agent.store.stock._AT_ONCE", 4)
    return 4


def archive_in(
    tmp_path: Path,
    *,
    max_bytes: int = MIB,
    keep: Literal["all", "rejects", "none"] = "all",
    fs: FileSystem | None = None,
    min_free_bytes: int = 0,
) -> Archive:
    return Archive(tmp_path / "archive", max_bytes=max_bytes, keep=keep, min_free_bytes=min_free_bytes, fs=fs)


def spool(tmp_path: Path, name: str = "CAM1_7.BMP", data: bytes = b"image") -> tuple[Path, str]:
    path = tmp_path / "spool" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def put(archive: Archive, tmp_path: Path, seq: int, verdict: Verdict = Verdict.PASS, size: int = 100) -> Path | None:
    path, sha256 = spool(tmp_path, f"{seq}.bmp", seq.to_bytes(4, "big") * (size // 4))
    return archive.file(seq, 1, verdict, path, sha256)


def kept(tmp_path: Path) -> list[int]:
    return sorted(int(path.name.split("_")[1]) for path in (tmp_path / "archive").rglob("part_*"))


def lay(tmp_path: Path, day: str, *seqs: int, kind: str = "PASS", size: int = 100) -> list[Path]:
    """Images that an earlier run left."""
    folder = tmp_path / "archive" / day
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part_{seq:012d}_CAM1_{kind}_00000000.bmp" for seq in seqs]
    for path in paths:
        path.write_bytes(bytes(size))
    return paths


def known(archive: Archive) -> int:
    """How many entries the archive holds in memory, of images, folders and days."""
    stocks = (archive._passed, archive._others)
    return len(archive._days) + sum(len(stock._oldest) + len(stock._days) for stock in stocks)


class _Pruned(FileSystem):
    """Notes which parts' images were removed, in that order."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def unlink(self, path: Path) -> None:
        if path.name.startswith("part_"):
            self.seqs.append(int(path.name.split("_")[1]))
        super().unlink(path)


def test_an_image_is_kept_unchanged_under_a_name_of_ours(tmp_path: Path) -> None:
    path, sha256 = spool(tmp_path, data=bytes(range(256)))
    target = archive_in(tmp_path).file(12, 2, Verdict.REJECT, path, sha256)

    assert target is not None
    assert target.name == f"part_000000000012_CAM2_REJECT_{sha256[:8]}.bmp"
    assert len(target.parent.name) == len("2026-11-23")
    assert target.read_bytes() == bytes(range(256))
    assert not path.exists()


def test_a_kept_file_is_compared_with_the_hash_of_its_row(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    path, sha256 = spool(tmp_path)
    found = archive.file(7, 1, Verdict.REJECT, path, sha256)
    assert found is not None

    assert archive.why_altered(found, sha256) == ""
    found.write_bytes(b"another")
    assert sha256 in archive.why_altered(found, sha256)
    assert hashlib.sha256(b"another").hexdigest() in archive.why_altered(found, sha256)
    found.unlink()
    assert "cannot be read back" in archive.why_altered(found, sha256)


@pytest.mark.parametrize("name", ["a.bmp/", "x.<script>", "noext", "x.toolongasuffix", "x.b\x1bp"])
def test_a_hostile_suffix_does_not_reach_the_archive(tmp_path: Path, name: str) -> None:
    path, sha256 = spool(tmp_path, name.rstrip("/"))
    target = archive_in(tmp_path).file(1, 1, Verdict.PASS, path, sha256)

    assert target is not None
    assert target.suffix in {".bin", ".bmp"}
    assert target.name.isprintable()


@pytest.mark.parametrize(("keep", "expected"), [("all", [1, 2, 3]), ("rejects", [2, 3]), ("none", [])])
def test_what_is_not_to_be_kept_leaves_the_spool_all_the_same(
    tmp_path: Path, keep: Literal["all", "rejects", "none"], expected: list[int]
) -> None:
    archive = archive_in(tmp_path, keep=keep)
    for seq, verdict in enumerate((Verdict.PASS, Verdict.REJECT, Verdict.FAULT), start=1):
        put(archive, tmp_path, seq, verdict)

    assert kept(tmp_path) == expected
    assert list((tmp_path / "spool").iterdir()) == []
    assert archive.lost == 0


def test_the_oldest_pass_goes_first_then_the_oldest_reject(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=450)
    for seq, verdict in ((1, Verdict.REJECT), (2, Verdict.PASS), (3, Verdict.FAULT), (4, Verdict.PASS)):
        put(archive, tmp_path, seq, verdict)
    put(archive, tmp_path, 5, Verdict.REJECT)
    assert kept(tmp_path) == [1, 3, 4, 5]
    put(archive, tmp_path, 6, Verdict.REJECT)
    assert kept(tmp_path) == [1, 3, 5, 6]
    put(archive, tmp_path, 7, Verdict.REJECT)

    assert kept(tmp_path) == [3, 5, 6, 7]
    assert (archive.pruned, archive.lost) == (3, 0)


def test_oldest_is_by_part_number_whatever_the_clock_said(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)
    for seq in (1, 2, 3):
        put(archive, tmp_path, seq)
    (day,) = (tmp_path / "archive").iterdir()
    day.rename(day.with_name("2099-01-01"))  # written while the clock was years ahead
    again = archive_in(tmp_path, max_bytes=350)
    put(again, tmp_path, 4)

    assert kept(tmp_path) == [2, 3, 4]


def test_an_emptied_day_is_removed(tmp_path: Path) -> None:
    put(archive_in(tmp_path), tmp_path, 1)
    (day,) = (tmp_path / "archive").iterdir()
    day.rename(day.with_name("2001-01-01"))
    put(archive_in(tmp_path, max_bytes=120), tmp_path, 2)

    assert kept(tmp_path) == [2]
    assert not day.with_name("2001-01-01").exists()


def test_an_image_larger_than_the_archive_is_counted_as_lost(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=50)

    assert put(archive, tmp_path, 1) is None
    assert archive.lost == 1
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_vanished_spool_file_is_counted_as_lost(tmp_path: Path) -> None:
    archive = archive_in(tmp_path)

    assert archive.file(1, 1, Verdict.PASS, tmp_path / "gone.bmp", "0" * 64) is None
    assert archive.lost == 1


def test_sweeping_removes_our_stumps_and_nothing_else(tmp_path: Path) -> None:
    first = archive_in(tmp_path)
    target = put(first, tmp_path, 1)
    assert target is not None
    stump = target.with_name("part_000000000002_CAM1_PASS_00000000.bmp.part")
    stump.write_bytes(b"half")
    foreign = [target.with_name("notes.txt"), target.with_name("download.part")]
    for path in foreign:
        path.write_text("not ours", encoding="ascii")

    assert archive_in(tmp_path).sweep() == 1
    assert not stump.exists()
    assert all(path.exists() for path in [target, *foreign])


def test_sweeping_a_folder_that_is_not_there_makes_it(tmp_path: Path) -> None:
    assert archive_in(tmp_path).sweep() == 0
    assert (tmp_path / "archive").is_dir()


def test_a_link_in_the_archive_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / "part_000000000001_CAM1_PASS_00000000.bmp"
    precious.write_bytes(b"precious")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "2026-11-23").symlink_to(outside)
    archive = archive_in(tmp_path, max_bytes=100)
    archive.sweep()
    put(archive, tmp_path, 2)

    assert precious.read_bytes() == b"precious"


def test_the_same_image_filed_twice_is_counted_once(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=250)
    put(archive, tmp_path, 1)
    put(archive, tmp_path, 1)
    put(archive, tmp_path, 2)

    assert kept(tmp_path) == [1, 2]
    assert archive.pruned == 0


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=1050)
    (tmp_path / "spool").mkdir()

    def work(first: int) -> None:
        for seq in range(first, first + 10):
            put(archive, tmp_path, seq)

    threads = [threading.Thread(target=work, args=(1 + 10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kept(tmp_path)) == 10
    assert archive.pruned == 30
    assert archive.lost == 0


@pytest.mark.slow
@pytest.mark.usefixtures("few_at_once")
def test_what_the_archive_knows_does_not_grow_with_its_images(tmp_path: Path) -> None:
    disk = _Pruned()
    archive = archive_in(tmp_path, max_bytes=10_000, fs=disk)
    most = 0
    for seq in range(1, 301):
        put(archive, tmp_path, seq, Verdict.REJECT if seq % 5 == 0 else Verdict.PASS)
        most = max(most, known(archive))

    passes, rejects = [seq for seq in range(1, 301) if seq % 5], list(range(5, 301, 5))
    assert disk.seqs == passes[:200]
    assert kept(tmp_path) == sorted(passes[200:] + rejects)
    assert most <= 4 + 4 + 4, "a reading of each kind, and today in each of its places"


@pytest.mark.slow
def test_a_hundred_thousand_images_of_a_day_take_no_memory_each() -> None:
    stock = Stock(FileSystem(), PASSES)
    folder = Path("2026-11-23")
    tracemalloc.start()
    for seq in range(100_000):
        stock.add(Image(seq, folder, f"part_{seq:012d}_CAM1_PASS_00000000.bmp", 100))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert stock.total_bytes == 10_000_000
    assert held < 10_000


def test_part_numbers_that_began_anew_are_the_oldest_and_bounded_too(tmp_path: Path, few_at_once: int) -> None:
    disk = _Pruned()
    lay(tmp_path, "2026-11-22", *range(1001, 1021))
    archive = archive_in(tmp_path, max_bytes=2000, fs=disk)
    put(archive, tmp_path, 1)
    most = 0
    for seq in range(2, 41):
        put(archive, tmp_path, seq)
        most = max(most, known(archive))

    assert disk.seqs == [1001, *range(1, 40)]
    assert most <= 2 * few_at_once + 4
    archive = archive_in(tmp_path, max_bytes=4000, fs=disk)
    for seq in range(61, 40, -1):
        put(archive, tmp_path, seq)
        most = max(most, known(archive))
    put(archive, tmp_path, 2000)

    assert most <= 2 * few_at_once + 4
    assert kept(tmp_path) == sorted([*range(42, 62), *range(1002, 1021), 2000])


@pytest.mark.usefixtures("few_at_once")
def test_days_that_overlap_are_pruned_by_part_number_together(tmp_path: Path) -> None:
    lay(tmp_path, "2026-11-22", *range(1, 30, 2))
    lay(tmp_path, "2026-11-21", *range(2, 30, 2))  # a clock that went back and forth with each part
    lay(tmp_path, "2026-11-20", 30, 31, 32)
    disk = _Pruned()
    archive = archive_in(tmp_path, max_bytes=3200, fs=disk)
    for seq in range(33, 65):
        put(archive, tmp_path, seq)

    assert disk.seqs == list(range(1, 33))
    assert kept(tmp_path) == list(range(33, 65))
    assert [day.name for day in (tmp_path / "archive").iterdir()] == [datetime.now(UTC).date().isoformat()]


def test_a_late_image_is_as_old_as_its_part(tmp_path: Path) -> None:
    lay(tmp_path, "2026-11-22", 1, 2, 5, 6)
    disk = _Pruned()
    archive = archive_in(tmp_path, max_bytes=400, fs=disk)
    for seq in (7, 4, 8, 9, 10):
        put(archive, tmp_path, seq)

    assert disk.seqs == [1, 2, 4, 5, 6]


def test_files_that_somebody_removed_are_found_gone_and_make_room(tmp_path: Path) -> None:
    paths = lay(tmp_path, "2026-11-22", *range(1, 11))
    archive = archive_in(tmp_path, max_bytes=1000)
    archive.sweep()
    for path in paths[:9]:
        path.unlink()
    for seq in range(11, 20):
        put(archive, tmp_path, seq)
    assert kept(tmp_path) == list(range(10, 20))
    assert archive.pruned == 0, "there was room"
    put(archive, tmp_path, 20)

    assert kept(tmp_path) == list(range(11, 21))
    assert (archive.pruned, archive.lost) == (1, 0)


def test_files_that_went_after_they_were_read_are_pruned_as_if_they_were_there(tmp_path: Path) -> None:
    paths = lay(tmp_path, "2026-11-22", *range(1, 11))
    archive = archive_in(tmp_path, max_bytes=1000)
    put(archive, tmp_path, 11)
    for path in paths[1:5]:
        path.unlink()
    for seq in range(12, 20):
        put(archive, tmp_path, seq)

    assert kept(tmp_path) == list(range(10, 20))
    assert archive.lost == 0


def test_a_day_that_vanished_leaves_the_next_one_the_oldest(tmp_path: Path) -> None:
    lay(tmp_path, "2026-11-21", 1, 2, 3)
    lay(tmp_path, "2026-11-22", 4, 5)
    archive = archive_in(tmp_path, max_bytes=500)
    archive.sweep()
    shutil.rmtree(tmp_path / "archive" / "2026-11-21")
    for seq in (6, 7, 8):
        put(archive, tmp_path, seq)
    assert kept(tmp_path) == [4, 5, 6, 7, 8]
    put(archive, tmp_path, 9)

    assert kept(tmp_path) == [5, 6, 7, 8, 9]
    assert archive.lost == 0


def test_an_archive_whose_days_all_vanished_begins_anew(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=250)
    put(archive, tmp_path, 1)
    put(archive, tmp_path, 2)
    (day,) = (tmp_path / "archive").iterdir()
    shutil.rmtree(day)
    for seq in (3, 4, 5):
        put(archive, tmp_path, seq)

    assert kept(tmp_path) == [4, 5]
    assert archive.lost == 0


def test_what_lies_deeper_is_a_day_of_its_own_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    lay(tmp_path, "2026-11-22", 1, 4)
    lay(tmp_path, "2026-11-22/copy", 2, 3)
    foreign = tmp_path / "archive" / "2026-11-22" / "notes.txt"
    foreign.write_bytes(bytes(5000))
    disk = _Pruned()
    archive = archive_in(tmp_path, max_bytes=400, fs=disk)
    for seq in range(5, 9):
        put(archive, tmp_path, seq)

    assert disk.seqs == [1, 2, 3, 4]
    assert kept(tmp_path) == [5, 6, 7, 8]
    assert foreign.exists()


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), FileNotFoundError(errno.ENOENT, "gone")])
def test_a_day_that_cannot_be_read_loses_images_until_it_can(tmp_path: Path, error: OSError) -> None:
    class Unreadable(FileSystem):
        is_failing = False

        def files(self, root: Path) -> Iterator[tuple[Path, int]]:
            for found in super().files(root):
                if self.is_failing and found[0].name.startswith("part_000000000003"):
                    raise error
                yield found

    disk = Unreadable()
    lay(tmp_path, "2026-11-21", 1, 3)
    lay(tmp_path, "2026-11-22", 2, 4)
    archive = archive_in(tmp_path, max_bytes=400, fs=disk)
    archive.sweep()
    disk.is_failing = True
    assert put(archive, tmp_path, 5) is None
    assert put(archive, tmp_path, 6) is None
    assert kept(tmp_path) == [1, 2, 3, 4]
    disk.is_failing = False
    put(archive, tmp_path, 7)

    assert kept(tmp_path) == [2, 3, 4, 7]
    assert (archive.pruned, archive.lost) == (1, 2)


class _OtherDisk(FileSystem):
    """The spool lies on another disk than the archive: files cannot be renamed across."""

    def replace(self, source: Path, target: Path) -> None:
        if source.parent.name == "spool":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().replace(source, target)


def test_a_spool_on_another_disk_is_copied_then_emptied(tmp_path: Path) -> None:
    target = put(archive_in(tmp_path, fs=_OtherDisk()), tmp_path, 1)

    assert target is not None
    assert target.stat().st_size == 100
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert list((tmp_path / "spool").iterdir()) == []


class _SmallDisk(FileSystem):
    """A disk whose free space is what the archive's own files leave."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken_by_others = 0

    def disk_bytes(self, folder: Path) -> tuple[int, int]:
        used = sum(size for _, size in self.files(folder))
        return self.total, self.total - used - self.taken_by_others


def test_a_short_disk_makes_room_and_a_full_one_loses_images_until_it_is_freed(tmp_path: Path) -> None:
    disk = _SmallDisk(1000)
    archive = archive_in(tmp_path, fs=disk, min_free_bytes=700)
    for seq in (1, 2, 3, 4):
        put(archive, tmp_path, seq)
    assert kept(tmp_path) == [2, 3, 4]
    disk.taken_by_others = 400
    assert put(archive, tmp_path, 5) is None
    assert kept(tmp_path) == []
    assert archive.lost == 1
    disk.taken_by_others = 0

    assert put(archive, tmp_path, 6) is not None
    assert kept(tmp_path) == [6]


def test_a_durable_write_replaces_wholly_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_durably(path, b"first")
    write_durably(path, b"second")

    class Full(FileSystem):
        def write(self, path: Path, data: bytes) -> None:
            super().write(path, data[:2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"third", Full())

    assert path.read_bytes() == b"second"
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_of_passes_a_sample_is_kept_of_rejects_every_one(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", max_bytes=MIB, min_free_bytes=0, pass_every=3)
    for seq in range(1, 10):
        put(archive, tmp_path, seq, Verdict.REJECT if seq in {4, 5} else Verdict.PASS)

    assert kept(tmp_path) == [3, 4, 5, 6, 9]
    assert archive.status.lost == 0


def put_on(root: Path, folder: Path, seq: int, day: str, verdict: Verdict = Verdict.REJECT) -> None:
    """File a part as if it were that day."""
    before = {day.name for day in root.iterdir()} if root.exists() else set()
    filed = put(Archive(root, max_bytes=MIB, min_free_bytes=0), folder, seq, verdict)
    assert filed is not None
    assert filed.parent.name not in before, "of today only when the days before are there"
    filed.parent.rename(root / day)


def test_images_of_more_days_than_are_kept_go(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for seq, day in ((1, "2026-01-20"), (2, "2026-01-21"), (3, "2026-03-05")):
        put_on(root, tmp_path, seq, day)
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=2, keep_reject_days=2)
    put(archive, tmp_path, 4)
    put(archive, tmp_path, 5)

    assert kept(tmp_path) == [3, 4, 5], "the last two days with parts, whenever they were"
    assert archive.status.pruned == 2


@pytest.mark.parametrize(
    "days", [("2020-11-20", "2099-01-01", "1999-12-31"), ("2020-11-20", "1999-12-31", "2099-01-01")]
)
def test_a_clock_that_is_set_makes_no_image_old(tmp_path: Path, days: tuple[str, ...]) -> None:
    root = tmp_path / "archive"
    for seq, day in enumerate(days, 1):
        put_on(root, tmp_path, seq, day)
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=2, keep_reject_days=2)
    put(archive, tmp_path, 4)
    put(archive, tmp_path, 5)

    assert kept(tmp_path) == [1, 2, 3, 4, 5], "since 2020-11-20 there is one day that has parts: today"
    assert archive.status.pruned == 0


def test_days_of_a_clock_that_was_wrong_hold_nothing_back_for_good(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for seq, day in ((1, "2020-11-20"), (2, "2099-01-01"), (3, "2020-11-21"), (4, "2020-11-22")):
        put_on(root, tmp_path, seq, day)
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=2, keep_reject_days=2)
    put(archive, tmp_path, 5)
    put(archive, tmp_path, 6)

    assert kept(tmp_path) == [4, 5, 6]


def test_a_day_that_goes_on_after_the_clock_was_wrong_keeps_its_first_images(tmp_path: Path) -> None:
    root, names = tmp_path / "archive", iter(range(1, 100))
    put(Archive(root, max_bytes=MIB, min_free_bytes=0), tmp_path, next(names), Verdict.REJECT)
    (today,) = root.iterdir()
    today.rename(tmp_path / "aside")
    for day in ("2099-01-01", "1999-12-31"):
        put_on(root, tmp_path, next(names), day)
    (tmp_path / "aside").rename(today)
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=1, keep_reject_days=1)
    for _ in range(3):
        put(archive, tmp_path, next(names), Verdict.REJECT)

    assert 1 in kept(tmp_path), "of today"


def test_each_kind_is_kept_for_days_of_its_own(tmp_path: Path) -> None:
    root, days = tmp_path / "archive", ("2026-01-20", "2026-01-21", "2026-03-05", "2026-03-06")
    for number, day in enumerate(days):
        put_on(root, tmp_path, 2 * number + 1, day, Verdict.PASS)
        lay(tmp_path, day, 2 * number + 2, kind="REJECT")
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=1, keep_reject_days=3)
    for seq in (9, 10, 11):
        put(archive, tmp_path, seq)

    assert kept(tmp_path) == [6, 8, 9, 10, 11], "passes of the newest day, rejects of the newest three"


def test_days_of_one_kind_alone_leave_the_other_to_the_size(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for number, day in enumerate(("2026-01-20", "2026-01-21", "2026-03-05")):
        put_on(root, tmp_path, 2 * number + 1, day, Verdict.PASS)
        lay(tmp_path, day, 2 * number + 2, kind="REJECT")
    archive = Archive(root, max_bytes=MIB, min_free_bytes=0, keep_pass_days=1, keep_reject_days=30)
    for seq in (7, 8):
        put(archive, tmp_path, seq)

    assert kept(tmp_path) == [2, 4, 6, 7, 8]


def test_what_passed_in_bypass_is_kept_as_long_as_a_reject(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, max_bytes=350)
    path, sha256 = spool(tmp_path, "1.bmp", bytes(100))
    filed = archive.file(1, 1, Verdict.PASS, path, sha256, always=True)
    for seq in range(2, 9):
        put(archive, tmp_path, seq)
    again = Archive(tmp_path / "archive", max_bytes=350, min_free_bytes=0)
    put(again, tmp_path, 9)

    assert filed is not None
    assert "_BYPASS_" in filed.name
    assert kept(tmp_path) == [1, 8, 9]


def test_only_what_was_to_be_kept_is_lost_by_giving_it_up(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", max_bytes=MIB, keep="rejects")
    archive.give_up(1, Verdict.PASS)
    archive.give_up(2, Verdict.REJECT)

    assert archive.status.lost == 1


def test_a_disk_that_gets_short_is_said_once_and_its_recovery_too(tmp_path: Path) -> None:
    disk = _SmallDisk(10_000)
    archive = archive_in(tmp_path, fs=disk)
    with structlog.testing.capture_logs() as said:
        for seq, taken in ((1, 0), (2, 9000), (3, 9000), (4, 0)):
            disk.taken_by_others = taken
            put(archive, tmp_path, seq)

    assert [line["event"] for line in said] == ["disk_short", "disk_no_longer_short"]
    assert not archive.status.is_short


def test_the_reserve_is_held_released_and_held_again(tmp_path: Path, reserve_bytes: int) -> None:
    path = tmp_path / "journal.reserve"
    reserve = Reserve(path, _SmallDisk(10**9))
    reserve.hold()
    held = path.stat().st_size
    reserve.release()
    is_released = not path.exists()
    reserve.hold()

    assert held == reserve_bytes
    assert is_released
    assert path.exists()


def test_without_plenty_of_space_there_is_no_reserve_and_no_error(tmp_path: Path) -> None:
    class Full(FileSystem):
        def allocate(self, path: Path, size_bytes: int) -> None:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "full")

    Reserve(tmp_path / "a", Full()).hold()
    Reserve(tmp_path / "b", _SmallDisk(1000)).hold()

    assert list(tmp_path.iterdir()) == []
