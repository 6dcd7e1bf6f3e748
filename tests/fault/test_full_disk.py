"""A real disk filled to its last byte while parts come, and freed: a tmpfs of its own, where one can be mounted."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from drivers.timing import monotonic_s
from edge_agent.domain import Reason, Verdict
from edge_agent.runtime.worker import Worker
from edge_agent.store.journal import JournalReader
from tests.small_disk import small_disk
from tests.unit.test_runtime_supervisor import Agent
from tests.virtual_peers import NullInspector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.results import Figure

EACH = 8
DEADLINE_S, LOOKS_EVERY_S, ARCHIVES_S = 10.0, 1.5, 30.0

pytestmark = pytest.mark.usefixtures("quiet_logs")


def fill(disk: Path) -> Path:
    """Take every byte that is left, as often as it is called."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return path


@asynccontextmanager
async def agent_on(folder: Path) -> AsyncIterator[Agent]:
    """The supervisor, READY, with its journal and archive; stopped in order."""
    thread, stop = Worker("journal"), asyncio.Event()
    agent = Agent(folder, NullInspector(), thread, DEADLINE_S)
    running = asyncio.create_task(agent._supervisor.run(stop))
    try:
        await until(agent.engine.is_ready)
        yield agent
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        thread.submit(agent.writer.close).result()
        thread.shutdown()
    await running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


async def part(agent: Agent, number: int) -> None:
    """A good part: decided, and its image filed or given up."""
    agent.part(number)
    image = agent.folder / f"{number}.bmp"
    await until(lambda: agent.engine._next_seq > number and agent.engine.is_idle and not image.exists())


@pytest.mark.promise(
    "T-17", "a disk filled to its last byte in mid-run, then freed", "0 PASS without a row, no stumps, archives in 30 s"
)
async def test_a_disk_that_is_full_and_freed_costs_passes_and_no_truth(tmp_path: Path, figure: Figure) -> None:
    with small_disk(tmp_path / "disk", mib=2) as disk:
        (disk / "archive").mkdir()
        (tmp_path / "archive").symlink_to(disk / "archive")
        (disk / "journal.sqlite3").touch()
        (tmp_path / "journal.sqlite3").symlink_to(disk / "journal.sqlite3")
        async with agent_on(tmp_path) as agent:
            for number in range(1, EACH + 1):
                await part(agent, number)
            for number in range(EACH + 1, 2 * EACH + 1):
                filler = fill(disk)  # again and again: the archive gives up its images for the journal
                await part(agent, number)
            await asyncio.sleep(LOOKS_EVERY_S)  # the supervisor looks whether the disk takes the journal again
            is_ready_when_full = agent.engine.is_ready()
            filler.unlink()
            freed_mono_s = monotonic_s()
            await until(agent.engine.is_ready)
            ready_s = monotonic_s() - freed_mono_s
            await part(agent, 2 * EACH + 1)
            archived_s = monotonic_s() - freed_mono_s
            is_archived = any((disk / "archive").rglob(f"part_{2 * EACH + 1:012d}_*_PASS_*.bmp"))
            for number in range(2 * EACH + 2, 3 * EACH + 1):
                await part(agent, number)
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            rows, problems = list(reader.rows()), [*reader.problems(), *reader.audit().problems]
        stumps = list((disk / "archive").rglob("*.part"))

    passed = [row.part_seq for row in rows if row.verdict is Verdict.PASS]
    withheld = [row for row in rows if row.reason is Reason.JOURNAL]
    assert problems == []
    assert [row.part_seq for row in rows] == list(range(1, 3 * EACH + 1)), "every part once"
    assert passed == [*range(1, EACH + 1), *range(2 * EACH + 1, 3 * EACH + 1)]
    assert agent.output.passed == passed
    assert withheld, "the disk was full"
    assert not is_ready_when_full
    assert is_archived, "the archive goes on"
    assert stumps == []
    figure(
        f"{len(rows)} parts, {len(withheld)} FAULT JOURNAL while full, 0 PASS without a row; freed, READY after "
        f"{ready_s:.1f} s, the next image archived after {archived_s:.1f} s",
        is_reached=archived_s <= ARCHIVES_S,
    )
