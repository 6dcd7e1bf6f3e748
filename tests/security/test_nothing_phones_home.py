"""What a library would write about this PC, or tell somebody, unless it is told not to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

_ROOT = str(Path(__file__).resolve().parents[2])
_ADDRESS = re.compile(
    r"sin6?_port=htons\((\d+)\),(?: sin6_flowinfo=[^,]*,)? "
    r'(?:sin_addr=inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")'
)
_IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    __import__(name)
assert "onnxruntime" in sys.modules
"""


def files_after(home: Path, *modules: str, **more: str) -> list[str]:
    """What lies in an empty home folder once a process has imported these modules."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **more}
    subprocess.run([sys.executable, "-c", _IMPORT, _ROOT, *modules], env=environment, check=True, timeout=60)
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "module", ["edge_agent.inspection.inspector", "calibration.calibrate", "edge_agent.tools.doctor.bundles"]
)
def test_onnx_runtime_keeps_no_device_id_and_no_queue_of_reports(tmp_path: Path, module: str) -> None:
    if not files_after(tmp_path / "of the library", "onnxruntime"):
        pytest.skip("this ONNX Runtime keeps nothing")

    assert files_after(tmp_path / "ours", module) == []


def test_who_wants_to_report_can_say_so(tmp_path: Path) -> None:
    by_default = files_after(tmp_path / "of the library", "onnxruntime")

    assert files_after(tmp_path / "ours", "edge_agent.inspection.inspector", ORT_DISABLE_TELEMETRY="0") == by_default


def test_torch_leaves_no_folder_among_the_temporary_files(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": _ROOT}
    code = "import calibration.training.train, torch._dynamo"

    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=100)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.timeout(600)
def test_calibration_agent_and_replay_speak_to_nobody_and_write_nowhere_else(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "demo"
    home.mkdir()
    demo = ["demo", "--parts", "4", "--defective", "1", "--good", "20", "--width", "320", "--out", str(out)]

    spoken = spoken_to(home, demo)  # it calibrates, and runs the agent, the controller and the remote I/O
    spoken += spoken_to(home, ["replay", str(out / "good"), "--bundle", str(out / "bundle")])

    assert any(address.is_loopback for address, _ in spoken)  # the simulated controller: strace saw what there was
    assert [str(address) for address, _ in spoken if not address.is_loopback] == []
    assert 53 not in {port for _, port in spoken}  # of a name server
    kept = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert kept <= {("cache", "matplotlib")}  # a list of this PC's fonts, for the charts of reports


def spoken_to(home: Path, arguments: list[str]) -> list[tuple[IPv4Address | IPv6Address, int]]:
    """Address and port of all that an edge-agent command, and all processes that it begins, connect or send to."""
    trace = home.parent / f"{arguments[0]}.strace"
    watch = ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": _ROOT}
    command = [*watch, sys.executable, "-m", "edge_agent", *arguments]
    done = subprocess.run(command, env=environment, check=False, timeout=500, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = _ADDRESS.findall(trace.read_text(errors="replace"))
    return [(ip_address(four or six), int(port)) for port, four, six in found]
