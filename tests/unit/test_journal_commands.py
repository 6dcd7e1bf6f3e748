"""`edge-agent journal`: a question has an answer, an export reads back, an audit says no when it is no."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.commands.main import main
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.store.export import COLUMNS
from edge_agent.store.journal import Journal, JournalReader
from tests.unit.test_store_chain import forge
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


def edge_agent(*args: str, cwd: Path) -> Ran:
    """The command line, in this process: what it loads is loaded once."""
    out, err = StringIO(), StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edge-agent", "journal", *args])
        with pytest.raises(SystemExit) as ended:
            main()
    return Ran(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def answer(*args: str, cwd: Path) -> Any:
    ran = edge_agent(*args, "--journal", "journal.db", "--json", cwd=cwd)
    assert ran.stdout, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of five parts: three PASS, a REJECT with a hostile name, a FAULT without an image."""
    folder = tmp_path_factory.mktemp("journal")
    camera = replace(part_row().cameras[0], image_name="=cmd|' /C calc'!A0", score=2.5)
    rows = [part_row(seq, decided_utc=f"2026-11-{20 + seq}T10:00:00.000+00:00") for seq in (1, 2, 3)]
    rows += [
        part_row(
            4,
            verdict=Verdict.REJECT,
            reason=Reason.SCORE,
            detail="camera 1: \x1b[31m",
            cameras=(camera,),
            score=float("inf"),
            decided_utc="2026-11-24T10:00:00.000+00:00",
        ),
        part_row(
            5,
            verdict=Verdict.FAULT,
            reason=Reason.PROGRAM,
            cameras=(),
            score=None,
            limit=None,
            program=9,
            decided_utc="2026-11-25T10:00:00.000+00:00",
        ),
    ]

    async def write(journal: Journal) -> None:
        for row in rows:
            await journal.append(row)
        await journal.publication(1, Published.PUBLISHED, 1.0)

    journal = Journal.open(folder / "journal.db")
    try:
        asyncio.run(write(journal))
    finally:
        journal.close()
    return folder


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [5, 4, 3, 2, 1]),
        (["--most", "2"], [5, 4]),
        (["--verdict", "PASS"], [3, 2, 1]),
        (["--reason", "score"], [4]),
        (["--program", "9"], [5]),
        (["--since", "2026-11-23T00:00Z", "--until", "2026-11-24T12:00+02:00"], [3]),
        (["--since", "2027-01-01"], []),
        (["--from", "2026-11-23T00:00Z", "--to", "2026-11-24T12:00+02:00"], [3]),
        (["--on", "2026-11-23"], [3]),
        (["--in", "2026-11"], [5, 4, 3, 2, 1]),
        (["--on", "24.11.2026", "--count", "7"], [4]),
        (["--part", "4"], [4]),
        (["--part", "4", "--verdict", "PASS"], []),
        (["--count", "7"], [5, 4, 3, 2, 1]),
        (["--count", "8"], []),
        (["--image", "part_000000000003_CAM1_PASS_aaaaaaaa.bmp"], [3]),
        (["--image", "/archive/2026-11-23/part_000000000003_CAM1_PASS_aaaaaaaa.bmp"], [3]),
        (["--image", "part_000000000003_CAM1_BYPASS_aaaaaaaa.bmp"], [3]),
        (["--image", "part_000000000003_CAM12_FAULT_aaaaaaaa.bmp"], [3]),
        (["--image", "*calc*"], [4]),
        (["--image", "no such"], []),
    ],
)
def test_a_question_finds_its_parts_the_newest_first(folder: Path, filters: list[str], expected: list[int]) -> None:
    found = answer("query", *filters, cwd=folder)

    assert found["schema_version"] == 1
    assert [record["part_seq"] for record in found["records"]] == expected


