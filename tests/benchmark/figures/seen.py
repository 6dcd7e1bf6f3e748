"""All images of a data set through the network once, and calibrations on any of its good ones from what was seen.

This goes the product's road but for the bundle on the disk. One registration, one crop and one part mask, settled by
all good training images, serve all draws, and so does what disturbances add; all else is found anew from those drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from calibration.calibrate import train
from calibration.evaluation.options import EvaluationOptions
from calibration.evaluation.run import calibration_options
from calibration.gathering import gather
from calibration.good_parts.images import inspect_file
from calibration.limits.limit import choose_limit
from calibration.memory.view_memory import ViewMemory
from calibration.method import METHODS
from calibration.scoring.fusion import Fusion, beside_the_mean
from calibration.scoring.nuisance_variation import nuisance_covariance
from calibration.scoring.view_scoring import (
    DEFAULT_VOICES,
    extractor_for,
    features_at_places,
    kept_parts,
    views_of_images,
)
from calibration.suspects.contamination import far_out, most_suspects
from calibration.suspects.oddity import oddity_of
from calibration.training.train import Recipe
from edge_agent.inspection.containers.image_files import read_file
from edge_agent.inspection.networks.channels import View, views_for
from edge_agent.inspection.scoring.judge import ViewsJudge
from edge_agent.inspection.scoring.nearest import around
from edge_agent.inspection.scoring.view_bank import ViewBank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.evaluation.dataset import DataSet
    from calibration.limits.limit import Limit
    from edge_agent.inspection.networks.extractor import Extractor

    Progress = Callable[[str, int, int], None]

__all__ = ["Calibrated", "SeenParts", "Suspected", "see"]

_ODDEST = 6


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

    ``features`` (n, K, d) by view stand at the places around those of ``places`` (h, w) that count; ``nuisance`` (d, d)
    is what disturbances add to them.
    """

    learn: int
    good: int
    features: dict[View, NDArray[np.float16]]
    places: dict[View, NDArray[np.bool_]]
    nuisance: dict[View, NDArray[np.float64]]
    is_tied: bool
    extractor: Extractor[View]

    @property
    def count(self) -> int:
        """All parts."""
        return len(next(iter(self.features.values())))

    def calibrated(self, parts: Sequence[int], unseen: Sequence[int]) -> Calibrated:
        """The limit of the method ``views`` from these parts, and what the others score in its bank."""
        memories, held_out = {}, {}
        for view in self.features:
            own, places = self._of(view, parts), self.places[view]
            kept = kept_parts(own, view, is_tied=self.is_tied)
            memories[view] = ViewMemory(own, places, kept, is_tied=self.is_tied, nuisance=self.nuisance[view])
            held_out[view] = memories[view].held_out()
        beside = beside_the_mean(self.features)
        fused = Fusion.of({view: found.scores for view, found in held_out.items()}, beside)
        limit = choose_limit(fused.scores, by_tail=METHODS["views"].limit_by_tail)
        banks = {
            view: ViewBank(memory.bank(), held_out[view].usual, fused.scales[view], is_beside=view in beside)
            for view, memory in memories.items()
        }
        judge = ViewsJudge(self.extractor, banks)
        seen = ({str(view): self._whole(view, part) for view in banks} for part in unseen)
        return Calibrated(limit, np.array([judge.score(embedded).score for embedded in seen]))

    def suspected(self, parts: Sequence[int]) -> Suspected:
        """Which of these parts a calibration on them would stop for."""
        features = {view: self.features[view][list(parts)] for view in self.features}
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
    views = views_for(*registered.native, DEFAULT_VOICES, registered.plane)
    total = len(every.images)
    make = extractor_for(views, registered, options.backbone, threads=threads)
    features, places = features_at_places(
        views_of_images(every),
        every,
        make,
        registered.part,
        lambda done: progress("see", done, total),
        is_tied=True,
    )
    learn = len(registered.images)
    return SeenParts(
        learn=learn,
        good=learn + sum(not test.is_defective for test in tests),
        features=features,
        places=places,
        nuisance=nuisance_covariance(registered, learned, make, places),
        is_tied=registered.is_tied,
        extractor=make(),
    )
