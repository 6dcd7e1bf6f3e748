"""What parts cost, by the running line's own rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.store.journal import Journal
from edge_agent.store.timings import Spread, timings_of
from tests.command_line import edge_agent_here
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow


def passed(seq: int, *, to_verdict_ms: float, inspected_ms: float) -> PartRow:
    row = part_row(seq, first_sign_mono_s=100.0, decided_mono_s=100.0 + to_verdict_ms / 1000)
    stages = {"decode": 1.0, "register": inspected_ms - 1.0}
    return replace(row, cameras=(replace(row.cameras[0], timings_ms=stages),))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    journal = Journal.open(tmp_path / "journal.db")
    for seq in range(1, 101):
        await journal.append(passed(seq, to_verdict_ms=30.0 + seq, inspected_ms=20.0))
        await journal.publication(seq, Published.PUBLISHED, 100.0 + (30.0 + seq) / 1000 + 0.004)
    rejected = part_row(101, verdict=Verdict.REJECT, reason=Reason.SCORE, decided_mono_s=500.0)
    await journal.append(rejected)
    await journal.publication(101, Published.PUBLISHED, 501.0)
    await journal.append(part_row(102, decided_mono_s=500.0))
    await journal.publication(102, Published.LATE, 501.0)
    journal.close()
    return tmp_path / "journal.db"


async def test_each_step_of_the_parts_that_passed(path: Path) -> None:
    found = timings_of(path, 1000)

    assert found.parts == 100, "neither a reject nor a PASS that came too late"
    assert found.steps["first sign to verdict"].p99_ms == pytest.approx(129.0)
    assert found.steps["of that: inspection"].max_ms == pytest.approx(20.0)
    assert found.steps["of that: everything else"].p50_ms == pytest.approx(60.0)
    assert found.steps["verdict to PASS on the wire, row written before"].max_ms == pytest.approx(4.0)
    assert found.steps["of that: everything but the inspection"].p50_ms == pytest.approx(64.0)
    assert list(found.stages) == ["decode", "register"]
    assert found.stages["register"].p50_ms == pytest.approx(19.0)


async def test_the_newest_parts_alone(path: Path) -> None:
    found = timings_of(path, 10)

    assert found.parts == 10
    assert found.steps["first sign to verdict"].p50_ms == pytest.approx(125.0)


async def test_the_command_tells_them_and_ends_with_1_where_nothing_passed(path: Path, tmp_path: Path) -> None:
    ran = edge_agent_here("journal", "timings", "--journal", str(path))
    told = json.loads(edge_agent_here("journal", "timings", "--journal", str(path), "--json").out)
    Journal.open(tmp_path / "empty.db").close()
    empty = edge_agent_here("journal", "timings", "--journal", str(tmp_path / "empty.db"))

    assert ran.code == 0
    assert "of that: everything but the inspection" in ran.out
    assert told["steps"]["first sign to verdict"]["max_ms"] == pytest.approx(130.0)
    assert (empty.code, empty.out.strip()) == (1, "no part has passed yet")


def test_a_spread_of_one() -> None:
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 2.0)
