"""What a pre-trained network is shown of a part: one channel a view, each with features of every place.

Whole views go through the network up to 1/16 at the size for which such networks were trained, where a place sees
enough of the part to notice what is missing or in the wrong place. Small defects would be lost at that size: the fine
channel shows the image at full resolution, or at the megapixel that the line's time allows, to the network's first
layers at 1/16, which see texture and edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "FINE_PIXELS",
    "OVERVIEW_PX",
    "Channel",
    "Extractor",
    "Views",
    "channels_for",
    "overview_size",
    "size_within",
]

OVERVIEW_PX = 384
"""Long side of a whole view. Smaller crops keep their size."""
FINE_PIXELS = 1_100_000
"""Pixels of the fine view at most: three quarters of 1600 x 1200 each way, all of an MVTec image."""
# Of a smaller crop the fine view would show hardly more than the whole one.
_FINE_FROM = 1.25


class Channel(StrEnum):
    """A view of a part. Perceptual is how the features of the image and of its reconstruction differ."""

    IMAGE = "image"
    PERCEPTUAL = "perceptual"
    MAP = "map"
    FINE = "fine"


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """A registered part: ``crop`` (H, W, C), its ``reconstruction`` (h, w, C), ``differences`` (H, W, 1), in [0, 1]."""

    crop: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    differences: NDArray[np.float32]

    @classmethod
    def of_image(cls, crop: NDArray[np.float32]) -> Views:
        """For a score in which the autoencoder has no voice: nothing was reconstructed."""
        nothing = np.empty((0, 0, crop.shape[2]), np.float32)
        return cls(crop, nothing, nothing)


def channels_for(height: int, width: int) -> tuple[Channel, ...]:
    """All channels that show something of their own of a crop of that size: a small one needs no fine channel."""
    is_large = max(height, width) > _FINE_FROM * OVERVIEW_PX
    return tuple(channel for channel in Channel if is_large or channel is not Channel.FINE)


class Extractor:
    """The features of a part in each of its channels."""

    def __init__(self, channels: Sequence[Channel], overview: bytes, fine: bytes | None, *, threads: int) -> None:
        """Raises ValueError for networks that are none, or missing."""
        self.channels, self.threads = tuple(channels), threads
        self._overview = FeatureGrid(overview, threads=threads)
        self._fine = FeatureGrid(fine, threads=threads) if fine is not None else None
        if not self.channels or (Channel.FINE in self.channels and self._fine is None):
            raise ValueError(f"channels {list(self.channels)} without the network for them")

    def features(self, views: Views) -> dict[Channel, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by channel."""
        found: dict[Channel, NDArray[np.float32]] = {}
        height, width = views.crop.shape[:2]
        small = overview_size(height, width)
        of_image = np.empty(0, np.float32)
        if {Channel.IMAGE, Channel.PERCEPTUAL} & set(self.channels):
            of_image = self._overview.features(resized(views.crop, *small, cv2.INTER_AREA))
        for channel in self.channels:
            if channel is Channel.IMAGE:
                found[channel] = of_image
            elif channel is Channel.PERCEPTUAL:
                repaired = resized(views.reconstruction, *small, cv2.INTER_LINEAR)
                found[channel] = np.abs(of_image - self._overview.features(repaired))
            elif channel is Channel.MAP:
                found[channel] = self._overview.features(resized(views.differences, *small, cv2.INTER_AREA))
            elif self._fine is not None:
                found[channel] = self._fine.features(
                    resized(views.crop, *size_within(height, width, FINE_PIXELS), cv2.INTER_AREA)
                )
        return found


def overview_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) at which a crop of this size is seen whole: long side 384 px, never larger than it is."""
    scale = min(1.0, OVERVIEW_PX / max(height, width))
    return max(32, round(height * scale)), max(32, round(width * scale))


def size_within(height: int, width: int, pixels: int) -> tuple[int, int]:
    """The (height, width) of a crop of this size with no more than so many pixels."""
    scale = min(1.0, math.sqrt(pixels / (height * width)))
    return round(height * scale), round(width * scale)
