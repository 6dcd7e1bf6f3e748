"""The journal: durable, written once, back bit for bit, and in the hands of one agent."""

from __future__ import annotations

import asyncio
import hashlib
import math
import sqlite3
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.timing import monotonic_s
from edge_agent.domain import (
    Alignment,
    Capture,
    Inspection,
    Judgement,
    Outcome,
    Published,
    Reason,
    Verdict,
)
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store import opening, writer
from edge_agent.store.journal import CameraRow, Journal, JournalError, JournalReader, PartRow
from edge_agent.store.schema import SCHEMA_VERSION
from edge_agent.store.turns import LINGER_S
from edge_agent.store.writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHA = "ab" * 32


def part_row(part_seq: int = 1, **changes: Any) -> PartRow:
    camera = CameraRow(
        camera=1,
        outcome=Outcome.OK,
        reason=Reason.OK,
        detail="",
        score=0.1,
        limit=1.5,
        bundle_id="bundle",
        image_sha256=SHA,
        image_name="CAM1_7.bmp",
        alignment=Alignment(0.99, 1.5, -2.5, 0.125, 1.0, -3.0, 1.01),
        timings_ms={"decode": 1.25, "register": 10.1},
        shares={"map": 0.1, "fine": -0.0},
        condition={"brightness": -0.25, "sharpness": 0.0},
    )
    row = PartRow(
        part_seq=part_seq,
        count=7,
        session="2026/0001",
        program=3,
        verdict=Verdict.PASS,
        reason=Reason.OK,
        detail="",
        score=0.1,
        limit=1.5,
        bundle_id="bundle",
        cameras=(camera,),
        controller_judgement=Judgement.OK,
        simulated=False,
        first_sign_mono_s=100.25,
        decided_mono_s=100.5,
        deadline_mono_s=101.0,
        boot_id="boot",
        decided_utc="2026-11-23T10:00:00.000+00:00",
    )
    return replace(row, **changes)


def read_rows(path: Path) -> list[PartRow]:
    with JournalReader.open(path) as reader:
        return list(reader.rows())


def damage_every_page_but_the_first(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)


def rename(source: Path, target: Path) -> None:
    source.rename(target)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal.open(path)
    yield opened
    opened.close()


# --- rows -----------------------------------------------------------------------------------------------


async def test_a_row_comes_back_as_it_was_written(journal: Journal, path: Path) -> None:
    row = part_row()
    await journal.append(row)

    assert read_rows(path) == [row]


async def test_a_part_without_images_score_or_result_is_a_row_too(journal: Journal, path: Path) -> None:
    row = part_row(
        count=None,
        program=None,
        verdict=Verdict.REJECT,
        reason=Reason.NO_ANSWER,
        detail="nothing came",
        score=None,
        limit=None,
        bundle_id=None,
        cameras=(),
        controller_judgement=None,
        simulated=True,
    )
    await journal.append(row)

    assert read_rows(path) == [row]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_floats_come_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, score: float, limit: float) -> None:
    path = tmp_path_factory.mktemp("bits") / "journal.db"
    journal = Journal.open(path)
    try:
        asyncio.run(journal.append(part_row(score=score, limit=limit, decided_mono_s=abs(score))))
    finally:
        journal.close()
    (found,) = read_rows(path)

    assert found.score is not None
    assert found.limit is not None
    assert struct.pack("<2d", score, limit) == struct.pack("<2d", found.score, found.limit)


async def test_nan_is_stored_as_null(journal: Journal, path: Path) -> None:
    await journal.append(part_row(score=math.nan, verdict=Verdict.REJECT, reason=Reason.NOT_FINITE))

    assert read_rows(path)[0].score is None


async def test_a_nan_within_an_alignment_stays_nan(journal: Journal, path: Path) -> None:
    camera = replace(part_row().cameras[0], alignment=Alignment(0.5, 1.0, 2.0, math.nan, 1.0, 0.0))
    await journal.append(part_row(cameras=(camera,)))
    found = read_rows(path)[0].cameras[0].alignment

    assert found is not None
    assert math.isnan(found.angle_deg)
    assert found.quality == 0.5


