"""Two agents on one output: the second is refused before it writes anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_agent.errors import AlreadyRunning
from edge_agent.runtime.claim import claimed
from edge_agent.settings import Settings, load_settings
from tests.simulated.line import edge_agent

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")


def settings(tmp_path: Path, **output: str) -> Settings:
    text = EXAMPLE.replace('host = "192.168.20.20"', 'host = "192.0.2.77"')
    for key, value in output.items():
        before = {"first_coil": "first_coil = 0", "kind": 'kind = "modbus-coils"'}[key]
        assert before in text
        text = text.replace(before, f"{key} = {value}")
    path = tmp_path / "line.toml"
    path.write_text(text)
    path.chmod(0o640)
    return load_settings(path)


@pytest.mark.parametrize("first_coil", ["0", "3"])
def test_an_output_that_shares_a_coil_is_refused_until_the_first_agent_is_gone(tmp_path: Path, first_coil: str) -> None:
    first, second = settings(tmp_path).output, settings(tmp_path, first_coil=first_coil).output
    with claimed(first), pytest.raises(AlreadyRunning) as refused, claimed(second):
        pass
    with claimed(second):
        pass

    assert refused.value.exit_code == 75
    assert "192.0.2.77" in str(refused.value)
    assert refused.value.hint


def test_outputs_that_share_nothing_live_beside_each_other(tmp_path: Path) -> None:
    with claimed(settings(tmp_path).output), claimed(settings(tmp_path, first_coil="4").output):
        pass
    with claimed(settings(tmp_path).output), claimed(settings(tmp_path, kind='"modbus-registers"').output):
        pass


def test_a_second_agent_on_the_output_ends_with_75(tmp_path: Path) -> None:
    with claimed(settings(tmp_path).output):
        ran = edge_agent("run", "--config", str(tmp_path / "line.toml"))

    assert ran.returncode == 75, ran.stderr
    assert "another edge-agent drives the output" in ran.stderr
    assert "hint:" in ran.stderr
