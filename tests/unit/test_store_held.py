"""How far back the archive reaches: from its files and the journal, with words for a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Verdict
from edge_agent.store.archive import Archive
from edge_agent.store.held import Held, HeldKind, Reach, held_in, reach_of, span_words
from tests.security.web_site import part_row, reject_row, written
from tests.unit.test_store_archive import MIB, lay, put

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat(timespec="milliseconds")


async def test_it_is_as_old_as_the_part_of_the_oldest_image_of_each_kind(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite3"
    await written(
        journal,
        [
            reject_row(1, decided_utc=ago(days=12)),
            part_row(2, decided_utc=ago(days=9)),
            part_row(3, decided_utc=ago(hours=3.1)),
        ],
    )
    lay(tmp_path, "2026-11-12", 1, kind="FAULT")
    lay(tmp_path, "2026-11-24", 3, size=300)
    held = held_in(tmp_path / "archive")
    reach = reach_of(held, journal, NOW)

    assert held == Held(HeldKind(300, 3), HeldKind(100, 1))
    assert reach.words == "holds 3.1 hours of passes, 12 days of rejects (0.0 MiB)"


def test_what_the_journal_does_not_know_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    held = Held(HeldKind(2**30, 4))

    assert held_in(tmp_path / "nowhere") == Held()
    assert Reach(Held()).words == "holds no passes, no rejects (0.0 MiB)"
    assert reach_of(held, tmp_path / "no.sqlite3").words == (
        "holds passes from before this journal, no rejects (1.0 GiB)"
    )


def test_the_running_archive_knows_it_without_a_look(tmp_path: Path) -> None:
    lay(tmp_path, "2026-11-12", 1, 2, kind="REJECT")
    archive = Archive(tmp_path / "archive", max_bytes=500, min_free_bytes=0)
    archive.sweep()
    swept = archive.held
    for seq in range(3, 9):
        put(archive, tmp_path, seq, Verdict.PASS)

    assert swept == Held(others=HeldKind(200, 1))
    assert archive.held == held_in(tmp_path / "archive") == Held(HeldKind(300, 6), HeldKind(200, 1))
    assert archive.held.size_bytes <= MIB


@pytest.mark.parametrize(
    ("hours", "words"), [(0.04, "0.0 hours"), (47.94, "47.9 hours"), (48, "2 days"), (700, "29 days")]
)
def test_a_time_is_in_hours_up_to_two_days(hours: float, words: str) -> None:
    assert span_words(hours * 3600) == words