@pytest.mark.parametrize("name", ["\udcff\udcfe.bmp", "a\x00b", "\x1b[31m", "x" * 10_000, "'); DROP TABLE part;--"])
async def test_hostile_names_do_not_keep_a_row_out(journal: Journal, path: Path, name: str) -> None:
    camera = replace(part_row().cameras[0], image_name=name)
    await journal.append(part_row(cameras=(camera,), session=name, detail=name))
    (found,) = read_rows(path)

    assert len(found.cameras[0].image_name) <= 10_000
    assert found.verdict is Verdict.PASS


async def test_a_row_that_does_not_fit_is_refused_and_the_next_one_is_not(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalError, match="refused the row"):
        await journal.append(part_row(count=2**70))
    await journal.append(part_row())

    assert [row.part_seq for row in read_rows(path)] == [1]


async def test_a_part_whose_row_a_damaged_file_refused_is_owed(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged page is SQLite's bare DatabaseError: the row is not to blame."""

    def damaged(*_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(JournalWriter, "_insert_camera", damaged)
    with pytest.raises(JournalError, match="malformed"):
        await journal.append(part_row())
    monkeypatch.undo()
    await journal.prove_writable()

    assert [(row.part_seq, row.verdict, row.reason) for row in read_rows(path)] == [(1, Verdict.FAULT, Reason.JOURNAL)]


async def test_how_long_the_disk_takes_is_told_of_the_oldest_call_that_is_still_awaited() -> None:
    thread, may_go_on = ThreadPoolExecutor(1), threading.Event()
    thread.submit(may_go_on.wait)
    journal = Journal(cast("JournalWriter", SimpleNamespace(prove=bool, tidy=dict)), thread, 1)
    first = asyncio.create_task(journal.prove_writable())
    await asyncio.sleep(0.2)
    second = asyncio.create_task(journal.prove_writable())
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    waiting_s = journal.waiting_s
    first.cancel()
    await asyncio.wait([first])
    may_go_on.set()
    thread.shutdown()

    assert waiting_s >= 0.2
    assert journal.waiting_s == 0.0


async def test_a_part_number_is_never_written_twice(journal: Journal, path: Path) -> None:
    await journal.append(part_row(verdict=Verdict.REJECT, reason=Reason.SCORE))
    with pytest.raises(JournalError):
        await journal.append(part_row())

    assert [row.verdict for row in read_rows(path)] == [Verdict.REJECT]


async def test_a_row_whose_camera_is_refused_leaves_no_half(journal: Journal, path: Path) -> None:
    camera = part_row().cameras[0]
    with pytest.raises(JournalError):
        await journal.append(part_row(cameras=(camera, camera)))

    assert read_rows(path) == []


async def test_the_table_takes_no_other_verdict_and_no_pass_with_a_bad_reason(journal: Journal) -> None:
    with pytest.raises(JournalError, match="CHECK"):
        await journal.append(part_row(verdict="MAYBE"))
    with pytest.raises(JournalError, match="CHECK"):
        await journal.append(part_row(reason=Reason.SCORE))


async def test_rows_can_be_neither_changed_nor_deleted(journal: Journal, path: Path) -> None:
    await journal.append(part_row(verdict=Verdict.REJECT, reason=Reason.SCORE))
    await journal.publication(1, Published.PUBLISHED, 100.6)
    await journal.event("START", "")
    with closing(sqlite3.connect(path)) as other:
        for statement in (
            "UPDATE part SET verdict = 'PASS', reason = 'OK'",
            "DELETE FROM part",
            "UPDATE camera SET score = 0.0",
            "DELETE FROM camera",
            "UPDATE publication SET published = 'FAILED'",
            "DELETE FROM publication",
            "UPDATE event SET kind = 'STOP'",
            "DELETE FROM event",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="written once"):
                other.execute(statement)


def test_a_camera_row_tells_a_broken_image_from_one_that_was_not_reached() -> None:
    capture = Capture(7, 1, "s", "n.bmp", None, SHA, 1.0, broken=Reason.IMAGE_BROKEN, detail="truncated")
    broken = CameraRow.of(capture, None)
    not_reached = CameraRow.of(replace(capture, broken=None, detail=""), None)
    judged = CameraRow.of(capture, Inspection(Outcome.NG, Reason.NOT_FINITE, math.nan, 1.5, "", SHA))

    assert (broken.outcome, broken.reason, broken.detail) == (None, Reason.IMAGE_BROKEN, "truncated")
    assert (not_reached.outcome, not_reached.reason) == (None, None)
    assert (judged.outcome, judged.score, judged.limit, judged.bundle_id) == (Outcome.NG, None, 1.5, None)


# --- what became of it ------------------------------------------------------------------------------------


async def test_publication_and_events_are_kept_in_their_order(journal: Journal, path: Path) -> None:
    await journal.append(part_row())
    await journal.publication(1, Published.LATE, 101.5, "the remote I/O was slow")
    await journal.event("READY", "")
    await journal.event("FAULT", "output: not confirmed")
    with JournalReader.open(path) as reader:
        publications, events = reader.publications(), reader.events()

    assert publications[1].published is Published.LATE
    assert publications[1].detail == "the remote I/O was slow"
    assert [(event.kind, event.detail) for event in events] == [("READY", ""), ("FAULT", "output: not confirmed")]


async def test_a_publication_needs_its_row_and_comes_once(journal: Journal) -> None:
    with pytest.raises(JournalError):
        await journal.publication(1, Published.PUBLISHED, 1.0)
    await journal.append(part_row())
    await journal.publication(1, Published.PUBLISHED, 1.0)
    with pytest.raises(JournalError):
        await journal.publication(1, Published.FAILED, 2.0)


# --- whose turn it is -------------------------------------------------------------------------------------


def links(path: Path) -> list[tuple[str, int]]:
    """The rows in the order in which they were written, and the chain that holds them."""
    with JournalReader.open(path) as reader:
        assert not reader.audit().problems
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT kind, row_id FROM chain ORDER BY link").fetchall()


@contextmanager
def held_up(journal: Journal) -> Iterator[None]:
    """The journal's thread is busy: what comes meanwhile waits."""
    may_go_on, is_there = threading.Event(), threading.Event()
    journal._thread.submit(lambda: (is_there.set(), may_go_on.wait(10)))
    assert is_there.wait(10)
    yield
    may_go_on.set()


async def counted_commits(journal: Journal) -> list[str]:
    """Every COMMIT from now on."""
    commits: list[str] = []
    connection = journal._writer._connection
    await journal._in_thread(
        lambda: connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    )
    return commits


async def test_a_parts_row_is_written_before_all_that_waits(journal: Journal, path: Path) -> None:
    await journal.append(part_row(1))
    with held_up(journal):
        waiting = [journal.publication(1, Published.PUBLISHED, 1.0), journal.event("READY", ""), journal.head()]
        tasks = [asyncio.create_task(work) for work in waiting]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(journal.append(part_row(2))))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert links(path) == [("part", 1), ("part", 2), ("publication", 1), ("event", 1)]


async def test_what_became_of_a_verdict_is_written_in_one_commit_with_the_row_of_the_part_that_is_open(
    journal: Journal, path: Path
) -> None:
    await journal.append(part_row(1))
    journal.tell_nearness(lambda: True)
    commits = await counted_commits(journal)
    fate = asyncio.create_task(journal.publication(1, Published.PUBLISHED, 1.0))
    await asyncio.sleep(0)
    await journal.append(part_row(2))
    await fate

    assert links(path) == [("part", 1), ("part", 2), ("publication", 1)]
    assert len(commits) == 1


@pytest.mark.parametrize("is_near", [True, False])
async def test_what_became_of_a_verdict_needs_no_other_part(journal: Journal, path: Path, *, is_near: bool) -> None:
    await journal.append(part_row(1))
    journal.tell_nearness(lambda: is_near)
    begun_s = monotonic_s()
    await journal.publication(1, Published.PUBLISHED, 1.0)

    assert links(path) == [("part", 1), ("publication", 1)]
    assert (monotonic_s() - begun_s >= LINGER_S) is is_near


async def test_neither_a_row_nor_what_became_of_another_keeps_the_other_out(journal: Journal, path: Path) -> None:
    await journal.append(part_row(1))
    journal.tell_nearness(lambda: True)
    without_row = asyncio.create_task(journal.publication(99, Published.PUBLISHED, 1.0))
    of_first = asyncio.create_task(journal.publication(1, Published.LATE, 1.0))
    await asyncio.sleep(0)
    await journal.append(part_row(2))
    with pytest.raises(JournalError, match="refused the row"):
        await without_row
    await of_first
    of_second = asyncio.create_task(journal.publication(2, Published.PUBLISHED, 1.0))
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match="refused the row"):
        await journal.append(part_row(2))
    await of_second

    assert links(path) == [("part", 1), ("part", 2), ("publication", 1), ("publication", 2)]


