"""calibrate-reference --live: good parts come from the line itself, and the gate stays shut."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from tests.simulated.line import PASS, PROGRAM, READY, edge_agent, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line

WANTED = 20


async def _collect(at: Line, *options: str, module: str = "edge_agent") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "calibrate-reference", str(at.folder / "good"), "--live", str(WANTED)),
        *("--config", str(at.config), "--program", str(PROGRAM), "--out", str(at.folder / "new"), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _until_said(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(110):
        while line := await process.stderr.readline():
            said.append(line.decode())
            if words in said[-1]:
                return
    raise AssertionError(f"ended without {words!r}: {said}")


def _taken(at: Line) -> int:
    return len(list((at.folder / "good").glob("good_*")))


async def test_good_parts_of_the_line_are_collected_stopped_and_gone_on_with(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        running = await _collect(at)
        await _until_said(running, "bring good parts")
        for number in range(1, 9):
            await at.controller.wire_trigger(good_image(number))
            await at.until(f"{number} taken", lambda n=number: _taken(at) == n)
        await at.controller.wire_trigger(good_image(3))
        await _until_said(running, "the same picture as good_0003")
        running.terminate()
        out, err = await running.communicate()
        assert running.returncode == 1, err.decode()
        assert b"the same command goes on" in out

        running = await _collect(at)
        await _until_said(running, "going on with 8 images")
        for number in range(9, WANTED + 1):
            await at.controller.wire_trigger(good_image(number))
            await at.until(f"{number} taken", lambda n=number: _taken(at) == n)
        out, err = await running.communicate()

        assert running.returncode == 0, err.decode()
        assert b"20 of 20 good parts" in out
        assert not at.remote_io.history
        sheet = (tmp_path / "good" / "collected.html").read_text()
        assert sheet.count("data:image/png") == WANTED
        assert not (tmp_path / "good" / ".spool").exists()
        assert not (tmp_path / "new").exists()  # nobody looked at them yet: nothing is calibrated


async def test_collecting_needs_nothing_of_what_calibration_needs(tmp_path: Path, thumbnail_bundle: Path) -> None:
    """A line PC has the agent's own packages alone: it collects all, then says how to go on, and nobody is asked."""
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        running = await _collect(at, "--yes", module="tests.without_packages")
        await _until_said(running, "cannot calibrate yet")
        await _until_said(running, "bring good parts")
        for number in range(1, WANTED + 1):
            await at.controller.wire_trigger(good_image(number))
            await at.until(f"{number} taken", lambda n=number: _taken(at) == n)
        out, err = await running.communicate()

    said = err.decode()
    assert running.returncode == 69, said
    assert b"20 of 20 good parts" in out
    assert "Traceback" not in said
    assert f"error: the good parts are collected in {tmp_path / 'good'}; this PC cannot calibrate" in said
    assert "torch, onnx" in said
    assert f"edge-agent calibrate-reference good --out bundle --program {PROGRAM}\n" in said
    assert f"edge-agent bundle activate bundle --config {at.config}\n" in said
    assert (tmp_path / "good" / "collected.html").is_file()
    assert not (tmp_path / "new").exists()


async def test_triggers_that_the_agent_sends_are_sent_and_the_output_is_only_told_reject(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, trigger='source = "input"', start=False) as at:
        running = await _collect(at)
        await at.until("REJECT", lambda: bool(at.remote_io.history))
        begin = monotonic_s()
        while _taken(at) < 3:
            assert monotonic_s() - begin < 30
            at.controller.put_part(good_image(_taken(at) + 1))
            at.remote_io.set_input(0, True)
            await asyncio.sleep(0.1)
            at.remote_io.set_input(0, False)
            await asyncio.sleep(0.1)
        running.terminate()
        await running.communicate()
        seen = {change.coil for change in at.remote_io.history if change.value}

    assert not seen & {PASS, READY}


async def test_another_program_is_said_beside_an_agent_and_without(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        arguments = ("calibrate-reference", "good", "--live", "20", "--config", str(at.config), "--program", "7")
        beside = await asyncio.to_thread(edge_agent, *arguments, cwd=tmp_path)
        await at.stop_agent()
        without = await asyncio.to_thread(edge_agent, *arguments, cwd=tmp_path)

    for ran in (beside, without):
        assert ran.returncode == 64
        assert "the controller runs program 1" in ran.stderr


async def test_a_simulated_line_brings_its_own_good_parts_and_needs_no_agent(tmp_path: Path) -> None:
    assert edge_agent("init", "--simulated", cwd=tmp_path).returncode == 0
    collect = (sys.executable, "-m", "edge_agent", "calibrate-reference", "good", "--live", "20", "-c", "line.toml")
    running = await asyncio.create_subprocess_exec(
        *collect, "--out", "state/bundles/program-0", cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    await _until_said(running, "2 of 20")
    running.terminate()
    await running.communicate()

    assert running.returncode == 1
    assert len(list((tmp_path / "good").glob("good_*"))) >= 2


def test_a_bundle_that_has_no_place_is_refused_before_anything_is_collected(tmp_path: Path) -> None:
    assert edge_agent("init", "--simulated", cwd=tmp_path).returncode == 0

    ran = edge_agent("calibrate-reference", "good", "--live", "20", "-c", "line.toml", "--out", "no/b", cwd=tmp_path)

    assert ran.returncode == 65
    assert "mkdir -p no" in ran.stderr
    assert not (tmp_path / "good").exists()
