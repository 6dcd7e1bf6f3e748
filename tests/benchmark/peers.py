"""The time that the networks of known detectors take beside those of our default score, in one run.

Run: ``python -m tests.benchmark.peers [--runs 15] [--sides 256,1024]``. The peers: PatchCore (WideResNet-50 up to
layer3), PaDiM (ResNet-18 up to layer3; with WideResNet-50 it is PatchCore's network) and EfficientAD-S (teacher,
student and autoencoder). Their weights are random, which does for time and for nothing else. All run by ONNX Runtime,
with the options of the agent, on two threads, in turn: whatever else the machine does hits all of them, so believe the
ratios before the milliseconds.

The architectures are written here from their publications:

- ResNet-18: He et al., Deep Residual Learning for Image Recognition (arXiv 1512.03385), table 1, basic blocks.
- WideResNet-50-2: Zagoruyko & Komodakis, Wide Residual Networks (arXiv 1605.07146), as ImageNet's bottleneck network of
  twice the inner width; as in torchvision the stride is in the 3 x 3 convolution.
- EfficientAD-S: Batzner et al., EfficientAD (arXiv 2303.14535), appendix; without padding in the patch description
  networks, as public implementations have it. The decoder's sizes are for 256 px there, and grow with the image here.

Batch normalisations are folded into the convolutions before them, as ONNX Runtime does.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE
from calibration.onnx_graph import OnnxGraph
from edge_agent.inspection.networks.channels import View, Voice, views_for
from edge_agent.inspection.networks.extractor import NATIVE_PIXELS, overview_size, size_within
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THREADS = 2
OURS = "views (this tool)"
_SMALL_PX = 256
_DESCRIBES, _STUDENT_DESCRIBES = 384, 768
_WIDE = 2
"""How many times wider the inner convolutions of WideResNet-50-2 are than those of ResNet-50."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels, height and width of what is between two layers."""

    channels: int
    height: int
    width: int


class Layers:
    """A network of random weights, built from front to back. ``normalised`` counts what folding took away."""

    def __init__(self, name: str, side: int) -> None:
        self.graph, self.x, self.shape = OnnxGraph(name, "image", [1, 3, side, side]), "image", Shape(3, side, side)
        self._name, self._rng = name, np.random.default_rng(0)
        self.weights = self.biases = 0

    def conv(self, channels: int, kernel: int, *, stride: int = 1, pad: int = 0, relu: bool = True) -> None:
        """A convolution with its bias, and what follows it."""
        fan_in = self.shape.channels * kernel * kernel
        weight = self._rng.normal(0.0, math.sqrt(2.0 / fan_in), (channels, self.shape.channels, kernel, kernel))
        bias = np.zeros(channels, np.float32)
        self.weights, self.biases = self.weights + weight.size, self.biases + bias.size
        constants = self.graph.constant(weight.astype(np.float32)), self.graph.constant(bias)
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        self.x = self.graph.add("Conv", self.x, *constants, **attributes)
        self._smaller(channels, kernel, stride, pad)
        if relu:
            self.relu()

    def relu(self) -> None:
        """Nothing below zero."""
        self.x = self.graph.add("Relu", self.x)

    def pool(self, kind: str, kernel: int, *, pad: int = 0) -> None:
        """``MaxPool`` or ``AveragePool`` with stride 2."""
        self.x = self.graph.add(kind, self.x, kernel_shape=[kernel] * 2, strides=[2] * 2, pads=[pad] * 4)
        self._smaller(self.shape.channels, kernel, 2, pad)

    def resize(self, side: int) -> None:
        """Bilinear, to that height and width."""
        sizes = self.graph.constant(np.array([1, self.shape.channels, side, side], np.int64))
        self.x = self.graph.add("Resize", self.x, "", "", sizes, mode="linear")
        self.shape = Shape(self.shape.channels, side, side)

    def finish(self) -> bytes:
        """The ONNX file, which gives what the last layer gave."""
        shape = self.shape
        return self.graph.finish(self.x, "features", [1, shape.channels, shape.height, shape.width])

    def _smaller(self, channels: int, kernel: int, stride: int, pad: int) -> None:
        height, width = ((length + 2 * pad - kernel) // stride + 1 for length in (self.shape.height, self.shape.width))
        self.shape = Shape(channels, height, width)


# the networks of the peers


def resnet_18(side: int) -> Layers:
    """ResNet-18 up to layer3: two basic blocks a layer."""
    layers = _stem("resnet-18", side)
    for channels, stride in ((64, 1), (128, 2), (256, 2)):
        _basic(layers, channels, stride)
        _basic(layers, channels, 1)
    return layers


def wide_resnet_50(side: int) -> Layers:
    """WideResNet-50-2 up to layer3: 3, 4 and 6 bottleneck blocks."""
    layers = _stem("wide-resnet-50-2", side)
    for inner, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2)):
        for block in range(blocks):
            _bottleneck(layers, inner, stride if block == 0 else 1)
    return layers


