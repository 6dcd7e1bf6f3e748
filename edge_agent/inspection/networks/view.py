"""The views of a part that the mean of views looks at: one network, shown the crop at its own size and small.

At its own size a place sees texture and edges, where faint and small defects show. At the size for which such networks
were trained a place sees enough of the part to notice what is missing or in the wrong place. Brightness and colour are
looked at beside the network, as they are. The autoencoder's view is its anomaly map, for who asks for its voice.
"""

from __future__ import annotations

from copy import copy
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import cv2

from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.channels import OVERVIEW_PX, overview_size
from edge_agent.inspection.networks.embedding import FeatureGrid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.inspection.networks.channels import Views
    from edge_agent.inspection.networks.tone import Tone

__all__ = ["NATIVE_PIXELS", "Plane", "View", "ViewExtractor", "Voice", "views_for"]

# By AUC and missed defects of four sets at several sizes (docs/decisions/0079).
NATIVE_PIXELS = 420_000
"""Pixels that the network is shown at most, where nobody asks for more or fewer: larger parts are made smaller."""
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


# What is certain after a cheap view need not wait for the dear ones (docs/decisions/0083).
_CHEAPEST_FIRST: Final = (View.TONE, View.OVERVIEW, View.AUTOENCODER, View.NATIVE, View.FILTERED)


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
    """The views of a part seen at that size that these voices speak for: a small one is seen once, at its own size.

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
    """The features of a part in each of its views, by the network, and by ``tone`` where that is among them.

    ``native`` is the (height, width) of the native view, None: the crop's own; ``plane`` is the filtered view's. Both
    are seen by the ``native_network``, where there is one: at full size the deepest layers cost most and say least.
    """

    def __init__(
        self,
        views: Sequence[View],
        network: bytes,
        *,
        threads: int,
        tone: Tone | None = None,
        plane: Plane = Plane.ALL,
        native: tuple[int, int] | None = None,
        native_network: bytes | None = None,
    ) -> None:
        """Raises ValueError for a network that is none, or ``tone`` or ``plane`` that do not fit the views."""
        if (View.TONE in views) != (tone is not None):
            raise ValueError(f"views {list(views)}, places of brightness and colour: {tone is not None}")
        if (View.FILTERED in views) != (plane is not Plane.ALL):
            raise ValueError(f"views {list(views)}, and the plane to look at: {plane}")
        self.views, self.threads, self._tone, self._plane = tuple(views), threads, tone, plane
        self._native = native
        self._grid = FeatureGrid(network, threads=threads)
        self._native_grid = self._grid if native_network is None else FeatureGrid(native_network, threads=threads)
        self._looked_at: Mapping[View, NDArray[np.bool_]] = {}

    def looking_at(self, places: Mapping[View, NDArray[np.bool_]]) -> ViewExtractor:
        """One that computes no more than is needed for these places (h, w) of each view."""
        other = copy(self)
        other._looked_at = dict(places)  # noqa: SLF001 - one of this very class
        return other

    def dimensions(self, view: View) -> tuple[int, ...]:
        """Features of a place, any of these: brightness and colour have two of each plane."""
        return (2, 6) if view is View.TONE else (self._grid_of(view).dimensions,)

    def features(self, views: Views) -> dict[View, NDArray[np.float32]]:
        """Features (h, w, d) of every place, by view; of places that nobody looks at they may be 0."""
        found = dict(self.looks(views))
        return {view: found[view] for view in self.views}

    def looks(self, views: Views) -> Iterator[tuple[View, NDArray[np.float32]]]:
        """As ``features``, view by view, the cheapest first: a part that one view rejects for certain need not wait."""
        native = views.crop if self._native is None else resized(views.crop, *self._native, cv2.INTER_AREA)
        small = overview_size(*native.shape[:2])
        for view in sorted(self.views, key=_CHEAPEST_FIRST.index):
            if view is View.TONE and self._tone is not None:
                yield view, self._tone.features(native)
                continue
            shown = native
            if view is View.FILTERED:
                shown = self._plane.of(native)
            elif view is not View.NATIVE:
                whole = views.differences if view is View.AUTOENCODER else native
                shown = resized(whole, *small, cv2.INTER_AREA)
            yield view, self._grid_of(view).features(shown, self._looked_at.get(view))

    def _grid_of(self, view: View) -> FeatureGrid:
        return self._native_grid if view in (View.NATIVE, View.FILTERED) else self._grid
