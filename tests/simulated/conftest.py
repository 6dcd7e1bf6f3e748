"""The bundles that whole-process tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulated.line import FULL_SIZE, PROGRAM, THUMBNAIL, camera, edge_agent


@pytest.fixture(scope="session")
def thumbnail_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 160 x 120 px. EDGE_AGENT_THUMBNAIL names a folder that keeps it, so that shards share one."""
    kept = os.environ.get("EDGE_AGENT_THUMBNAIL")
    return calibrated(Path(kept) if kept else tmp_path_factory.mktemp("thumbnail"), THUMBNAIL)


@pytest.fixture(scope="session")
def full_size_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 1600 x 1200 px, kept by EDGE_AGENT_FULL_SIZE."""
    kept = os.environ.get("EDGE_AGENT_FULL_SIZE")
    return calibrated(Path(kept) if kept else tmp_path_factory.mktemp("full-size"), FULL_SIZE)


def calibrated(folder: Path, size: tuple[int, int]) -> Path:
    """A bundle calibrated by the real command from 24 rendered good parts, unless the folder has it already."""
    import numpy as np

    from drivers.simulated.camera import encode_bmp

    bundle, good = folder / "bundle", folder / "good"
    if (bundle / "manifest.json").exists():
        return bundle
    good.mkdir(parents=True, exist_ok=True)
    cam, rng = camera(size), np.random.default_rng([3, 1])
    for index in range(24):
        (good / f"{index:03d}.bmp").write_bytes(encode_bmp(cam.render(rng).image))
    ran = edge_agent("calibrate-reference", str(good), "--out", str(bundle), "--program", str(PROGRAM), within_s=900)
    assert ran.returncode == 0, f"{size} px: {ran.stderr}"
    return bundle