@pytest.mark.parametrize("ends", ["cancelled", "closed"])
async def test_what_became_of_a_verdict_is_written_though_the_agent_ends(path: Path, ends: str) -> None:
    journal = Journal.open(path)
    await journal.append(part_row(1))
    journal.tell_nearness(lambda: True)
    fate = asyncio.create_task(journal.publication(1, Published.PUBLISHED, 1.0))
    await asyncio.sleep(0)
    if ends == "cancelled":
        fate.cancel()
    else:
        await asyncio.to_thread(journal.close)
    await asyncio.gather(fate, return_exceptions=True)
    journal.close()

    assert links(path) == [("part", 1), ("publication", 1)]


async def test_a_row_that_waits_for_its_turn_is_written_though_the_agent_ends(path: Path) -> None:
    journal, may_go_on = Journal.open(path), threading.Event()
    journal._thread.submit(may_go_on.wait)  # what the disk is busy with
    row = asyncio.create_task(journal.append(part_row(1)))
    missed = asyncio.create_task(journal.missed("2 to 2", [part_row(2)], 1.0))
    await asyncio.sleep(0)
    for task in (row, missed):
        task.cancel()
    await asyncio.gather(row, missed, return_exceptions=True)
    may_go_on.set()
    journal.close()

    assert [row.part_seq for row in read_rows(path)] == [1, 2]


