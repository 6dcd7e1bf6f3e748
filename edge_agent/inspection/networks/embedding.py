"""What an ImageNet network sees in an anomaly map, at full resolution: pooled to one vector, or place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_agent.inspection.networks.sessions import Network
from edge_agent.inspection.networks.windows import grid_shape, windows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.networks.windows import Window

__all__ = ["Embedder", "FeatureGrid", "as_planes"]

_COLOURS: Final = 3


class Embedder:
    """The pre-trained network with its pooling. Input scaling is inside its ONNX file."""

    def __init__(self, model: bytes, *, threads: int) -> None:
        """Raises ValueError for a file that does not map (1, 3, H, W) of any size to (1, d)."""
        self._network = Network(model, threads)
        self.dimensions = _dimensions(self._network, 2)

    def embed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding (d) of an image (H, W, C) in [0, 1]; one channel goes in as three equal planes."""
        return self._network.run(as_planes(image, _COLOURS)).reshape(self.dimensions)


class FeatureGrid:
    """The pre-trained network up to its middle. Input scaling and 3 x 3 averaging are inside its ONNX file."""

    def __init__(self, model: bytes, *, threads: int) -> None:
        """Raises ValueError for a file that does not map (1, 3, H, W), or (1, 1, H, W), to (1, d, h, w)."""
        self._network = Network(model, threads)
        self.dimensions = _dimensions(self._network, 4, planes=(1, 3))
        self._planes = int(self._network.input_shape[1])
        self._found: dict[tuple[bytes, int, int], tuple[Window, ...]] = {}

    def features(self, image: NDArray[np.float32], looked_at: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """The features (h, w, d) of an image (H, W, C) in [0, 1]; grey goes in as so many planes as the network takes.

        Where only some places are ``looked_at`` (h, w) no more is computed than the windows around them: the others
        may be 0. A network whose places are not 16 px wide sees the whole image.
        """
        # Windows are cut along places of 16 px: a network with others is shown everything.
        if looked_at is None or looked_at.shape != grid_shape(image.shape[0], image.shape[1]):
            return self._whole(image)
        found = np.zeros((*looked_at.shape, self.dimensions), np.float32)
        for window in self._windows(looked_at, image.shape[0], image.shape[1]):
            top, left, bottom, right = window.px
            seen = self._whole(image[top:bottom, left:right])
            if seen.shape[:2] != grid_shape(bottom - top, right - left):
                return self._whole(image)  # its places are others, only as many
            top, left, bottom, right = window.places
            found[top:bottom, left:right] = seen[window.kept]
        return found

    def _whole(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.moveaxis(self._network.run(as_planes(image, self._planes))[0], 0, 2))

    def _windows(self, looked_at: NDArray[np.bool_], height: int, width: int) -> tuple[Window, ...]:
        """Found once for each picture's size: every part is looked at in the same places."""
        key = (looked_at.tobytes(), height, width)
        if key not in self._found:
            self._found[key] = windows_of(looked_at, height, width)
        return self._found[key]


def as_planes(image: NDArray[np.float32], planes: int) -> NDArray[np.float32]:
    """An image (H, W, C) as (1, planes, H, W): grey as equal planes. Raises ValueError for too few for colour."""
    found = np.moveaxis(image, 2, 0)
    if len(found) > planes:
        raise ValueError(f"an image of shape {image.shape} for a network of {planes} plane")
    return np.ascontiguousarray(np.broadcast_to(found, (planes, *found.shape[1:])))[None]


def _dimensions(network: Network, rank: int, planes: tuple[int, ...] = (_COLOURS,)) -> int:
    shape, output = network.input_shape, network.output_shape
    if len(shape) != 4 or shape[1] not in planes or len(output) != rank or not isinstance(output[1], int):
        raise ValueError(f"the backbone maps {shape} to {output}, expected (1, 3, H, W) to {rank} axes, d the second")
    return output[1]