def test_a_question_without_an_answer_ends_with_1_and_shows_no_control_bytes(folder: Path) -> None:
    none = edge_agent("query", "--journal", "journal.db", "--program", "77", cwd=folder)
    shown = edge_agent("query", "--journal", "journal.db", cwd=folder)

    assert (none.returncode, shown.returncode) == (1, 0)
    assert "\x1b" not in shown.stdout
    assert "PUBLISHED" in shown.stdout.splitlines()[-2]
    assert shown.stdout.splitlines()[-1] == "5 parts: 3 PASS, 1 REJECT (SCORE 1), 1 FAULT (PROGRAM 1)"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["query", "--journal", "journal.db", "--since", "soon"], 64),
        (["query", "--journal", "journal.db", "--verdict", "MAYBE"], 64),
        (["query", "--journal", "absent.db"], 65),
        (["query", "--config", "absent.toml"], 78),
        (["export", "out.ods", "--journal", "journal.db"], 64),
        (["export", "journal.db", "--journal", "journal.db", "--format", "csv"], 64),
        (["verify", "--journal", "journal.db", "--head", "4711"], 64),
        (["rotate", "--journal", "absent.db"], 65),
    ],
)
def test_a_wrong_call_is_refused_with_its_exit_code(folder: Path, arguments: list[str], exit_code: int) -> None:
    before = (folder / "journal.db").read_bytes()
    ran = edge_agent(*arguments, cwd=folder)

    assert ran.returncode == exit_code, ran.stderr
    assert (folder / "journal.db").read_bytes() == before


def test_csv_and_json_lines_tell_the_same(folder: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        assert answer("export", str(tmp_path / f"out.{suffix}"), cwd=folder)["records"] == 5
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert tuple(table[0]) == tuple(lines[0]) == COLUMNS
    assert [row["part_seq"] for row in table] == [str(line["part_seq"]) for line in lines] == list("12345")
    assert float(table[0]["score"]) == lines[0]["score"] == 0.1
    assert (lines[0]["align_scale"], json.loads(lines[0]["shares"])) == (1.01, {"map": 0.1, "fine": -0.0})
    assert (table[3]["score"], lines[3]["score"], lines[3]["camera_score"]) == ("inf", "inf", 2.5)
    assert table[3]["image_name"].startswith("'="), "a spreadsheet must not take a name for a formula"
    assert (table[4]["camera"], lines[4]["camera"]) == ("", None)
    assert [line["published"] for line in lines] == ["PUBLISHED", None, None, None, None]


def test_what_people_said_named_and_drew_is_exported(folder: Path, tmp_path: Path) -> None:
    shapes = [{"kind": "outline", "points": [[0, 0], [9, 0], [9, 9]]}]
    drawn = {"camera": 1, "width": 20, "height": 10, "shapes": shapes}
    reviews = [
        {"part_seq": 1, "says": "ESCAPE", "by": "Lin", "note": "", "defect": "=burr", "drawings": [drawn]},
        {"part_seq": 1, "says": "ESCAPE", "by": "Ada", "note": "", "defect": "dent"},
        {"part_seq": 2, "says": "ESCAPE", "by": "Lin", "note": ""},
        {"part_seq": 2, "says": "PASS_CONFIRMED", "by": "Ada", "note": ""},
    ]

    async def write(journal: Journal) -> None:
        for review in reviews:
            await journal.event("REVIEW", json.dumps(review))

    shutil.copy(folder / "journal.db", tmp_path / "journal.db")  # others read the same one
    journal = Journal.open(tmp_path / "journal.db")
    try:
        asyncio.run(write(journal))
    finally:
        journal.close()
    for suffix in ("csv", "jsonl"):
        answer("export", str(tmp_path / f"out.{suffix}"), cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))

    assert [line["review"] for line in lines] == ["ESCAPE", "DISPUTED", None, None, None]
    assert (lines[0]["defect"], json.loads(lines[0]["drawings"])) == ("=burr; dent", [{"by": "Lin", **drawn}])
    assert table[0]["defect"] == "'=burr; dent", "a spreadsheet must not take a name for a formula"
    assert lines[1]["drawings"] is None


