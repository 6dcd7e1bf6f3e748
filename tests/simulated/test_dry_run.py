"""edge-agent run --dry-run: the real line is judged and recorded, the gate never opens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import EdgeAgentError
from edge_agent.store.journal import JournalReader
from tests.simulated.line import PASS, READY, REJECT, bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line


async def _status(at: Line) -> dict[str, Any]:
    try:
        async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as agent:
            return {} if agent is None else dict(await agent.status())
    except EdgeAgentError:
        return {}


async def test_a_dry_run_judges_everything_and_drives_nothing_but_reject(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        await at.start_agent("--dry-run")
        status: dict[str, Any] = {}
        while status.get("state") != "READY":
            assert at.agent is not None
            assert at.agent.returncode is None, at.log_tail()
            await asyncio.sleep(0.05)
            status = await _status(at)
        await at.until("REJECT", lambda: at.remote_io.coils[REJECT])
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(1)
        await at.controller.wire_trigger(bad_image(1))
        good, bad = await at.until_rows(2)
        await at.until("both images", lambda: len(list((tmp_path / "archive").rglob("part_*"))) == 2)
        seen = {change.coil for change in at.remote_io.history if change.value}
        assert await at.stop_agent() == 0

    assert status["dry_run"] is True
    assert (good.verdict, good.reason) == (Verdict.PASS, Reason.OK)
    assert (bad.verdict, bad.reason) == (Verdict.REJECT, Reason.SCORE)
    assert all(row.detail.startswith("DRY RUN") for row in (good, bad))
    assert REJECT in seen
    assert not seen & {PASS, READY}
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        assert {row.published for row in journal.publications().values()} == {Published.WITHHELD}
        assert any(event.kind == "START" and "DRY RUN" in event.detail for event in journal.events())
    log = [json.loads(text) for text in (tmp_path / "agent.log").read_text().splitlines()]
    assert any(entry["event"] == "dry_run" for entry in log)


async def test_a_simulated_dry_run_is_never_ready_and_gets_its_parts_all_the_same(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.bmp").write_bytes(good_image(1))
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        await at.start_agent("--simulated", "--simulated-images", str(images), "--dry-run")
        await at.until("a part that was judged", lambda: any(row.reason is Reason.OK for row in at.rows()), 60)
        assert await at.stop_agent() == 0
