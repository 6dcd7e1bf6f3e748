"""The chain of hashes: an auditor sees each row that was altered, removed or slipped in; rotation continues it."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Judgement, Published, Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.chain import seal
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import Journal, JournalError, JournalReader
from edge_agent.store.rotation import rotate
from edge_agent.store.schema import _MIGRATIONS, SCHEMA_VERSION, migrate
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from edge_agent.store.chain import Head

V1 = Path(__file__).parents[1] / "data" / "journal_v1.sql"


def written(path: Path, parts: int = 3, first: int = 1) -> Path:
    """A journal of that many parts, each published, and one event."""

    async def write(journal: Journal) -> None:
        await journal.event("START", "the agent is up")
        for seq in range(first, first + parts):
            await journal.append(part_row(seq, count=seq))
            await journal.publication(seq, Published.PUBLISHED, 100.6)

    journal = Journal.open(path)
    try:
        asyncio.run(write(journal))
    finally:
        journal.close()
    return path


def forge(path: Path, *statements: str) -> None:
    """Do what someone does who has the file and knows SQL."""
    with closing(sqlite3.connect(path, isolation_level=None)) as forger:
        forger.execute("PRAGMA foreign_keys = OFF")
        triggers = forger.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            forger.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert forger.execute(statement).rowcount > 0, "the forgery changed nothing"
        for _, sql in triggers:
            forger.execute(sql)


def problems(path: Path, noted: Head | None = None) -> tuple[str, ...]:
    with JournalReader.open(path) as reader:
        return reader.audit(noted).problems


def head(path: Path) -> Head:
    with JournalReader.open(path) as reader:
        return reader.audit().head


def test_an_untouched_journal_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")

    assert problems(path) == ()
    assert head(path).link == 7
    assert problems(path, head(path)) == ()


@pytest.mark.parametrize(
    ("forgery", "said"),
    [
        ("UPDATE part SET verdict = 'REJECT', reason = 'SCORE' WHERE part_seq = 2", "part 2 is not the row"),
        ("UPDATE part SET score = 0.100000001 WHERE part_seq = 2", "part 2 is not the row"),
        ("UPDATE camera SET shares = '{}' WHERE part_seq = 3", "part 3 is not the row"),
        ("UPDATE camera SET align_scale = NULL WHERE part_seq = 3", "part 3 is not the row"),
        ("UPDATE publication SET published = 'LATE' WHERE part_seq = 1", "publication 1 is not the row"),
        ("UPDATE event SET detail = 'nothing happened'", "event 1 is not the row"),
        ("DELETE FROM part WHERE part_seq = 2", "part 2 is not the row that was sealed, or is gone"),
        ("DELETE FROM camera WHERE part_seq = 2", "part 2 is not the row"),
        ("DELETE FROM chain WHERE link = 4", "link 4 is missing"),
        (
            "UPDATE chain SET sha256 = iif(sha256 LIKE 'a%', 'b', 'a') || substr(sha256, 2) WHERE link = 4",
            "link 4:",
        ),
        (
            "INSERT INTO event VALUES (9, 'START', 'it always ran', 1.0, '')",
            "event 9 has no link",
        ),
    ],
)
def test_a_forgery_is_seen_and_named(tmp_path: Path, forgery: str, said: str) -> None:
    path = written(tmp_path / "journal.db")
    forge(path, forgery)

    assert any(said in problem for problem in problems(path)), problems(path)


def test_an_end_that_was_cut_off_with_its_links_is_seen_against_a_noted_head(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")
    noted = head(path)
    forge(
        path,
        "DELETE FROM chain WHERE link > 5",
        "DELETE FROM publication WHERE part_seq = 3",
        "DELETE FROM camera WHERE part_seq = 3",
        "DELETE FROM part WHERE part_seq = 3",
    )

    assert problems(path) == (), "the chain alone cannot know its end"
    assert "its end was cut off" in problems(path, noted)[0]


def test_a_chain_that_was_written_anew_is_not_the_one_whose_head_was_noted(tmp_path: Path) -> None:
    noted = head(written(tmp_path / "true.db"))
    forged = written(tmp_path / "forged.db", parts=4)

    assert problems(forged) == ()
    assert "written anew" in problems(forged, noted)[0]


def test_a_part_that_was_owed_is_sealed_like_every_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    away = path.with_name("elsewhere.db")

    async def write() -> None:
        path.rename(away)
        with pytest.raises(JournalError):
            await journal.append(part_row(1))
        away.rename(path)
        await journal.append(part_row(2))

    try:
        asyncio.run(write())
    finally:
        journal.close()

    assert problems(path) == ()
    assert head(path).link == 2


# --- an older journal -------------------------------------------------------------------------------------


def test_a_journal_of_schema_1_is_brought_up_to_date_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(V1.read_text())
    with pytest.raises(DataError, match="schema 1"):
        JournalReader.open(path)
    journal = Journal.open(path)
    assert journal.next_part_seq == 3
    journal.close()
    with JournalReader.open(path) as reader:
        first, second = reader.rows()
        audit = reader.audit()

    assert SCHEMA_VERSION == 5
    assert (first.verdict, second.reason) == (Verdict.PASS, Reason.IMAGE_BROKEN)
    assert first.cameras[0].shares == {}
    assert first.cameras[0].alignment is not None
    assert math.isnan(first.cameras[0].alignment.scale), "schema 1 did not record it"
    assert (audit.problems, audit.head.link) == ((), 4)


def test_a_journal_of_schema_2_is_read_as_it_is_and_takes_a_bypass_after_it_was_brought_up_to_date(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old, pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_agent.store.schema._MIGRATIONS", _MIGRATIONS[:2])
        patch.setattr("edge_agent.store.schema.SCHEMA_VERSION", 2)
        migrate(old, 0)
    with JournalReader.open(path) as reader:
        assert list(reader.rows()) == []
    bypassed = replace(part_row(1), verdict=Verdict.PASS, reason=Reason.BYPASS)
    forged = replace(part_row(2), verdict=Verdict.PASS, reason=Reason.SCORE)
    journal = Journal.open(path)
    asyncio.run(journal.append(bypassed))
    with pytest.raises(JournalError, match="CHECK"):
        asyncio.run(journal.append(forged))
    journal.close()
    with JournalReader.open(path) as reader:
        rows, audit = list(reader.rows()), reader.audit()
        assert reader.problems() == []

    assert rows == [bypassed]
    assert audit.problems == ()


def test_what_the_controllers_tools_measured_is_kept_by_name_and_sealed_with_the_part(tmp_path: Path) -> None:
    path, measured = tmp_path / "journal.db", {"pitch_mm": 5.047, "lot": "AB-7", "edge": Judgement.NG, "hole": None}
    journal = Journal.open(path)
    try:
        asyncio.run(journal.append(part_row(1, measured=measured | {"odd": math.nan})))
    finally:
        journal.close()
    with JournalReader.open(path) as reader:
        (row,) = reader.rows()
        assert reader.audit().problems == ()
    forge(path, "UPDATE measurement SET value = 5.048 WHERE name = 'pitch_mm'")

    assert dict(row.measured) == measured | {"odd": None}
    assert problems(path) == ("link 1: part 1 is not the row that was sealed, or is gone",)


def test_light_and_focus_are_sealed_with_the_part(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", parts=1)
    assert problems(path) == ()
    forge(path, "UPDATE camera SET condition = '{}'")

    assert problems(path) == ("link 2: part 1 is not the row that was sealed, or is gone",)


def test_what_was_sealed_before_there_was_a_place_for_light_and_focus_still_stands(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old, pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_agent.store.schema._MIGRATIONS", _MIGRATIONS[:4])
        patch.setattr("edge_agent.store.schema.SCHEMA_VERSION", 4)
        migrate(old, 0)
        part = (1, 7, "s", 3, "PASS", "OK", "", 0.1, 1.5, "b", "OK", 0, 100.25, 100.5, 101.0, "boot", "2026")
        old.execute(f"INSERT INTO part VALUES ({', '.join('?' * 17)})", part)  # noqa: S608 - question marks
        pose = (0.99, 1.5, -2.5, 0.125, 1.0, -3.0)
        camera = (1, 1, "OK", "OK", "", 0.1, 1.5, "b", "ab" * 32, "CAM1_7.bmp", *pose, "{}", 1.0, '{"native": 0.1}')
        old.execute(f"INSERT INTO camera VALUES ({', '.join('?' * 19)})", camera)  # noqa: S608 - question marks
        seal(old, "part", 1)

    assert problems(path) == ()  # as it is, read only
    journal = Journal.open(path)
    asyncio.run(journal.append(part_row(2)))
    journal.close()
    with JournalReader.open(path) as reader:
        first, second = reader.rows()
        assert reader.audit().problems == ()
    assert (first.cameras[0].shares, first.cameras[0].condition) == ({"native": 0.1}, {})
    assert second.cameras[0].condition == {"brightness": -0.25, "sharpness": 0.0}


def test_measurements_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    try:
        asyncio.run(journal.append(part_row(1, measured={"pitch_mm": 5.047})))
    finally:
        journal.close()
    with closing(sqlite3.connect(path)) as person, pytest.raises(sqlite3.IntegrityError, match="written once"):
        person.execute("UPDATE measurement SET value = 5.048")


# --- rotation ---------------------------------------------------------------------------------------------


def test_after_a_rotation_numbers_and_chain_go_on_in_a_new_file(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")
    before = head(path)
    kept = rotate(path)
    written(path, first=4)
    with JournalReader.open(path) as reader:
        audit, rows = reader.audit(), [row.part_seq for row in reader.rows()]

    assert kept.name == "journal-000000000001-000000000003.db"
    assert problems(kept, before) == ()
    assert rows == [4, 5, 6]
    assert (audit.predecessor, audit.predecessor_sha256) == (kept.name, before.sha256)
    assert audit.problems == ()
    assert not kept.with_name(kept.name + "-wal").exists()


def test_a_new_journal_gives_no_number_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")
    rotate(path)
    journal = Journal.open(path)
    try:
        assert journal.next_part_seq == 4
    finally:
        journal.close()
    with pytest.raises(DataError, match="no part yet"):
        rotate(path)


def test_a_journal_that_an_agent_writes_or_that_is_not_there_is_not_rotated(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with pytest.raises(DataError, match="no journal"):
        rotate(path)
    journal = Journal.open(path)
    try:
        with pytest.raises(AlreadyRunning):
            rotate(path)
    finally:
        journal.close()


def test_a_rotation_that_a_power_cut_ended_is_finished_by_the_next(tmp_path: Path) -> None:
    class Cut(FileSystem):
        def replace(self, source: Path, target: Path) -> None:
            raise OSError("power")

    path = written(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="power"):
        rotate(path, Cut())
    still_there = head(path).link
    kept = rotate(path)

    assert still_there == 7
    assert head(kept).link == 7
    assert head(path).link == 1, "who rotated it"
    assert not list(tmp_path.glob("*.new"))
