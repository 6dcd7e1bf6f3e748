"""The views of a part that the mean of views looks at: one network, shown the crop at its own size and small.

At its own size a place sees texture and edges, where faint and small defects show. At the size for which such networks
were trained a place sees enough of the part to notice what is missing or in the wrong place. Brightness and colour are
looked at beside the network, as they are. The autoencoder's view is its anomaly map, for who asks for its voice.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import cv2

from edge_agent.inspection.anomaly_map import resized
from edge_agent.inspection.channels import OVERVIEW_PX, overview_size, size_within
from edge_agent.inspection.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.inspection.channels import Views
    from edge_agent.inspection.tone import Tone

__all__ = ["NATIVE_PIXELS", "Plane", "View", "ViewExtractor", "Voice", "views_for"]

NATIVE_PIXELS = 1024 * 1024
"""Pixels of the native view at most: larger crops are made smaller."""
_OVERVIEW_FROM = 1.25


class View(StrEnum):
    """What is looked at of a part: by the network, ``TONE`` without it."""

    NATIVE = "native"
    OVERVIEW = "overview"
    TONE = "tone"
    AUTOENCODER = "autoencoder"

    @property
    def words(self) -> str:
        """What is looked at, for a person who asks where a defect was seen."""
        return _WORDS[self]


_WORDS: Final = {
    View.NATIVE: "the part at full size",
    View.OVERVIEW: "the part as a whole",
    View.TONE: "brightness and colour",
    View.AUTOENCODER: "what the autoencoder would repair",
}


class Plane(StrEnum):
    """The colours that a view looks at: all of them, or one plane of RGB as if it were grey."""

    ALL = "all"
    RED = "red"
    GREEN = "green"
    BLUE = "blue"

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is seen of an RGB image (H, W, 3): itself, or (H, W, 1). Raises ValueError for a plane of a grey one."""
        if self is Plane.ALL:
            return image
        if image.shape[2] != 3:
            raise ValueError(f"an image of shape {image.shape} has no {self} plane")
        index = (Plane.RED, Plane.GREEN, Plane.BLUE).index(self)
        return image[..., index : index + 1]


class Voice(StrEnum):
    """Whose views count: those of the image by the network, its brightness and colour, the autoencoder's map."""

    IMAGE = "image"
    TONE = "tone"
    AUTOENCODER = "autoencoder"


def views_for(height: int, width: int, voices: Sequence[Voice]) -> tuple[View, ...]:
    """The views of a crop of that size that these voices speak for: a small crop is seen once, at its own size."""
    found = []
    if Voice.IMAGE in voices:
        found.append(View.NATIVE)
        if max(height, width) > _OVERVIEW_FROM * OVERVIEW_PX:
            found.append(View.OVERVIEW)
    if Voice.TONE in voices:
        found.append(View.TONE)
    if Voice.AUTOENCODER in voices:
        found.append(View.AUTOENCODER)
    return tuple(found)


class ViewExtractor:
    """The features of a part in each of its views, by one network, and by ``tone`` where that is among them.

    ``planes`` says which colours the network is shown in a view; all of them where it says nothing.
    """

    def __init__(
        self,
        views: Sequence[View],
        network: bytes,
        *,
        threads: int,
        tone: Tone | None = None,
        planes: Mapping[View, Plane] = MappingProxyType({}),
    ) -> None:
        """Raises ValueError for a network that is none, or a view of brightness and colour without ``tone``."""
        if (View.TONE in views) != (tone is not None):
            raise ValueError(f"views {list(views)}, places of brightness and colour: {tone is not None}")
        self.views, self.threads, self._tone, self._planes = tuple(views), threads, tone, dict(planes)
        self._grid = FeatureGrid(network, threads=threads)

    def dimensions(self, view: View) -> tuple[int, ...]:
        """Features of a place, any of these: brightness and colour have two of each plane."""
        return (2, 6) if view is View.TONE else (self._grid.dimensions,)

    def features(self, views: Views) -> dict[View, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by view."""
        height, width = views.crop.shape[:2]
        native = views.crop
        if {View.NATIVE, View.TONE} & set(self.views):
            native = resized(views.crop, *size_within(height, width, NATIVE_PIXELS), cv2.INTER_AREA)
        found: dict[View, NDArray[np.float32]] = {}
        for view in self.views:
            if view is View.TONE and self._tone is not None:
                found[view] = self._tone.features(native)
                continue
            shown = views.differences if view is View.AUTOENCODER else native
            shown = self._planes.get(view, Plane.ALL).of(shown)
            if view is not View.NATIVE:
                shown = resized(shown, *overview_size(height, width), cv2.INTER_AREA)
            found[view] = self._grid.features(shown)
        return found