async def test_the_log_is_moved_when_no_part_is_open_and_at_last_all_the_same(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[bool] = []
    monkeypatch.setattr(writer, "_CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(writer, "_CHECKPOINT_AT_LAST", 6)
    monkeypatch.setattr(journal._writer._reserve, "hold", lambda: moved.append(True))
    is_near = True
    journal.tell_nearness(lambda: is_near)
    journal._writer._since_checkpoint = 0  # opening it was a commit, too
    for number in range(5):
        await journal.event("READY", str(number))
    assert not moved
    await journal.event("READY", "the sixth")
    await _tidied(journal)
    assert moved == [True]
    is_near = False
    for number in range(2):
        await journal.event("READY", str(number))
        await _tidied(journal)
    assert moved == [True, True]


async def _tidied(journal: Journal) -> None:
    """Return when the journal's thread has tidied up behind its last call. It is no call itself: none would be calm."""
    await asyncio.wrap_future(journal._thread.submit(lambda: None))


async def test_questions_by_range_and_by_reason(journal: Journal, path: Path) -> None:
    for seq in range(1, 6):
        verdict, reason = (Verdict.PASS, Reason.OK) if seq < 4 else (Verdict.REJECT, Reason.SCORE)
        await journal.append(part_row(seq, verdict=verdict, reason=reason))
    with JournalReader.open(path) as reader:
        assert [row.part_seq for row in reader.rows(2, 3)] == [2, 3]
        assert reader.counts() == {(Verdict.PASS, Reason.OK): 3, (Verdict.REJECT, Reason.SCORE): 2}


# --- opening and closing ------------------------------------------------------------------------------------


async def test_numbers_go_on_after_a_restart(path: Path) -> None:
    first = Journal.open(path)
    assert first.next_part_seq == 1
    await first.append(part_row(1))
    await first.append(part_row(41))
    assert first.next_part_seq == 42
    first.close()
    second = Journal.open(path)
    try:
        assert second.next_part_seq == 42
    finally:
        second.close()


def missed_row(part_seq: int, count: int) -> PartRow:
    return part_row(
        part_seq,
        count=count,
        verdict=Verdict.FAULT,
        reason=Reason.NOT_READY,
        detail="AGENT_DOWN: imaged while the agent did not hear it",
        controller_judgement=None,
        cameras=(),
    )


async def test_a_part_that_was_open_when_the_agent_died_ends_how_far_the_count_was_followed(journal: Journal) -> None:
    for seq, count in ((1, 20), (2, 21), (4, 23), (5, 24)):  # number 3 was decided after 5, or would have been
        await journal.append(part_row(seq, count=count))

    assert journal.counted(is_simulated=False) == (21, {23, 24})

    await journal.append(part_row(6, count=22, verdict=Verdict.FAULT, reason=Reason.NOT_READY))
    await journal.append(part_row(7, count=25))

    assert journal.counted(is_simulated=False) == (21, {22, 23, 24, 25}), "and nothing is missing any more"


async def test_an_image_ahead_of_the_parts_that_were_missed_before_it_is_known(journal: Journal) -> None:
    await journal.append(part_row(1, count=20))
    await journal.append(part_row(2, count=22, controller_judgement=None, reason=Reason.STALE, verdict=Verdict.REJECT))
    await journal.missed("counts 21 to 22: 1 without any sign", [missed_row(3, 21)], 1.0)

    assert journal.counted(is_simulated=False) == (21, {22})


async def test_missed_parts_are_written_together_or_not_at_all(journal: Journal, path: Path) -> None:
    await journal.missed("counts 1 to 2: 2 without any sign", [missed_row(1, 1), missed_row(2, 2)], 5.0)
    with pytest.raises(JournalError):
        await journal.missed("counts 3 to 4: 2 without any sign", [missed_row(3, 3), missed_row(2, 4)], 6.0)
    with JournalReader.open(path) as reader:
        rows, publications = list(reader.rows()), reader.publications()
        events = [event.detail for event in reader.events() if event.kind == "AGENT_DOWN"]

    assert [row.count for row in rows] == [1, 2]
    assert {seq: came.published for seq, came in publications.items()} == dict.fromkeys((1, 2), Published.WITHHELD)
    assert events == ["counts 1 to 2: 2 without any sign"]
    assert journal.counted(is_simulated=False) == (2, frozenset())
    assert journal.next_part_seq == 3


async def test_a_part_that_was_never_written_is_forgotten_in_time(journal: Journal) -> None:
    for seq in (1, *range(3, 70)):
        await journal.append(part_row(seq, count=seq))

    assert journal.counted(is_simulated=False) == (69, frozenset())


async def test_the_writer_is_one_thread_named_journal(journal: Journal) -> None:
    await journal.prove_writable()

    assert [t.name for t in threading.enumerate()].count("journal") == 1


async def test_a_closed_journal_refuses_and_closing_twice_is_fine(path: Path) -> None:
    journal = Journal.open(path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.append(part_row())


def test_a_second_agent_is_refused_until_the_first_is_gone(path: Path) -> None:
    first = Journal.open(path)
    with pytest.raises(AlreadyRunning) as refused:
        Journal.open(path)
    first.close()
    Journal.open(path).close()

    assert refused.value.exit_code == 75
    assert refused.value.hint


async def test_a_reader_reads_while_the_agent_writes(journal: Journal, path: Path) -> None:
    with JournalReader.open(path) as reader:
        for seq in range(1, 4):
            await journal.append(part_row(seq))
            assert [row.part_seq for row in reader.rows()] == list(range(1, seq + 1))


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    Journal.open(path).close()

    assert read_rows(path) == []


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a journal " * 400)
    before = path.read_bytes()
    with pytest.raises(DataError, match="damaged") as refused:
        Journal.open(path)
    with pytest.raises(DataError):
        JournalReader.open(path)

    assert refused.value.exit_code == 65
    assert "move it" in refused.value.hint
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(DataError, match="something else"):
        Journal.open(path)
    with pytest.raises(DataError, match="something else"):
        JournalReader.open(path)


def test_a_journal_of_a_newer_agent_is_refused(path: Path) -> None:
    Journal.open(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(DataError, match="newer"):
        Journal.open(path)
    with pytest.raises(DataError, match="newer"):
        JournalReader.open(path)


async def test_a_damaged_journal_is_refused_and_the_lock_is_let_go(path: Path) -> None:
    journal = Journal.open(path)
    for seq in range(1, 200):
        await journal.append(part_row(seq, detail="x" * 200))
    journal.close()
    damage_every_page_but_the_first(path)
    for _ in range(2):
        with pytest.raises(DataError, match="damaged"):
            Journal.open(path)


async def test_a_journal_too_large_to_check_at_start_is_opened_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(path)
    for seq in range(1, 300):
        await journal.append(part_row(seq, detail="x" * 500))
    journal.close()
    monkeypatch.setattr(opening, "_CHECK_AT_MOST_S", 0.0)
    monkeypatch.setattr(opening, "_CHECK_STEPS", 10)
    again = Journal.open(path)
    try:
        assert again.next_part_seq == 300
        await again.append(part_row(300))
    finally:
        again.close()
    with JournalReader.open(path) as reader:
        assert reader.problems() == []


def test_a_folder_in_the_journals_place_is_an_io_error_with_a_hint(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(JournalError) as refused:
        Journal.open(path)

    assert refused.value.exit_code == 74
    assert refused.value.hint


def test_a_missing_journal_cannot_be_read(path: Path) -> None:
    with pytest.raises(DataError, match="no journal"):
        JournalReader.open(path)


async def test_a_journal_that_was_moved_away_takes_no_more_rows(journal: Journal, path: Path) -> None:
    await journal.append(part_row(1))
    rename(path, path.with_name("elsewhere.db"))
    with pytest.raises(JournalError):
        await journal.append(part_row(2))
    rename(path.with_name("elsewhere.db"), path)
    await journal.prove_writable()

    assert [(row.part_seq, row.verdict) for row in read_rows(path)] == [(1, Verdict.PASS), (2, Verdict.FAULT)]


# --- the schema is a promise --------------------------------------------------------------------------------


def test_the_schema_is_pinned(path: Path) -> None:
    """A change here is a new migration at the end, never an edit of one that was released."""
    Journal.open(path).close()
    with closing(sqlite3.connect(path)) as other:
        version = other.execute("PRAGMA user_version").fetchone()[0]
        application = other.execute("PRAGMA application_id").fetchone()[0]
        statements = [
            sql for (sql,) in other.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        ]
        columns = {
            table: [found[1] for found in other.execute(f"PRAGMA table_info({table})")]
            for table in ("part", "camera", "publication", "event", "measurement")
        }

    assert version == SCHEMA_VERSION == 5
    assert application == 0x45414A31
    assert columns["publication"] == ["part_seq", "published", "at_mono_s", "detail"]
    assert columns["measurement"] == ["part_seq", "name", "value"]
    assert columns["event"] == ["event_id", "kind", "detail", "at_mono_s", "at_utc"]
    assert columns["part"][:7] == [
        "part_seq",
        "controller_count",
        "session",
        "program",
        "verdict",
        "reason",
        "detail",
    ]
    assert (
        hashlib.sha256("\n".join(statements).encode()).hexdigest()
        == "1509761b4e990b97bac089edb493061fdbf7e2caa3b7636759fb435a399d9b46"
    )


def test_the_writer_syncs_every_commit(journal: Journal) -> None:
    def pragmas() -> tuple[str, int, int]:
        connection = journal._writer._connection
        return tuple(
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        )

    assert journal._thread.submit(pragmas).result() == ("wal", 2, 1)
