"""A journal into the store: each row once, whatever happened to the journal, the store or the export in between."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError, Unavailable, UsageError
from edge_agent.inspection.networks.channels import Channel, View
from edge_agent.inspection.scoring.quantity import Quantity
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import Journal
from edge_agent.store.opening import open_database, take_lock
from edge_agent.store.rotation import rotate
from edge_agent.store.writer import insert_event
from edge_agent.warehouse import exporting, reading
from edge_agent.warehouse.columns import CONDITIONS, DATASETS, SCHEMA_VERSION, SHARES
from edge_agent.warehouse.exporting import Exported, Line, export
from edge_agent.warehouse.layout import MARK, line_folder
from edge_agent.warehouse.reading import Named
from edge_agent.warehouse.targets import Folder, target_of
from tests.unit.test_store_chain import forge, written
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = "2026-11-{:02d}T10:00:00.{:03d}+00:00"


def grown(journal: Path, seqs: range, *, day: int = 23, told: bool = True, **facts: Any) -> Path:
    """More parts of a day, each published where it is ``told``."""

    async def write(open_: Journal) -> None:
        for seq in seqs:
            await open_.append(part_row(seq, **{"count": seq, "decided_utc": DAY.format(day, seq % 1000), **facts}))
            if told:
                await open_.publication(seq, Published.PUBLISHED, 100.6)

    open_ = Journal.open(journal)
    try:
        asyncio.run(write(open_))
    finally:
        open_.close()
    return journal


def noted(journal: Path, kind: str, detail: str) -> None:
    open_ = Journal.open(journal)
    try:
        asyncio.run(open_.event(kind, detail))
    finally:
        open_.close()


def restored(journal: Path, copy: Path) -> None:
    """As `edge-agent restore` leaves it: the copy in place, and RESTORED as its newest row."""
    shutil.copy(copy, journal)
    with closing(open_database(journal)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        insert_event(connection, "RESTORED", "{}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def saved(journal: Path, copy: Path) -> Path:
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return grown(tmp_path / "journal.db", range(1, 11))


def into(store: Path, journal: Path, **facts: Any) -> Exported:
    return export(Line("L", journal, ("06:00", "14:00", "22:00"), **facts), target_of(str(store)), begin=True)


def rows(store: Path, dataset: str = "parts") -> list[dict[str, Any]]:
    if not (store / dataset).exists():
        return []
    table: Any = ds.dataset(store / dataset, partitioning="hive").to_table()
    return list(table.to_pylist())


def seqs(store: Path, dataset: str = "parts") -> list[int]:
    return sorted(row["part_seq"] for row in rows(store, dataset))


def test_every_part_image_and_event_is_there_once_with_the_values_of_the_journal(store: Path, tmp_path: Path) -> None:
    journal = written(tmp_path / "journal.db")
    grown(journal, range(4, 5), measured={"Lot": 4711.0, "serial": "SN 7", "pitch": 1.25, "width": None})

    done = into(store, journal)

    assert (done.rows, done.waiting, done.problems) == ({"parts": 4, "cameras": 4, "events": 1}, 0, [])
    *_, part = rows(store)
    assert (part["part_seq"], part["lot"], part["serial"]) == (4, "4711", "SN 7")
    assert dict(part["measured"]) == {"Lot": 4711.0, "pitch": 1.25, "width": None}
    assert dict(part["measured_text"]) == {"serial": "SN 7"}
    assert (part["verdict"], part["reason"], part["published"], part["score"]) == ("PASS", "OK", "PUBLISHED", 0.1)
    assert part["decided_utc"].isoformat() == "2026-11-23T10:00:00.004000+00:00"
    assert part["decided_ms"] == pytest.approx(250.0)
    *_, image = rows(store, "cameras")
    assert (image["share_map"], image["share_fine"]) == (pytest.approx(0.1), 0.0)
    assert (image["condition_brightness"], image["align_scale"]) == (pytest.approx(-0.25), pytest.approx(1.01))
    assert image["inspection_ms"] == pytest.approx(11.35)
    assert rows(store, "events")[0]["kind"] == "START"


def test_a_second_export_writes_nothing_and_a_third_only_what_is_new(store: Path, journal: Path) -> None:
    into(store, journal)
    assert into(store, journal).files == 0
    grown(journal, range(11, 14))

    done = into(store, journal)

    assert (done.rows["parts"], done.rows["cameras"]) == (3, 3)
    assert seqs(store) == seqs(store, "cameras") == list(range(1, 14))


def test_a_day_is_one_file_however_often_it_is_exported_and_a_full_file_is_followed_by_the_next(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal.db"
    for first in range(1, 9, 2):
        grown(journal, range(first, first + 2))
        into(store, journal)
    assert len(list(store.glob("parts/line=L/day=2026-11-23/*.parquet"))) == 1

    monkeypatch.setattr(exporting, "_MOST_ROWS", 8)
    grown(journal, range(9, 12))
    into(store, journal)

    assert len(list(store.glob("parts/line=L/day=2026-11-23/*.parquet"))) == 2
    assert seqs(store) == list(range(1, 12))


def test_days_have_folders_of_their_own_also_where_the_clock_was_set_back(store: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    for day, first in ((23, 1), (24, 4), (23, 7), (24, 10)):
        grown(journal, range(first, first + 3), day=day)
        into(store, journal)

    assert seqs(store) == list(range(1, 13))
    assert {row["day"] for row in rows(store) if row["part_seq"] in (1, 7)} == {"2026-11-23"}
    assert {row["day"] for row in rows(store) if row["part_seq"] in (4, 10)} == {"2026-11-24"}


def test_a_part_whose_verdict_is_on_its_way_waits_and_holds_those_behind_it_for_a_moment(
    store: Path, journal: Path
) -> None:
    grown(journal, range(11, 12), told=False)
    grown(journal, range(12, 14))

    done = into(store, journal)

    assert (seqs(store), done.waiting) == (list(range(1, 11)), 3)
    grown(journal, range(14, 14 + reading._LATER_PARTS))
    assert into(store, journal).waiting == 0, "no word comes after so many others"
    untold = [row["part_seq"] for row in rows(store) if row["published"] is None]
    assert untold == [11]
    assert len(seqs(store)) == len(set(seqs(store))) == 13 + reading._LATER_PARTS


def test_a_part_that_the_agent_never_told_of_is_taken_after_its_next_start(store: Path, journal: Path) -> None:
    grown(journal, range(11, 12), told=False)
    noted(journal, "START", "the agent is up")

    assert into(store, journal).waiting == 0
    assert seqs(store) == list(range(1, 12))


def test_a_late_review_of_an_old_part_is_a_row_of_events_and_changes_no_file_of_its_part(
    store: Path, journal: Path
) -> None:
    into(store, journal)
    before = {path: path.stat().st_mtime_ns for path in store.glob("parts/**/*.parquet")}
    review = {"part_seq": 2, "says": "ESCAPE", "by": "Lin", "role": "quality", "note": "half a \ud800"}
    noted(journal, "REVIEW", json.dumps(review))

    into(store, journal)

    (event,) = rows(store, "events")
    assert (event["part_seq"], event["says"], event["who"], event["role"]) == (2, "ESCAPE", "Lin", "quality")
    assert event["note"] == "half a ?"
    assert {path: path.stat().st_mtime_ns for path in store.glob("parts/**/*.parquet")} == before


@pytest.mark.parametrize("is_exported_before", [True, False])
def test_a_rotated_journal_is_exported_to_its_end_and_the_next_one_behind_it(
    store: Path, journal: Path, *, is_exported_before: bool
) -> None:
    if is_exported_before:
        into(store, journal)
    grown(journal, range(11, 13))
    rotate(journal, by="a test")
    grown(journal, range(13, 16))

    done = into(store, journal)

    assert (seqs(store), done.problems) == (list(range(1, 16)), [])
    assert len({row["history"] for row in rows(store)}) == 2
    assert into(store, journal).files == 0


def test_a_journal_that_was_put_away_before_it_was_exported_is_said_once(store: Path, journal: Path) -> None:
    kept = rotate(journal, by="a test")
    kept.unlink()
    grown(journal, range(11, 13))

    done = into(store, journal)

    assert [kept.name in problem for problem in done.problems] == [True]
    assert into(store, journal).problems == []


def test_two_lines_of_one_name_are_said(store: Path, journal: Path, tmp_path: Path) -> None:
    """Their parts would be those of one line in every answer, and none would be missed."""
    other = grown(tmp_path / "other.db", range(5, 12))
    assert into(store, journal).problems == []
    into(store, other)
    for one in (journal, other):
        grown(one, range(20, 22))
        (problem,) = into(store, one).problems
        assert "do two lines have one name?" in problem
    assert len(seqs(store)) == 10 + 7 + 4


def test_a_journal_that_was_put_away_after_it_was_exported_is_no_problem(store: Path, journal: Path) -> None:
    into(store, journal)
    rotate(journal, by="a test").unlink()
    grown(journal, range(11, 13))

    done = into(store, journal)

    assert (done.problems, seqs(store)) == ([], list(range(1, 13)))


def test_after_a_restored_backup_numbers_come_again_and_no_part_of_either_history_is_lost(
    store: Path, journal: Path, tmp_path: Path
) -> None:
    copy = saved(journal, tmp_path / "copy.db")
    grown(journal, range(11, 14))
    into(store, journal)
    restored(journal, copy)
    grown(journal, range(11, 16), day=24)

    done = into(store, journal)

    assert done.problems == []
    assert seqs(store) == sorted([*range(1, 14), *range(11, 16)])
    assert len({(row["history"], row["part_seq"]) for row in rows(store)}) == 18
    assert into(store, journal).files == 0


def test_a_backup_that_is_newer_than_the_last_export_is_exported_to_its_end_first(
    store: Path, journal: Path, tmp_path: Path
) -> None:
    into(store, journal)
    grown(journal, range(11, 14))
    restored(journal, saved(journal, tmp_path / "copy.db"))
    grown(journal, range(14, 16))

    into(store, journal)

    assert seqs(store) == list(range(1, 16))


def test_an_older_copy_that_somebody_put_back_by_hand_is_refused(store: Path, journal: Path, tmp_path: Path) -> None:
    copy = saved(journal, tmp_path / "copy.db")
    grown(journal, range(11, 14))
    into(store, journal)
    shutil.copy(copy, journal)
    with pytest.raises(DataError, match="another history"):
        into(store, journal)

    grown(journal, range(11, 16), day=24)
    with pytest.raises(DataError, match="another history"):
        into(store, journal)
    assert seqs(store) == list(range(1, 14)), "nothing was written"


def test_a_row_that_is_gone_from_a_broken_chain_is_said_and_the_others_are_exported(store: Path, journal: Path) -> None:
    forge(journal, "DELETE FROM part WHERE part_seq = 4")

    done = into(store, journal)

    assert done.problems == ["link 7: part 4 is gone"]
    assert seqs(store) == [1, 2, 3, *range(5, 11)]
    (file,) = store.glob("parts/**/*.parquet")
    assert json.loads(pq.read_metadata(file).metadata[b"edge_agent"])["problems"] == done.problems
    assert into(store, journal).problems == []


def test_two_exports_at_once_are_one_that_works_and_one_that_says_so(store: Path, journal: Path) -> None:
    with (
        closing(take_lock(journal.with_name(journal.name + ".export"))),
        pytest.raises(AlreadyRunning, match="another export"),
    ):
        into(store, journal)
    assert seqs(store) == []
    into(store, journal)
    assert seqs(store) == list(range(1, 11))


@pytest.mark.parametrize(
    "name",
    ["../../etc", "..", "/", "a/b\\c", "line=x", "day=2026-01-01", "100%", "%2e%2e", "Prüflinie 1", "検査", "'; --"],
)
def test_no_name_of_a_line_leads_out_of_its_folder_and_each_comes_back_as_it_was(
    store: Path, journal: Path, name: str
) -> None:
    export(Line(name, journal), target_of(str(store)), begin=True)

    (folder,) = (store / "parts").iterdir()
    assert folder.name.startswith("line=")
    assert sorted(path.name for path in store.iterdir()) == ["cameras", MARK, "parts"]
    assert sorted(path.name for path in store.parent.iterdir() if path.is_dir()) == ["store"]
    assert {row["line"] for row in rows(store)} == {name}


@pytest.mark.parametrize("name", ["", "a" * 300, "%" * 90])
def test_a_name_of_which_no_folder_can_be_made_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="folder"):
        line_folder("parts", name)


def test_the_longest_name_of_line_toml_fits_in_any_language() -> None:
    assert len(line_folder("parts", "検" * 64).encode()) < 260


def test_a_store_that_is_away_is_not_made_anew(tmp_path: Path, journal: Path) -> None:
    with pytest.raises(Unavailable, match="no folder"):
        target_of(str(tmp_path / "away"))
    (tmp_path / "mount").mkdir()
    with pytest.raises(DataError, match="no store"):
        export(Line("L", journal), Folder(tmp_path / "mount"))
    assert list((tmp_path / "mount").iterdir()) == []


def test_a_store_of_a_newer_layout_is_refused(store: Path, journal: Path) -> None:
    (store / MARK).write_text('{"edge_agent_store": 2}')
    with pytest.raises(DataError, match="version 2"):
        into(store, journal)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 5000, b"PAR1" + b"\xff" * 200 + b"\xff\xff\xff\x7fPAR1"])
def test_a_file_that_was_bent_is_named_and_nothing_is_written_beside_it(
    store: Path, journal: Path, content: bytes
) -> None:
    into(store, journal)
    (file,) = store.glob("parts/**/*.parquet")
    file.write_bytes(content)
    grown(journal, range(11, 13))

    with pytest.raises(DataError, match=file.name):
        into(store, journal)
    assert len(list(store.glob("parts/**/*.parquet"))) == 1


def test_a_full_disk_leaves_what_was_there_and_the_next_export_goes_on(
    store: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into(store, journal)
    grown(journal, range(11, 14))

    def full(_fs: FileSystem, path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystem, "write", full)
        with pytest.raises(OSError, match="No space"):
            into(store, journal)
    assert seqs(store) == list(range(1, 11))
    into(store, journal)
    assert seqs(store) == list(range(1, 14))


def test_what_a_killed_export_left_half_written_is_swept_and_never_read(store: Path, journal: Path) -> None:
    into(store, journal)
    (file,) = store.glob("parts/**/*.parquet")
    stump = file.with_name(f".{file.name}.part")
    stump.write_bytes(b"half")
    assert seqs(store) == list(range(1, 11))

    into(store, journal)

    assert not stump.exists()
    assert seqs(store) == list(range(1, 11))


class _Away:
    """Object storage that fails at its n-th question, before or after it did what was asked."""

    def __init__(self, fs: Any, fails_at: int, *, after: bool) -> None:
        self.fs, self.left, self.after = fs, fails_at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.fs, name)
        if name not in {"find", "cat_file", "pipe_file", "size"}:
            return method

        def asked(*args: Any, **named: Any) -> Any:
            self.left -= 1
            found = method(*args, **named) if self.after or self.left else None
            if not self.left:
                raise ConnectionError("the endpoint is away")
            return found

        return asked


@pytest.fixture
def memory() -> Iterator[str]:
    fs = fsspec.filesystem("memory")
    fs.makedirs("/plant", exist_ok=True)
    yield "memory://plant/store"
    fs.rm("/plant", recursive=True)


@pytest.mark.parametrize("after", [True, False])
def test_object_storage_that_goes_away_at_any_step_loses_and_doubles_nothing(
    journal: Path, memory: str, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setattr(exporting, "_MOST_ROWS", 3)
    line, step, failures = Line("L", journal), 0, 0
    for number in range(2):
        while True:
            step += 1
            target: Any = target_of(memory)
            target._fs = _Away(target.fs, step, after=after)
            try:
                export(line, target, begin=True)
                break
            except Unavailable as err:
                failures += 1
                assert "away" in str(err)  # noqa: PT017 - every step but the last fails
        grown(journal, range(20 + 10 * number, 24 + 10 * number))
        step = 0
    export(line, target_of(memory))

    fs = fsspec.filesystem("memory")
    found = [
        seq
        for path in fs.find("/plant/store/parts")
        for seq in pq.read_table(fs.open(path, "rb"))["part_seq"].to_pylist()
    ]
    assert failures > 5
    assert sorted(found) == [*range(1, 11), *range(20, 24), *range(30, 34)]


def test_an_address_that_nobody_knows_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises((Unavailable, DataError), match=r"s3fs|no address"):
        target_of("s3://bucket/store")
    with pytest.raises(DataError, match="no address"):
        target_of("nothing-of-the-kind://bucket")


def test_without_pyarrow_it_says_what_to_install(store: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Unavailable) as refused:
        into(store, journal)
    assert "edge-agent[parquet]" in refused.value.hint


def test_a_writer_goes_on_while_its_journal_is_exported(
    store: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two questions no transaction is open: a commit and a checkpoint of everything get through."""
    monkeypatch.setattr(reading, "_AT_ONCE", 2)
    open_ = Journal.open(journal)
    took = exporting._Open.add
    seen: list[int] = []

    def add(self: Any, block: Any) -> None:
        seq = 100 + len(seen)
        asyncio.run(open_.append(part_row(seq, count=seq)))
        with closing(sqlite3.connect(journal, timeout=0)) as other:
            busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        seen.append(busy)
        took(self, block)

    monkeypatch.setattr(exporting._Open, "add", add)
    try:
        into(store, journal)
    finally:
        open_.close()
    assert len(seen) >= 10
    assert not any(seen)
    assert seqs(store) == list(range(1, 11))


