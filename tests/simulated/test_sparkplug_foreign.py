"""Sparkplug as a host reads it that nobody here wrote: Eclipse Tahu's sparkplug-payload on Node.js, fetched by npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.wiring.free_ports import free_port
from tests.publishing import Written, sending
from tests.security.web_site import reject_row
from tests.sparkplug_site import GROUP, NODE, Mosquitto, begun, to

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_PACKAGES = ("sparkplug-payload@1.0.3", "mqtt@4.3.8")
_SCRIPT = Path(__file__).with_name("sparkplug_host.js")
_INSTALL_WITHIN_S = 240


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packages in it; skips where node or the packages cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm on this machine (apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *_PACKAGES]
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_WITHIN_S)
    except (subprocess.SubprocessError, OSError) as err:
        pytest.skip(f"npm cannot fetch {_PACKAGES}: {err}")
    return folder / "node_modules"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    at = Mosquitto(free_port(), tmp_path)
    at.start()
    yield at
    at.stop()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_foreign_host_reads_births_history_parts_and_death(
    tmp_path: Path, modules: Path, broker: Mosquitto, version: str
) -> None:
    written = Written(tmp_path / "journal.sqlite3")
    outbox = begun(written.path)
    written.parts(1, 3)
    written.part(reject_row(4))
    asked = {"port": broker.port, "host": "scada", "rebirthAfter": 4, "waitsFor": 7}
    node = subprocess.Popen(
        ["node", str(_SCRIPT), json.dumps(asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(modules)},
    )
    heard: list[dict[str, Any]] = []
    assert node.stdout is not None
    with sending(outbox, to(broker, written.path, primary_host="scada", version=version)):
        for line in node.stdout:
            said = json.loads(line)
            if said["what"] == "reborn":
                written.parts(5, 7)
            else:
                heard.append(said["value"])
    _, words = node.communicate(timeout=60)
    written.close()
    assert node.returncode == 0, words.decode()

    if version == "5" and len(heard) == 13:  # its DISCONNECT asks for the will as well, as Sparkplug wants it
        assert heard.pop()["metrics"][0]["value"] == heard[-1]["metrics"][0]["value"]
    assert [one["type"] for one in heard] == [
        *("NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDATA", "DDATA"),
        *("NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDATA", "NDEATH"),
    ]
    assert [one["seq"] for one in heard[:6]] == list(range(6))
    assert [one["seq"] for one in heard[6:11]] == list(range(5))
    assert heard[11].get("seq") in (None, 0)  # the library reads a number that is not there as none, or as 0
    assert {(one["group"], one["node"]) for one in heard} == {(GROUP, NODE)}
    assert {(one["qos"], one["retain"]) for one in heard[:11]} == {(0, False)}

    node_birth, device_birth = (_metrics(one) for one in heard[:2])
    assert (node_birth["bdSeq"]["type"], node_birth["bdSeq"]["value"]) == ("Int64", 0)
    assert (node_birth["Node Control/Rebirth"]["type"], node_birth["Node Control/Rebirth"]["value"]) == (
        "Boolean",
        False,
    )
    assert {name: metric["type"] for name, metric in device_birth.items() if name.startswith("Part/S")} == {
        "Part/Seq": "Int64",
        "Part/Score": "Double",
        "Part/Simulated": "Boolean",
    }
    assert device_birth["Part/Decided"]["type"] == "DateTime"
    assert device_birth["Part/Verdict"]["value"] == "REJECT"

    data = [_metrics(one) for one in heard if one["type"] == "DDATA"]
    assert [one["Part/Seq"]["value"] for one in data] == list(range(1, 8))
    assert [one["Part/Verdict"]["value"] for one in data] == ["PASS"] * 3 + ["REJECT"] + ["PASS"] * 3
    assert [one["Part/Passed"]["value"] for one in data] == [True] * 3 + [False] + [True] * 3
    assert [one["Part/Seq"]["isHistorical"] for one in data] == [True] * 4 + [False] * 3
    assert [metric["name"] for metric in heard[11]["metrics"]] == ["bdSeq"]
    assert heard[11]["metrics"][0]["value"] == 0


def _metrics(message: dict[str, Any]) -> dict[str, Any]:
    return {metric["name"]: metric for metric in message["metrics"]}
