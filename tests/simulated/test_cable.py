"""The cable between controller and PC is pulled for three seconds while parts go on: none of them may pass later."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from drivers.base import Verdict
from drivers.simulated.ftp_push import ImageOutlet
from tests.simulated.line import PASS, good_image, line
from tests.simulated.wires import PROXY_HOST, wired

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.parametrize("is_cleared", [True, False], ids=["OE,0 clears the images", "OE,0 leaves the images"])
async def test_of_ten_parts_whose_images_waited_in_a_pulled_cable_none_passes(
    tmp_path: Path, thumbnail_bundle: Path, monkeypatch: pytest.MonkeyPatch, *, is_cleared: bool
) -> None:
    if not is_cleared:
        monkeypatch.setattr(ImageOutlet, "clear", lambda _: None)
    async with (
        line(tmp_path, thumbnail_bundle, start=False, ftp_host=PROXY_HOST) as at,
        wired(at) as wires,
    ):
        await at.start_agent()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(1))
        assert (await at.until_rows(1))[0].verdict is Verdict.PASS
        await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS])

        changes_before = len(at.remote_io.history)
        async with wires.pulled():
            for _ in range(10):
                await at.until("the controller", lambda: at.controller.is_ready)
                assert await at.controller.wire_trigger(good_image(2)) is not None
                await asyncio.sleep(0.3)
        sent = 2 if is_cleared else 11  # the one that was under way comes in any case
        await at.until("the images", lambda: len(at.controller.images_sent) >= sent and at.controller.is_idle)
        await at.until_ready()
        await at.until_rows(sent)

        since = at.remote_io.history[changes_before:]
        assert not [change for change in since if change.coil == PASS and change.value]
        assert [row.verdict for row in at.rows() if row.verdict is Verdict.PASS] == [Verdict.PASS]
        await at.until("the controller", lambda: at.controller.is_ready)
        await at.controller.wire_trigger(good_image(3))
        await at.until("PASS again", lambda: [row.verdict for row in at.rows()].count(Verdict.PASS) == 2)


async def test_a_person_asks_by_way_of_the_agent_and_the_line_stays_ready(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent", "cvx", "status", "--json", "--config", str(at.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        out, _ = await process.communicate()
        facts = json.loads(out)

        assert (process.returncode, facts["via"], facts["agent"]["state"]) == (0, "agent", "READY")
        assert facts["agent"]["link"]["is_up"]
        assert facts["controller"]["program"] == "1,001"
        assert at.controller.connections == 1
        await at.controller.wire_trigger(good_image(1))
        assert (await at.until_rows(1))[0].verdict is Verdict.PASS
