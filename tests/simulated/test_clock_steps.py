"""The wall clock is a label: whoever sets it changes no verdict, no deadline and no image that is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.runtime import rows
from edge_agent.store import days, writer
from edge_agent.store.journal import JournalReader
from tests.virtual_line import VirtualLine
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 80
STEPS = {20: timedelta(hours=1), 40: timedelta(days=3653), 50: -timedelta(hours=1), 60: timedelta(days=-13100)}
"""An hour on, ten years on, an hour back, and back to 2000, before these parts."""

pytestmark = pytest.mark.usefixtures("quiet_logs")


class WallClock(datetime):
    """A clock that somebody sets."""

    at = datetime(2026, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at.astimezone(tz)


def run(folder: Path, steps: dict[int, timedelta]) -> tuple[list[Any], list[str], set[str]]:
    """What was judged and when, what is in the archive, and the years in the journal."""
    folder.mkdir()
    WallClock.at = datetime(2026, 1, 1, tzinfo=UTC)

    def set_clock(number: int) -> None:
        WallClock.at += timedelta(seconds=1) + steps.get(number, timedelta())

    async def main() -> VirtualLine:
        line = VirtualLine(folder, 7, archive_bytes=120, on_part=set_clock)
        await line.run(PARTS)
        return line

    run_in_virtual_time(main).check()
    with JournalReader.open(folder / "journal.sqlite3") as reader:
        found = list(reader.rows())
    judged = [(row.part_seq, row.verdict, row.reason, row.first_sign_mono_s, row.decided_mono_s) for row in found]
    kept = sorted(path.name for path in (folder / "archive").rglob("part_*"))
    return judged, kept, {row.decided_utc[:4] for row in found}


@pytest.mark.promise("T-21", "wall clock: +1 h, +10 years, -1 h, back to 2000", "verdicts, times, retention identical")
def test_a_clock_that_is_set_changes_nothing_but_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rows, days, writer):
        monkeypatch.setattr(module, "datetime", WallClock)
    judged, kept, years = run(tmp_path / "still", {})
    judged_stepped, kept_stepped, years_stepped = run(tmp_path / "stepped", STEPS)

    assert judged_stepped == judged
    assert kept_stepped == kept
    assert 0 < len(kept) < PARTS, "some were pruned"
    assert (years, years_stepped) == ({"2026"}, {"2026", "2036", "2000"})
