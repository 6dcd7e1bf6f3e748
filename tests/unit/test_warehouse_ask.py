"""Questions to a store: right answers out of real journals, and a store that is read and nothing else."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import fsspec
import pytest

from edge_agent.commands.ask import _Ready
from edge_agent.commands.main import main
from edge_agent.domain import Outcome, Published, Reason, Verdict
from edge_agent.errors import DataError, Unavailable, UsageError
from edge_agent.store.journal import Journal
from edge_agent.store.scored import reviews_of
from edge_agent.warehouse.asking import Asked, Bounds, Chosen, Store, asked_freely, asked_ready, open_store, values_for
from edge_agent.warehouse.columns import DATASETS
from edge_agent.warehouse.exporting import Line, export
from edge_agent.warehouse.layout import begin_store
from edge_agent.warehouse.questions import CHANNELS, QUESTIONS
from edge_agent.warehouse.targets import Folder, target_of
from tests.unit.test_store_journal import part_row
from tests.unit.test_warehouse_export import grown, noted, restored, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from pathlib import Path

SMALL = Bounds(memory_mb=300, threads=2)


def parts(journal: Path, *told: dict[str, Any]) -> None:
    """Parts as they are described: ``score`` decides, ``utc`` and ``measured`` are as given."""
    open_ = Journal.open(journal)

    async def write() -> None:
        for number, one in enumerate(told):
            is_bad = one["score"] >= 1.5
            camera = replace(
                part_row().cameras[0],
                score=one["score"],
                outcome=Outcome.NG if is_bad else Outcome.OK,
                reason=Reason.SCORE if is_bad else Reason.OK,
                shares={"map": one["score"]},
            )
            row = part_row(
                one.get("seq", number + 1),
                score=one["score"],
                verdict=Verdict.REJECT if is_bad else Verdict.PASS,
                reason=Reason.SCORE if is_bad else Reason.OK,
                cameras=(camera,),
                measured=one.get("measured", {}),
                decided_utc=one.get("utc", f"2026-11-23T10:00:{number % 60:02d}.000+00:00"),
                simulated=one.get("simulated", False),
            )
            await open_.append(row)
            await open_.publication(row.part_seq, Published.PUBLISHED, 100.6)

    asyncio.run(write())
    open_.close()


def review(journal: Path, part_seq: int, says: str, by: str = "Lin") -> None:
    noted(journal, "REVIEW", json.dumps({"part_seq": part_seq, "says": says, "by": by, "note": "seen"}))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lines: press-1 with reviews and lots, press-2 that saw one of its parts again."""
    folder = tmp_path_factory.mktemp("plant")
    store = folder / "store [1]*"
    store.mkdir()
    first, second = folder / "first.db", folder / "second.db"
    lot_a, lot_b = {"lot": "A"}, {"lot": "B"}
    parts(
        first,
        {"score": 0.1, "measured": lot_a | {"serial": "SN-1"}},
        {"score": 1.6, "measured": lot_a | {"serial": "SN-2"}},
        {"score": 1.45, "measured": lot_a},
        {"score": 9.0, "measured": lot_b},
        {"score": 9.0, "measured": lot_b, "utc": "2026-11-24T23:30:00.000+00:00"},
        {"score": 0.2, "simulated": True},
    )
    review(first, 2, "CONFIRMED", by="Ada")
    review(first, 2, "OVERTURNED", by="Ada")
    review(first, 4, "OVERTURNED")
    review(first, 4, "CONFIRMED")
    review(first, 3, "ESCAPE")
    parts(second, {"score": 0.1, "measured": {"serial": "SN-2"}}, {"score": 0.1, "measured": {"serial": "SN-9"}})
    for name, journal in (("press-1", first), ("press-2", second)):
        export(Line(name, journal, ("06:00", "14:00", "22:00")), target_of(str(store)), begin=True)
    return store


@pytest.fixture(scope="module")
def opened(plant: Path) -> Iterator[Store]:
    with open_store(str(plant), SMALL) as store:
        yield store


