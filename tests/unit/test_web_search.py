"""Questions to the journal: by time, verdict, program and score, page by page; what another limit would have done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Judgement, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.store import search
from edge_agent.store.journal import Journal
from edge_agent.store.limits import LimitSearch
from edge_agent.store.search import JournalSearch, PartQuery
from tests.security.web_site import part_row, reject_row, written

if TYPE_CHECKING:
    from pathlib import Path


def seqs(path: Path, query: PartQuery) -> list[int]:
    """All that fit, asked for page by page."""
    found: list[int] = []
    with JournalSearch.open(path) as journal:
        while True:
            page = journal.find(query)
            found += [row.part_seq for row in page.parts]
            if page.before_seq is None:
                return found
            query = PartQuery(
                **{name: getattr(query, name) for name in query.__slots__} | {"before_seq": page.before_seq}
            )


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    rows = [reject_row(n, float(n)) if n % 3 == 0 else part_row(n, program=n % 2) for n in range(1, 13)]
    await written(tmp_path / "journal.sqlite3", rows)
    return tmp_path / "journal.sqlite3"


def test_without_a_filter_all_come_the_newest_first_in_pages(path: Path) -> None:
    assert seqs(path, PartQuery(most=5)) == list(range(12, 0, -1))
    assert seqs(path, PartQuery(most=12)) == list(range(12, 0, -1))


def test_each_filter_leaves_out_what_it_says(path: Path) -> None:
    assert seqs(path, PartQuery(verdict=Verdict.REJECT)) == [12, 9, 6, 3]
    assert seqs(path, PartQuery(verdict=Verdict.FAULT)) == []
    assert seqs(path, PartQuery(program=0, most=1)) == [10, 8, 4, 2]
    assert seqs(path, PartQuery(score_min=6.0, score_max=9.0)) == [9, 6]
    assert seqs(
        path, PartQuery(since_utc="2026-11-23T10:00:04.000+00:00", until_utc="2026-11-23T10:00:07.000+00:00")
    ) == [
        6,
        5,
        4,
    ]
    assert seqs(path, PartQuery(since_utc="2027")) == []
    assert seqs(path, PartQuery(until_utc="2026")) == []


async def test_an_empty_journal_has_no_parts(tmp_path: Path) -> None:
    await written(tmp_path / "journal.sqlite3", [])

    assert seqs(tmp_path / "journal.sqlite3", PartQuery()) == []


async def test_the_first_part_since_a_time_is_found_over_gaps_in_the_numbers(tmp_path: Path) -> None:
    times = {5: "a", 900: "b", 901: "b", 70_000: "d"}
    rows = [part_row(n, decided_utc=f"2026-11-23T10:00:0{at}") for n, at in times.items()]
    await written(tmp_path / "journal.sqlite3", rows)
    with JournalSearch.open(tmp_path / "journal.sqlite3") as journal:
        found = [journal.find(PartQuery(since_utc=f"2026-11-23T10:00:0{at}")).parts[-1].part_seq for at in "abcd"]

        assert found == [5, 900, 70_000, 70_000]
        assert journal.first_seq_since("2026-11-23T10:00:0e") == 70_001
        assert journal.first_seq_since("2025") <= 5


def test_an_answer_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_LOOKED_AT_MOST", 2)
    with JournalSearch.open(path) as journal:
        page = journal.find(PartQuery(verdict=Verdict.FAULT))

    assert (page.parts, page.before_seq) == ((), 11)
    assert seqs(path, PartQuery(verdict=Verdict.REJECT)) == [12, 9, 6, 3]


async def test_another_limit_is_tried_only_on_parts_that_the_score_decided(tmp_path: Path) -> None:
    rows = [
        part_row(1, score=0.5),
        part_row(2, score=1.4),
        reject_row(3, 1.6),
        reject_row(4, 3.0),
        reject_row(5, 1.6, controller_judgement=Judgement.NG),
        reject_row(6, 1.4),  # in the REVIEW band below the limit
        reject_row(7, 1.6, bundle_id="another"),
        reject_row(8, 1.6, reason=Reason.LATE),
        part_row(9, verdict=Verdict.FAULT, reason=Reason.NOT_READY, score=None, limit=None),
    ]
    await written(tmp_path / "journal.sqlite3", rows)
    with LimitSearch.open(tmp_path / "journal.sqlite3") as journal:
        higher, lower = journal.moved_limit("bundle", 2.0, 1), journal.moved_limit("bundle", 1.0, 1)
        later = journal.moved_limit("bundle", 4.0, 4)

    assert (higher.decided_by_score, higher.passes_to_reject, higher.rejects_to_pass) == (4, 0, (3,))
    assert (lower.decided_by_score, lower.passes_to_reject, lower.rejects_to_pass) == (4, 1, ())
    assert (later.decided_by_score, later.rejects_to_pass) == (1, (4,))


async def test_the_version_changes_when_somebody_wrote(tmp_path: Path) -> None:
    await written(tmp_path / "journal.sqlite3", [part_row(1)])
    writer = Journal.open(tmp_path / "journal.sqlite3")
    with JournalSearch.open(tmp_path / "journal.sqlite3") as journal:
        before = journal.version()
        assert journal.version() == before
        await writer.append(part_row(2))
        assert journal.version() != before
    writer.close()


def test_no_journal_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no journal"):
        JournalSearch.open(tmp_path / "journal.sqlite3")
