"""The n-th write to the disk fails, for every n: no PASS without its row, no part twice, a journal that opens."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published, Verdict
from edge_agent.store import writer
from edge_agent.store.journal import Journal, JournalError, JournalReader
from tests.fault.sqlite_faults import FailingCalls, failing_sqlite, hook
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

pytestmark = pytest.mark.skipif(hook() is None, reason="this Python's SQLite is not a library that can be hooked")

IS_LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
PARTS, STEP = (50, 1) if IS_LONG else (6, 5)
"""``make chaos`` fails every operation of a run of 50 parts; a run of the suite every fifth of one of six."""


async def run_line(path: Path, *, is_busy: bool = False) -> tuple[list[int], list[int]]:
    """Judge parts as the engine does: PASS leaves once its row is durable. Passed parts, and all that came.

    On a busy line the next part is open already, and what became of a verdict is written with its row.
    """
    passed, came, fates = [], [], []
    try:
        journal = Journal.open(path)
    except JournalError:
        return [], []
    try:
        first = journal.next_part_seq
        journal.tell_nearness(lambda: is_busy)
        for seq in range(first, first + PARTS):
            came.append(seq)
            try:
                await journal.append(part_row(seq))
            except JournalError:
                continue
            passed.append(seq)
            fates.append(asyncio.create_task(journal.publication(seq, Published.PUBLISHED, 1.0)))
            await (asyncio.sleep(0) if is_busy else asyncio.wait(fates[-1:]))
    finally:
        journal.close()
        told = await asyncio.gather(*fates, return_exceptions=True)
        assert all(err is None or isinstance(err, JournalError) for err in told), told
    return passed, came


@pytest.mark.promise("T-16", "the n-th write of SQLite fails, for every n", "0 PASS without a row, opens every time")
@pytest.mark.parametrize("is_busy", [False, True])
@pytest.mark.parametrize(("always", "error", "first"), [(False, errno.EIO, 1), (True, errno.ENOSPC, 3)])
def test_whichever_write_fails_no_pass_is_without_a_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Figure,
    *,
    always: bool,
    error: int,
    first: int,
    is_busy: bool,
) -> None:
    for name in ("_CHECKPOINT_EVERY", "_CHECKPOINT_AT_LAST"):
        monkeypatch.setattr(writer, name, 3)  # so that the log is moved within a run this short
    for fail_at in itertools.count(first, STEP):
        path = tmp_path / f"{fail_at}" / "journal.db"
        plan = FailingCalls(fail_at, always=always, error=error)
        with failing_sqlite(plan):
            passed, came = asyncio.run(run_line(path, is_busy=is_busy))
        again, _ = asyncio.run(run_line(path))  # the disk is well again: it opens and goes on
        with JournalReader.open(path) as reader:
            rows = {row.part_seq: row.verdict for row in reader.rows()}
            problems = [*reader.problems(), *reader.audit().problems]

        assert problems == [], f"operation {fail_at}"
        assert all(rows.get(seq) is Verdict.PASS for seq in [*passed, *again]), f"operation {fail_at}"
        assert len(again) == PARTS
        if not always:  # what was owed is written as soon as the disk takes it again, as FAULT
            assert set(rows) >= set(came[:-1]), f"operation {fail_at}"
        if not plan.has_failed:
            assert fail_at > 50, "the hook reached too few operations to mean anything"
            runs = len(range(first, fail_at, STEP))
            figure(f"{runs} runs, 0 ({'always' if always else 'once'}{', busy' if is_busy else ''})", is_whole=IS_LONG)
            return
