"""The trained autoencoder as an ONNX file, standardisation and conditions inside, compared with torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.onnx_graph import OnnxGraph
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from calibration.training.train import Trained

__all__ = ["PARITY", "cpcae_onnx", "worst_difference"]

PARITY = 1e-4
"""ONNX Runtime and torch may differ by this much, in units of the pixels."""


def cpcae_onnx(trained: Trained) -> bytes:
    """The ONNX file: ``patches`` (P, C, p, p) in [0, 1] to ``reconstruction``, the same shape.

    Raises CalibrationRefused if ONNX Runtime does not compute what torch does.
    """
    model = _graph(trained)
    rng = np.random.default_rng(0)
    probe = np.clip(trained.mean_patches + rng.normal(0.0, 0.1, trained.mean_patches.shape), 0.0, 1.0)
    worst_difference(trained, model, [probe.astype(np.float32)])
    return model


def worst_difference(trained: Trained, model: bytes, images: Sequence[NDArray[np.float32]]) -> float:
    """Between the file and the trained network, in units of the pixels, on the patches (P, C, p, p) of images.

    Raises CalibrationRefused above ``PARITY``.
    """
    network = Network(model, 1)
    worst = max(float(np.abs(network.run(patches) - _by_torch(trained, patches)).max()) for patches in images)
    if not worst <= PARITY:
        raise CalibrationRefused(
            f"the exported autoencoder differs from the trained one by {worst:.2g}, allowed are {PARITY}",
            hint="install the versions that constraints.txt names",
        )
    return worst


def _graph(trained: Trained) -> bytes:
    from calibration.training.cpcae import SLOPE  # noqa: PLC0415 - brings torch

    network, shape = trained.network, trained.network.shape
    count, size = len(trained.mean_patches), list(trained.mean_patches.shape)
    graph = OnnxGraph("cpcae", "patches", size)
    mean, deviation = graph.constant(trained.mean_patches), graph.scalar(trained.deviation)
    condition = graph.constant((np.arange(count, dtype=np.float32) / np.float32(count))[:, None])
    x = graph.add("Div", graph.add("Sub", "patches", mean), deviation)
    for layer in network.encode:
        x = graph.add("LeakyRelu", _convolution(graph, "Conv", x, layer), alpha=SLOPE)
    flat = graph.add("Concat", graph.add("Flatten", x, axis=1), condition, axis=1)
    latent = graph.add("Concat", _dense(graph, flat, network.to_latent), condition, axis=1)
    x = graph.add("LeakyRelu", _dense(graph, latent, network.from_latent), alpha=SLOPE)
    bottom = np.array([count, shape.layers[-1][0], shape.bottom, shape.bottom], np.int64)
    x = graph.add("Reshape", x, graph.constant(bottom))
    for number, layer in enumerate(network.decode, start=1):
        x = _convolution(graph, "ConvTranspose", x, layer)
        x = x if number == len(network.decode) else graph.add("LeakyRelu", x, alpha=SLOPE)
    return graph.finish(graph.add("Add", graph.add("Mul", x, deviation), mean), "reconstruction", size)


def _convolution(graph: OnnxGraph, operator: str, x: str, layer: nn.Module) -> str:
    weight, bias = _weights(layer)
    return graph.add(
        operator,
        x,
        graph.constant(weight),
        graph.constant(bias),
        kernel_shape=[int(k) for k in layer.kernel_size],  # type: ignore[union-attr]
        strides=[int(s) for s in layer.stride],  # type: ignore[union-attr]
        pads=[int(p) for p in layer.padding] * 2,  # type: ignore[union-attr]
    )


def _dense(graph: OnnxGraph, x: str, layer: nn.Module) -> str:
    weight, bias = _weights(layer)
    return graph.add("Gemm", x, graph.constant(weight), graph.constant(bias), transB=1)


def _weights(layer: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    state = layer.state_dict()
    return state["weight"].numpy(), state["bias"].numpy()


def _by_torch(trained: Trained, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    condition = torch.arange(len(patches), dtype=torch.float32)[:, None] / len(patches)
    standardised = torch.from_numpy((patches - trained.mean_patches) / np.float32(trained.deviation))
    with torch.no_grad():
        reconstruction = trained.network(standardised, condition)[0].numpy()
    return np.asarray(reconstruction * np.float32(trained.deviation) + trained.mean_patches, dtype=np.float32)
