"""A running line whose lot changes: its rejects are overturned on the way, and it judges on while a bundle learns."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Verdict
from edge_agent.store.journal import Journal, JournalReader
from tests.learned_line import marked_image
from tests.simulated.line import PASS, bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.store.rows import PartRow
    from tests.simulated.line import Line

# A calibration that makes way for everything else on the machine takes minutes beside other work.
pytestmark = pytest.mark.timeout(900)


async def parts(at: Line, images: Sequence[bytes]) -> list[PartRow]:
    """Bring these parts past the line, one after the other; their rows."""
    before = len(at.rows())
    for number, image in enumerate(images, start=1):
        await at.until("the window's end", lambda: not at.remote_io.coils[PASS])
        await at.controller.wire_trigger(image)
        await at.until_rows(before + number)
    return at.rows()[before:]


async def said(at: Line, rows: Sequence[PartRow], says: str, *, by: str) -> None:
    """A person reviews these parts, in the journal of a line that stands."""
    journal = Journal.open(at.folder / "journal.sqlite3")
    try:
        for row in rows:
            await journal.event("REVIEW", json.dumps({"part_seq": row.part_seq, "says": says, "by": by, "note": ""}))
    finally:
        journal.close()


def scheduled(pid: int) -> set[int]:
    """How the threads of a process are scheduled."""
    return {os.sched_getscheduler(int(path.name)) for path in Path(f"/proc/{pid}/task").iterdir()}


async def test_a_line_learns_beside_its_work_what_people_confirmed(tmp_path: Path, thumbnail_bundle: Path) -> None:
    shutil.copytree(thumbnail_bundle, tmp_path / "used")
    async with line(tmp_path, tmp_path / "used") as at:
        marked = await parts(at, [marked_image(number) for number in range(1, 11)])
        bad = await parts(at, [bad_image(number) for number in range(1, 3)])
        assert {row.verdict for row in (*marked, *bad)} == {Verdict.REJECT}
        await at.stop_agent()
        await said(at, marked, "OVERTURNED", by="Ada")
        await said(at, bad, "CONFIRMED", by="Bo")

        words = ("learn", "run", "--config", str(at.config), "--good", str(thumbnail_bundle.parent / "good"))
        words = (*words, "--out", str(tmp_path / "learned"), "--by", "Quinn", "--json")
        learning = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", *words),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await at.until("a plan", (tmp_path / "learned" / "plan.json").exists)
        alone = scheduled(learning.pid)
        await at.start_agent()  # while it learns
        await at.until("it makes way", lambda: scheduled(learning.pid) == {os.SCHED_IDLE})
        await at.until_ready()
        meanwhile = await parts(at, [good_image(number) for number in range(1, 6)])
        learning.kill()  # at idle priority it would take minutes on a machine that has other work
        await learning.wait()
        await at.stop_agent()
        gone_on = await asyncio.to_thread(edge_agent, *words, within_s=600)
        assert gone_on.returncode == 0, gone_on.stderr
        await at.start_agent()
        await at.until_ready()
        activated = await asyncio.to_thread(
            edge_agent,
            *("bundle", "activate", str(tmp_path / "learned" / "bundle"), "--config", str(at.config)),
            *("--by", "Erna", "--why", "seen by Ada and by Erna"),
        )
        assert activated.returncode == 0, activated.stderr
        still = await parts(at, [marked_image(60)])
        await at.stop_agent()
        await at.start_agent()
        await at.until_ready()
        new = await parts(at, [marked_image(number) for number in range(61, 66)])
        found = await parts(at, [bad_image(number) for number in range(10, 13)])
        as_ever = await parts(at, [good_image(number) for number in range(11, 14)])
        await at.stop_agent()

    assert os.SCHED_IDLE not in alone
    assert [row.reason for row in meanwhile if row.reason in ("LATE", "OVERRUN", "INTERNAL")] == []
    assert still[0].verdict is Verdict.REJECT, "nothing counts before the agent's next start"
    assert [row.verdict for row in new].count(Verdict.PASS) >= 4
    assert {row.verdict for row in found} == {Verdict.REJECT}
    assert [row.verdict for row in as_ever].count(Verdict.PASS) >= 2
    assert json.loads(gone_on.stdout)["bundle_id"] == new[0].bundle_id
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        assert journal.problems() == []
        events = [json.loads(event.detail) for event in journal.events_of(["LEARN"])]
    assert [event["what"] for event in events] == ["begun", "begun", "offered"]
    assert (events[0]["added"], events[0]["defects"], events[0]["by"]) == (10, 2, "Quinn")
    assert events[2]["bundle_id"] == new[0].bundle_id