def _stem(name: str, side: int) -> Layers:
    layers = Layers(name, side)
    layers.conv(64, 7, stride=2, pad=3)
    layers.pool("MaxPool", 3, pad=1)
    return layers


def _basic(layers: Layers, channels: int, stride: int) -> None:
    start = layers.x, layers.shape
    layers.conv(channels, 3, stride=stride, pad=1)
    layers.conv(channels, 3, pad=1, relu=False)
    _past(layers, start, stride)


def _bottleneck(layers: Layers, inner: int, stride: int) -> None:
    start = layers.x, layers.shape
    layers.conv(inner * _WIDE, 1)
    layers.conv(inner * _WIDE, 3, stride=stride, pad=1)
    layers.conv(inner * 4, 1, relu=False)
    _past(layers, start, stride)


def _past(layers: Layers, start: tuple[str, Shape], stride: int) -> None:
    """Add the way past a block, by a 1 x 1 convolution where the shapes differ."""
    inside, shape = layers.x, layers.shape
    layers.x, layers.shape = start
    if layers.shape != shape:
        layers.conv(shape.channels, 1, stride=stride, relu=False)
    layers.x = layers.graph.add("Add", inside, layers.x)
    layers.relu()


def patch_description(side: int, channels: int) -> Layers:
    """The small patch description network: the teacher has 384 channels, the student 768."""
    layers = Layers(f"pdn-s-{channels}", side)
    layers.conv(128, 4)
    layers.pool("AveragePool", 2)
    layers.conv(256, 4)
    layers.pool("AveragePool", 2)
    layers.conv(256, 3)
    layers.conv(channels, 4, relu=False)
    return layers