def test_words_go_in_the_order_in_which_they_were_said_also_where_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cy decides between Ada and Lin; by then the clock of the line shows an hour less."""
    journal, store, now = tmp_path / "a.db", tmp_path / "store", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    store.mkdir()
    parts(journal, {"score": 9.0})

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # noqa: ARG003 - as the real one
            return now

    monkeypatch.setattr("edge_agent.store.writer.datetime", Clock)
    review(journal, 1, "CONFIRMED", by="Ada")
    review(journal, 1, "OVERTURNED", by="Lin")
    now -= timedelta(hours=1)
    review(journal, 1, "OVERTURNED", by="Cy")
    export(Line("press-1", journal), target_of(str(store)), begin=True)

    with open_store(str(store), SMALL) as opened:
        found = free(opened, "SELECT says, who FROM settled_reviews")

    assert reviews_of(journal).said == {1: "OVERTURNED"}
    assert found == [("OVERTURNED", "Cy")]


def answer(store: Store, name: str, *said: str, **chosen: Any) -> list[dict[str, Any]]:
    found = store.ask(asked_ready(QUESTIONS[name], Chosen(**chosen), said))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def free(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return list(store.ask(asked_freely(sql)).rows())


HOSTILE = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{store}/../first.db')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('{store}/../*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/x''')",
    "COPY (SELECT 1) TO '{store}/x.csv'",
    "COPY parts TO '/tmp/x.csv'",
    "ATTACH '/tmp/x.db'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW parts AS SELECT 1",
    "DROP VIEW parts",
    "SET enable_external_access = true",
    "RESET allowed_directories",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '/tmp/x'",
    "SELECT 1; SELECT 2",
    "SELECT 1) TO '/tmp/x.csv' (FORMAT csv); --",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x'",
    "CALL pragma_version()",
    "SELECT getenv('HOME')",
    "",
    "no sql",
    "SELECT \x00",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_a_free_question_reads_no_other_file_and_writes_nothing(plant: Path, opened: Store, sql: str) -> None:
    before = sorted(plant.parent.rglob("*"))
    with pytest.raises((UsageError, DataError)):
        free(opened, sql.format(store=plant))
    assert sorted(plant.parent.rglob("*")) == before
    assert free(opened, "SELECT count(*) FROM parts") == [(8,)], "and the next question has its answer"


def test_the_answers_file_is_the_only_one_that_is_written_and_must_be_new(plant: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "an'swer.parquet", tmp_path / "other.parquet"
    asked = asked_freely("SELECT line, count(*) AS n FROM parts GROUP BY line -- a remark")
    with open_store(str(plant), SMALL, out) as store:
        assert store.write_parquet(asked, out) == 2
        with pytest.raises(UsageError, match="exists already"):
            store.write_parquet(asked, out)
        with pytest.raises(UsageError, match="disabled"):
            store.write_parquet(asked, other)
        with pytest.raises(UsageError):
            free(store, f"COPY (SELECT 1) TO '{other}'")
    assert sorted(tmp_path.iterdir()) == [out]
    assert duckdb.sql(f"SELECT sum(n) FROM read_parquet('{str(out).replace(chr(39), chr(39) * 2)}')").fetchall() == [  # noqa: S608 - a test
        (8,)
    ]


def test_a_question_that_fails_leaves_no_half_answer(plant: Path, tmp_path: Path) -> None:
    out = tmp_path / "answer.parquet"
    with open_store(str(plant), SMALL, out) as store, pytest.raises((UsageError, DataError)):
        store.write_parquet(asked_freely("SELECT CAST(line AS INTEGER) FROM parts"), out)
    assert not out.exists()


def test_more_than_the_memory_goes_to_the_disk_or_is_refused_with_a_way_out(plant: Path) -> None:
    tight = Bounds(memory_mb=64, threads=1, spill_mb=1)
    with open_store(str(plant), tight) as store, pytest.raises(Unavailable) as refused:
        free(store, "SELECT count(*) FROM (SELECT DISTINCT hash(a.range) FROM range(5000000) a)")
    assert "--memory" in refused.value.hint


def test_false_rejects_are_those_that_a_persons_last_word_calls_good(opened: Store) -> None:
    lots = {(row["line"], row["lot"]): row for row in answer(opened, "false-rejects-by-lot")}

    a, b = lots["press-1", "A"], lots["press-1", "B"]
    assert (a["parts"], a["rejected"], a["reviewed"], a["false_rejects"], a["of_reviewed"]) == (3, 1, 1, 1, 1.0)
    assert (b["parts"], b["rejected"], b["reviewed"], b["false_rejects"]) == (2, 2, 1, 0)
    assert ("press-2", None) not in lots, "no part of it was rejected"


def test_a_yield_is_of_a_line_and_a_shift_without_simulated_parts(opened: Store) -> None:
    found = answer(opened, "yield-by-shift", lines=("press-1",))

    assert [(str(row["shift_day"]), row["parts"], row["passed"], row["rejected"]) for row in found] == [
        ("2026-11-23", 4, 2, 2),
        ("2026-11-24", 1, 0, 1),
    ]
    assert found[0]["yield"] == 0.5


def test_times_leave_what_is_before_and_after_out(opened: Store) -> None:
    span = {"from_utc": "2026-11-23T10:00:01.000+00:00", "to_utc": "2026-11-23T10:00:03.000+00:00"}
    (found,) = answer(opened, "yield-by-shift", lines=("press-1",), **span)
    assert found["parts"] == 2
    assert answer(opened, "yield-by-shift", program=99) == []


def test_near_the_limit_is_what_passed_or_failed_closely(opened: Store) -> None:
    found = {row["line"]: row for row in answer(opened, "near-the-limit")}
    one = found["press-1"]
    assert (one["images"], one["just_passed"], one["just_failed"]) == (5, 1, 1)
    assert (one["highest_passed"], one["lowest_failed"]) == (1.45, 1.6)
    assert answer(opened, "near-the-limit", "share=0.99", lines=("press-1",))[0]["just_passed"] == 0


def test_a_channel_that_moves_leaves_its_limits_and_one_that_stays_does_not(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for name, jump in (("moves", 0.6), ("stays", 0.0)):
        told = [
            {
                "score": 0.5 + 0.01 * (day % 2) + (jump if day == 14 else 0),
                "utc": f"2026-11-{day:02d}T10:00:00.000+00:00",
            }
            for day in range(1, 16)
            for _ in range(3)
        ]
        parts(tmp_path / f"{name}.db", *told)
        export(Line(name, tmp_path / f"{name}.db"), target_of(str(store)), begin=True)

    with open_store(str(store), SMALL) as opened:
        found = answer(opened, "channel-drift", "channel=share_map", "least=3")

    assert [(row["line"], row["day"].day) for row in found if row["is_outside"]] == [("moves", 14)]
    assert len(found) == 30
    assert found[0]["mean"] == pytest.approx(0.51 / 1.5), "of the limit"


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_can_be_asked_for(opened: Store, channel: str) -> None:
    answer(opened, "channel-drift", f"channel={channel}", "least=1")


def test_one_parts_story_is_its_row_its_image_and_what_people_said(opened: Store) -> None:
    story = answer(opened, "part", "part=2", lines=("press-1",))
    assert [row["what"] for row in story] == ["part", "camera 1", "review", "review"]
    assert story[-1]["says"] == "OVERTURNED by Ada seen"
    assert json.loads(story[0]["record"])["lot"] == "A"
    assert [row["part_seq"] for row in answer(opened, "part", "serial=SN-1", lines=("press-1",))] == [1, 1]
    assert answer(opened, "part", lines=("press-1",)) == [], "no part was named"
    with pytest.raises(UsageError, match="about a line"):
        answer(opened, "part", "part=2")


def test_a_part_over_which_people_differ_is_no_false_reject_until_somebody_decides(tmp_path: Path) -> None:
    journal, store = tmp_path / "journal.db", tmp_path / "store"
    store.mkdir()
    grown(journal, range(1, 4))
    parts(journal, {"seq": 4, "score": 9.0, "utc": "2026-11-24T10:00:00.000+00:00"})
    review(journal, 4, "OVERTURNED", "Lin")
    review(journal, 4, "CONFIRMED", "Ada")
    review(journal, 4, "OVERTURNED", " LIN ")  # the same person once more decides nothing
    export(Line("L", journal), target_of(str(store)), begin=True)
    with open_store(str(store), SMALL) as opened:
        disputed = free(opened, "SELECT part_seq, says FROM settled_reviews")
        (lot,) = answer(opened, "false-rejects-by-lot")
    review(journal, 4, "CONFIRMED", "Eva")
    export(Line("L", journal), target_of(str(store)))
    with open_store(str(store), SMALL) as opened:
        decided = free(opened, "SELECT part_seq, says FROM settled_reviews")

    assert disputed == [(4, "DISPUTED")]
    assert (lot["reviewed"], lot["disputed"], lot["false_rejects"]) == (0, 1, 0)
    assert decided == [(4, "CONFIRMED")]


def test_a_part_that_two_lines_saw_is_found_by_its_number(opened: Store) -> None:
    (twice,) = answer(opened, "same-part-on-two-lines")
    assert (twice["serial"], twice["lines"], twice["differ"]) == ("SN-2", 2, True)
    assert sorted(twice["verdicts"]) == ["press-1 REJECT", "press-2 PASS"]


def test_a_clock_that_once_ran_ahead_hides_no_part_of_other_days(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "first.db", tmp_path / "second.db"
    store.mkdir()
    parts(first, {"score": 0.1, "measured": {"serial": "SN-1"}})
    parts(
        second,
        {"score": 1.6, "measured": {"serial": "SN-1"}},
        {"score": 0.1, "utc": "2099-01-01T00:00:00.000+00:00"},
    )
    for name, journal in (("press-1", first), ("press-2", second)):
        export(Line(name, journal), target_of(str(store)), begin=True)
    with open_store(str(store), SMALL) as opened:
        assert [row["serial"] for row in answer(opened, "same-part-on-two-lines")] == ["SN-1"]


def test_after_a_restored_backup_a_review_is_of_the_part_of_its_own_time(tmp_path: Path) -> None:
    journal, store = tmp_path / "journal.db", tmp_path / "store"
    store.mkdir()
    grown(journal, range(1, 4))
    copy = saved(journal, tmp_path / "copy.db")
    parts(journal, {"seq": 4, "score": 9.0, "utc": "2026-11-24T10:00:00.000+00:00"})
    export(Line("L", journal), target_of(str(store)), begin=True)
    restored(journal, copy)
    # Later than the review, which is written now: numbers are given again, and this part is another one.
    parts(journal, {"seq": 4, "score": 9.0, "utc": "2999-01-01T10:00:00.000+00:00"})
    review(journal, 4, "OVERTURNED")
    export(Line("L", journal), target_of(str(store)))

    with open_store(str(store), SMALL) as opened:
        found = free(opened, "SELECT part_seq, day::VARCHAR, says FROM settled_reviews")
    assert found == [(4, "2026-11-24", "OVERTURNED")]


@pytest.mark.parametrize("name", ["007", "2026-01-01", "Linie 1/ä=%", "NULL"])
def test_a_lines_name_is_a_text_whatever_it_looks_like(tmp_path: Path, name: str) -> None:
    journal, store = tmp_path / "journal.db", tmp_path / "store"
    store.mkdir()
    grown(journal, range(1, 4))
    export(Line(name, journal), target_of(str(store)), begin=True)

    with open_store(str(store), SMALL) as opened:
        assert [row["line"] for row in answer(opened, "lines", lines=(name,))] == [name]
        assert answer(opened, "lines", lines=("another",)) == []


def test_a_store_without_any_file_answers_with_nothing(tmp_path: Path) -> None:
    begin_store(Folder(tmp_path))
    with open_store(str(tmp_path), SMALL) as opened:
        for name, dataset in DATASETS.items():
            found = opened.ask(asked_freely(f"SELECT * FROM {name}"))  # noqa: S608 - our own names
            assert set(found.columns) == {column.name for column in dataset.columns} | {"day", "line"}
            assert list(found.rows()) == []
        for name, question in QUESTIONS.items():
            assert answer(opened, name, lines=("L",) if question.needs_line else ()) == []


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store"), open_store(str(tmp_path), SMALL):
        pass
    with pytest.raises(Unavailable, match="no folder"), open_store(str(tmp_path / "away"), SMALL):
        pass


def test_a_damaged_file_is_said(plant: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(plant, copy)
    next(copy.glob("parts/**/*.parquet")).write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match="does not answer"), open_store(str(copy), SMALL) as store:
        free(store, "SELECT sum(score) FROM parts")


class _Replacing:
    """A connection beside which a file is torn for the first so many questions."""

    def __init__(self, connection: Any, file: Path, times: int) -> None:
        self._connection, self._file, self._times, self._whole = connection, file, times, file.read_bytes()

    def execute(self, *args: Any) -> Any:
        self._times -= 1
        self._file.write_bytes(self._whole if self._times < 0 else self._whole[: len(self._whole) // 2])
        return self._connection.execute(*args)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_an_export_replaces_meanwhile_is_read_again_and_one_that_stays_torn_is_said(
    tmp_path: Path, times: int
) -> None:
    journal, store = grown(tmp_path / "journal.db", range(1, 2000)), tmp_path / "store"
    store.mkdir()
    export(Line("L", journal), target_of(str(store)), begin=True)
    (file,) = store.glob("parts/**/*.parquet")
    with open_store(str(store), SMALL) as opened:
        opened._connection = _Replacing(opened._connection, file, times)
        if times < 3:
            assert free(opened, "SELECT sum(part_seq) FROM parts") == [(1999 * 1000,)]
        else:
            with pytest.raises(DataError, match="does not answer"):
                free(opened, "SELECT sum(part_seq) FROM parts")


def test_object_storage_is_asked_as_a_folder_is(plant: Path) -> None:
    fs = fsspec.filesystem("memory")
    for path in plant.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"/asked/{path.relative_to(plant).as_posix()}", path.read_bytes())
    try:
        with open_store("memory://asked", SMALL) as opened:
            assert free(opened, "SELECT count(*) FROM parts") == [(8,)]
            with pytest.raises(UsageError):
                free(opened, "SELECT * FROM read_text('/etc/passwd')")
            with pytest.raises(UsageError):
                free(opened, "SELECT * FROM read_text('memory://elsewhere/x')")
    finally:
        fs.rm("/asked", recursive=True)


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("near-the-limit", "share", "takes share"),
        ("near-the-limit", "shore=1", "takes share"),
        ("near-the-limit", "share=much", "no float"),
        ("lines", "x=1", "takes nothing"),
        ("channel-drift", "channel=score; DROP VIEW parts", "none of"),
        ("part", "part=1.5", "no int"),
    ],
)
def test_a_value_that_no_question_takes_is_refused(name: str, said: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        values_for(QUESTIONS[name], [said])


def test_every_ready_question_can_be_typed_and_each_is_one_select() -> None:
    assert [str(ready) for ready in _Ready] == list(QUESTIONS)
    for question in QUESTIONS.values():
        asked: Asked = asked_ready(question, Chosen(lines=("L",)))
        (statement,) = duckdb.extract_statements(asked.sql)
        assert statement.type == duckdb.StatementType.SELECT


def command(*args: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edge-agent", *args])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_the_command_answers_as_a_table_as_json_as_csv_and_as_parquet(plant: Path, tmp_path: Path) -> None:
    asked = ("ask", str(plant), "yield-by-shift", "--line", "press-1")
    code, out, _ = command(*asked)
    assert (code, out.splitlines()[0].split()[:4]) == (0, ["line", "shift_day", "shift", "parts"])
    code, out, _ = command(*asked, "--json")
    told = json.loads(out)
    assert (told["schema_version"], told["question"], len(told["rows"])) == (1, "yield-by-shift", 2)
    code, out, _ = command(*asked, "--csv")
    assert [row["parts"] for row in csv.DictReader(io.StringIO(out))] == ["4", "1"]
    code, _, err = command(*asked, "--parquet", str(tmp_path / "out.parquet"))
    assert (code, "2 rows" in err) == (0, True)
    code, out, _ = command("ask", str(plant), "--list", "--json")
    assert [one["question"] for one in json.loads(out)["questions"]] == list(QUESTIONS)


def test_the_command_refuses_what_does_not_go_together(plant: Path) -> None:
    for args in (
        (),
        ("lines", "--sql", "SELECT 1"),
        ("lines", "--json", "--csv"),
        ("--sql", "SELECT 1", "--line", "press-1"),
        ("--sql", "SELECT * FROM read_text('/etc/passwd')"),
        ("lines", "--from", "never"),
    ):
        code, _, err = command("ask", str(plant), *args)
        assert (code, "error:" in err) == (64, True), args
    assert command("ask", str(plant), "--sql", "SELECT 1 WHERE false")[0] == 1


def test_an_answer_that_fills_the_memory_is_for_csv_and_parquet(plant: Path) -> None:
    """A table and JSON are held as a whole in this program, beside what --memory bounds."""
    sql = "SELECT range AS n FROM range(200001)"
    for form in ((), ("--json",)):
        code, out, err = command("ask", str(plant), "--sql", sql, *form)
        assert (code, out) == (64, "")
        assert "more than 200000 rows" in err
    code, out, _ = command("ask", str(plant), "--sql", sql, "--csv")
    assert (code, out.count("\n")) == (0, 200002)


def test_numbers_that_json_does_not_have_and_formulas_are_harmless(plant: Path) -> None:
    sql = "SELECT 'inf'::DOUBLE AS a, 'nan'::DOUBLE AS b, '=cmd()' AS c, [1.5, 'nan'::DOUBLE] AS d, {'x': 1} AS e"
    sql += ', 1 AS "=f()"'
    _, out, _ = command("ask", str(plant), "--sql", sql, "--json")
    assert json.loads(out)["rows"] == [["inf", None, "=cmd()", [1.5, None], {"x": 1}, 1]]
    _, out, _ = command("ask", str(plant), "--sql", sql, "--csv")
    assert "'=cmd()" in out
    assert out.splitlines()[0].endswith(",'=f()")


def test_the_export_command_fills_a_store_and_refuses_a_files_options(tmp_path: Path) -> None:
    journal = grown(tmp_path / "journal.db", range(1, 4))
    store = tmp_path / "store"
    store.mkdir()
    asked = ("journal", "export", str(store), "--format", "store", "--journal", str(journal), "--line", "L")

    assert command(*asked)[0] == 65, "nobody has begun it"
    code, out, _ = command(*asked, "--begin", "--json")
    assert (code, json.loads(out)["rows"]) == (0, {"parts": 3, "cameras": 3, "events": 0})
    assert command(*asked, "--verdict", "REJECT")[0] == 64
    assert command("journal", "export", str(tmp_path / "x.csv"), "--journal", str(journal), "--begin")[0] == 64
    assert command("ask", str(store), "lines")[0] == 0


def test_who_asks_needs_no_pyarrow(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert command("ask", str(plant), "lines", "--json")[0] == 0


def test_without_duckdb_it_says_what_to_install(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Unavailable) as refused, open_store(str(plant), SMALL):
        pass
    assert "edge-agent[ask]" in refused.value.hint
