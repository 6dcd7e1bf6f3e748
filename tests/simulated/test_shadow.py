"""A candidate bundle beside a running line: what it finds, how its process ends, and that no verdict knows of it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.domain import Verdict
from edge_agent.shadow.comparison import Side, newest_comparison
from edge_agent.store.journal import JournalReader
from edge_agent.store.shadow import ShadowFile
from tests.shadowed import candidate_of
from tests.simulated.line import bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.store.rows import PartRow
    from edge_agent.store.shadow import ShadowResult
    from tests.simulated.line import Line

pytestmark = pytest.mark.timeout(300)
_HIGH = 1000.0
"""A limit by which every part passes."""


@pytest.fixture(scope="module")
def lenient(thumbnail_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate that rejects nothing by its score."""
    folder = tmp_path_factory.mktemp("candidate") / "lenient"
    candidate_of(thumbnail_bundle, folder, _HIGH)
    return folder


async def parts(at: Line, images: Sequence[bytes]) -> list[PartRow]:
    """Bring these parts past the line, one after the other; all rows so far."""
    for image in images:
        before = len(at.rows())
        await at.controller.wire_trigger(image)
        await at.until_rows(before + 1)
    return at.rows()


def results(at: Line) -> list[ShadowResult]:
    file = ShadowFile.open(at.folder / "journal.sqlite3")
    if file is None:
        return []
    with file:
        return list(file.results(file.shadows()[0]))


async def command(at: Line, *words: str) -> dict[str, Any]:
    """Run ``edge-agent shadow`` beside the line, whose peers live in this loop; what it says."""
    ran = await asyncio.to_thread(edge_agent, "shadow", *words, "--config", str(at.config), "--json")
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


async def begin(at: Line, candidate: Path) -> dict[str, Any]:
    return await command(at, "begin", str(candidate), "--by", "Ada")


def shadow_pid(at: Line) -> int:
    """The process of the candidate; 0 where there is none."""
    assert at.agent is not None
    children = Path(f"/proc/{at.agent.pid}/task/{at.agent.pid}/children").read_text().split()
    for child in children:
        if b"edge_agent.shadow" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


async def test_a_candidate_judges_what_the_line_judged_and_says_where_they_differ(
    tmp_path: Path, thumbnail_bundle: Path, lenient: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        begun = await begin(at, lenient)
        assert begun["agent_runs"] is True
        rows = await parts(at, [good_image(1), bad_image(1), good_image(2), bad_image(2)])
        await at.until("results", lambda: len(results(at)) == 4)
        assert os.sched_getscheduler(shadow_pid(at)) == os.SCHED_IDLE
        found = newest_comparison(tmp_path / "journal.sqlite3")
        said = await command(at, "end", "--by", "Ada", "--why", "enough")
        await at.until("the end of the process", lambda: not shadow_pid(at))

    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.REJECT, Verdict.PASS, Verdict.REJECT]
    assert found is not None
    assert found.sides == {Side.BOTH_PASS: 2, Side.BOTH_REJECT: 0, Side.TO_REJECT: 0, Side.TO_PASS: 2}
    assert [one.part_seq for _, one in found.flips] == [rows[3].part_seq, rows[1].part_seq]
    assert (said["parts"], said["agreed"], said["to_pass"], said["ended_by"]) == (4, 2, 2, "Ada")
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        ended, begun_event = (json.loads(event.detail) for event in journal.newest_events("SHADOW", 5))
    assert (begun_event["what"], begun_event["by"], begun_event["bundle_id"]) == ("begun", "Ada", begun["bundle_id"])
    assert (ended["what"], ended["why"], ended["to_pass"]) == ("ended", "enough", 2)
    for row, one in zip(rows, results_of(tmp_path), strict=True):
        assert one.score == row.cameras[0].score, "the same networks see the same image"


def results_of(folder: Path) -> list[ShadowResult]:
    file = ShadowFile.open(folder / "journal.sqlite3")
    assert file is not None
    with file:
        return list(file.results(file.shadows()[0]))
