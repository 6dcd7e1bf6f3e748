"""What a smaller size costs in detection: synthetic defects told apart from good parts at it, and at the largest.

The defects are made on pictures at full resolution, so that both sizes are shown the same ones, and each part is judged
as if it were new. It is a coarse measure: such defects tell two ways of looking apart by a wide margin only
(docs/decisions/0058).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from calibration.choosing.synthetic_defects import clearer_half, make_defects, told_apart
from calibration.choosing.timing import only, spread_over
from calibration.memory.view_memory import ViewMemory, seen_places
from calibration.scoring.view_scoring import extractor_for, features_at_places, views_of_images
from calibration.workers import Work
from edge_agent.inspection.networks.channels import View
from edge_agent.inspection.networks.extractor import Views
from edge_agent.inspection.scoring.typical_distances import top_mean
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.backbones import Backbone
    from calibration.choosing.synthetic_defects import SyntheticDefect
    from calibration.choosing.within import Sized
    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers
    from edge_agent.inspection.networks.extractor import Extractor

__all__ = ["Cost", "cost_of"]

_PARTS: Final = 24
_DEFECTS: Final = 48
"""Of which the clearer half counts."""
_SAYS_NOTHING: Final = 4
"""A difference of so many of 100 comparisons may come from a single one of 24 defects."""
_TURNS: Final = 3
"""A third of the parts is new to what the others teach, each third in turn."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How often one of so many synthetic ``defects`` scored above a new good part, by the part at full size alone.

    At the size that was chosen, and at the ``largest`` of the menu; 1 is always. Both are None where it could not be
    found out, and ``problem`` says why.
    """

    sized: Sized
    defects: int
    at_chosen: float | None
    at_largest: float | None
    problem: str = ""

    @property
    def words(self) -> str:
        """One sentence, for the person who decides whether the time is worth it."""
        wish, chosen, largest = self.sized.wish, self.sized.chosen, self.sized.largest
        if self.at_chosen is None or self.at_largest is None:
            return tr(
                "What the smaller size costs in detection could not be found out: {problem}", problem=self.problem
            )
        return tr(
            "Looked at with {chosen} to be done in {within} ms, one of {defects} synthetic defects stood out from a "
            "good part in {told} of 100 comparisons; with {largest}, which takes {ms} ms, it would be {best}. A "
            "difference of less than {least} says nothing.",
            chosen=chosen.words,
            within=f"{wish.ms:.0f}",
            defects=self.defects,
            told=f"{100 * self.at_chosen:.0f}",
            largest=largest.words,
            ms=f"{largest.took_ms:.0f}",
            best=f"{100 * self.at_largest:.0f}",
            least=_SAYS_NOTHING,
        )

    def to_json(self) -> dict[str, object]:
        """For programs, and for the manifest."""
        return {
            "synthetic_defects": self.defects,
            "told_apart": None if self.at_chosen is None else round(self.at_chosen, 4),
            "told_apart_at_largest": None if self.at_largest is None else round(self.at_largest, 4),
            "largest": list(self.sized.largest.native),
            "largest_ms": round(self.sized.largest.took_ms, 1),
        }


def cost_of(
    registered: RegisteredSet,
    sized: Sized,
    *,
    backbone: Backbone,
    seed: int,
    workers: Workers,
    progress: Callable[[int, int], None],
) -> Cost:
    """What the size chosen costs, by some of these good parts; the same parts, seed and sizes give the same figures.

    What cannot be found out is told in its words: no calibration fails for it.
    """
    # Two dozen parts and no more: the answer is coarse whatever it costs (docs/decisions/0085).
    some = only(registered, spread_over(registered.images, _PARTS))
    try:
        defects = clearer_half(
            make_defects([image.pixels for image in some.images], _DEFECTS, seed=seed, workers=workers)
        )
        told = []
        sets = [replace(some, native=tried.native) for tried in (sized.chosen, sized.largest)]
        # The same defects at both sizes: only how they are looked at differs.
        sizes = [(at_size, extractor_for([View.NATIVE], at_size, backbone)) for at_size in sets]
        for share in workers.each(Work(_told_apart, (defects, seed)), sizes):
            told.append(share)
            progress(len(told), 2)
    except (cv2.error, ValueError) as err:
        return Cost(sized, 0, None, None, str(err))
    return Cost(sized, len(defects), at_chosen=told[0], at_largest=told[1])


def _told_apart(
    defects: Sequence[SyntheticDefect], seed: int, at_size: tuple[RegisteredSet, Callable[[], Extractor[View]]]
) -> float:
    """By the native view at the set's size."""
    registered, make = at_size
    is_tied = registered.is_tied
    found, counting = features_at_places(
        views_of_images(registered), registered, make, registered.part, lambda _done: None, is_tied=is_tied
    )
    good, places = found[View.NATIVE], counting[View.NATIVE]
    seen = seen_places(places, is_tied=is_tied)
    extractor = make().looking_at({View.NATIVE: seen})

    def whole(features: NDArray[np.float16]) -> NDArray[np.float32]:
        grid = np.zeros((*places.shape, features.shape[1]), np.float32)
        grid[seen] = features
        return grid

    def looked_at(defect: SyntheticDefect) -> NDArray[np.float16]:
        pixels = defect.onto(registered.images[defect.base].pixels())
        views = Views.of_image(registered.seen(pixels, registered.alignments[defect.base]))
        return np.asarray(extractor.features(views)[View.NATIVE][seen], np.float16)

    bad = [looked_at(defect) for defect in defects]
    order = np.random.default_rng(seed).permutation(len(good))
    of_good, of_bad = np.empty(len(good)), np.empty(len(bad))
    for turn in range(_TURNS):
        aside = order[turn::_TURNS]
        known = np.setdiff1d(order, aside)
        memory = ViewMemory(good[known], places, range(len(known)), is_tied=is_tied)
        bank, usual = memory.bank(), memory.held_out().usual
        for part in aside:
            of_good[part] = top_mean(usual(bank.distances(whole(good[part]))))
        for index, defect in enumerate(defects):
            if defect.base in aside:
                # The part whose pixels were pasted would know the defect.
                others = known != (-1 if defect.donor is None else defect.donor)
                of_bad[index] = top_mean(usual(bank.to_each(whole(bad[index]))[:, others].min(axis=1)))
    return told_apart(of_good, of_bad)
