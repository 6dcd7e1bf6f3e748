"""The demonstration on a machine that has other work: slower, or refused with numbers, never a traceback."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from edge_agent.errors import EdgeAgentError, Unavailable
from edge_agent.tools.demo import run as demo
from edge_agent.tools.demo.pace import busy_words, pace_for
from edge_agent.tools.demo.plan import DemoPlan
from edge_agent.wiring.free_ports import free_port
from edge_agent.wiring.shown_parts import render_line
from edge_agent.wiring.simulation import DemoLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Machine:
    """One that takes so long for an image, by its own clock."""

    def __init__(self, *takes_s: float) -> None:
        self.now_s = 0.0
        self._takes_s = list(takes_s)

    def judge(self) -> None:
        self.now_s += self._takes_s.pop(0) if len(self._takes_s) > 1 else self._takes_s[0]


def pace(wanted_s: float, *takes_s: float) -> float:
    machine = Machine(*takes_s)
    return pace_for(wanted_s, machine.judge, lambda: machine.now_s)


def test_a_machine_with_time_keeps_the_pace_that_was_asked_for() -> None:
    assert pace(1.5, 0.15) == 1.5
    assert pace(1.5, 3.0, 0.15) == 1.5, "the first image warms up"
    assert pace(1.5, 0.15, 0.15, 3.0, 0.15) == 1.5, "one slow image is no slow machine"


def test_a_busy_machine_gets_a_slower_belt() -> None:
    assert pace(1.5, 1.0) == 6.0


@pytest.mark.parametrize("takes_s", [0.01, 0.09, 0.35, 1.0, 3.3])
def test_an_image_fits_twice_into_the_deadline_of_the_belt(tmp_path: Path, takes_s: float) -> None:
    plan = DemoPlan(tmp_path, parts=1, defective=0, good=1, width=160, spacing_s=pace(0.2, takes_s), seed=1)

    assert plan.deadline_ms >= 2 * takes_s * 1000


def test_a_machine_that_cannot_is_told_with_numbers() -> None:
    with pytest.raises(
        Unavailable, match=r"one image takes 5\.0 s to judge, and at most 3\.3 s would do \(load"
    ) as why:
        pace(1.5, 5.0)

    assert why.value.exit_code == 69
    assert "--width 640" in why.value.hint
    assert "cores" in busy_words()


async def until_ready(folder: Path, code: str) -> None:
    """What the demonstration says of an agent that is this program instead."""
    shown = render_line(1, 0, width=160, seed=1, progress=lambda _stage, _done, _total: None)
    log_path = folder / "agent.log"
    opened = DemoLine.open(
        shown, spacing_s=1.0, program=1, ftp_port=free_port(), ftp_password=str(folder), watchdog_s=0.5
    )
    async with opened as line:
        with log_path.open("wb") as log_file:
            agent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=log_file)
        try:
            await demo._until_ready(line, agent, log_path)
        finally:
            if agent.returncode is None:
                agent.kill()
            await agent.wait()


async def test_an_agent_that_is_not_ready_in_time_is_a_busy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_READY_WITHIN_S", 0.2)

    with pytest.raises(Unavailable, match=r"did not get READY within 0 s \(load average .+ cores\)") as why:
        await until_ready(tmp_path, "import time; time.sleep(60)")

    assert why.value.exit_code == 69


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("import sys; sys.exit('error: no journal')", 1, "error: no journal\nthe agent ended with exit code 1"),
        ("import sys; sys.exit(78)", 78, "the agent ended with exit code 78"),
        ("import os; os.kill(os.getpid(), 9)", 69, "the agent was ended by signal 9 (load average"),
    ],
)
async def test_an_agent_that_ends_keeps_its_exit_code(tmp_path: Path, code: str, expected: int, said: str) -> None:
    with pytest.raises(EdgeAgentError) as why:
        await until_ready(tmp_path, code)

    assert why.value.exit_code == expected
    assert said in str(why.value)


@pytest.fixture
def nobody_calibrates(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def ends_with(code: str) -> None:
        monkeypatch.setattr(demo, "_EDGE_AGENT", [sys.executable, "-c", code])

    return ends_with


def test_a_calibration_that_fails_ends_the_demonstration_with_its_exit_code(
    tmp_path: Path, nobody_calibrates: Callable[[str], None]
) -> None:
    nobody_calibrates("import sys; sys.exit(65)")
    plan = DemoPlan(tmp_path / "out", parts=1, defective=0, good=1, width=160, spacing_s=1.0, seed=1)

    with pytest.raises(EdgeAgentError, match="the calibration ended with exit code 65") as why:
        demo.run_demo(plan, lambda _stage, _done, _total: None, lambda _line: None)

    assert why.value.exit_code == 65
