"""The real agent in bypass: the gate opens for a part that it would have rejected, and everyone sees why."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.desk.client import DeskClient, DeskError, desk_path
from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.line import PASS, REJECT, bad_image, edge_agent, line

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow
    from tests.simulated.line import Line


async def show_a_bad_part(at: Line, number: int) -> tuple[PartRow, bool]:
    """The row of the next part, and whether the gate opened for it."""
    gate, begin = Gate(at.remote_io.history, pass_coil=PASS), monotonic_s()
    await at.controller.wire_trigger(bad_image(number))
    rows = await at.until_rows(number)
    await at.until("the window's end", lambda: not at.remote_io.coils[PASS] and at.remote_io.coils[REJECT])
    return rows[-1], gate.let_through(begin, monotonic_s())


async def ask(at: Line, do: str, for_s: float = 0.0) -> dict[str, Any]:
    async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as desk:
        assert desk is not None
        if do == "status":
            return await desk.status()
        return await desk.bypass(do, "A. Rossi", "lamp replaced", for_s)


async def test_a_bypass_passes_parts_says_so_everywhere_ends_by_itself_and_survives_no_restart(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        before = await show_a_bad_part(at, 1)
        command = ("bypass", "begin", "--config", str(at.config), "--by", "A. Rossi", "--why", "lamp replaced")
        began = await asyncio.to_thread(edge_agent, *command, "--yes", "--json")
        during = await show_a_bad_part(at, 2)
        in_bypass = await asyncio.to_thread(edge_agent, "status", "--config", str(at.config))
        told = await ask(at, "status")
        with pytest.raises(DeskError, match="has not ended"):
            await ask(at, "begin", 900.0)
        await ask(at, "end")
        await ask(at, "begin", 0.2)
        async with asyncio.timeout(10):
            while (await ask(at, "status"))["bypass"] is not None:
                await asyncio.sleep(0.02)
        after = await show_a_bad_part(at, 3)
        await ask(at, "begin", 900.0)
        stopped = await at.stop_agent()
        await at.start_agent()
        await at.until_ready()
        restarted = await show_a_bad_part(at, 4)
        nobody = await ask(at, "status")
        well = await asyncio.to_thread(edge_agent, "status", "--config", str(at.config), "--json")
        await at.stop_agent()
        gone = await asyncio.to_thread(edge_agent, "bypass", "status", "--config", str(at.config))
        silent = await asyncio.to_thread(edge_agent, "status", "--config", str(at.config))
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            events = [event.detail for event in journal.events() if event.kind == "BYPASS"]
        log = (tmp_path / "agent.log").read_text()

    assert in_bypass.returncode == 1
    assert "BYPASS by A. Rossi" in in_bypass.stdout
    assert (well.returncode, silent.returncode) == (0, 69)
    assert json.loads(well.stdout)["state"] == "READY"
    assert "of rejects" in json.loads(well.stdout)["archive"]
    said = [(row.verdict, row.reason, opened) for row, opened in (before, during, after, restarted)]
    rejected = (Verdict.REJECT, Reason.SCORE, False)
    assert said == [rejected, (Verdict.PASS, Reason.BYPASS, True), rejected, rejected]
    assert during[0].detail.startswith("BYPASS by A. Rossi; without it REJECT SCORE")

    assert began.returncode == 0, began.stderr
    assert json.loads(began.stdout)["bypass"]["by"] == "A. Rossi"
    assert "BYPASS by A. Rossi" in began.stderr
    assert told["bypass"]["why"] == "lamp replaced"
    assert stopped == 0
    assert nobody["bypass"] is None
    assert gone.returncode == 69
    assert [detail.split(",")[0] for detail in events if detail.startswith("begins")] == ["begins"] * 3
    assert [detail.split(";")[0] for detail in events if detail.startswith("ends")] == [
        "ends: by 'A. Rossi'",
        "ends: its time is over",
        "ends: the agent stops",
    ]
    assert log.count("bypass_begins") == log.count("bypass_ends") == 3

    ran = await asyncio.to_thread(edge_agent, "replay", "archive", "--config", "line.toml", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert json.loads(ran.stdout)["compared"] == 4
