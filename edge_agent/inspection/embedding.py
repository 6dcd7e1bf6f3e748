"""The embedding: what an ImageNet network sees in an anomaly map, at full resolution, pooled to one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_agent.inspection.sessions import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Embedder"]


class Embedder:
    """The pre-trained network with its pooling. Input scaling is inside its ONNX file."""

    def __init__(self, model: bytes, *, threads: int) -> None:
        """Raises ValueError for a file that does not map (1, 3, H, W) of any size to (1, d)."""
        self._network = Network(model, threads)
        shape, output = self._network.input_shape, self._network.output_shape
        if len(shape) != 4 or shape[1] != 3 or len(output) != 2 or not isinstance(output[1], int):
            raise ValueError(f"the backbone maps {shape} to {output}, expected (1, 3, H, W) to (1, d)")
        self.dimensions: int = output[1]

    def embed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding (d) of an image (H, W, C) in [0, 1]; one channel goes in as three equal planes."""
        planes = np.moveaxis(image, 2, 0)
        planes = np.broadcast_to(planes, (3, *planes.shape[1:]))
        return self._network.run(np.ascontiguousarray(planes)[None]).reshape(self.dimensions)
