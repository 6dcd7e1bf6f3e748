"""Nuisance variation: how features change by what is no defect, noise, compression, a change of light or focus.

A little noise, a JPEG or a lens that is not quite in focus move all places of a part in the same few directions of
feature space. Good parts hardly differ in these, so that distances which are scaled by good parts alone exaggerate
them. What is measured here is added to that scale (docs/decisions/0057).
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.disturbances import disturbances_for
from calibration.good_parts.spread import evenly
from calibration.memory.view_memory import seen_places
from calibration.training.crossfit import as_seen
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.networks.anomaly_map import Reconstructor
from edge_agent.inspection.networks.channels import View, hears_autoencoder
from edge_agent.inspection.networks.extractor import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.training.crossfit import Learned
    from calibration.workers import Workers
    from edge_agent.inspection.networks.extractor import Extractor

__all__ = ["nuisance_covariance"]

_DISTURBED: Final = 4
"""Good images that are disturbed: each has hundreds of places, and all of them move alike."""


def nuisance_covariance(
    registered: RegisteredSet,
    learned: Learned,
    extractor: Callable[[], Extractor[View]],
    places: Mapping[View, NDArray[np.bool_]],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    workers: Workers = ONE_THREAD,
) -> dict[View, NDArray[np.float64]]:
    """By view, how disturbances move the d features of a place: their mean outer product (d, d), float64.

    Added up over all disturbances, averaged over the places and a few good images; not centred: what a disturbance
    adds to every place alike is nuisance as well.
    """
    chosen = evenly(len(registered.images), _DISTURBED)
    seen = {view: seen_places(here, is_tied=registered.is_tied) for view, here in places.items()}
    ways = len(disturbances_for(registered.channels))
    # Of each image first as it is: what the others add is the difference to it.
    shown = [(index, way) for index in chosen for way in (None, *range(ways))]
    looked = workers.each(Work(_looked, (), partial(_Looking, registered, learned, extractor, seen)), shown)
    found: dict[View, NDArray[np.float64]] = {}
    for done in range(1, len(chosen) + 1):
        plain, *moved = islice(looked, 1 + ways)
        for view, before in plain.items():
            for after in moved:
                added = (after[view] - before).astype(np.float64)
                found[view] = found.get(view, 0.0) + added.T @ added / (len(added) * len(chosen))
        progress(done, len(chosen))
    return found


class _Looking:
    """What one thread looks with."""

    def __init__(
        self,
        registered: RegisteredSet,
        learned: Learned,
        make: Callable[[], Extractor[View]],
        seen: Mapping[View, NDArray[np.bool_]],
    ) -> None:
        extractor = make().looking_at(seen)
        self._registered, self._fold_of, self._extractor, self._seen = registered, learned.fold_of, extractor, seen
        self._reconstructors = [
            Reconstructor(network, registered.grid, registered.channels, threads=extractor.threads)
            for network in (learned.folds if hears_autoencoder(extractor.channels) else ())
        ]

    def at(self, shown: tuple[int, int | None]) -> dict[View, NDArray[np.float32]]:
        """The features (K, d) of one good image, its pixels disturbed in this way; None: as it is."""
        index, way = shown
        registered = self._registered
        pixels = registered.images[index].pixels()
        if way is not None:
            pixels = disturbances_for(registered.channels)[way].apply(pixels)
        crop = registered.seen(pixels, registered.alignments[index])
        if self._reconstructors:
            views = as_seen(crop, registered, self._reconstructors[self._fold_of[index]])
        else:
            views = Views.of_image(crop)
        return {view: features[self._seen[view]] for view, features in self._extractor.features(views).items()}


def _looked(looking: _Looking, shown: tuple[int, int | None]) -> dict[View, NDArray[np.float32]]:
    return looking.at(shown)
