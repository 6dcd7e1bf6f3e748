"""The thumbnail bundle that whole-process tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulated.line import PROGRAM, WIDTH, camera, edge_agent


@pytest.fixture(scope="session")
def thumbnail_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle calibrated by the real command from 24 rendered good parts.

    EDGE_AGENT_THUMBNAIL names a folder that keeps it, so that shards of a long run need not calibrate again.
    """
    kept = os.environ.get("EDGE_AGENT_THUMBNAIL")
    if kept and (Path(kept) / "bundle" / "manifest.json").exists():
        return Path(kept) / "bundle"
    import numpy as np

    from drivers.simulated.camera import encode_bmp

    folder = Path(kept) if kept else tmp_path_factory.mktemp("thumbnail")
    good = folder / "good"
    good.mkdir(parents=True, exist_ok=True)
    cam, rng = camera(), np.random.default_rng([3, 1])
    for index in range(24):
        (good / f"{index:03d}.bmp").write_bytes(encode_bmp(cam.render(rng).image))
    ran = edge_agent(
        "calibrate-reference", str(good), "--out", str(folder / "bundle"), "--program", str(PROGRAM), within_s=400
    )
    assert ran.returncode == 0, f"{WIDTH} px: {ran.stderr}"
    return folder / "bundle"