def test_parquet_reads_back(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "out.parquet"
    assert edge_agent("export", str(out), "--journal", "journal.db", cwd=folder).returncode == 0
    assert pq.read_table(out).column_names == list(COLUMNS)


def test_parquet_without_its_package_says_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "out.parquet"

    ran = edge_agent("export", str(out), "--journal", "journal.db", cwd=folder)

    assert ran.returncode == 69
    assert "edge-agent[parquet]" in ran.stderr
    assert not out.exists()


def test_an_audit_of_an_untouched_journal_says_yes_also_against_its_own_head(folder: Path) -> None:
    found = answer("verify", cwd=folder)

    assert (found["ok"], found["problems"]) == (True, [])
    assert answer("verify", "--head", found["head"], cwd=folder)["ok"]


def test_an_audit_of_an_altered_journal_ends_with_1_and_names_the_row(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes((folder / "journal.db").read_bytes())
    forge(tmp_path / "journal.db", "UPDATE part SET verdict = 'PASS', reason = 'OK' WHERE part_seq = 4")
    ran = edge_agent("verify", "--journal", "journal.db", cwd=tmp_path)

    assert ran.returncode == 1
    assert "part 4 is not the row that was sealed" in ran.stdout


def test_a_rotated_journal_is_begun_anew(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes((folder / "journal.db").read_bytes())
    closed = answer("rotate", cwd=tmp_path)["closed"]
    with JournalReader.open(tmp_path / "journal.db") as reader:
        assert list(reader.rows()) == []
    with JournalReader.open(tmp_path / closed) as reader:
        assert len(list(reader.rows())) == 5


def test_a_journal_with_a_disputed_part_is_not_closed_unasked(folder: Path, tmp_path: Path) -> None:
    """The page decides over no part of a closed journal: a known defect would stay a doubtful one for ever."""
    (tmp_path / "journal.db").write_bytes((folder / "journal.db").read_bytes())

    async def say(*words: tuple[str, str]) -> None:
        journal = Journal.open(tmp_path / "journal.db")
        try:
            for by, says in words:
                review = {"part_seq": 2, "says": says, "by": by, "note": ""}
                await journal.event("REVIEW", json.dumps(review))
        finally:
            journal.close()

    asyncio.run(say(("Ada", "CONFIRMED"), ("Lin", "OVERTURNED")))
    refused = edge_agent("rotate", "--journal", "journal.db", cwd=tmp_path)
    assert refused.returncode == 65
    assert "people differ over 1 parts of this journal, which nobody could decide any more: 2" in refused.stderr
    assert not list(tmp_path.glob("journal-*")), "nothing was closed"

    closed = answer("rotate", "--although-disputed", cwd=tmp_path)["closed"]
    asyncio.run(say(("Ada", "CONFIRMED")))
    assert (tmp_path / closed).is_file()


@pytest.mark.parametrize("command", ["query", "verify"])
def test_a_question_before_the_first_part_says_that_there_is_no_journal_yet(tmp_path: Path, command: str) -> None:
    """An agent makes the file first and its tables then."""
    missing = edge_agent(command, "--journal", "journal.db", cwd=tmp_path)
    (tmp_path / "journal.db").touch()
    begun = edge_agent(command, "--journal", "journal.db", cwd=tmp_path)

    assert (missing.returncode, begun.returncode) == (65, 65)
    assert "error: there is no journal journal.db yet" in missing.stderr
    assert "error: the journal journal.db is only being begun" in begun.stderr
    assert "hint: ask again when the line is READY" in begun.stderr
    assert "schema" not in begun.stderr


@pytest.mark.usefixtures("berlin")
def test_an_answer_is_in_local_time_with_totals_of_all_that_fit(folder: Path) -> None:
    ran = edge_agent(
        "query", "--journal", "journal.db", "--from", "2026-11-22", "--to", "2026-11-25", "--most", "2", cwd=folder
    )

    *parts, totals, shown = ran.stdout.splitlines()
    assert [line.split()[0] for line in parts] == ["4", "3"]
    assert "2026-11-24 11:00:00.000+01:00" in parts[0]
    assert totals == (
        "3 parts from 2026-11-22 00:00:00.000+01:00 to 2026-11-25 00:00:00.000+01:00: 2 PASS, 1 REJECT (SCORE 1)"
    )
    assert shown == "shown: the newest 2 of them; --most 3 shows all"


def test_the_totals_are_in_the_json_too(folder: Path) -> None:
    found = answer("query", "--most", "1", cwd=folder)

    assert found["totals"] == {"PASS": 3, "REJECT": 1, "FAULT": 1}


def test_what_people_said_of_the_parts_that_fit_is_counted(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "journal.db", tmp_path / "journal.db")

    async def write(journal: Journal) -> None:
        for seq, says in ((1, "ESCAPE"), (2, "PASS_CONFIRMED"), (2, "ESCAPE"), (4, "CONFIRMED"), (99, "ESCAPE")):
            await journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": "Ada", "note": ""}))

    journal = Journal.open(tmp_path / "journal.db")
    try:
        asyncio.run(write(journal))
    finally:
        journal.close()

    assert answer("query", cwd=tmp_path)["reviewed"] == {"CONFIRMED": 1, "ESCAPE": 2}
    assert answer("query", "--verdict", "REJECT", cwd=tmp_path)["reviewed"] == {"CONFIRMED": 1}
    words = edge_agent("query", "--journal", "journal.db", cwd=tmp_path).stdout.splitlines()[-1]
    assert words == "reviewed: 1 rightly rejected, 2 defective and passed (escapes)"
    assert edge_agent("verify", "--journal", "journal.db", cwd=tmp_path).returncode == 0


@pytest.mark.usefixtures("berlin")
def test_a_table_for_excel_is_flat_local_and_has_decimal_commas(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.csv"
    assert answer("export", str(out), "--for", "excel", cwd=folder)["records"] == 5
    printed = edge_agent("query", "--journal", "journal.db", "--for", "excel", "--part", "4", cwd=folder)

    assert out.read_bytes().startswith(b"\xef\xbb\xbfpart_seq;decided_local;decided_utc;verdict;")
    with out.open(newline="", encoding="utf-8-sig") as file:
        table = list(csv.DictReader(file, delimiter=";"))
    assert [row["decided_local"] for row in table[3:]] == ["2026-11-24 11:00:00", "2026-11-25 11:00:00"]
    assert (table[0]["score"], table[0]["shares.map"], table[0]["align_scale"]) == ("0,1", "0,1", "1,01")
    assert (table[3]["score"], table[3]["camera_score"], table[4]["score"]) == ("inf", "2,5", "")
    assert table[0]["simulated"] in ("0", "1")
    assert table[3]["image_name"].startswith("'="), "a spreadsheet must not take a name for a formula"
    assert not {"shares", "timings_ms", "measured", "condition"} & table[0].keys()
    assert not any("{" in str(value) for row in table for value in row.values())
    assert printed.stdout.startswith("\ufeffpart_seq;decided_local;")
    assert len(printed.stdout.splitlines()) == 2
    assert "1 part: 1 REJECT (SCORE 1)" in printed.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["export", "parts.jsonl", "--for", "excel"], "name it .xlsx or .csv"),
        (["export", "parts.csv", "--for", "excel", "--format", "jsonl"], "name it .xlsx or .csv"),
        (["export", "parts.xls"], "for Excel: a name with .xlsx"),
        (["query", "--for", "excel", "--json"], "say one of them"),
        (["query", "--from", "today", "--to", "yesterday"], "--on yesterday is all of yesterday"),
        (["query", "--from", "yesterday", "--to", "yesterday"], "--on yesterday is all of yesterday"),
        (["query", "--on", "yesterday", "--to", "now"], "say it alone"),
        (["query", "--on", "22:00"], "for instance yesterday, tuesday"),
        (["query", "--from", "11/24/2026"], "24.11.2026 06:00"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(folder: Path, tmp_path: Path, arguments: list[str], hint: str) -> None:
    ran = edge_agent(*arguments, "--journal", str(folder / "journal.db"), cwd=tmp_path)

    assert ran.returncode == 64
    assert hint in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_excel_would_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("edge_agent.store.excel.EXCEL_ROWS", 4)
    ran = edge_agent("export", "parts.csv", "--for", "excel", "--journal", str(folder / "journal.db"), cwd=tmp_path)

    assert (ran.returncode, list(tmp_path.iterdir())) == (64, [])
    assert "more than 4 records" in ran.stderr
