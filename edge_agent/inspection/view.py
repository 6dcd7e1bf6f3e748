"""The views of a part that the mean of views looks at: one network, shown the crop at its own size and small.

At its own size a place sees texture and edges, where faint and small defects show. At the size for which such networks
were trained a place sees enough of the part to notice what is missing or in the wrong place. Brightness and colour are
looked at beside the network, as they are. The autoencoder's view is its anomaly map, for who asks for its voice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import cv2

from edge_agent.inspection.anomaly_map import resized
from edge_agent.inspection.channels import OVERVIEW_PX, overview_size, size_within
from edge_agent.inspection.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    FILTERED = "filtered"
    OVERVIEW = "overview"
    TONE = "tone"
    AUTOENCODER = "autoencoder"

    @property
    def words(self) -> str:
        """What is looked at, for a person who asks where a defect was seen."""
        return _WORDS[self]


_WORDS: Final = {
    View.NATIVE: "the part at full size",
    View.FILTERED: "the part at full size, in one colour",
    View.OVERVIEW: "the part as a whole",
    View.TONE: "brightness and colour",
    View.AUTOENCODER: "what the autoencoder would repair",
}


class Plane(StrEnum):
    """The colours that are looked at: all of them, or one plane of RGB as if it were grey, as through a filter."""

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


def views_for(height: int, width: int, voices: Sequence[Voice], plane: Plane = Plane.ALL) -> tuple[View, ...]:
    """The views of a crop of that size that these voices speak for: a small crop is seen once, at its own size.

    Where one ``plane`` is looked at, it is looked at beside all colours, never in their place.
    """
    found = []
    if Voice.IMAGE in voices:
        found.append(View.NATIVE)
        if plane is not Plane.ALL:
            found.append(View.FILTERED)
        if max(height, width) > _OVERVIEW_FROM * OVERVIEW_PX:
            found.append(View.OVERVIEW)
    if Voice.TONE in voices:
        found.append(View.TONE)
    if Voice.AUTOENCODER in voices:
        found.append(View.AUTOENCODER)
    return tuple(found)


class ViewExtractor:
    """The features of a part in each of its views, by one network, and by ``tone`` where that is among them.

    ``plane`` is what the filtered view looks at.
    """

    def __init__(
        self,
        views: Sequence[View],
        network: bytes,
        *,
        threads: int,
        tone: Tone | None = None,
        plane: Plane = Plane.ALL,
    ) -> None:
        """Raises ValueError for a network that is none, or ``tone`` or ``plane`` that do not fit the views."""
        if (View.TONE in views) != (tone is not None):
            raise ValueError(f"views {list(views)}, places of brightness and colour: {tone is not None}")
        if (View.FILTERED in views) != (plane is not Plane.ALL):
            raise ValueError(f"views {list(views)}, and the plane to look at: {plane}")
        self.views, self.threads, self._tone, self._plane = tuple(views), threads, tone, plane
        self._grid = FeatureGrid(network, threads=threads)

    def dimensions(self, view: View) -> tuple[int, ...]:
        """Features of a place, any of these: brightness and colour have two of each plane."""
        return (2, 6) if view is View.TONE else (self._grid.dimensions,)

    def features(self, views: Views) -> dict[View, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by view."""
        height, width = views.crop.shape[:2]
        native = views.crop
        if {View.NATIVE, View.FILTERED, View.TONE} & set(self.views):
            native = resized(views.crop, *size_within(height, width, NATIVE_PIXELS), cv2.INTER_AREA)
        found: dict[View, NDArray[np.float32]] = {}
        for view in self.views:
            if view is View.TONE and self._tone is not None:
                found[view] = self._tone.features(native)
                continue
            shown = views.differences if view is View.AUTOENCODER else native
            if view is View.FILTERED:
                shown = self._plane.of(shown)
            elif view is not View.NATIVE:
                shown = resized(shown, *overview_size(height, width), cv2.INTER_AREA)
            found[view] = self._grid.features(shown)
        return found