def autoencoder(side: int) -> Layers:
    """EfficientAD's autoencoder, which ends at the size of the teacher's features."""
    layers = Layers("efficientad-autoencoder", side)
    for channels in (32, 32, 64, 64, 64):
        layers.conv(channels, 4, stride=2, pad=1)
    layers.conv(64, 8, relu=False)
    for size in (side // 64 - 1, side // 32, side // 16 - 1, side // 8, side // 4 - 1, side // 2 - 1):
        layers.resize(size)
        layers.conv(64, 4, pad=2)
    layers.resize(patch_description_px(side))
    layers.conv(64, 3, pad=1)
    layers.conv(_DESCRIBES, 3, pad=1, relu=False)
    return layers


def patch_description_px(side: int) -> int:
    """Height and width of what a patch description network gives of an image of ``side``."""
    return (((side - 3) // 2 - 3) // 2) - 5


# the run


@dataclass(slots=True)
class Peer:
    """Networks that see an image one after the other, each at its own size; milliseconds of every run."""

    name: str
    networks: list[tuple[Network, tuple[int, int]]]
    wall_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)

    def run(self, rng: np.random.Generator, *, is_counted: bool) -> None:
        """Once through all of them, with images that are random too."""
        images: list[NDArray[np.float32]] = [rng.random((1, 3, *size), np.float32) for _, size in self.networks]
        begin, begin_processor = time.perf_counter(), time.process_time()
        for (network, _), image in zip(self.networks, images, strict=True):
            network.run(image)
        wall_s, processor_s = time.perf_counter() - begin, time.process_time() - begin_processor
        if is_counted:
            self.wall_ms.append(wall_s * 1000.0)
            self.processor_ms.append(processor_s * 1000.0)


def ours(side: int) -> Peer:
    """The views of the default score that its network looks at, of a crop of ``side`` x ``side`` px."""
    whole, at_full_size = (
        Network(one, THREADS) for one in (DEFAULT_BACKBONE.overview_onnx(), DEFAULT_BACKBONE.native_onnx())
    )
    networks = []
    for view in views_for(side, side, (Voice.IMAGE,)):
        is_whole = view is View.OVERVIEW
        size = overview_size(side, side) if is_whole else size_within(side, side, NATIVE_PIXELS)
        networks.append((view, whole if is_whole else at_full_size, size))
    words = ", ".join(f"{view} {height} x {width}" for view, _, (height, width) in networks)
    return Peer(f"{OURS}: EfficientNet-Lite0 up to 1/16, {words}", [(network, size) for _, network, size in networks])


def peers(side: int) -> list[Peer]:
    """The others, for images of ``side`` x ``side`` px."""
    built = {
        "PatchCore: WideResNet-50-2 up to layer3": [wide_resnet_50(side)],
        "PaDiM: ResNet-18 up to layer3": [resnet_18(side)],
        "EfficientAD-S: teacher, student, autoencoder": [
            patch_description(side, _DESCRIBES),
            patch_description(side, _STUDENT_DESCRIBES),
            autoencoder(side),
        ],
    }
    size = side, side
    return [Peer(name, [(Network(it.finish(), THREADS), size) for it in some]) for name, some in built.items()]


def table(measured: Sequence[Peer]) -> str:
    """Medians as Markdown; the ratio is the median of the runs' ratios of processor time to the first one's, ours."""
    rows = ["| networks | wall ms | processor ms | processor time / ours |", "|---|---|---|---|"]
    for peer in measured:
        ratios = [theirs / ours for theirs, ours in zip(peer.processor_ms, measured[0].processor_ms, strict=True)]
        rows.append(
            f"| {peer.name} | {median(peer.wall_ms):.1f} | {median(peer.processor_ms):.1f} | {median(ratios):.2f} |"
        )
    return "\n".join([*rows, ""])


_NOT_IN_IT = """\
Networks alone, the peers' with random weights. Not in it: the k-NN search of PatchCore, the Mahalanobis distances of
PaDiM, the maps of EfficientAD; of ours registration, the pixels (brightness and colour) and the k-NN.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own = math.isqrt(NATIVE_PIXELS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sides", default=f"{_SMALL_PX},{own}", help=f"in px; {own}: the most that we look at")
    asked = parser.parse_args(argv)
    sides = [int(side) for side in asked.sides.split(",")]
    if asked.runs < 1 or min(sides) < _SMALL_PX:
        parser.error(f"--runs has to be 1 or more, and --sides {_SMALL_PX} or more: the autoencoder needs so many px")
    rng = np.random.default_rng(0)
    for side in sides:
        measured = [ours(side), *peers(side)]
        for number in range(1 + asked.runs):  # the first is to be warm; all in turn
            for peer in measured:
                peer.run(rng, is_counted=number > 0)
        sys.stdout.write(f"{side} x {side} px, {THREADS} threads, medians of {asked.runs} runs in turn\n\n")
        sys.stdout.write(f"{table(measured)}\n")
        sys.stdout.flush()
    sys.stdout.write(_NOT_IN_IT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
