"""The command line: exit codes, help with an example for every command, errors without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EDGE_AGENT = Path(sys.executable).with_name("edge-agent")
COMMANDS = [
    ["run"],
    ["calibrate-reference"],
    ["replay"],
    ["evaluate"],
    ["simulate"],
    ["demo"],
    ["doctor"],
    ["init"],
    ["output", "fail-safe"],
    ["config", "check"],
    ["config", "schema"],
    ["config", "unit"],
    ["bundle", "show"],
    ["bundle", "list"],
    ["challenge"],
    ["challenge", "history"],
    ["report", "shift"],
    ["bundle", "compare"],
    ["bundle", "activate"],
    ["bundle", "rollback"],
    ["journal", "changes"],
    ["status"],
    ["version"],
]


def edge_agent(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(EDGE_AGENT), *args], capture_output=True, text=True, check=False, cwd=cwd, timeout=60)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    ran = edge_agent(*command, "--help")

    assert ran.returncode == 0
    assert "Example: edge-agent " + " ".join(command) in ran.stdout


def test_an_unknown_option_is_a_usage_error() -> None:
    assert edge_agent("run", "--no-such-option").returncode == 64


def test_version_json_is_one_versioned_object() -> None:
    facts = json.loads(edge_agent("version", "--json").stdout)

    assert facts["schema_version"] == 1
    assert {"edge-agent", "onnxruntime", "python"} <= facts.keys()


def test_a_missing_config_says_so_and_exits_78(tmp_path: Path) -> None:
    ran = edge_agent("run", "--config", "nowhere.toml", cwd=tmp_path)

    assert ran.returncode == 78
    assert "nowhere.toml" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_without_images_refuses_calibration_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    ran = edge_agent("calibrate-reference", "good", "--out", "bundle", cwd=tmp_path)

    assert ran.returncode == 65
    assert "hint:" in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good"]


def test_replay_of_a_missing_folder_exits_65(tmp_path: Path) -> None:
    assert edge_agent("bundle", "show", "nowhere", cwd=tmp_path).returncode == 65
