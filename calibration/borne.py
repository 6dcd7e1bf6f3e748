"""What disturbances do to the features of a place: the differences that a judgement has to bear.

A little noise, a JPEG or a lens that is not quite in focus move all places of a part in the same few directions of
feature space, in which good parts hardly differ. Distances that are scaled by good parts alone make much of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.crossfit import as_seen
from calibration.disturbances import disturbances_for
from calibration.view_memory import seen_places
from edge_agent.inspection.anomaly_map import Reconstructor
from edge_agent.inspection.channels import Views
from edge_agent.inspection.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from calibration.crossfit import Learned
    from calibration.registered import RegisteredSet
    from edge_agent.inspection.view import ViewExtractor

__all__ = ["borne_differences"]

_DISTURBED: Final = 4
"""Good images that are disturbed: each has hundreds of places, and all of them move alike."""


def borne_differences(
    registered: RegisteredSet, learned: Learned, extractor: ViewExtractor, places: Mapping[View, NDArray[np.bool_]]
) -> dict[View, NDArray[np.float64]]:
    """By view the mean outer product (d, d) of what a disturbance adds to a place's features, summed over them all."""
    seen = {view: seen_places(where, is_tied=registered.is_tied) for view, where in places.items()}
    extractor = extractor.looking_at(seen)
    chosen = np.unique(np.linspace(0, len(registered.images) - 1, _DISTURBED).round().astype(int))
    found: dict[View, NDArray[np.float64]] = {}
    for index in chosen:
        pixels, alignment = registered.images[index].pixels(), registered.alignments[index]
        reconstructor = None
        if View.AUTOENCODER in extractor.views:
            network = learned.folds[learned.fold_of[index]]
            reconstructor = Reconstructor(network, registered.grid, registered.channels, threads=extractor.threads)

        def features(image: NDArray[np.uint8]) -> dict[View, NDArray[np.float32]]:
            crop = registered.seen(image, alignment)  # noqa: B023 - used at once
            views = as_seen(crop, registered, reconstructor) if reconstructor else Views.of_image(crop)  # noqa: B023
            return extractor.features(views)

        plain = features(pixels)
        for disturbance in disturbances_for(registered.channels):
            for view, moved in features(disturbance.apply(pixels)).items():
                added = (moved - plain[view])[seen[view]].astype(np.float64)
                found[view] = found.get(view, 0.0) + added.T @ added / (len(added) * len(chosen))
    return found
