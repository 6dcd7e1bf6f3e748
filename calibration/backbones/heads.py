"""What stands on every backbone: the paper's pooling, or the grid of places. As ONNX nodes, and in numpy to check them.

All average windows are SAME, and what lies outside the image does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.scoring.knn import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calibration.onnx_graph import OnnxGraph

__all__ = ["depths_of", "finish_depths", "finish_grid", "finish_pooled", "grid_of", "pooled_of"]

_CASCADE_PX, _CASCADE_STRIDE = 3, 2
_PLACES = 3


def finish_pooled(graph: OnnxGraph, last: str, features: int) -> bytes:
    """The ONNX file of the last features' pooling, output ``embedding`` (1, 3 * features).

    Two parallel branches and one cascade, concatenated (Saeedi & Giusti, Figure 3; docs/decisions/0002).
    """
    return graph.finish(_pooled(graph, last, _CASCADE_STRIDE), "embedding", [1, POOLINGS * features])


def finish_depths(graph: OnnxGraph, depths: Sequence[tuple[str, int]]) -> bytes:
    """The ONNX file of several depths, each with its features, pooled one after the other: output ``embedding``.

    The cascade's means lie one at every place: at every second one, as in ``finish_pooled``, small maps say less.
    """
    pooled = [_pooled(graph, tensor, 1) for tensor, _ in depths]
    total = sum(features for _, features in depths)
    return graph.finish(graph.add("Concat", *pooled, axis=1), "embedding", [1, POOLINGS * total])


def finish_grid(graph: OnnxGraph, taps: Sequence[tuple[str, int]], features: int, *, rounds_up: bool = True) -> bytes:
    """The ONNX file of mid-level features, output ``features`` (1, features, rows, columns).

    Each tap is a tensor and how many times finer it is than the coarsest: it is averaged down to that (and stretched
    by a place where the network does not round its sizes up), all are concatenated and averaged over 3 x 3 places.
    """
    parts = [_average(graph, tap, finer, finer) if finer > 1 else tap for tap, finer in taps]
    if not rounds_up and len(parts) > 1:
        coarsest = next(tap for tap, finer in taps if finer == 1)
        parts = [part if part == coarsest else _stretched(graph, part, coarsest) for part in parts]
    both = graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    return graph.finish(_average(graph, both, _PLACES, 1), "features", [1, features, "rows", "columns"])


def depths_of(depths: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """What ``finish_depths`` computes, from the features (1, d, h, w) of each depth."""
    return np.concatenate([pooled_of(features, 1) for features in depths], axis=1)


def pooled_of(last: NDArray[np.float32], stride: int = _CASCADE_STRIDE) -> NDArray[np.float32]:
    """What ``finish_pooled`` computes, from the last features (1, d, h, w)."""
    cascade = _averaged(last, _CASCADE_PX, stride).max(axis=(2, 3))
    return np.concatenate([last.max(axis=(2, 3)), last.mean(axis=(2, 3)), cascade], axis=1)


def grid_of(taps: Sequence[tuple[NDArray[np.float32], int]]) -> NDArray[np.float32]:
    """What ``finish_grid`` computes, from the taps (1, d, h, w)."""
    both = np.concatenate([_averaged(tap, finer, finer) if finer > 1 else tap for tap, finer in taps], axis=1)
    return _averaged(both, _PLACES, 1)


def _pooled(graph: OnnxGraph, last: str, stride: int) -> str:
    cascade = graph.add("GlobalMaxPool", _average(graph, last, _CASCADE_PX, stride))
    parallel = graph.add("GlobalMaxPool", last), graph.add("GlobalAveragePool", last)
    return graph.add("Flatten", graph.add("Concat", *parallel, cascade, axis=1), axis=1)


def _average(graph: OnnxGraph, x: str, size: int, stride: int) -> str:
    window = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "auto_pad": "SAME_UPPER", "count_include_pad": 0}
    return graph.add("AveragePool", x, **window)


def _stretched(graph: OnnxGraph, part: str, coarsest: str) -> str:
    sizes = [graph.add("Shape", part, start=0, end=2), graph.add("Shape", coarsest, start=2, end=4)]
    return graph.add("Resize", part, "", "", graph.add("Concat", *sizes, axis=0), mode="linear")


def _averaged(x: NDArray[np.float32], size: int, stride: int) -> NDArray[np.float32]:
    widths, outputs = [(0, 0), (0, 0)], []
    for length in x.shape[2:]:
        outputs.append(-(-length // stride))
        outside = max(0, (outputs[-1] - 1) * stride + size - length)
        widths.append((outside // 2, outside - outside // 2))
    total, count = np.pad(x, widths), np.pad(np.ones((1, 1, *x.shape[2:]), np.float32), widths)
    rows, columns = ([slice(i, i + stride * (n - 1) + 1, stride) for i in range(size)] for n in outputs)
    windows = [np.s_[..., row, column] for row in rows for column in columns]
    return np.asarray(sum(total[w] for w in windows) / sum(count[w] for w in windows), np.float32)
