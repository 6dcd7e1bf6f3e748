"""From a part to its features in each channel: the picture and the network that the channel's row names."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import cv2
import numpy as np

from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.channels import CHANNELS, OVERVIEW_PX, Channel, NetworkFile, Picture, Plane, View
from edge_agent.inspection.networks.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edge_agent.inspection.networks.tone import Tone

__all__ = ["FINE_PIXELS", "NATIVE_PIXELS", "Extractor", "Views", "overview_size", "size_within"]

FINE_PIXELS: Final = 1_100_000
"""Pixels of the fine channel at most: three quarters of 1600 x 1200 each way, all of an MVTec image."""
# By AUC and missed defects of four sets at several sizes (docs/decisions/0079).
NATIVE_PIXELS: Final = 420_000
"""Pixels that the views are shown at most, where nobody asks for more or fewer: larger parts are made smaller."""
_CHEAPEST_FIRST: Final = tuple(NetworkFile)

_Name = TypeVar("_Name", Channel, View)


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


class Extractor(Generic[_Name]):
    """The features of a part in each of its channels, by the bundle's networks, and by ``tone`` where that is asked.

    ``fine`` is the file fine.onnx, None: views at full size are seen by the one ``network``, though the deepest layers
    cost most there and say least. ``native`` is the (height, width) of full size, None: the crop's own; ``plane`` is
    what the view of one colour looks at.
    """

    def __init__(
        self,
        channels: Sequence[_Name],
        network: bytes,
        fine: bytes | None = None,
        *,
        threads: int,
        tone: Tone | None = None,
        plane: Plane = Plane.ALL,
        native: tuple[int, int] | None = None,
    ) -> None:
        """Raises ValueError for networks that are none, or missing, ``tone`` or ``plane`` that do not fit."""
        pictures = {CHANNELS[channel].view for channel in channels}
        if not channels or (Picture.FINE in pictures and fine is None):
            raise ValueError(f"channels {list(channels)} without the network for them")
        if (Picture.TONE in pictures) != (tone is not None):
            raise ValueError(f"views {list(channels)}, places of brightness and colour: {tone is not None}")
        if (Picture.ONE_COLOUR in pictures) != (plane is not Plane.ALL):
            raise ValueError(f"views {list(channels)}, and the plane to look at: {plane}")
        self.channels: tuple[_Name, ...] = tuple(channels)
        self.threads, self._tone, self._plane, self._native = threads, tone, plane, native
        whole = FeatureGrid(network, threads=threads)
        at_full_size = whole if fine is None else FeatureGrid(fine, threads=threads)
        self._grids = {NetworkFile.WHOLE: whole, NetworkFile.FULL_SIZE: at_full_size}
        self._looked_at: Mapping[_Name, NDArray[np.bool_]] = {}

    def looking_at(self, places: Mapping[_Name, NDArray[np.bool_]]) -> Extractor[_Name]:
        """One that computes no more than is needed for these places (h, w) of each channel."""
        other = copy(self)
        other._looked_at = dict(places)  # noqa: SLF001 - one of this very class
        return other

    def dimensions(self, channel: _Name) -> tuple[int, ...]:
        """Features of a place, any of these: brightness and colour have two of each plane."""
        grid = self._grids.get(CHANNELS[channel].network)
        return (2, 6) if grid is None else (grid.dimensions,)

    def features(self, views: Views) -> dict[_Name, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by channel; of places that nobody looks at they may be 0."""
        found = dict(self.looks(views))
        return {channel: found[channel] for channel in self.channels}

    def looks(self, views: Views) -> Iterator[tuple[_Name, NDArray[np.float32]]]:
        """As ``features``, one by one: what is certain after a cheap one need not wait for the dear ones (0083)."""
        native = views.crop if self._native is None else resized(views.crop, *self._native, cv2.INTER_AREA)
        whole: NDArray[np.float32] | None = None
        # The cheapest first: a reject that is certain by then need not wait for the dear ones (docs/decisions/0083).
        for channel in sorted(self.channels, key=lambda channel: _CHEAPEST_FIRST.index(CHANNELS[channel].network)):
            spec = CHANNELS[channel]
            if spec.view is Picture.TONE and self._tone is not None:
                yield channel, self._tone.features(native)
                continue
            grid, looked_at = self._grids[spec.network], self._looked_at.get(channel)
            features = grid.features(self._shown(spec.view, views, native), looked_at)
            if spec.view is Picture.WHOLE:
                whole = features
            elif spec.view is Picture.REPAIRED:
                if whole is None:
                    whole = grid.features(self._shown(Picture.WHOLE, views, native), looked_at)
                features = np.abs(whole - features)
            yield channel, features

    def _shown(self, picture: Picture, views: Views, native: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network is shown (h, w, C) of a part that is ``native`` (H, W, C) at full size."""
        if picture is Picture.FINE:
            height, width = views.crop.shape[:2]
            return resized(views.crop, *size_within(height, width, FINE_PIXELS), cv2.INTER_AREA)
        if picture in (Picture.FULL_SIZE, Picture.ONE_COLOUR):
            return self._plane.of(native) if picture is Picture.ONE_COLOUR else native
        small = overview_size(*native.shape[:2])
        if picture is Picture.REPAIRED:
            return resized(views.reconstruction, *small, cv2.INTER_LINEAR)
        return resized(views.differences if picture is Picture.DIFFERENCES else native, *small, cv2.INTER_AREA)


def overview_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) at which a crop of this size is seen whole: long side 384 px, never larger than it is."""
    scale = min(1.0, OVERVIEW_PX / max(height, width))
    # A narrower picture has hardly a place in the networks' grids.
    return max(32, round(height * scale)), max(32, round(width * scale))


def size_within(height: int, width: int, pixels: int) -> tuple[int, int]:
    """The (height, width) of a crop of this size with no more than so many pixels."""
    scale = min(1.0, math.sqrt(pixels / (height * width)))
    return round(height * scale), round(width * scale)
