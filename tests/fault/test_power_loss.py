"""The power goes at any moment: every row that was acknowledged is there afterwards, and the journal opens."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published
from edge_agent.store import writer
from edge_agent.store.journal import Journal, JournalReader
from tests.fault.sqlite_faults import vfs_of_sqlite
from tests.fault.sqlite_power import Disk, Operation, recorded_sqlite
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

pytestmark = pytest.mark.skipif(vfs_of_sqlite() is None, reason="this Python's SQLite is not a library to be hooked")

PARTS = 40
IS_LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
CUTS = 1000 if IS_LONG else 100
SEED = int(os.environ.get("EDGE_AGENT_SEED", "1"))


async def run_line(path: Path, disk: Disk, pragma: str, *, is_busy: bool) -> dict[int, int]:
    """Parts as the engine writes them: how many operations there were when each row was acknowledged.

    On a busy line the next part is open already, and what became of a verdict is written with its row.
    """
    acknowledged, fates = {}, []
    journal = Journal.open(path)
    try:
        await journal._in_thread(lambda: journal._writer._connection.execute(pragma))
        journal.tell_nearness(lambda: is_busy)
        for seq in range(1, PARTS + 1):
            await journal.append(part_row(seq))
            acknowledged[seq] = len(disk.operations)
            fates.append(asyncio.create_task(journal.publication(seq, Published.PUBLISHED, 1.0)))
            await (asyncio.sleep(0) if is_busy else fates[-1])
        journal.tell_nearness(lambda: False)
        await asyncio.gather(*fates)
    finally:
        journal.close()
    return acknowledged


def lost_by(folder: Path, cuts: int, pragma: str = "SELECT 1", *, is_busy: bool = False) -> tuple[int, int, int]:
    """Acknowledged rows that were lost in all cuts together, rows lost that were not, and the operations there were."""
    draw, lost, unsynced = random.Random(SEED), 0, 0
    with recorded_sqlite() as disk:
        acknowledged = asyncio.run(run_line(folder / "journal.db", disk, pragma, is_busy=is_busy))
    made = next(index for index, op in enumerate(disk.operations) if op.kind == "sync")  # before, there is no journal
    for number, cut in enumerate(draw.choices(range(made + 1, len(disk.operations)), k=cuts)):
        after = folder / f"{number}"
        after.mkdir()
        disk.rebuild(after, cut, draw)
        Journal.open(after / "journal.db").close()
        with JournalReader.open(after / "journal.db") as reader:
            rows = {row.part_seq for row in reader.rows()}
            problems = [*reader.problems(), *reader.audit().problems]
        assert problems == [], f"cut before operation {cut}"
        missing = {seq: at for seq, at in acknowledged.items() if seq not in rows}
        lost += sum(at <= cut for at in missing.values())
        unsynced += sum(at > cut for at in missing.values())
    return lost, unsynced, len(disk.operations)


@pytest.mark.promise("T-19", "the power goes between any two writes of SQLite", "100 cuts: 0 acknowledged rows lost")
@pytest.mark.parametrize("is_busy", [False, True])
def test_no_acknowledged_row_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure, *, is_busy: bool
) -> None:
    for name in ("_CHECKPOINT_EVERY", "_CHECKPOINT_AT_LAST"):
        monkeypatch.setattr(writer, name, 5)  # so that the log is moved within a run this short
    lost, unsynced, operations = lost_by(tmp_path, CUTS, is_busy=is_busy)

    assert lost == 0
    assert unsynced > 0, "the disk forgets nothing, and the test proves nothing"
    figure(f"{CUTS} cuts among {operations} operations, {lost} lost{', busy' if is_busy else ''}", is_whole=IS_LONG)


def test_a_journal_that_syncs_less_is_noticed(tmp_path: Path) -> None:
    """A check that cannot fail is none."""
    lost, _, _ = lost_by(tmp_path, 30, "PRAGMA synchronous=NORMAL")

    assert lost > 0


def test_the_disk_forgets_what_was_not_synced(tmp_path: Path) -> None:
    """A check that cannot fail is none."""
    disk = Disk(
        [Operation("write", "a", 0, b"x" * 512), Operation("sync", "a"), Operation("write", "a", 0, b"y" * 512)]
    )
    found = set()
    for seed in range(8):
        disk.rebuild(tmp_path, 3, random.Random(seed))
        found.add((tmp_path / "a").read_bytes()[:1])

    assert found == {b"x", b"y"}
