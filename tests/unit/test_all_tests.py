"""tests/all_tests.py: what fails beside others runs once more, alone; what fails again fails the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.all_tests import MOST_AGAIN

ROOT = Path(__file__).parents[2]
PASSES_THE_SECOND_TIME = """
from pathlib import Path
def test_held_up():
    seen = Path(__file__).with_name("seen")
    was_there = seen.exists()
    seen.touch()
    assert was_there
"""
ALWAYS_FAILS = "def test_broken():\n    assert False\n"
PASSES = "def test_well():\n    pass\n"


def ran(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """The script over these files of tests, with settings of their own."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "tests.all_tests", "--at-a-time", "0", f"--rootdir={folder}", str(folder)]
    command += ["-c", str(folder / "pytest.ini"), "-p", "no:randomly"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_test_that_was_held_up_passes_alone_and_is_named(tmp_path: Path) -> None:
    done = ran(tmp_path, late=PASSES_THE_SECOND_TIME, well=PASSES)

    assert done.returncode == 0, done.stdout
    named = done.stdout.partition("PASSED ALONE (look why):")[2]
    assert "test_late.py::test_held_up" in named
    assert "test_well" not in named


def test_a_test_that_fails_again_fails_the_run(tmp_path: Path) -> None:
    done = ran(tmp_path, broken=ALWAYS_FAILS, late=PASSES_THE_SECOND_TIME)

    assert done.returncode == 1, done.stdout
    named = done.stdout.partition("PASSED ALONE (look why):")[2]
    assert "test_held_up" in named
    assert "test_broken" not in named


def test_many_failures_are_no_noise_and_run_once(tmp_path: Path) -> None:
    late = {f"late_{one}": PASSES_THE_SECOND_TIME.replace('"seen"', f'"{one}"') for one in range(MOST_AGAIN + 1)}

    done = ran(tmp_path, **late)

    assert done.returncode == 1, done.stdout
    assert "alone" not in done.stdout


@pytest.mark.parametrize(
    ("files", "code"),
    [({"cut": "def test_cut(:\n"}, 2), ({"empty": "HERE = 1\n"}, 5), ({"well": PASSES}, 0)],
    ids=["cannot be read", "holds none", "passes"],
)
def test_what_is_no_failure_of_a_test_runs_once(tmp_path: Path, files: dict[str, str], code: int) -> None:
    done = ran(tmp_path, **files)

    assert done.returncode == code, done.stdout
    assert "alone" not in done.stdout
