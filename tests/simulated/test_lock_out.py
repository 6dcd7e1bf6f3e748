"""The real agent under lock_out: no gate opens until its samples were shown, and none after one of them went wrong."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.desk.client import DeskClient, DeskError, desk_path
from edge_agent.domain import Reason, Verdict
from edge_agent.errors import Unavailable
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.settings import load_settings
from edge_agent.store.journal import JournalReader
from edge_agent.tools.msa.line import must_run
from tests.shadowed import candidate_of
from tests.simulated.line import PASS, PROGRAM, REJECT, bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow
    from tests.simulated.line import Line

LOCK = f"""
[challenge]
every_parts = 4
lock_out = true
[[challenge.sample]]
name = "R1"
kind = "reject"
program = {PROGRAM}
shows = "dark residue"
[[challenge.sample]]
name = "G1"
kind = "good"
program = {PROGRAM}
"""
NEW = "the bundle is new since the last challenge: show the samples"


async def put_in(at: Line, image: bytes) -> tuple[PartRow, bool]:
    """The row of the next part, and whether the gate opened for it."""
    gate, begin, number = Gate(at.remote_io.history, pass_coil=PASS), monotonic_s(), len(at.rows()) + 1
    await at.controller.wire_trigger(image)
    rows = await at.until_rows(number)
    await at.until("the window's end", lambda: not at.remote_io.coils[PASS] and at.remote_io.coils[REJECT])
    return rows[-1], gate.let_through(begin, monotonic_s())


async def challenged(at: Line, images: list[bytes], *more: str) -> tuple[int, dict[str, Any], list[bool]]:
    """What a challenge with these parts said, and whether the gate opened for each."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "challenge", "--config", str(at.config), "--within-s", "30", "--json"),
        *(more or ("--samples", "all")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    opened = []
    for image in images:
        while b"put " not in (asked := await running.stderr.readline()):
            assert asked, "it ended without asking for a part"
        opened.append((await put_in(at, image))[1])
    out, err = await running.communicate()
    assert running.returncode is not None
    assert out, err
    return running.returncode, json.loads(out), opened


async def status(at: Line) -> dict[str, Any]:
    async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as desk:
        assert desk is not None
        return await desk.status()


@pytest.mark.timeout(300)
@pytest.mark.promise("T-29l", "a line with lock_out", "0 PASS while locked; good samples count as judged")
async def test_nothing_passes_until_the_samples_were_shown(tmp_path: Path, thumbnail_bundle: Path) -> None:
    good, bad = good_image(1), bad_image(1)
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + LOCK)
        await at.start_agent()
        await at.until_ready()  # READY says that parts are judged: without it no PLC would send the samples

        before, is_open = await put_in(at, good)
        assert (before.verdict, before.reason, is_open) == (Verdict.REJECT, Reason.LOCKED, False)
        assert "no challenge was passed yet" in before.detail
        assert "no challenge was passed yet" in (await status(at))["locked"]
        async with DeskClient.open(desk_path(tmp_path / "journal.sqlite3")) as desk:
            assert desk is not None
            with pytest.raises(DeskError, match="a bypass opens nothing now"):
                await desk.bypass("begin", "A. Rossi", "in a hurry", 60.0)

        code, said, opened = await challenged(at, [bad, good])
        assert (code, said["ok"], opened) == (0, True, [False, False])
        assert [one["name"] for one in said["shown"]] == ["R1", "G1"]
        assert [one["reason"] for one in said["samples"]] == ["SCORE", "LOCKED"]
        assert (await status(at))["samples"] == "samples are due in 4 parts"

        assert [await put_in(at, good) for _ in range(4)] == [(at.rows()[-4 + n], True) for n in range(4)]
        late, is_open = await put_in(at, good)
        assert (late.reason, is_open) == (Reason.LOCKED, False)
        assert "overdue since part" in late.detail

        code, said, opened = await challenged(at, [bad, good])
        assert (code, opened) == (0, [False, False])
        assert await at.stop_agent() == 0
        await at.start_agent()
        await at.until_ready()
        assert (await put_in(at, good))[1]  # a restart forgets nothing that was passed


