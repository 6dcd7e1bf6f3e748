"""``--help`` of every benchmark says what it is and measures nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Those are started by another benchmark, and take nothing from a person.
_CHILDREN = ("beyond_agent", "paired_child")
COMMANDS = ["tests.benchmark", "tests.benchmark.figures"] + [
    f"tests.benchmark.{path.stem}"
    for path in sorted((REPOSITORY / "tests" / "benchmark").glob("*.py"))
    if '__name__ == "__main__"' in path.read_text("utf-8") and path.stem not in ("__main__", *_CHILDREN)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_and_nothing_is_measured(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: ")
    assert not ran.stderr
