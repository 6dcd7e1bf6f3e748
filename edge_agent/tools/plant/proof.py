"""That two machines compute the same bits: what a process makes of fixed numbers, as a hash.

Linear algebra, pictures and a small network, each by the library that a calibration has it from. Processors of other
kinds add up in another order, and it shows here.
"""

from __future__ import annotations

import hashlib
from functools import cache

import cv2
import numpy as np

from calibration.onnx_graph import OnnxGraph
from edge_agent.inspection.networks.sessions import Network

__all__ = ["arithmetic"]

_SIDE, _PLANES, _FEATURES = 96, 3, 32


@cache
def arithmetic() -> str:
    """The hash of this process; worked out once."""
    rng = np.random.default_rng(104)
    network = Network(_network(rng), threads=1)
    picture = rng.random((_SIDE, _SIDE, _PLANES), np.float32)
    found = [network.run(np.ascontiguousarray(np.moveaxis(picture, 2, 0))[None])]
    features = rng.random((300, _FEATURES), np.float32)
    found.append(features.T @ features)
    found.extend(np.linalg.eigh((features.T @ features).astype(np.float64)))
    turn = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), 7.0, 1.1)
    found.append(np.asarray(cv2.warpAffine(picture, turn, (_SIDE, _SIDE))))
    found.append(np.asarray(cv2.resize(picture, (41, 37), interpolation=cv2.INTER_AREA)))
    found.append(np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.3)))
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in found)).hexdigest()


def _network(rng: np.random.Generator) -> bytes:
    """Two convolutions, the second one by single planes, as in the networks that see the parts."""
    graph = OnnxGraph("proof", "image", [1, _PLANES, _SIDE, _SIDE])
    x = "image"
    for shape, group in (((_FEATURES, _PLANES, 3, 3), 1), ((_FEATURES, 1, 3, 3), _FEATURES)):
        weight = rng.standard_normal(shape, np.float32)
        x = graph.add("Conv", x, graph.constant(weight), kernel_shape=[3, 3], group=group, auto_pad="SAME_UPPER")
        x = graph.add("Clip", x, graph.scalar(0.0), graph.scalar(6.0))
    return graph.finish(x, "features", [1, _FEATURES, _SIDE, _SIDE])
