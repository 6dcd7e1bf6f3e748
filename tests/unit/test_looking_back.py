"""Finding parts again: each filter, pages both ways, totals, neighbours, what a text means, what to look at."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from edge_agent.domain import Judgement, Outcome, Reason, Verdict
from edge_agent.report.shift import write_shift_report
from edge_agent.store import limits, search
from edge_agent.store.archived import archived_image
from edge_agent.store.journal import Journal
from edge_agent.store.limits import BINS, LimitSearch
from edge_agent.store.reviewed import ReviewBook
from edge_agent.store.search import JournalSearch, PartQuery
from edge_agent.tools.shift import shift_facts
from edge_agent.web.finding import find_text
from edge_agent.web.whatif import limit_moved
from tests.security.web_site import part_row, reject_row, web_settings, written

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow


def two_cameras(seq: int, decided_by: int, *, is_reject: bool) -> PartRow:
    """A part of two cameras, decided by one of them."""
    row = reject_row(seq, 2.0) if is_reject else part_row(seq, score=0.9)
    cameras = []
    for number in (1, 2):
        reason, outcome = (Reason.SCORE, Outcome.NG) if is_reject and number == decided_by else (Reason.OK, Outcome.OK)
        score = row.score if number == decided_by else 0.1
        named = {
            "camera": number,
            "reason": reason,
            "outcome": outcome,
            "score": score,
            "image_name": f"CAM{number}_{seq:04d}.bmp",
        }
        cameras.append(replace(row.cameras[0], **named))
    return replace(row, cameras=tuple(cameras))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    rows = [
        two_cameras(1, 1, is_reject=False),
        two_cameras(2, 2, is_reject=True),
        two_cameras(3, 1, is_reject=True),
        part_row(4, reason=Reason.BYPASS, score=3.0, count=1),
        reject_row(5, reason=Reason.LATE, score=None, limit=None, cameras=()),
        part_row(6, verdict=Verdict.FAULT, reason=Reason.NOT_READY, score=None, limit=None, cameras=(), count=None),
        part_row(7, score=1.4),
    ]
    await written(tmp_path / "journal.sqlite3", rows)
    return tmp_path / "journal.sqlite3"


def seqs(path: Path, query: PartQuery) -> list[int]:
    """The parts of the first page."""
    with JournalSearch.open(path) as journal:
        return [row.part_seq for row in journal.find(query).parts]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (PartQuery(reasons=(Reason.LATE, Reason.BYPASS)), [5, 4]),
        (PartQuery(camera=1), [3, 1]),
        (PartQuery(camera=2), [2]),
        (PartQuery(is_bypassed=True), [4]),
        (PartQuery(is_bypassed=False, verdict=Verdict.PASS), [7, 1]),
        (PartQuery(count=1), [4, 1]),
        (PartQuery(image="CAM2_0003.bmp"), [3]),
        (PartQuery(image="CAM2_*"), [3, 2, 1]),
        (PartQuery(image="folder\\cam/CAM1_0002.bmp"), [2]),
        (PartQuery(image="CAM?_0002.bmp"), []),
        (PartQuery(image="[C]AM2_0003.bmp"), []),
        (PartQuery(among={2, 5, 99}), [5, 2]),
        (PartQuery(among=()), []),
        (PartQuery(without={7, 6}, most=2), [5, 4]),
    ],
)
def test_each_filter_finds_what_it_says_and_the_totals_agree(path: Path, query: PartQuery, expected: list[int]) -> None:
    assert seqs(path, query) == expected
    with JournalSearch.open(path) as journal:
        assert sum(journal.totals(query).counts.values()) == len(expected) or query.most == 2
        assert [row.part_seq for row in journal.fitting(query)][::-1][: query.most] == expected


def test_pages_lead_back_to_where_they_came_from(path: Path) -> None:
    with JournalSearch.open(path) as journal:
        first = journal.find(PartQuery(most=3))
        second = journal.find(PartQuery(most=3, before_seq=first.before_seq))
        third = journal.find(PartQuery(most=3, before_seq=second.before_seq))
        back = journal.find(PartQuery(most=3, after_seq=third.after_seq))
        newest = journal.find(PartQuery(most=3, after_seq=back.after_seq))
        above = journal.find(PartQuery(after_seq=2**63 - 1))

    numbers = [[row.part_seq for row in page.parts] for page in (first, second, third, back, newest)]
    assert numbers == [[7, 6, 5], [4, 3, 2], [1], [4, 3, 2], [7, 6, 5]]
    assert (first.after_seq, third.before_seq, newest.after_seq, above.parts) == (None, None, None, ())


def test_totals_say_when_older_parts_were_not_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with JournalSearch.open(path) as journal:
        whole = journal.totals(PartQuery(before_seq=3))
        monkeypatch.setattr(search, "_TALLIED_AT_MOST", 3)
        some = journal.totals(PartQuery())

    assert (sum(whole.counts.values()), whole.is_whole) == (7, True)
    assert (some.counts, some.first_seq, some.is_whole) == (
        {(Verdict.REJECT, Reason.LATE): 1, (Verdict.FAULT, Reason.NOT_READY): 1, (Verdict.PASS, Reason.OK): 1},
        5,
        False,
    )


def test_the_neighbours_of_a_part_and_its_next_rejects(path: Path) -> None:
    with JournalSearch.open(path) as journal:
        found = [journal.beside(seq) for seq in (1, 3, 7, 99)]

    assert [(b.previous, b.following, b.previous_reject, b.following_reject) for b in found] == [
        (None, 2, None, 2),
        (2, 4, 2, 5),
        (6, None, 5, None),
        (7, None, 5, None),
    ]


BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 12, tzinfo=BERLIN)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", [("part", [1]), ("count", [4, 1])]),
        ("8", [("part", []), ("count", [])]),
        ("CAM2_0003.bmp", [("image", [3])]),
        ("CAM2*", [("image", [3, 2, 1])]),
        ("M2_0003", [("likely_image", [3])]),
        ("nothing", [("likely_image", [])]),
        ("part_000000000002_CAM1_REJECT_0123abcd.bmp", [("part", [2])]),
        ("yesterday 11:00", [("time", [1, 2, 3, 4, 5, 6, 7])]),
        ("2026-11-23 11:00:06", [("time", [6, 7])]),
        ("11:30", [("time", [])]),
        ("20261123", [("part", []), ("count", []), ("time", [1, 2, 3, 4, 5, 6, 7])]),
        ("   ", []),
    ],
)
def test_a_text_means_a_part_a_count_an_image_or_a_time(
    path: Path, text: str, expected: list[tuple[str, list[int]]]
) -> None:
    with JournalSearch.open(path) as journal:
        groups = find_text(journal, text, NOW)

    assert [(group.kind, [row.part_seq for row in group.parts]) for group in groups] == expected


@pytest.mark.usefixtures("berlin")
def test_a_time_is_told_as_it_was_understood(path: Path) -> None:
    with JournalSearch.open(path) as journal:
        (group,) = find_text(journal, "2026-11-23 11:00", NOW)

    assert group.said == "2026-11-23 11:00:00.000+01:00"
    assert group.filter == "since=2026-11-23T10%3A00%3A00.000%2B00%3A00"


async def test_what_a_person_should_look_at_comes_the_least_certain_first(tmp_path: Path) -> None:
    band = reject_row(6, 1.2)
    band = replace(band, cameras=(replace(band.cameras[0], outcome=Outcome.REVIEW),))
    rows = [
        part_row(1, score=0.5),
        part_row(2, score=1.45),
        reject_row(3, 1.51),
        reject_row(4, 9.0),
        reject_row(5, 9.0, reason=Reason.LATE),
        band,
        part_row(7, reason=Reason.BYPASS, score=1.5),
        part_row(8, verdict=Verdict.FAULT, reason=Reason.STALE),
        reject_row(9, 1.5),
        part_row(10, score=1.3),
    ]
    await written(tmp_path / "journal.sqlite3", rows)
    with LimitSearch.open(tmp_path / "journal.sqlite3") as journal:
        number, found = journal.doubtful({9}, 0.15, 50)
        fewer = journal.doubtful({9}, 0.15, 2)

    assert [part.part_seq for part in found] == [3, 2, 10, 6, 4, 5]
    assert [part.is_in_band for part in found] == [False, False, False, True, False, False]
    assert found[-1].off is None
    assert (number, fewer[0], [part.part_seq for part in fewer[1]]) == (6, 6, [3, 2])


async def test_another_limit_is_told_with_escapes_histogram_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [part_row(n, score=n / 10) for n in range(1, 15)]
    rows += [reject_row(15, 1.6), reject_row(16, 2.0), part_row(17, reason=Reason.BYPASS, score=1.9)]
    rows += [reject_row(18, 99.0, controller_judgement=Judgement.NG)]
    await written(tmp_path / "journal.sqlite3", rows)
    journal_file = Journal.open(tmp_path / "journal.sqlite3")
    for seq, says in (
        (3, "ESCAPE"),
        (12, "ESCAPE"),
        (5, "ESCAPE"),
        (5, "PASS_CONFIRMED"),
        (15, "CONFIRMED"),
        (17, "ESCAPE"),
    ):
        await journal_file.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": "Ada", "note": ""}))
    journal_file.close()
    book = ReviewBook()
    with LimitSearch.open(tmp_path / "journal.sqlite3") as journal:
        higher = limit_moved(journal, book, "bundle", 1.8)
        lower = limit_moved(journal, book, "bundle", 1.0)
        since = limit_moved(journal, book, "bundle", 1.0, "2026-11-23T10:00:12.000+00:00")
        none = limit_moved(journal, book, "gone", 1.0)
        (bundle,) = journal.judged_bundles()
        monkeypatch.setattr(limits, "_TALLIED_AT_MOST", 3)
        few = limit_moved(journal, book, "bundle", 1.0)

    assert (higher["decided_by_score"], higher["passes_to_reject"], higher["newest_to_pass"]) == (16, 0, [15])
    assert (higher["of_them_confirmed"], higher["confirmed_to_pass"], higher["escapes_to_pass"]) == (1, [15], [12, 3])
    assert (lower["passes_to_reject"], lower["newest_to_reject"]) == (5, [14, 13, 12, 11, 10])
    assert (lower["escapes"], lower["escapes_to_pass"], lower["escapes_to_reject"]) == (2, [3], [12])
    assert lower["from_utc"].endswith("10:00:01.000+00:00")
    assert lower["to_utc"].endswith("10:00:16.000+00:00")
    assert (since["decided_by_score"], since["escapes_to_reject"], since["reviewed"]) == (5, [12], 3)
    assert (none["decided_by_score"], none["bars"], none["from_utc"]) == (0, [], "")
    assert (len(lower["bars"]), lower["step"]) == (BINS, 1.5 / (BINS // 2))
    assert (sum(p for p, _ in lower["bars"]), sum(r for _, r in lower["bars"])) == (14, 2)
    assert (bundle.bundle_id, bundle.limit, bundle.parts, bundle.newest_seq) == ("bundle", 1.5, 18, 18)
    assert few["decided_by_score"] == 1


def test_questions_use_the_keys_and_scan_no_table_but_the_span(path: Path) -> None:
    queries = [
        PartQuery(),
        PartQuery(verdict=Verdict.REJECT),
        PartQuery(camera=1),
        PartQuery(image="*"),
        PartQuery(without={1}),
    ]
    with JournalSearch.open(path) as journal:
        for query in queries:
            words, values = query.conditions()
            asked = f"SELECT * FROM part WHERE part_seq BETWEEN 1 AND 9{words} ORDER BY part_seq DESC LIMIT 5"  # noqa: S608
            plan = [row[3] for row in journal._all(f"EXPLAIN QUERY PLAN {asked}", *values)]

            assert any("SEARCH part USING INTEGER PRIMARY KEY" in step for step in plan), plan
            assert not any(
                "SCAN part" in step or "SCAN camera" in step or "SCAN one" in step or "TEMP B-TREE" in step
                for step in plan
            ), plan


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".odd"])
def test_an_image_is_found_by_its_name_or_by_looking(tmp_path: Path, suffix: str) -> None:
    row = part_row(7)
    camera = row.cameras[0]
    folder = tmp_path / "2026-11-24"
    folder.mkdir()
    file = folder / f"part_000000000007_CAM1_BYPASS_{camera.image_sha256[:8]}{suffix}"
    file.write_bytes(b"x")

    assert archived_image(tmp_path, row, camera) == file


async def test_the_shift_report_counts_escapes(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), part_row(2), reject_row(3), reject_row(4), reject_row(5)])
    journal = Journal.open(settings.store.journal)
    for seq, says, by in (
        (1, "ESCAPE", "Ada"),
        (2, "PASS_CONFIRMED", "Ada"),
        (3, "CONFIRMED", "Ada"),
        (3, "CONFIRMED", "Lin"),  # one part, however many people say so
        (4, "CONFIRMED", "Ada"),
        (4, "OVERTURNED", "Lin"),
        (5, "OVERTURNED", "Lin"),
        (5, "CONFIRMED", "Lin"),
    ):
        await journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": by, "note": ""}))
    journal.close()

    facts = shift_facts(settings, "2026", "9999", 0, lambda *_: None)
    write_shift_report(tmp_path / "shift.html", facts)

    assert (facts.escapes, facts.passes_confirmed, facts.confirmed, facts.overturned) == (1, 1, 2, 0)
    assert facts.disputed == 1
    assert "People differ over 1 part, and nobody has decided." in (tmp_path / "shift.html").read_text()
    assert "1 part passed that a person found defective: an escape." in (tmp_path / "shift.html").read_text()