@pytest.mark.timeout(300)
@pytest.mark.promise(
    "T-29m", "a line with lock_out, and a new bundle", "0 PASS before the bundle was shown the samples"
)
async def test_a_new_bundle_passes_nothing_until_the_samples_were_shown_to_it(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    good, bad, registry = good_image(1), bad_image(1), tmp_path / "registry"
    shutil.copytree(thumbnail_bundle, registry)  # bundle activate makes a registry of it
    candidate_of(registry, tmp_path / "new", read_manifest(registry).section("limit").number("value") * 1.01)
    async with line(tmp_path, registry, start=False) as at:
        at.config.write_text(at.config.read_text() + LOCK.replace("every_parts = 4", "every_parts = 400"))
        config = ("--config", str(at.config))
        await at.start_agent()
        await at.until_ready()
        assert (await challenged(at, [bad, good]))[0] == 0
        assert (await put_in(at, good))[1]

        chosen = await asyncio.to_thread(edge_agent, "bundle", "activate", str(tmp_path / "new"), *config)
        assert chosen.returncode == 0, chosen.stderr
        assert "nothing passes from that start on until the samples were shown" in chosen.stdout
        assert (await put_in(at, good))[1], "the bundle of before judges until the next start"
        ahead = await asyncio.to_thread(edge_agent, "challenge", "history", *config)
        assert f"from the agent's next start on: the line is locked, nothing passes: {NEW}" in ahead.stdout
        assert await at.stop_agent() == 0
        await at.start_agent()
        await at.until_ready()

        held = [await put_in(at, good) for _ in range(3)]
        assert [(row.verdict, row.reason, is_open) for row, is_open in held] == [
            (Verdict.REJECT, Reason.LOCKED, False)
        ] * 3
        assert NEW in held[0][0].detail
        assert NEW in (await status(at))["locked"]
        history = await asyncio.to_thread(edge_agent, "challenge", "history", *config, "--json")
        assert NEW in json.loads(history.stdout)["locked"]
        report = await asyncio.to_thread(edge_agent, "report", "shift", *config, "--out", str(tmp_path / "shift.html"))
        assert report.returncode == 0, report.stderr
        assert NEW in (tmp_path / "shift.html").read_text()

        code, _, opened = await challenged(at, [bad, good])
        assert (code, opened) == (0, [False, False])
        assert (await put_in(at, good))[1]

        back = await asyncio.to_thread(edge_agent, "bundle", "rollback", *config)
        assert back.returncode == 0, back.stderr
        assert await at.stop_agent() == 0
        await at.start_agent()
        await at.until_ready()
        row, is_open = await put_in(at, good)
        assert (row.reason, is_open) == (Reason.LOCKED, False), "going back is a change as well"


@pytest.mark.timeout(300)
async def test_a_sample_that_was_wrong_locks_at_once_and_everybody_is_told(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    good, bad, page = good_image(1), bad_image(1), tmp_path / "challenge.html"
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + LOCK)
        await at.start_agent()
        await at.until_ready()
        assert (await challenged(at, [bad, good]))[0] == 0

        # A reject sample that passes: the inspection is blind for it, whatever it was.
        code, said, opened = await challenged(at, [good, good], "--samples", "all", "--report", str(page))
        assert (code, said["ok"], opened[1]) == (1, False, True)
        assert "NOT PASSED: 0 of 1 reject samples rejected, 1 of 1 golden samples passed" in page.read_text()
        failed, is_open = await put_in(at, good)
        assert (failed.reason, is_open) == (Reason.LOCKED, False)
        assert "the last challenge was not passed" in failed.detail
        assert await at.stop_agent() == 0
        await at.start_agent()
        await at.until_ready()
        assert (await put_in(at, good))[0].reason is Reason.LOCKED  # nor what was not

        # One of two proves half of it.
        code, said, opened = await challenged(at, [bad], "--samples", "R1")
        assert (code, said["ok"]) == (0, True)
        assert (await put_in(at, good))[0].reason is Reason.LOCKED
        told = await asyncio.to_thread(edge_agent, "status", "--config", str(at.config))
        with pytest.raises(Unavailable, match="nothing passes now"):
            await must_run(load_settings(at.config))  # a study would ask for its first part for ever
        history = await asyncio.to_thread(edge_agent, "challenge", "history", "--config", str(at.config), "--json")
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            assert journal.audit().problems == ()

    report = edge_agent("report", "shift", "--config", str(at.config), "--out", str(tmp_path / "shift.html"))
    assert report.returncode == 0, report.stderr
    shift = (tmp_path / "shift.html").read_text()
    assert "Golden parts and reject samples" in shift
    assert "dark residue" in shift
    assert "the last challenge was not passed: show the samples again" in shift
    assert "The line is locked: its samples were not shown" in shift
    assert told.returncode == 1
    assert "DEGRADED, challenge: the last challenge was not passed" in told.stdout
    found = json.loads(history.stdout)
    assert history.returncode == 1
    assert [(one["name"], len(one["points"])) for one in found["samples"]] == [("R1", 3), ("G1", 2)]
    assert "the last challenge was not passed" in found["locked"]
