"""A challenge that was not passed while the disk is full: the lock that it closes does not stand in memory alone."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from drivers.base import DriverError
from edge_agent.golden.clock import ChallengeClock
from edge_agent.runtime.locking import safely_locked
from edge_agent.store.challenges import newest_challenges
from edge_agent.store.journal import Journal, JournalError, JournalReader
from edge_agent.wiring.agent_state import AgentDesk
from tests.fault.sqlite_faults import FailingCalls, failing_sqlite, hook
from tests.unit.test_golden_lock import JUDGING, PLAN
from tests.unit.test_golden_lock import record as record_of
from tests.unit.test_runtime_engine import line
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(hook() is None, reason="this Python's SQLite is not a library that can be hooked")


def record(*, ok: bool) -> str:
    """Of part 1, as the command writes it."""
    return json.dumps({**json.loads(record_of(ok=ok)), "part_seq": 1})


def why_after_restart(path: Path) -> str:
    """What an agent that starts now would hold parts back for."""
    with JournalReader.open(path) as reader:
        return ChallengeClock(PLAN, newest_challenges(reader), bundles=JUDGING).why_locked(1, 2)


@pytest.mark.parametrize("is_begun_by", ["a proof of the disk", "the end of the agent"])
async def test_what_a_full_disk_refused_is_written_before_anything_passes_again(
    tmp_path: Path, is_begun_by: str
) -> None:
    path, clock = tmp_path / "journal.sqlite3", ChallengeClock(PLAN, bundles=JUDGING)
    async with line(tmp_path, why_locked=safely_locked(clock.why_locked)) as at:
        desk = AgentDesk(cast("Any", None), at.engine, at.health, cast("Any", None), at.journal, clock)
        await desk.note("CHALLENGE", record(ok=True))
        with failing_sqlite(FailingCalls(1, always=True, error=errno.ENOSPC)):
            with pytest.raises(DriverError, match="the record is written as soon as the disk takes it"):
                await desk.note("CHALLENGE", record(ok=False))
            with pytest.raises(JournalError):
                await at.journal.prove_writable()
        assert "journal" in at.health.reasons, "not READY, and the journal is proven until it takes a write"
        assert "was not passed" in at.engine.why_locked
        assert why_after_restart(path) == "", "nothing of it is on the disk yet"

        if is_begun_by == "a proof of the disk":
            await at.journal.prove_writable()
            assert "was not passed" in why_after_restart(path)
    assert "was not passed" in why_after_restart(path)
    with JournalReader.open(path) as reader:
        assert [one.is_passed for one in newest_challenges(reader)] == [False, True], "once"
        assert reader.audit().problems == ()


async def test_a_part_that_passes_later_has_its_row_behind_the_record(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    with failing_sqlite(FailingCalls(1, always=True)):
        for kind, must in (("CHALLENGE", True), ("NOISE", False)):
            with pytest.raises(JournalError):
                await journal.event(kind, record(ok=False), must=must)
    await journal.append(part_row(1))
    journal.close()

    with JournalReader.open(tmp_path / "journal.db") as reader:
        assert [event.kind for event in reader.events()] == ["CHALLENGE"]
        assert [row.part_seq for row in reader.rows()] == [1]


async def test_a_full_disk_has_room_for_it_that_was_held_back(tmp_path: Path) -> None:
    """One refusal gives the reserve back, and the second try is written into that room."""
    journal = Journal.open(tmp_path / "journal.db")
    with failing_sqlite(FailingCalls(1, always=False, error=errno.ENOSPC)):
        await journal.event("CHALLENGE", record(ok=False), must=True)
    journal.close()

    assert "was not passed" in why_after_restart(tmp_path / "journal.db")


async def test_what_is_lost_at_the_end_stands_in_the_log(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    with failing_sqlite(FailingCalls(1, always=True)), capture_logs() as logged:
        with pytest.raises(JournalError):
            await journal.event("CHALLENGE", record(ok=False), must=True)
        journal.close()

    (lost,) = [entry for entry in logged if entry["event"] == "journal_event_lost"]
    assert (lost["log_level"], lost["detail"]) == ("error", record(ok=False))
