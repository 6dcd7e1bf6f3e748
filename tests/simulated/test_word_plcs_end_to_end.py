"""The real agent and a PLC, whatever it speaks: parts, kill, and every command that drives the output."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from drivers.output import BlockState
from drivers.simulated.tag_plc import SimulatedLogixPlc
from drivers.simulated.word_plc import SimulatedHostLinkPlc, SimulatedS7Plc, SimulatedSlmpPlc
from edge_agent.domain import Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.line import PROGRAM, bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from drivers.simulated.plc import PlcPart
    from tests.simulated.line import Line

Plc = SimulatedSlmpPlc | SimulatedHostLinkPlc | SimulatedS7Plc | SimulatedLogixPlc
READY, PASS_WORD, REJECT_WORD = 1, 0x005A, 0x00C3
FIRST, BACK, INPUTS = 100, 120, 140
REGISTERS = f"first_register = {FIRST}\nplc_register = {BACK}\ninputs_register = {INPUTS}\n"
BYTES = f"db = 1\nfirst_byte = {2 * FIRST}\nplc_byte = {2 * BACK}\ninputs_byte = {2 * INPUTS}\n"
TAGS = 'tag = "Line1.AgentToPlc"\nplc_tag = "Line1.PlcToAgent"\ninputs_tag = "Line1.Inputs"\ncpu_slot = 2\n'
KEYS = {"slmp": REGISTERS, "kv-hostlink": REGISTERS, "s7": BYTES, "ethernet-ip": TAGS}
NUMBERED = {"first_register": FIRST, "plc_register": BACK, "inputs_register": INPUTS}
KINDS: dict[str, partial[Plc]] = {
    "slmp": partial(SimulatedSlmpPlc, **NUMBERED),
    "kv-hostlink": partial(SimulatedHostLinkPlc, **NUMBERED),
    "s7": partial(SimulatedS7Plc, **NUMBERED),
    "ethernet-ip": partial(
        SimulatedLogixPlc, tag="Line1.AgentToPlc", plc_tag="Line1.PlcToAgent", inputs_tag="Line1.Inputs", slot=2
    ),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@asynccontextmanager
async def started(kind: str) -> AsyncIterator[Plc]:
    plc = KINDS[kind](program=PROGRAM)
    await plc.start()
    try:
        yield plc
    finally:
        await plc.stop()


def lead_to(plc: Plc, kind: str, at: Line, keys: str = "") -> None:
    """line.toml with the PLC in the place of the remote I/O."""
    text = at.config.read_text().replace(f"port = {at.remote_io.port}\n", f"port = {plc.port}\n")
    at.config.write_text(text.replace("[output]\n", f'[output]\nkind = "{kind}"\n{KEYS[kind]}{keys}'))


async def show(at: Line, plc: Plc, image: bytes) -> PlcPart:
    """A part comes to the gate and is imaged; returns when the PLC decided."""
    part = plc.part_arrives()
    await at.controller.wire_trigger(image)
    await at.until("a decision of the PLC", lambda: part.is_decided)
    return part


async def until_ready(at: Line, plc: Plc) -> None:
    await at.until("READY", lambda: bool(plc.block[4] & READY) and plc.is_agent_ready)


async def test_parts_pass_by_their_number_and_an_agent_that_is_killed_lets_no_later_one_through(
    tmp_path: Path, thumbnail_bundle: Path, kind: str
) -> None:
    async with started(kind) as plc, line(tmp_path, thumbnail_bundle, start=False) as at:
        lead_to(plc, kind, at, 'program_request = "checked"\nmode_input = 1\n')
        plc.set_input(1, True)
        await at.start_agent()
        await until_ready(at, plc)
        good = await show(at, plc, good_image(1))
        bad = await show(at, plc, bad_image(1))
        third = plc.part_arrives()
        await at.controller.wire_trigger(good_image(2))
        await at.until("PASS", lambda: plc.block[1] == PASS_WORD)
        assert at.agent is not None
        at.agent.send_signal(signal.SIGKILL)
        await at.agent.wait()
        late = plc.part_arrives()
        await at.until("the old heartbeat", lambda: not plc.is_agent_ready)
        assert (late.is_decided, late.is_let_through) == (False, False)

        await at.start_agent()
        await until_ready(at, plc)
        assert not late.is_let_through
        again = await show(at, plc, good_image(3))
        plc.set_input(1, False)
        await at.until("FAULT", lambda: plc.block[3] == 109)
        exit_code = await at.stop_agent()

    assert (good.is_let_through, bad.is_let_through, third.is_let_through, again.is_let_through) == (
        True, False, True, True,
    )  # fmt: skip
    assert exit_code == 0
    assert plc.block[1] == REJECT_WORD
    assert not plc.block[4] & READY
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        assert [row.verdict for row in journal.rows()].count(Verdict.PASS) == 3


@pytest.mark.slow
async def test_a_simulated_run_has_the_output_that_line_toml_names(
    tmp_path: Path, thumbnail_bundle: Path, kind: str
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, image in enumerate((good_image(1), bad_image(1)), 1):
        (images / f"261123_080000_{number:010d}_CAM1_OK.bmp").write_bytes(image)
    keys = f'kind = "{kind}"\n{KEYS[kind]}program_request = "checked"\nmode_input = 1\nreject_confirm_ms = 1000\n'
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text().replace("[output]\n", f"[output]\n{keys}"))
        await at.start_agent("--simulated", "--simulated-images", str(images))
        rows = await at.until_rows(2)
        exit_code = await at.stop_agent()

    assert [row.verdict for row in rows[:2]] == [Verdict.PASS, Verdict.REJECT]
    assert {row.simulated for row in rows} == {True}
    assert exit_code == 0


@pytest.mark.slow
async def test_check_walk_doctor_and_fail_safe_drive_it(tmp_path: Path, thumbnail_bundle: Path, kind: str) -> None:
    async with started(kind) as plc, line(tmp_path, thumbnail_bundle, start=False) as at:
        lead_to(plc, kind, at)
        config = ("--config", str(at.config))
        checked = await asyncio.to_thread(edge_agent, "config", "check", *config)
        part = plc.part_arrives()
        walked = await asyncio.to_thread(edge_agent, "output", "test", *config, "--seconds", "3", "--yes")
        plc.words |= dict(zip(plc.words, BlockState(1, Verdict.PASS).words, strict=False))
        failed_safe = await asyncio.to_thread(edge_agent, "output", "fail-safe", *config)
        left = plc.block
        found = await asyncio.to_thread(edge_agent, "doctor", *config, "--json")
        unwatched = await asyncio.to_thread(edge_agent, "output", "test", *config, "--watchdog", "--yes")
        await plc.stop()
        gone = await asyncio.to_thread(edge_agent, "output", "fail-safe", *config)
        missing = await asyncio.to_thread(edge_agent, "doctor", *config, "--json")

    assert checked.returncode == 0, checked.stderr
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert part.is_let_through
    assert failed_safe.returncode == 0, failed_safe.stderr
    assert left == BlockState().words
    said = {check["id"]: check for check in json.loads(found.stdout)["checks"]}
    assert (said["output"]["result"], said["output_watchdog"]["result"]) == ("ok", "ok")
    assert unwatched.returncode == 64
    assert "heartbeat" in unwatched.stderr
    assert gone.returncode != 0
    assert "output.host and output.port" in gone.stderr
    assert "the PLC's program has to keep the gate closed, as the heartbeat stands still" in gone.stderr
    (silent,) = [check for check in json.loads(missing.stdout)["checks"] if check["id"] == "output"]
    assert silent["result"] == "fail"
    assert "output.host and output.port" in silent["fix"]
    assert "unit" not in silent["fix"]
