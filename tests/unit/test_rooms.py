"""What is planted where it does not belong breaks a contract of pyproject.toml: a check that cannot fail is none."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("edge_agent", "calibration", "drivers")
PLANTED = {
    "edge_agent/unplaced/__init__.py": '"""A room of the agent that nobody has given a place."""\n',
    "calibration/shapes/__init__.py": '"""A room of calibration that nobody has given a place."""\n',
    "edge_agent/inspection/shapes/__init__.py": '"""A room of inspection that nobody has given a place."""\n',
    "edge_agent/commands/hello.py": '"""A command that nobody has given a place."""\n',
    "edge_agent/runtime/shortcut.py": '"""The engine at the wire."""\nimport drivers.modbus.wires\n',
    "edge_agent/report/shortcut.py": '"""A report out of the page."""\nimport edge_agent.web.site\n',
    "edge_agent/store/here.py": '"""One of two that need each other."""\nimport edge_agent.store.there\n',
    "edge_agent/store/there.py": '"""The other one."""\nimport edge_agent.store.here\n',
    "edge_agent/inspection/scoring/learned.py": '"""torch on the line."""\nimport torch\n',
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the code with all of that planted."""
    copy = tmp_path_factory.mktemp("planted")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=lambda _, names: [n for n in names if n == "__pycache__"])
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, text in PLANTED.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    done = subprocess.run(run, cwd=copy, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(copy)})
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize(
    "words",
    [
        "The rooms of edge_agent: each has its place, and a new one has to say its own BROKEN",
        "- edge_agent.unplaced",
        "The rooms of calibration: each has its place, and a new one has to say its own BROKEN",
        "The rooms of inspection: each has its place, and a new one has to say its own BROKEN",
        "- edge_agent.inspection.shapes",
        "- calibration.shapes",
        "Commands: one tree, and none calls another BROKEN",
        "- edge_agent.commands.hello",
        "Only wiring names a concrete driver, and of the simulated peers only its simulation BROKEN",
        "edge_agent.runtime.shortcut -> drivers.modbus.wires",
        "edge_agent.report is not allowed to import edge_agent.web",
        "No circle between files or rooms that stand side by side BROKEN",
        "torch stays in calibration BROKEN",
    ],
)
def test_what_is_planted_breaks_its_contract(said: str, words: str) -> None:
    assert words in said


def test_nothing_else_breaks(said: str) -> None:
    assert "Drivers know nothing of what stands above them KEPT" in said
    assert "Collecting good parts needs nothing of what calibration needs KEPT" in said
