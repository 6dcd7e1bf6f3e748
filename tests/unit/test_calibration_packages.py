"""A line PC without the packages of calibration: one clear error, and what to do here or on another PC."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from calibration.collecting.packages import NEEDED, missing_packages, need_packages
from tests.without_packages import MODULES

ROOT = Path(__file__).parents[2]


def on_a_line_pc(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.without_packages", *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_good_parts_on_a_pc_that_cannot_calibrate(tmp_path: Path) -> None:
    given = ("--part", "a zipper", "--program", "3", "--max-angle", "20", "--keep", "a.bmp", "--keep", "b.bmp")

    ran = on_a_line_pc("calibrate-reference", str(tmp_path), "--out", str(tmp_path / "b"), *given, "--force", "--json")

    assert ran.returncode == 69
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith(f"error: this PC cannot calibrate from the images in {tmp_path}: torch, onnx")
    assert "make offline-bundle CALIBRATION=yes" in ran.stderr
    again = "edge-agent calibrate-reference good --out bundle --part 'a zipper' --program 3 --max-angle 20"
    assert f"{again} --keep a.bmp --keep b.bmp\n" in ran.stderr, "all that changes the bundle, nothing of this PC"
    assert "edge-agent bundle activate bundle --config /etc/edge-agent/line.toml" in ran.stderr
    assert "systemctl restart edge-agent" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "demo"])
def test_the_other_commands_that_calibrate(tmp_path: Path, command: str) -> None:
    ran = on_a_line_pc(command, *([str(tmp_path)] if command == "evaluate" else ["--out", str(tmp_path / "out")]))

    assert ran.returncode == 69
    assert "Traceback" not in ran.stderr
    assert "calibration needs torch, onnx" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_all_is_installed_nothing_is_missing() -> None:
    assert missing_packages() == ()
    need_packages()


def test_what_is_looked_for_is_what_the_extra_brings() -> None:
    """Torch alone may need onnxscript."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert {Requirement(text).name for text in extras["calibrate"]} - {"onnxscript"} == set(NEEDED.values())
    assert set(NEEDED) <= MODULES
