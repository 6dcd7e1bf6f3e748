"""What ONNX Runtime's sessions leave to the rest of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_THREADS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from threadpoolctl import threadpool_info
from calibration.backbones import DEFAULT_BACKBONE
from edge_agent.inspection.networks.sessions import Network
def of_blas():
    np.ones((64, 64)) @ np.ones((64, 64))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas" and "numpy" in one["filepath"]}
before = of_blas()
network = Network(DEFAULT_BACKBONE.overview_onnx(), 2)
print(before, of_blas())
"""


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: NumPy has one thread anyhow")
def test_where_a_network_runs_numpy_has_no_threads_that_take_its_cores() -> None:
    root = str(Path(__file__).resolve().parents[2])

    found = subprocess.run(
        [sys.executable, "-c", _THREADS, root],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    assert found.split() == ["{2}", "{1}"]
