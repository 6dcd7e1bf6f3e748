"""Xception as an ONNX file computes what Keras computes. Its weights are drawn here: nothing is downloaded."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration.backbones.xception import Xception, _keras
from edge_agent.errors import DataError, Unavailable
from edge_agent.inspection.networks.embedding import Embedder, FeatureGrid
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("keras") is None, reason="keras is not installed"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras with torch and numpy 2
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file as a user would give, with batch normalisations that do something."""
    folder = tmp_path_factory.mktemp("keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(folder))
        keras = _keras()
        model = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
        rng = np.random.default_rng(0)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                n = layer.gamma.shape[0]
                spread = [rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n)]
                layer.set_weights([spread[0], spread[1], rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)])
        model.save_weights(folder / "x.weights.h5")
        yield folder / "x.weights.h5"


@pytest.fixture(scope="module")
def xception(weights: Path) -> Xception:
    return Xception(weights)


@pytest.mark.parametrize("kind", ["pooled", "grid"])
def test_it_computes_what_keras_computes(xception: Xception, kind: str) -> None:
    model = xception.pooled_onnx() if kind == "pooled" else xception.grid_onnx()
    image = np.random.default_rng(1).random((1, 3, 97, 78), dtype=np.float32)

    expected, found = xception.original(model, image), Network(model, 1).run(image)

    assert found.shape == expected.shape
    assert np.abs(found).std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(np.abs(expected).max()))


def test_its_files_fit_the_inspection(xception: Xception) -> None:
    image = np.random.default_rng(2).random((100, 130, 1), dtype=np.float32)

    assert Embedder(xception.pooled_onnx(), threads=1).embed(image).shape == (6144,)
    assert FeatureGrid(xception.grid_onnx(), threads=1).features(image).shape == (6, 8, 984)


def test_the_manifest_can_say_which_weights(xception: Xception) -> None:
    assert xception.facts["name"] == "xception"
    assert xception.facts["weights"] == "x.weights.h5"
    assert len(str(xception.facts["weights_sha256"])) == 64


@pytest.mark.parametrize("name", ["nothing.weights.h5", "text.weights.h5"])
def test_a_file_without_its_weights_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.weights.h5").write_text("not weights")

    with pytest.raises(DataError, match=name) as caught:
        Xception(tmp_path / name)
    assert "include_top=False" in caught.value.hint


def test_without_internet_it_asks_for_a_file(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    def no_internet(**_options: object) -> None:
        raise Exception("URL fetch failure")  # noqa: TRY002 - as Keras does

    monkeypatch.setattr(_keras().applications, "Xception", no_internet)

    with pytest.raises(Unavailable, match="URL fetch failure") as caught:
        Xception()
    assert "--backbone-weights" in caught.value.hint


def test_without_keras_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)

    with pytest.raises(Unavailable, match="needs keras") as caught:
        Xception()
    assert "edge-agent[xception]" in caught.value.hint


def test_no_path_of_this_machine_is_in_its_file(xception: Xception, weights: Path) -> None:
    data = xception.grid_onnx()

    for trace in (str(weights.parent), "site-packages"):
        assert trace.encode() not in data
