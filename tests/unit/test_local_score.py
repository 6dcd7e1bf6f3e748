"""The local score: each place against the same place of good parts, forgiving one cell, and honest about NaN."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.backbone import backbone_onnx, feature_grid_onnx
from calibration.scoring import _most_different
from edge_agent.inspection.embedding import Embedder, FeatureGrid
from edge_agent.inspection.judge import judge_for
from edge_agent.inspection.knn import Bank
from edge_agent.inspection.local import LocalBank

Features = NDArray[np.float32]


def drawn(n: int, seed: int = 0, height: int = 7, width: int = 9, depth: int = 5) -> Features:
    return np.random.default_rng(seed).normal(size=(n, height, width, depth)).astype(np.float32)


def slow_distances(bank: Features, scale: Features, part: Features) -> Features:
    """The definition, place by place."""
    n, height, width, _ = bank.shape
    found = np.full((height, width), np.inf)
    for y in range(height):
        for x in range(width):
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    for i in range(n):
                        found[y, x] = min(found[y, x], np.linalg.norm((part[y, x] - bank[i, v, u]) / scale))
    return found.astype(np.float32)


def test_a_distance_is_to_the_nearest_good_place_within_one_cell() -> None:
    good, part = drawn(4), drawn(1, seed=1)[0]
    bank = LocalBank.of(good)

    np.testing.assert_allclose(bank.distances(part), slow_distances(good, bank.scale, part), rtol=1e-4, atol=1e-4)


def test_a_good_part_in_the_bank_has_no_distance_and_without_itself_it_has() -> None:
    good = drawn(4)
    bank = LocalBank.of(good)

    assert bank.score(good[2]) == pytest.approx(0.0, abs=2e-3)
    assert bank.score(good[2], without=2) == pytest.approx(
        LocalBank.scaled_by(np.delete(good, 2, axis=0), bank.scale).score(good[2]), rel=1e-5
    )


def test_a_part_that_lies_one_cell_off_is_forgiven_two_cells_are_not() -> None:
    good = drawn(3, height=12, width=12)
    bank = LocalBank.of(good)
    inner = (slice(3, -3), slice(3, -3))

    assert bank.distances(np.roll(good[0], 1, axis=1))[inner].max() < 2e-3
    assert bank.distances(np.roll(good[0], 2, axis=1))[inner].max() > 0.5


def test_one_odd_place_raises_the_score_however_large_the_part_is() -> None:
    good = drawn(6, height=40, width=40)
    bank = LocalBank.of(good)
    part = drawn(1, seed=9, height=40, width=40)[0]
    defective = part.copy()
    defective[20:23, 20:23] += 25.0

    assert bank.score(defective) > 3 * bank.score(part)


def test_nan_in_one_place_makes_the_score_nan() -> None:
    part = drawn(1)[0]
    part[3, 4, 2] = np.nan

    assert np.isnan(LocalBank.of(drawn(4)).score(part))


def test_the_same_features_give_the_same_bits() -> None:
    bank, part = LocalBank.of(drawn(5)), drawn(1, seed=3)[0]

    assert bank.score(part) == bank.score(part.copy())


def test_a_bank_above_its_bound_keeps_the_parts_that_differ_most() -> None:
    features = np.zeros((6, 2, 2, 3), np.float32)
    features[4] += 9.0
    features[1] -= 7.0

    assert _most_different(features, 3) == [0, 1, 4]
    assert _most_different(features, 6) == [0, 1, 2, 3, 4, 5]


def test_the_feature_grid_has_a_place_for_each_sixteen_pixels_rounded_up() -> None:
    grid = FeatureGrid(feature_grid_onnx(), threads=1)
    image = np.random.default_rng(0).random((70, 49, 1)).astype(np.float32)

    assert grid.features(image).shape == (5, 4, grid.dimensions)


def test_a_backbone_of_the_other_score_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        FeatureGrid(backbone_onnx(), threads=1)
    with pytest.raises(ValueError, match="expected"):
        Embedder(feature_grid_onnx(), threads=1)


def test_a_bank_that_does_not_fit_the_crop_or_the_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="the bank has"):
        judge_for(feature_grid_onnx(), LocalBank.of(drawn(3, depth=152)), (64, 64), threads=1)
    with pytest.raises(ValueError, match="the bank has"):
        judge_for(
            backbone_onnx(),
            Bank.of(np.random.default_rng(0).random((20, 6)).astype(np.float32), 15),
            (64, 64),
            threads=1,
        )