def test_the_lot_and_the_serial_are_the_items_that_are_named(store: Path, tmp_path: Path) -> None:
    journal = grown(tmp_path / "journal.db", range(1, 2), measured={"Charge": "C-9", "DMC": 12.5})
    into(store, journal, named=Named("charge", "dmc"))
    assert [(row["lot"], row["serial"]) for row in rows(store)] == [("C-9", "12.5")]


def test_shifts_are_those_of_the_line_by_the_clock_on_the_wall(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        journal = grown(tmp_path / "journal.db", range(1, 2), day=23)
        for seq, utc in ((2, "2026-11-23T00:30:00.000+00:00"), (3, "2026-10-25T01:30:00.000+00:00")):
            open_ = Journal.open(journal)
            asyncio.run(open_.append(part_row(seq, decided_utc=utc)))
            asyncio.run(open_.publication(seq, Published.PUBLISHED, 100.6))
            open_.close()
        into(store, journal)
    finally:
        monkeypatch.undo()
        time.tzset()
    found = {row["part_seq"]: row for row in rows(store)}
    assert (found[1]["shift"], str(found[1]["shift_day"])) == ("06:00", "2026-11-23")
    assert (found[2]["shift"], str(found[2]["shift_day"])) == ("22:00", "2026-11-22")
    assert str(found[2]["decided_local"]) == "2026-11-23 01:30:00"
    assert str(found[3]["decided_local"]) == "2026-10-25 02:30:00", "the second half past two of that night"


@pytest.mark.parametrize(
    "label", ["", "yesterday", "2026-11-23", "2026-11-23T10:00:00+02:00", "9999-99-99T00:00:00.000"]
)
def test_a_time_that_nobody_can_read_loses_no_part(store: Path, tmp_path: Path, label: str) -> None:
    journal = grown(tmp_path / "journal.db", range(1, 2))
    open_ = Journal.open(journal)
    asyncio.run(open_.append(part_row(2, decided_utc=label)))
    asyncio.run(open_.publication(2, Published.PUBLISHED, 100.6))
    open_.close()

    into(store, journal)

    assert [row["decided_utc"] for row in rows(store) if row["part_seq"] == 2] == [None]


def test_infinities_and_empty_parts_go_through(store: Path, tmp_path: Path) -> None:
    camera = replace(part_row().cameras[0], score=float("inf"), shares={"map": float("inf"), "new": 1.0})
    journal = grown(
        tmp_path / "journal.db", range(1, 2), verdict=Verdict.REJECT, reason=Reason.SCORE, cameras=(camera,)
    )
    grown(journal, range(2, 3), cameras=(), verdict=Verdict.FAULT, reason=Reason.NO_IMAGE, score=None, count=None)

    into(store, journal)

    (image,) = rows(store, "cameras")
    assert (image["score"], image["share_map"]) == (float("inf"), float("inf"))
    assert json.loads(image["other"])["shares"] == {"new": 1.0}
    assert [row["cameras"] for row in rows(store)] == [1, 0]


def test_every_channel_and_quantity_of_the_inspection_has_its_column() -> None:
    """A new one needs a column at the end and a new SCHEMA_VERSION; until then it stands in ``other``."""
    assert set(SHARES) == {*map(str, Channel), *map(str, View)}
    assert set(CONDITIONS) == set(map(str, Quantity))
    assert SCHEMA_VERSION == 1


def test_every_file_has_the_columns_of_its_data_set_in_their_order(store: Path, journal: Path) -> None:
    noted(journal, "START", "the agent is up")
    into(store, journal)
    for name, dataset in DATASETS.items():
        (file,) = store.glob(f"{name}/**/*.parquet")
        assert pq.read_schema(file).names == [column.name for column in dataset.columns]
        assert json.loads(pq.read_metadata(file).metadata[b"edge_agent"])["schema_version"] == SCHEMA_VERSION
