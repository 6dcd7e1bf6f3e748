"""What befalls patches in training, and that a network which had to repair them repairs a stain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.training.corruption import Corruption
from calibration.training.train import Recipe, Training
from edge_agent.inspection.networks.patches import PatchGrid

pytestmark = pytest.mark.slow

STEPS = 100
STAINS = Corruption(stained=1.0, noise=0.0)


def patches(n: int = 32, channels: int = 3, size: int = 48) -> np.ndarray:
    return np.random.default_rng(5).random((n, channels, size, size), dtype=np.float32)


def test_patches_themselves_stay_as_they_are_and_a_seed_tells_all() -> None:
    given = patches()
    before = given.copy()

    first, second = (Corruption().of(given, np.random.default_rng(1)) for _ in range(2))

    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert not np.array_equal(first, given)


def test_the_share_of_stained_patches_is_as_asked_and_a_stain_covers_a_part_of_a_patch() -> None:
    given = patches(400, 1)

    changed = STAINS.of(given, np.random.default_rng(2)) != given
    some = replace(STAINS, stained=0.25).of(given, np.random.default_rng(2)) != given

    covered = changed.mean(axis=(1, 2, 3))
    largest = np.pi * (STAINS.radii[1] * (1 + STAINS.softness[1])) ** 2
    assert (covered > 0).mean() > 0.97  # one in the corner may lie beside all pixels
    assert covered.max() < largest
    assert 0.15 < some.any(axis=(1, 2, 3)).mean() < 0.35


def test_the_largest_opaque_stain_hides_what_it_covers() -> None:
    given = patches(200, 1)
    opaque = replace(STAINS, opacity=(1.0, 1.0), softness=(0.05, 0.05), radii=(0.35, 0.35), tint=(0.0, 0.0))

    shown = opaque.of(given, np.random.default_rng(3))

    is_plain = [np.unique(patch).size < 0.9 * patch.size for patch in shown]
    assert 0.15 < np.mean(is_plain) < 0.5  # a third of the fills is one colour


def test_noise_alone_is_as_strong_as_asked_and_differs_from_patch_to_patch() -> None:
    given = np.zeros((300, 1, 32, 32), np.float32)

    noise = Corruption(stained=0.0, noise=0.04).of(given, np.random.default_rng(4))

    levels = noise.std(axis=(1, 2, 3))
    assert 0.035 < levels.max() < 0.045
    assert abs(levels.mean() - 0.02) < 0.004
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_a_network_that_learned_to_repair_leaves_less_of_a_stain() -> None:
    grid = PatchGrid(48, 64, 32, 16)
    y, x = np.mgrid[: grid.height, : grid.width]
    rng = np.random.default_rng(0)
    discs = [
        0.2 + rng.uniform(0.3, 0.6) / (1 + np.exp(np.hypot(y - 24, x - 32) - rng.uniform(8, 16))) for _ in range(24)
    ]
    good = np.stack(discs)[..., None].astype(np.float32)
    stained = good[0].copy()
    stained[20:28, 28:36] = 0.05

    def left_of_the_stain(corruption: Corruption | None) -> float:
        recipe = Recipe(batch=32, min_steps=STEPS, max_steps=STEPS, corruption=corruption)
        training = Training(good, grid, range(24), (), recipe, seed=0)
        training.run(lambda _step: None)
        trained = training.result()
        standardised = (grid.cut(stained) - trained.mean_patches) / np.float32(trained.deviation)
        with torch.no_grad():
            found = trained.network(torch.from_numpy(standardised), torch.arange(grid.count)[:, None] / grid.count)[0]
        wanted = (grid.cut(good[0]) - trained.mean_patches) / np.float32(trained.deviation)
        return float(np.mean((found.numpy() - wanted) ** 2))

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    copied, repaired = left_of_the_stain(None), left_of_the_stain(Corruption())
    torch.set_num_threads(before)

    assert repaired < 0.8 * copied
