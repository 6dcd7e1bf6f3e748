"""All images of a data set through the network once, and calibrations on any of its good ones from what was seen.

This goes the product's road but for the bundle on the disk. One registration, one crop and one part mask, settled by
all good training images, serve all draws, and so does what disturbances add; all else is found anew from those drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from calibration.borne import borne_differences
from calibration.calibrate import METHODS, gather, train
from calibration.contamination import far_out, most_suspects
from calibration.evaluation.options import EvaluationOptions
from calibration.evaluation.run import calibration_options
from calibration.images import inspect_file
from calibration.limit import choose_limit
from calibration.oddity import oddity_of
from calibration.training import Recipe
from calibration.view_memory import ViewMemory
from calibration.view_scoring import _on_scale_of_others, features_at_places, kept_parts, views_of_images
from edge_agent.inspection.image_files import read_file
from edge_agent.inspection.local import Scale
from edge_agent.inspection.nearest import around
from edge_agent.inspection.view import View, ViewExtractor, Voice, views_for
from edge_agent.inspection.view_bank import ViewBank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.evaluation.dataset import DataSet
    from calibration.limit import Limit

    Progress = Callable[[str, int, int], None]

__all__ = ["Calibrated", "SeenParts", "Suspected", "see"]

_ODDEST = 6
_BY_NETWORK = frozenset({View.NATIVE, View.OVERVIEW})
"""What suspects are found by."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The limit that some good parts set, and the ``scores`` (n) of others that they have not seen."""

    limit: Limit
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspected:
    """The parts that stand apart, and the six oddest, by their number among all that were seen."""

    named: tuple[int, ...]
    oddest: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SeenParts:
    """Parts by their number: first those to ``learn`` from, then good ones to test on, then the defective ones.

    ``features`` (n, K, d) by view stand at the places around those of ``places`` (h, w) that count; ``borne`` (d, d)
    is what disturbances add to them.
    """

    learn: int
    good: int
    features: dict[View, NDArray[np.float16]]
    places: dict[View, NDArray[np.bool_]]
    borne: dict[View, NDArray[np.float64]]
    is_tied: bool

    @property
    def count(self) -> int:
        """All parts."""
        return len(next(iter(self.features.values())))

    def calibrated(self, parts: Sequence[int], unseen: Sequence[int]) -> Calibrated:
        """The limit of the method ``views`` from these parts, and what the others score in its bank."""
        held_out, banks = [], {}
        for view in self.features:
            own, places = self._of(view, parts), self.places[view]
            kept = kept_parts(own, view, is_tied=self.is_tied)
            memory = ViewMemory(own, places, kept, is_tied=self.is_tied, borne=self.borne[view])
            found = memory.held_out()
            held_out.append(_on_scale_of_others(found.scores))
            banks[view] = ViewBank(memory.bank(), found.usual, Scale.to_upper_tenth(found.scores))
        limit = choose_limit(np.mean(held_out, axis=0), by_tail=METHODS["views"].limit_by_tail)
        scores = [np.mean([bank.score(self._whole(view, part)) for view, bank in banks.items()]) for part in unseen]
        return Calibrated(limit, np.array(scores))

    def suspected(self, parts: Sequence[int]) -> Suspected:
        """Which of these parts a calibration on them would stop for."""
        features = {view: self.features[view][list(parts)] for view in self.features if view in _BY_NETWORK}
        oddity = oddity_of(features, self.places, most_suspects(len(parts))).scores
        return Suspected(
            tuple(parts[place] for place in far_out(oddity)),
            tuple(parts[place] for place in np.argsort(-oddity, kind="stable")[:_ODDEST]),
        )

    def _of(self, view: View, parts: Sequence[int]) -> NDArray[np.float16]:
        """Features of these parts at the places that a memory needs."""
        found = self.features[view][list(parts)]
        return found if self.is_tied else found[:, self.places[view][around(self.places[view])]]

    def _whole(self, view: View, part: int) -> NDArray[np.float32]:
        """Features (h, w, d) of a part; 0 where nobody looks."""
        places, found = self.places[view], self.features[view][part]
        whole = np.zeros((*places.shape, found.shape[1]), np.float32)
        whole[around(places)] = found
        return whole


def see(data: DataSet, *, threads: int, progress: Progress) -> SeenParts:
    """Register all images of a data set on its good training images and see each once; takes minutes.

    Training images that do not register are left out, as in an evaluation. Raises CalibrationRefused, Unavailable.
    """
    options = calibration_options(data.name, EvaluationOptions(methods=("views",), threads=threads), seed=0)
    gathered = gather(data.train, options, progress)
    learned = train(gathered, Recipe(batch=1, min_steps=1, max_steps=1), folds=1).learned  # nobody hears it
    registered = gathered.registered
    tests = sorted(data.tests, key=lambda test: test.is_defective)
    others = [inspect_file(test.path, read_file(test.path)) for test in tests]
    every = replace(
        registered,
        images=(*registered.images, *others),
        alignments=(
            *registered.alignments,
            *(registered.registration.register(image.pixels()) for image in others),
        ),
    )
    _, _, width, height = registered.crop
    views = views_for(height, width, (Voice.IMAGE,))
    extractor = ViewExtractor(views, options.backbone.overview_onnx(), threads=threads)
    mask, total = registered.part_mask(lambda _done, _total: None), len(every.images)
    features, places = features_at_places(
        views_of_images(every), every, extractor, mask, lambda done: progress("see", done, total), is_tied=True
    )
    learn = len(registered.images)
    return SeenParts(
        learn=learn,
        good=learn + sum(not test.is_defective for test in tests),
        features=features,
        places=places,
        borne=borne_differences(registered, learned, extractor, places),
        is_tied=registered.is_tied,
    )
