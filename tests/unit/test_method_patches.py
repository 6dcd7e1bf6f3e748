"""Patches are cut and put back without loss, and cover the whole image."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.inspection.networks.patches import PatchGrid


@pytest.mark.parametrize(
    ("height", "width", "patch", "stride"),
    [(256, 256, 64, 32), (192, 256, 64, 32), (173, 256, 64, 32), (32, 46, 32, 16), (64, 64, 64, 32), (65, 64, 64, 64)],
)
def test_blending_what_was_cut_gives_the_image_back(height: int, width: int, patch: int, stride: int) -> None:
    grid = PatchGrid(height, width, patch, stride)
    image = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)

    patches = grid.cut(image)

    assert patches.shape == (grid.count, 3, patch, patch)
    np.testing.assert_allclose(grid.blend(patches), image, atol=1e-6)


def test_patches_reach_every_edge_and_are_never_further_apart_than_the_stride() -> None:
    grid = PatchGrid(173, 256, 64, 32)
    rows = sorted({y for y, _ in grid.corners()})

    assert rows[0] == 0
    assert rows[-1] == 173 - 64
    assert max(np.diff(rows)) <= 32


def test_patches_are_counted_row_by_row_from_the_upper_left() -> None:
    assert PatchGrid(64, 96, 32, 32).corners() == [(0, 0), (0, 32), (0, 64), (32, 0), (32, 32), (32, 64)]


@pytest.mark.parametrize(("patch", "stride"), [(65, 32), (32, 0), (32, 33), (0, 0)])
def test_a_grid_that_does_not_cover_is_refused(patch: int, stride: int) -> None:
    with pytest.raises(ValueError, match="do not cover"):
        PatchGrid(64, 64, patch, stride)


def test_an_image_or_patches_of_another_size_are_refused() -> None:
    grid = PatchGrid(64, 64, 32, 32)
    with pytest.raises(ValueError, match="grid"):
        grid.cut(np.zeros((64, 65, 1), np.float32))
    with pytest.raises(ValueError, match="shape"):
        grid.blend(np.zeros((3, 1, 32, 32), np.float32))
