"""An image is inspected while it is being stored: no PASS before it is durable, and its file is left where it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from drivers.base import Capture, Reason, Verdict
from edge_agent.runtime.verdict import decide_verdict
from tests.unit.test_early_reject import until
from tests.unit.test_runtime_decision import CAPTURE, PROVEN
from tests.unit.test_runtime_engine import line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.test_runtime_engine import Line


def told_early(at: Line, count: int, data: bytes = b"good") -> tuple[asyncio.Future[Capture], Capture]:
    """An image comes while it is being stored: what ends that, and the capture as it is then."""
    storing: asyncio.Future[Capture] = asyncio.get_running_loop().create_future()
    taken: list[Capture] = []
    on_capture = at.engine.on_capture
    at.engine.on_capture = taken.append  # type: ignore[method-assign]
    at.image(count, data)
    at.engine.on_capture = on_capture  # type: ignore[method-assign]
    on_capture(replace(taken[0], storing=storing))
    return storing, taken[0]


async def test_a_part_passes_when_its_image_is_stored(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        storing, stored = told_early(at, 1)
        at.result(1)
        await until(lambda: any(live.inspections for live in at.engine._open_parts.values()))
        await asyncio.sleep(0.02)
        assert not at.engine.is_idle
        assert at.journal.next_part_seq == 1
        storing.set_result(stored)
        (row,) = await at.rows(1)
        await until(lambda: not at.spooled())

        assert (row.verdict, row.reason) == (Verdict.PASS, Reason.OK)


async def test_an_image_that_is_not_stored_by_the_deadline_is_late_and_its_file_waits(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.2) as at:
        storing, stored = told_early(at, 1)
        at.result(1)
        (row,) = await at.rows(1)
        assert len(at.spooled()) == 1, "whoever stores it needs it there"
        storing.set_result(stored)
        await until(lambda: not at.spooled())

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.LATE)
    assert "not on the disk by the deadline" in row.detail


async def test_an_image_that_the_disk_refuses_stops_the_line(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        storing, stored = told_early(at, 1)
        at.result(1)
        await until(lambda: any(live.inspections for live in at.engine._open_parts.values()))
        storing.set_result(replace(stored, broken=Reason.DISK, detail="could not be stored: I/O error", path=None))
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.FAULT, Reason.DISK)
        assert not at.engine.is_ready()
        assert "I/O error" in str(at.health)


async def test_what_an_image_was_found_to_be_meanwhile_stays(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        storing, stored = told_early(at, 1)
        at.spooled()[0].write_bytes(b"something else")
        await until(lambda: any(capture.broken for capture in at.engine._open_parts[1].part.captures.values()))
        storing.set_result(stored)
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)


async def test_an_image_that_no_part_takes_is_left_until_it_is_stored(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        await until(lambda: not at.spooled())
        storing, stored = told_early(at, 1)
        await asyncio.sleep(0.05)
        assert len(at.spooled()) == 1
        storing.set_result(stored)
        await until(lambda: not at.spooled())


async def test_an_image_that_no_part_takes_and_the_disk_refuses_stops_the_line_too(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        storing, stored = told_early(at, 1)
        storing.set_result(replace(stored, broken=Reason.DISK, detail="could not be stored: I/O error", path=None))
        await until(lambda: not at.engine.is_ready())

        assert "I/O error" in str(at.health)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({}, Reason.LATE), ({"stale": "link gap"}, Reason.STALE), ({"inspections": {}}, Reason.LATE)],
    ids=["nothing else", "another reason", "not inspected"],
)
async def test_the_verdict_on_an_image_that_is_being_stored(change: dict[str, object], reason: Reason) -> None:
    storing: asyncio.Future[Capture] = asyncio.get_running_loop().create_future()
    evidence = replace(PROVEN, captures={1: replace(CAPTURE, storing=storing)})

    assert decide_verdict(PROVEN).verdict is Verdict.PASS
    decided = decide_verdict(replace(evidence, **change))
    assert (decided.verdict, decided.reason) == (Verdict.REJECT, reason)
