"""Every backbone computes what its own framework computes, at any size, and says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.backbones import DEFAULT_BACKBONE, Backbone, backbone_for
from calibration.backbones.efficientnet_lite0 import TAPS
from edge_agent.inspection.networks.sessions import Network

pytestmark = pytest.mark.slow


def image(height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, height, width), dtype=np.float32)


def worst(backbone: Backbone, model: bytes, size: tuple[int, int]) -> float:
    """Of the largest feature."""
    seen = image(*size)
    expected = backbone.original(model, seen)
    found = Network(model, 1).run(seen)

    assert expected is not None
    assert expected.shape == found.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("size", [(48, 64), (97, 131), (65, 64)])
def test_the_default_backbone_computes_what_torch_computes(size: tuple[int, int]) -> None:
    assert worst(DEFAULT_BACKBONE, DEFAULT_BACKBONE.pooled_onnx(), size) < 1e-5
    assert worst(DEFAULT_BACKBONE, DEFAULT_BACKBONE.grid_onnx(), size) < 1e-5


@pytest.mark.parametrize("size", [(48, 64), (97, 131)])
def test_of_grey_images_one_plane_is_as_much_as_three_equal_ones(size: tuple[int, int]) -> None:
    grey = image(*size)[:, :1]
    for colour, plain in (
        (DEFAULT_BACKBONE.overview_onnx(), DEFAULT_BACKBONE.overview_onnx(grey=True)),
        (DEFAULT_BACKBONE.native_onnx(), DEFAULT_BACKBONE.native_onnx(grey=True)),
    ):
        expected = DEFAULT_BACKBONE.original(plain, np.repeat(grey, 3, axis=1))

        assert expected is not None
        np.testing.assert_allclose(Network(plain, 1).run(grey), expected, atol=1e-5 * np.abs(expected).max())
        assert worst(DEFAULT_BACKBONE, colour, size) < 1e-5


@pytest.mark.parametrize("size", [(48, 64), (97, 131)])
def test_what_the_papers_score_pools_is_what_torch_computes_at_each_depth(size: tuple[int, int]) -> None:
    model = DEFAULT_BACKBONE.depths_onnx()

    found = Network(model, 1).run(image(*size))

    assert worst(DEFAULT_BACKBONE, model, size) < 1e-5
    assert found.shape == (1, 3 * sum(DEFAULT_BACKBONE.depths))
    last = Network(DEFAULT_BACKBONE.pooled_onnx(), 1).run(image(*size))
    in_parallel = 2 * DEFAULT_BACKBONE.depths[-1]
    np.testing.assert_allclose(found[:, -last.shape[1] :][:, :in_parallel], last[:, :in_parallel], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("taps", "values"), [("last", 1280), ("0", 16), ("7,2", 104), ("15,last", 1600)])
def test_a_person_says_where_the_papers_score_looks(taps: str, values: int) -> None:
    backbone = backbone_for("efficientnet-lite0", taps=taps)

    assert sum(backbone.depths) == values
    assert worst(backbone, backbone.depths_onnx(), (65, 64)) < 1e-5
    assert backbone.overview_onnx() == DEFAULT_BACKBONE.overview_onnx()
    assert list(backbone.taps) == sorted(taps.split(","), key=list(TAPS).index)
    assert backbone.facts == DEFAULT_BACKBONE.facts


def test_the_default_backbone_says_what_it_is() -> None:
    assert DEFAULT_BACKBONE.facts["name"] == "efficientnet-lite0"
