"""What a library would write about this PC, or tell somebody, unless it is told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = str(Path(__file__).resolve().parents[2])
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
    "module", ["edge_agent.inspection.inspector", "calibration.calibrate", "edge_agent.doctor.bundles"]
)
def test_onnx_runtime_keeps_no_device_id_and_no_queue_of_reports(tmp_path: Path, module: str) -> None:
    if not files_after(tmp_path / "of the library", "onnxruntime"):
        pytest.skip("this ONNX Runtime keeps nothing")

    assert files_after(tmp_path / "ours", module) == []


def test_who_wants_to_report_can_say_so(tmp_path: Path) -> None:
    by_default = files_after(tmp_path / "of the library", "onnxruntime")

    assert files_after(tmp_path / "ours", "edge_agent.inspection.inspector", ORT_DISABLE_TELEMETRY="0") == by_default
