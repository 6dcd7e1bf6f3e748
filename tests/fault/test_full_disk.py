"""A real disk filled to its last byte while parts come, and freed: a tmpfs of its own, where one can be mounted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalError, JournalReader
from tests.unit.test_runtime_engine import Line, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EACH = 8

pytestmark = pytest.mark.usefixtures("quiet_logs")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """An empty disk of 2 MiB. Skips where mounting is refused."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "edge-agent-test", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return path


async def parts(at: Line, first: int) -> None:
    """Good parts, one after the other; each is decided before the next comes."""
    for count in range(first, first + EACH):
        at.image(count)
        at.result(count)
        async with asyncio.timeout(10):
            while not at.engine.is_idle:
                await asyncio.sleep(0.002)
        if "journal" in at.health.reasons:  # as the supervisor does once a second
            with contextlib.suppress(JournalError):
                await at.journal.prove_writable()
                at.health.holds("journal")
        at.engine.check()


@pytest.mark.promise("T-17", "a disk filled to its last byte in mid-run, then freed", "0 PASS without a row, no stumps")
async def test_a_disk_that_is_full_and_freed_costs_passes_and_no_truth(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "archive").mkdir()
        (tmp_path / "archive").symlink_to(disk / "archive")
        (disk / "journal.sqlite3").touch()
        (tmp_path / "journal.sqlite3").symlink_to(disk / "journal.sqlite3")
        async with line(tmp_path, deadline_s=2.0) as at:
            await parts(at, 1)
            filler = fill(disk)
            await parts(at, 1 + EACH)
            is_ready_when_full = at.engine.is_ready()
            filler.unlink()
            await parts(at, 1 + 2 * EACH)
            await parts(at, 1 + 3 * EACH)
            is_ready_at_the_end = at.engine.is_ready()
            said = [seq for what, seq in at.output.said if what == "PASS"]
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            rows, problems = list(reader.rows()), [*reader.problems(), *reader.audit().problems]
        stumps = list((disk / "archive").rglob("*.part"))
        archived = {path.name.split("_")[1] for path in (disk / "archive").rglob("part_*")}

    passed = {row.part_seq for row in rows if row.verdict is Verdict.PASS}
    withheld = [row for row in rows if row.reason is Reason.JOURNAL]
    assert problems == []
    assert [row.part_seq for row in rows] == list(range(1, 4 * EACH + 1)), "every part once"
    assert set(said) <= passed
    assert withheld, "the disk was full"
    assert not is_ready_when_full
    assert is_ready_at_the_end
    assert rows[-1].verdict is Verdict.PASS
    assert max(archived) > f"{2 * EACH:012d}", "the archive goes on"
    assert stumps == []
    figure(f"{len(rows)} parts, {len(withheld)} FAULT JOURNAL while full, 0 PASS without a row")
