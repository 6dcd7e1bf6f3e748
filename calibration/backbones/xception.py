"""Xception, the network of the paper, from Keras: its layers written out as ONNX nodes.

Keras' own exporters fix the image's size or write this machine's paths into the file.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.backbones.heads import finish_grid, finish_pooled, grid_of, pooled_of
from calibration.onnx_graph import OnnxGraph
from edge_agent.errors import DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Xception"]

_EIGHTH, _SIXTEENTH, _LAST = "block4_sepconv1_act", "block13_sepconv1_act", "block14_sepconv2_act"
"""What goes into the first two, before the strides to 1/16 and to 1/32, makes the grid; the last is pooled."""
_EIGHTH_FEATURES, _SIXTEENTH_FEATURES = 256, 728
_LAST_FEATURES = 2048


class Xception:
    """``pooled_onnx``: 6144 values; ``grid_onnx``: 256 + 728 features at 1/16.

    ``weights`` is a Keras weights file of Xception without its top; None: those trained on ImageNet, from Keras' own
    store, which needs internet the first time.
    """

    def __init__(self, weights: Path | None = None) -> None:
        """Raises Unavailable without Keras or its store, DataError for a file with other weights."""
        self._weights, self._model = weights, _loaded(weights)

    @property
    def facts(self) -> dict[str, object]:
        """Its name and where its weights are from."""
        if self._weights is None:
            return {"name": "xception", "weights": "keras.applications, imagenet"}
        digest = hashlib.sha256(self._weights.read_bytes()).hexdigest()
        return {"name": "xception", "weights": self._weights.name, "weights_sha256": digest}

    @property
    def taps(self) -> tuple[str, ...]:
        """The layer before Keras' global pooling."""
        return (_LAST,)

    @property
    def has_own_taps(self) -> bool:
        """Never: what it taps is where every score looks."""
        return False

    @property
    def depths(self) -> tuple[int, ...]:
        """The last features alone, as in the paper."""
        return (_LAST_FEATURES,)

    def depths_onnx(self) -> bytes:
        """As ``pooled_onnx``."""
        return self._pooled

    def pooled_onnx(self) -> bytes:
        """To ``embedding`` (1, 6144): the features before Keras' global pooling, pooled as the paper does."""
        return self._pooled

    def grid_onnx(self) -> bytes:
        """To ``features`` (1, 984, rows, columns)."""
        return self._grid

    def overview_onnx(self, *, grey: bool = False) -> bytes:
        """To ``features`` (1, 728, rows, columns): the last at 1/16."""
        del grey  # one file for both
        return self._overview

    def native_onnx(self, *, grey: bool = False) -> bytes:
        """As ``overview_onnx``."""
        return self.overview_onnx(grey=grey)

    def fine_onnx(self) -> bytes:
        """To ``features`` (1, 256, rows, columns): those at 1/8, averaged to 1/16."""
        return self._fine

    def original(self, model: bytes, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same by Keras, of an image (1, 3, h, w) in [0, 1]: what that file's output is, of the same shape."""
        keras = _keras()
        network = keras.Model(self._model.input, self._taps)
        found = network(np.moveaxis(image * np.float32(2.0) - np.float32(1.0), 1, 3), training=False)
        eighth, sixteenth, last = (np.moveaxis(keras.ops.convert_to_numpy(x), 3, 1) for x in found)
        if model == self._pooled:
            return pooled_of(last)
        if model == self._overview:
            return grid_of([(sixteenth, 1)])
        return grid_of([(eighth, 2)] if model == self._fine else [(eighth, 2), (sixteenth, 1)])

    @cached_property
    def _pooled(self) -> bytes:
        graph, names = _converted("xception-pooled", self._model.input, self._taps[2:])
        return finish_pooled(graph, names[0], _LAST_FEATURES)

    @cached_property
    def _grid(self) -> bytes:
        graph, (eighth, sixteenth) = _converted("xception-grid", self._model.input, self._taps[:2])
        return finish_grid(graph, [(eighth, 2), (sixteenth, 1)], _EIGHTH_FEATURES + _SIXTEENTH_FEATURES)

    @cached_property
    def _overview(self) -> bytes:
        graph, (sixteenth,) = _converted("xception-overview", self._model.input, self._taps[1:2])
        return finish_grid(graph, [(sixteenth, 1)], _SIXTEENTH_FEATURES)

    @cached_property
    def _fine(self) -> bytes:
        graph, (eighth,) = _converted("xception-fine", self._model.input, self._taps[:1])
        return finish_grid(graph, [(eighth, 2)], _EIGHTH_FEATURES)

    @property
    def _taps(self) -> list[Any]:
        model = self._model
        return [model.get_layer(_EIGHTH).input, model.get_layer(_SIXTEENTH).input, model.get_layer(_LAST).output]


def _loaded(weights: Path | None) -> Any:
    keras = _keras()
    try:
        return keras.applications.Xception(
            weights="imagenet" if weights is None else weights, include_top=False, input_shape=(None, None, 3)
        )
    except Exception as err:  # Keras raises bare exceptions where it cannot download
        if weights is None:
            raise Unavailable(
                f"the weights of Xception could not be fetched: {err}",
                hint="name a file with --backbone-weights: xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            ) from err
        raise DataError(
            f"{weights} does not hold the weights of Xception: {err}",
            hint="a Keras weights file (.h5, .weights.h5 or .keras) of Xception with include_top=False",
        ) from err


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")  # read once, when keras is imported
    try:
        import keras
    except ImportError as err:
        raise Unavailable(
            f"the backbone xception needs {err.name}, which is not installed", hint="pip install 'edge-agent[xception]'"
        ) from err
    keras.config.set_image_data_format("channels_last")
    return keras


def _converted(name: str, image: Any, taps: Sequence[Any]) -> tuple[OnnxGraph, list[str]]:
    """The graph of a Keras network from ``image`` to these tensors, and their names in it; 2 x - 1 is in front."""
    keras = _keras()
    graph = OnnxGraph(name, "image", [1, 3, "height", "width"])
    names = {image.name: graph.add("Sub", graph.add("Mul", "image", graph.scalar(2.0)), graph.scalar(1.0))}
    for layer in keras.Model(image, taps).layers:
        if not isinstance(layer, keras.layers.InputLayer):
            before = layer.input if isinstance(layer.input, list) else [layer.input]
            names[layer.output.name] = _nodes(graph, layer, [names[x.name] for x in before])
    return graph, [names[tap.name] for tap in taps]


def _nodes(graph: OnnxGraph, layer: Any, before: list[str]) -> str:
    """One layer as ONNX. Keras' kernels are (height, width, in, out), ONNX' are (out, in, height, width)."""
    kind, weights = type(layer).__name__, [np.asarray(w, np.float32) for w in layer.get_weights()]
    if kind == "Conv2D":
        return _convolution(graph, before[0], weights[0].transpose(3, 2, 0, 1), layer)
    if kind == "SeparableConv2D":
        each = _convolution(graph, before[0], weights[0].transpose(2, 3, 0, 1), layer, groups=weights[0].shape[2])
        return graph.add("Conv", each, graph.constant(weights[1].transpose(3, 2, 0, 1)))
    if kind == "BatchNormalization":
        constants = [graph.constant(w) for w in weights]
        return graph.add("BatchNormalization", *before, *constants, epsilon=float(layer.epsilon))
    if kind == "MaxPooling2D":
        window = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
        return graph.add("MaxPool", *before, auto_pad=_padding(layer), **window)
    if kind == "Add":
        return graph.add("Add", *before)
    if kind == "Activation" and layer.activation.__name__ == "relu":
        return graph.add("Relu", *before)
    raise DataError(f"{layer.name} in Keras' Xception is a {kind}", hint="install the keras of constraints.txt")


def _convolution(graph: OnnxGraph, x: str, kernel: NDArray[np.float32], layer: Any, *, groups: int = 1) -> str:
    return graph.add(
        "Conv", x, graph.constant(kernel), strides=list(layer.strides), group=groups, auto_pad=_padding(layer)
    )


def _padding(layer: Any) -> str:
    return "SAME_UPPER" if layer.padding == "same" else "VALID"
