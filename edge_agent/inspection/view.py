"""The views of a part that the mean of views looks at: one network, shown the crop at its own size and small.

At its own size a place sees texture and edges, where faint and small defects show. At the size for which such networks
were trained a place sees enough of the part to notice what is missing or in the wrong place. The autoencoder's view is
its anomaly map, for who asks for its voice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import cv2

from edge_agent.inspection.anomaly_map import resized
from edge_agent.inspection.channels import OVERVIEW_PX, overview_size, size_within
from edge_agent.inspection.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.inspection.channels import Views

__all__ = ["NATIVE_PIXELS", "View", "ViewExtractor", "Voice", "views_for"]

NATIVE_PIXELS = 1600 * 1200
"""Pixels of the native view at most: all of a 2-megapixel camera's image. Larger crops are made smaller."""
_OVERVIEW_FROM = 1.25


class View(StrEnum):
    """What the network is shown of a part."""

    NATIVE = "native"
    OVERVIEW = "overview"
    AUTOENCODER = "autoencoder"


class Voice(StrEnum):
    """Whose views count in the mean: those of the image itself, that of the autoencoder."""

    IMAGE = "image"
    AUTOENCODER = "autoencoder"


def views_for(height: int, width: int, voices: Sequence[Voice]) -> tuple[View, ...]:
    """The views of a crop of that size that these voices speak for: a small crop is seen once, at its own size."""
    found = []
    if Voice.IMAGE in voices:
        found.append(View.NATIVE)
        if max(height, width) > _OVERVIEW_FROM * OVERVIEW_PX:
            found.append(View.OVERVIEW)
    if Voice.AUTOENCODER in voices:
        found.append(View.AUTOENCODER)
    return tuple(found)


class ViewExtractor:
    """The features of a part in each of its views, by one network."""

    def __init__(self, views: Sequence[View], network: bytes, *, threads: int) -> None:
        """Raises ValueError for a network that is none."""
        self.views, self.threads = tuple(views), threads
        self._grid = FeatureGrid(network, threads=threads)

    @property
    def dimensions(self) -> int:
        """Features of a place."""
        return self._grid.dimensions

    def features(self, views: Views) -> dict[View, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by view."""
        return {view: self._grid.features(_shown(view, views)) for view in self.views}


def _shown(view: View, views: Views) -> NDArray[np.float32]:
    image = views.differences if view is View.AUTOENCODER else views.crop
    height, width = image.shape[:2]
    native = view is View.NATIVE
    size = size_within(height, width, NATIVE_PIXELS) if native else overview_size(height, width)
    return resized(image, *size, cv2.INTER_AREA)
