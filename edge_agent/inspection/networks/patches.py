"""Overlapping patches: cut out of the working image, and blended back into one.

The order of the patches is the condition of the autoencoder: row by row, from the upper left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PatchGrid"]

# Not 0: at the image's border there is one patch alone, and its edge needs a weight to be divided by.
_EDGE_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """Where the patches of a working image of ``height`` x ``width`` px lie.

    Neighbours are at most ``stride`` px apart and spread evenly, so that the last one ends at the image's edge.
    """

    height: int
    width: int
    patch: int
    stride: int

    def __post_init__(self) -> None:
        if not 0 < self.stride <= self.patch <= min(self.height, self.width):
            raise ValueError(
                f"patches of {self.patch} px every {self.stride} px do not cover {self.width} x {self.height} px"
            )

    @property
    def count(self) -> int:
        """Patches of one image."""
        return len(self._starts(self.height)) * len(self._starts(self.width))

    def corners(self) -> list[tuple[int, int]]:
        """Upper left (y, x) of every patch, in their order."""
        return [(y, x) for y in self._starts(self.height) for x in self._starts(self.width)]

    def cut(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """All patches of an image (H, W, C) as (P, C, patch, patch). Raises ValueError for another H or W."""
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"image of {image.shape[1]} x {image.shape[0]} px on a grid of {self.width} x {self.height}"
            )
        # Networks take channels first; images have them last everywhere else here.
        planes = np.moveaxis(image, 2, 0)
        size = self.patch
        return np.stack([planes[:, y : y + size, x : x + size] for y, x in self.corners()]).astype(
            np.float32, copy=False
        )

    def blend(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """One image (H, W, C) from all its patches (P, C, patch, patch): overlaps weigh more towards patch centres.

        Raises ValueError for patches of another number or size.
        """
        channels = patches.shape[1]
        if patches.shape != (self.count, channels, self.patch, self.patch):
            raise ValueError(f"{patches.shape} is not the shape of {self.count} patches of {self.patch} px")
        # A smooth hill: where two patches overlap, the one whose middle is nearer says more, and no seam shows.
        ramp = np.sin(np.pi * (np.arange(self.patch) + 0.5) / self.patch) ** 2 + _EDGE_WEIGHT
        window = np.outer(ramp, ramp).astype(np.float32)
        total = np.zeros((channels, self.height, self.width), np.float32)
        weight = np.zeros((self.height, self.width), np.float32)
        for (y, x), patch in zip(self.corners(), patches, strict=True):
            total[:, y : y + self.patch, x : x + self.patch] += patch * window
            weight[y : y + self.patch, x : x + self.patch] += window
        return np.ascontiguousarray(np.moveaxis(total / weight, 0, 2))

    def _starts(self, length: int) -> list[int]:
        # Rounded up and spread evenly: the last patch ends at the border, and no two lie upon each other.
        steps = -(-(length - self.patch) // self.stride)
        return [round(i * (length - self.patch) / steps) for i in range(steps + 1)] if steps else [0]
