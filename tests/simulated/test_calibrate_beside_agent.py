"""calibrate-reference beside a running agent: a program without a bundle is collected, and the agent goes first."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.desk.client import DeskClient, desk_path
from tests.simulated.line import PASS, READY, bad_image, good_image, line

if TYPE_CHECKING:
    from tests.simulated.line import Line

# What collects and calibrates makes way for everything else on the machine: beside other work it takes minutes.
pytestmark = pytest.mark.timeout(600)

NEW, WANTED = 2, 20
"""A program that has no [[bundle]]."""


async def _collect(at: Line, *options: str, program: int = NEW) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "calibrate-reference", str(at.folder / "good"), "--live", str(WANTED)),
        *("--config", str(at.config), "--program", str(program), "--out", str(at.folder / "new"), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _until_said(process: asyncio.subprocess.Process, words: str) -> list[str]:
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(110):
        while line := await process.stderr.readline():
            said.append(line.decode())
            if words in said[-1]:
                return said
    raise AssertionError(f"ended without {words!r}: {said}")


def _scheduled(pid: int) -> set[int]:
    """How the threads of a process are scheduled."""
    return {os.sched_getscheduler(int(path.name)) for path in Path(f"/proc/{pid}/task").iterdir()}


def _autogroup(pid: int) -> str:
    """The nice value of a process's session; empty where the kernel has none."""
    path = Path(f"/proc/{pid}/autogroup")
    return path.read_text().partition(" ")[2].strip() if path.exists() else ""


def _taken(at: Line) -> int:
    return len(list((at.folder / "good").glob("good_*")))


async def _switch(at: Line, program: int) -> None:
    async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as desk:
        assert desk is not None
        await desk.command("PW", "1", f"{program:03d}")
    await at.until("the program", lambda: at.controller.state.program == program)


async def test_a_program_without_a_bundle_is_collected_from_the_running_agent(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await _switch(at, NEW)
        await at.until("not READY", lambda: not at.remote_io.coils[READY])
        passed = len([change for change in at.remote_io.history if change.coil == PASS and change.value])

        running = await _collect(at)
        said = await _until_said(running, "bring good parts of program 2")
        assert os.sched_getscheduler(running.pid) == os.SCHED_IDLE
        for number in range(1, 9):
            await at.controller.wire_trigger(good_image(number))
            await at.until(f"{number} taken", lambda n=number: _taken(at) == n)
        await at.controller.wire_trigger(good_image(3))
        await _until_said(running, "the same picture as good_0003")
        await at.controller.wire_trigger(good_image(50)[:9000])
        await _until_said(running, "refused: ")
        await at.controller.wire_trigger(good_image(51), judgement="NG")
        await _until_said(running, "the controller's own tools judged it NG")
        running.terminate()
        out, err = await running.communicate()
        assert running.returncode == 1, err.decode()
        assert b"the same command goes on" in out
        assert _taken(at) == 8

        running = await _collect(at)
        await _until_said(running, "going on with 8 images")
        for number in range(9, WANTED + 1):
            await at.controller.wire_trigger(good_image(number))
            await at.until(f"{number} taken", lambda n=number: _taken(at) == n)
        out, err = await running.communicate()
        rows = at.rows()
        assert at.agent is not None
        assert at.agent.returncode is None

    assert any("an agent runs on this line" in words for words in said)
    assert running.returncode == 0, err.decode()
    assert b"20 of 20 good parts" in out
    assert (tmp_path / "good" / "collected.html").read_text().count("data:image/png") >= WANTED
    assert not (tmp_path / "good" / ".spool").exists()
    assert {row.verdict for row in rows} == {"FAULT"}
    assert {row.program for row in rows} == {NEW}
    assert len([change for change in at.remote_io.history if change.coil == PASS and change.value]) == passed


async def test_what_the_agent_does_not_keep_is_not_collected_from_it(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(
            at.config.read_text().replace('archive = "archive"', 'archive = "archive"\nkeep = "rejects"')
        )
        await at.start_agent()
        await at.until_ready()
        rejects = await _collect(at, program=1)
        _, no_passes = await rejects.communicate()
        other = await _collect(at, program=NEW)
        _, another = await other.communicate()

    assert (rejects.returncode, other.returncode) == (69, 64)
    assert b"program 1 has a bundle, and the running agent keeps the images of its rejects" in no_passes
    assert b'set keep = "all"' in no_passes
    assert b"the controller runs program 1" in another


async def test_parts_of_a_program_that_has_a_bundle_are_collected_whatever_became_of_them(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(good_image(1))  # before anybody collects: not asked for
        await at.until_rows(1)
        running = await _collect(at, program=1)
        said = await _until_said(running, "bring good parts of program 1")
        await at.until("the window's end", lambda: not at.remote_io.coils[PASS])
        await at.controller.wire_trigger(good_image(2))
        await at.until("one taken", lambda: _taken(at) == 1)
        await at.until("the window's end", lambda: not at.remote_io.coils[PASS])
        await at.controller.wire_trigger(bad_image(1))
        await at.until("two taken", lambda: _taken(at) == 2)
        await at.stop_agent()
        running.terminate()
        out, _ = await running.communicate()

    assert any("what it rejects is collected as well" in words for words in said)
    assert b"2 of 20 good parts" in out


async def test_a_calibration_beside_a_running_line_makes_way_for_it(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        (tmp_path / "good").mkdir()
        for number in range(1, 21):
            (tmp_path / "good" / f"{number}.bmp").write_bytes(good_image(number))
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "calibrate-reference", "good", "--config", str(at.config)),
            *("--program", str(NEW), "--out", "new"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # another terminal than the agent's
        )
        await _until_said(running, "this calibration makes way for it")
        for number in range(1, 6):
            await at.controller.wire_trigger(good_image(100 + number))
            await at.until_rows(number)
            await at.until("the window's end", lambda: not at.remote_io.coils[PASS])
        assert at.agent is not None
        idle, group, agents = _scheduled(running.pid), _autogroup(running.pid), _autogroup(at.agent.pid)
        rows = at.rows()
        running.kill()  # at idle priority it would take minutes on a machine that has other work
        await running.communicate()

    assert idle == {os.SCHED_IDLE}
    assert group in ("nice 19", "")  # where the kernel shares between sessions first, the whole session makes way
    assert agents != "nice 19"
    assert [(row.program, row.reason) for row in rows if row.reason in ("LATE", "OVERRUN")] == []
