"""The anomaly map: how the part at full resolution differs from what the autoencoder would make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["Reconstructor", "anomaly_map", "resized", "to_working", "upsize"]


def to_working(crop: NDArray[np.float32], grid: PatchGrid) -> NDArray[np.float32]:
    """Downsize a crop (H, W, C) to the autoencoder's working size (h, w, C) by area."""
    return resized(crop, grid.height, grid.width, cv2.INTER_AREA)


def upsize(reconstruction: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Bring a reconstruction (h, w, C) to the crop's full resolution, bilinear."""
    return resized(reconstruction, height, width, cv2.INTER_LINEAR)


def anomaly_map(crop: NDArray[np.float32], upsized: NDArray[np.float32]) -> NDArray[np.float32]:
    """The L2 distance of each pixel over its channels (Saeedi & Giusti, section 3.1): (H, W, 1) float32 in [0, 1].

    Of a grey image that is the absolute difference. Never scaled by its own maximum.
    """
    difference = np.asarray(cv2.absdiff(crop, upsized), np.float32).reshape(crop.shape)
    if crop.shape[2] > 1:
        difference = np.sqrt(np.einsum("hwc,hwc->hw", difference, difference))[..., None]
    # Over three channels a distance reaches the root of 3: grey and colour keep one scale.
    return np.minimum(difference, np.float32(1.0))


class Reconstructor:
    """The trained autoencoder over whole working images."""

    def __init__(self, model: bytes, grid: PatchGrid, channels: int, *, threads: int) -> None:
        """``model`` maps (P, C, patch, patch) in [0, 1] to the same. Raises ValueError if it does not fit the grid."""
        self._network, self._grid = Network(model, threads), grid
        expected = (grid.count, channels, grid.patch, grid.patch)
        if self._network.input_shape != expected or self._network.output_shape != expected:
            raise ValueError(f"the autoencoder takes {self._network.input_shape}, the patches are {expected}")

    def reconstruct(self, working: NDArray[np.float32]) -> NDArray[np.float32]:
        """The reconstruction (h, w, C) of a working image (h, w, C), overlaps blended."""
        return self._grid.blend(self._network.run(self._grid.cut(working)))


def resized(image: NDArray[np.float32], height: int, width: int, interpolation: int) -> NDArray[np.float32]:
    """An image (H, W, C) at another size, always with its last axis."""
    if image.shape[:2] == (height, width):
        return image
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return np.asarray(resized, dtype=np.float32).reshape(height, width, image.shape[2])
