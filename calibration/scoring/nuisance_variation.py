"""Nuisance variation: how features change by what is no defect, noise, compression, a change of light or focus.

A little noise, a JPEG or a lens that is not quite in focus move all places of a part in the same few directions of
feature space. Good parts hardly differ in these, so that distances which are scaled by good parts alone exaggerate
them. What is measured here is added to that scale (docs/decisions/0057).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.at_once import each_with
from calibration.disturbances import disturbances_for
from calibration.good_parts.spread import evenly
from calibration.memory.view_memory import seen_places
from calibration.training.crossfit import as_seen
from edge_agent.inspection.networks.anomaly_map import Reconstructor
from edge_agent.inspection.networks.channels import View, hears_autoencoder
from edge_agent.inspection.networks.extractor import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.training.crossfit import Learned
    from edge_agent.inspection.networks.extractor import Extractor

    _Way = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

__all__ = ["nuisance_covariance"]

_DISTURBED: Final = 4
"""Good images that are disturbed: each has hundreds of places, and all of them move alike."""


def nuisance_covariance(
    registered: RegisteredSet,
    learned: Learned,
    extractors: Sequence[Extractor[View]],
    places: Mapping[View, NDArray[np.bool_]],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[View, NDArray[np.float64]]:
    """By view, how disturbances move the d features of a place: their mean outer product (d, d), float64.

    Added up over all disturbances, averaged over the places and a few good images; not centred: what a disturbance
    adds to every place alike is nuisance as well.
    """
    chosen = evenly(len(registered.images), _DISTURBED)
    seen = {view: seen_places(here, is_tied=registered.is_tied) for view, here in places.items()}
    tools = [_Looking(registered, learned, extractor.looking_at(seen)) for extractor in extractors]
    ways = [_as_it_is, *(one.apply for one in disturbances_for(registered.channels))]
    found: dict[View, NDArray[np.float64]] = {}
    for done, index in enumerate(chosen, start=1):
        pixels = registered.images[index].pixels()
        shown = ((index, way, pixels) for way in ways)
        # The first way is the image as it is: what the others add is the difference to it.
        plain, *moved = (
            {view: features[seen[view]] for view, features in looked.items()}
            for looked in each_with(_Looking.at, shown, tools)
        )
        for view, before in plain.items():
            for after in moved:
                added = (after[view] - before).astype(np.float64)
                found[view] = found.get(view, 0.0) + added.T @ added / (len(added) * len(chosen))
        progress(done, len(chosen))
    return found


class _Looking:
    """What one thread looks with."""

    def __init__(self, registered: RegisteredSet, learned: Learned, extractor: Extractor[View]) -> None:
        self._registered, self._fold_of, self._extractor = registered, learned.fold_of, extractor
        self._reconstructors = [
            Reconstructor(network, registered.grid, registered.channels, threads=extractor.threads)
            for network in (learned.folds if hears_autoencoder(extractor.channels) else ())
        ]

    def at(self, shown: tuple[int, _Way, NDArray[np.uint8]]) -> dict[View, NDArray[np.float32]]:
        """The features of one good image, its pixels disturbed in this way."""
        index, way, pixels = shown
        registered = self._registered
        crop = registered.seen(way(pixels), registered.alignments[index])
        if not self._reconstructors:
            return self._extractor.features(Views.of_image(crop))
        return self._extractor.features(as_seen(crop, registered, self._reconstructors[self._fold_of[index]]))


def _as_it_is(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels
