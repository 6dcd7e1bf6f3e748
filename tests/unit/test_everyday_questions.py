"""docs/everyday-questions.md: every command of its table is run, and answers what is asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.moment import moment, period
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.starts import Started, last_values, values_of
from tests.command_line import edge_agent_here
from tests.everyday import answering, questions, with_line
from tests.security.web_site import part_row, reject_row, web_settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

PART = 4711
EXPECTED: dict[str, tuple[int, list[str]]] = {
    "journal query --part 4711": (0, ["4711  count 312", "REJECT SCORE"]),
    "report part 4711": (0, ["part 4711: ", "page: part-4711.html"]),
    'journal query --verdict REJECT --from "yesterday 22:00" --to 06:00': (
        0,
        ["4712  count", "SCORE 1"],
    ),
    'journal query --reason BYPASS --from "yesterday 22:00" --to 06:00': (0, ["4713  count", "BYPASS by A. Rossi"]),
    'journal query --on "last tuesday" --count 312': (0, ["4711  count 312", "1 part from"]),
    "journal query --image CAM1_312.bmp": (0, ["4711  count 312"]),
    "journal query --verdict REJECT --most 10": (0, ["4712  count", "4711  count"]),
    "journal query --verdict FAULT --on today": (0, ["4714  count", "PROGRAM 1"]),
    "journal query --on yesterday --most 1": (0, ["parts from", "1 PASS, ", "REJECT ("]),
    "journal query --from 06:00 --most 1": (0, ["4716  count", "LATE 1"]),
    'journal query --reason LATE --in "this week"': (0, ["4715  count", "LATE 1"]),
    "journal query --program 3 --on yesterday --most 5": (0, ["4713  count", "parts from"]),
    "journal changes --from yesterday": (0, ["agent started with other settings", "bundle chosen", "part reviewed"]),
    "journal changes --kind START": (0, ["line.deadline_ms: 700 -> 650", "the first start of this journal"]),
    "journal changes --kind BUNDLE_CHOSEN": (0, ["by Grace", "new lot", "zipper-b"]),
    'journal changes --kind BYPASS --in "this month"': (0, ["by A. Rossi", "lamp replaced"]),
    "journal changes --kind REVIEW": (0, ["by Lin", "part 4711: was a good part", "only dust"]),
    "journal changes --kind CHALLENGE --most 1": (0, ["PASSED: 3 of 3 reject samples rejected"]),
    "challenge history": (0, ["no schedule asks for samples", "no sample is registered"]),
    "journal changes --kind MSA --most 1": (0, ["ACCEPTED: effectiveness 96.0%", "50 parts in 3 runs"]),
    "status": (1, ["the line is READY", "DEGRADED, challenge: the challenge is overdue", "days of rejects"]),
    "journal verify": (0, ["nothing was altered or removed"]),
    "journal export november.xlsx --in november": (0, ["november.xlsx: ", " records"]),
    "journal export yesterday.csv --on yesterday --for excel": (0, ["yesterday.csv: ", " records"]),
    'report shift --from "yesterday 22:00" --to 06:00': (0, [" parts: ", " REJECT, 1 FAULT", "report: shift.html"]),
    "version": (0, ["edge-agent "]),
}
"""The exit code and the words of each answer, whatever the day and the hour is."""


def at(text: str) -> str:
    return moment(text, datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def start(settings: Settings) -> str:
    with JournalReader.open(settings.store.journal) as reader:
        last, was_started = last_values(reader)
    values = values_of(settings, {"edge-agent": "0.1.0"}, {})
    return Started("ada", False, settings.source, values, last, is_first=not was_started).detail("the agent is up")


def changed_start(config: Path) -> str:
    config.write_text(config.read_text().replace("deadline_ms = 700", "deadline_ms = 650"))
    return start(load_settings(config))


async def written(settings: Settings, config: Path) -> None:
    tuesday, _ = period("last tuesday", datetime.now(UTC))
    image = part_row(PART).cameras[0]
    rows = [
        reject_row(
            PART,
            count=312,
            decided_utc=(tuesday + timedelta(hours=10)).astimezone(UTC).isoformat(timespec="milliseconds"),
            cameras=(type(image)(**{**{n: getattr(image, n) for n in image.__slots__}, "image_name": "CAM1_312.bmp"}),),
        ),
        reject_row(4712, decided_utc=at("yesterday 23:00")),
        part_row(4713, decided_utc=at("yesterday 23:30"), reason=Reason.BYPASS, detail="BYPASS by A. Rossi"),
        part_row(4714, decided_utc=at("today"), verdict=Verdict.FAULT, reason=Reason.PROGRAM, cameras=(), program=9),
        reject_row(4715, decided_utc=at("now"), reason=Reason.LATE, program=1),
        part_row(4716, decided_utc=at("now"), program=1),
    ]
    chosen = {"what": "activate", "program": 3, "camera": 1, "folder": "zipper-b", "bundle_id": "b" * 64}
    journal = Journal.open(settings.store.journal)
    try:
        for row in rows:
            await journal.append(row)
            await journal.publication(row.part_seq, Published.PUBLISHED, row.decided_mono_s + 0.01)
        await journal.event("START", start(settings))
        await journal.event("START", await asyncio.to_thread(changed_start, config))
        await journal.event("BUNDLE_CHOSEN", json.dumps({**chosen, "by": "Grace", "why": "new lot"}))
        await journal.event("BYPASS", "begins, by A. Rossi, for 900 s: lamp replaced")
        review = {"part_seq": PART, "says": "OVERTURNED", "by": "Lin", "note": "only dust"}
        await journal.event("REVIEW", json.dumps(review))
        record = {"ok": True, "rejected": 3, "of": 3, "golden_passed": 0, "golden": 0, "through": "line", "by": "Max"}
        await journal.event("CHALLENGE", json.dumps(record))
        rates = {"effectiveness": [48, 50], "misses": [0, 60], "false_alarms": [3, 90]}
        ended = {"what": "ended", "verdict": "accepted", "parts": 50, "runs": 3, "rates": rates, "by": "Ada"}
        await journal.event("MSA", json.dumps({**ended, "through": "line"}))
    finally:
        journal.close()


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A line.toml and a journal of six parts, of last Tuesday, last night and now."""
    settings = web_settings(tmp_path, token=False)
    asyncio.run(written(settings, tmp_path / "line.toml"))
    return tmp_path


def test_the_table_has_the_questions_that_are_answered_here() -> None:
    commands = [question.command.removeprefix("edge-agent ") for question in questions()]

    assert sorted(commands) == sorted(EXPECTED)
    assert len(commands) >= 15
    assert all(question.seconds.strip() for question in questions())


@pytest.mark.slow
def test_every_command_answers_its_question(line: Path) -> None:
    with chdir(line), answering(line / "journal.sqlite3"):
        for question in questions():
            code, words = EXPECTED[question.command.removeprefix("edge-agent ")]
            ran = edge_agent_here(*with_line(question, PART))

            assert ran.code == code, (question, ran)
            assert not [word for word in words if word not in ran.out], (question, ran)


def test_without_an_agent_the_status_says_so(line: Path) -> None:
    ran = edge_agent_here("status", "--config", str(line / "line.toml"))

    assert ran.code == 69
    assert "no agent runs" in ran.err
