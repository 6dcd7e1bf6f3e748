"""Would collecting more good parts pay? How well new parts are judged from a part of the good ones, and from more.

Each good part is set aside once, with a quarter of all, and is new to what is learned from some of the others. Each
time twice as many are learned from. Synthetic defects on the parts that are set aside are judged beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.choosing.synthetic_defects import make_defects, told_apart
from calibration.memory.view_memory import ViewMemory, seen_places
from calibration.scoring.view_scoring import features_at_places
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.channels import View
from edge_agent.inspection.networks.extractor import Extractor, Views, overview_size
from edge_agent.inspection.scoring.typical_distances import top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.choosing.synthetic_defects import SyntheticDefect
    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers

    Progress = Callable[[int, int], None]

__all__ = ["MOST_PARTS", "PartsCurve", "parts_curve"]

MOST_PARTS = 160
"""With more good parts it is not tried: the time grows faster than their number."""
_LEAST_SIDE_PX = 64
"""Of the picture at the size at which it is looked at: on a narrower one no defect fits."""
# Three quarters are learned from, and each part is new once.
_QUARTERS = 4
_DEFECTS = 120
_WORTH = 0.01
"""The share of pairs of a defect and a good part that twice as many parts have to put right (docs/decisions/0059)."""
_SURFACE_PARTS = 400
"""Good images that are wanted where a place of a part is compared with all places."""


@dataclass(frozen=True, slots=True)
class PartsCurve:
    """What a memory of ``parts`` good parts tells apart, for each such number; each is about twice the one before.

    ``told_apart``: how often a synthetic defect scored above a good part, both new to the memory; 1 is always. Where
    it was not tried both are empty, and ``problem`` says why. ``total`` is the number of all good parts; ``is_tied``
    as in RegisteredSet.
    """

    total: int
    is_tied: bool
    parts: tuple[int, ...] = ()
    told_apart: tuple[float, ...] = ()
    problem: str = ""

    @property
    def gain(self) -> float | None:
        """What twice as many parts brought, the mean of all steps; None where it was not tried."""
        if not self.told_apart:
            return None
        # The mean of the steps is the whole way divided by their number: one noisy figure in the middle has no say.
        return (self.told_apart[-1] - self.told_apart[0]) / (len(self.told_apart) - 1)

    @property
    def pays(self) -> bool | None:
        """Whether about as many parts again are likely to make the judgement better; None: not known."""
        if not self.is_tied and self.total < _SURFACE_PARTS:
            return True
        return None if self.gain is None else self.gain >= _WORTH

    @property
    def statement(self) -> str:
        """What was seen and what follows from it, in one sentence."""
        seen = self.problem or (
            f"learned from {_listed(self.parts)} of the {self.total} good parts, a synthetic defect scored above a new "
            f"good part in {_listed([f'{100 * share:.1f}' for share in self.told_apart])} of 100 cases"
        )
        if not self.is_tied and self.total < _SURFACE_PARTS:
            return f"{seen}; where each place is compared with all places some {_SURFACE_PARTS} good parts are wanted"
        if self.pays is None:
            return seen
        return (
            f"{seen}: {'about as many again are likely to pay' if self.pays else 'more of the same will change little'}"
        )

    def to_json(self) -> dict[str, object]:
        """The object that stands under ``more_parts`` in ``--json``."""
        return {
            "statement": self.statement,
            "pays": self.pays,
            "parts": list(self.parts),
            "told_apart": [round(share, 4) for share in self.told_apart],
        }


def parts_curve(
    registered: RegisteredSet, network: bytes, *, seed: int, progress: Progress, workers: Workers = ONE_THREAD
) -> PartsCurve:
    """The curve of these good parts, as the overview sees them; the same parts and seed give the same one.

    What cannot be drawn is told in its words: no calibration fails for it.
    """
    total = len(registered.images)
    _, _, width, height = registered.crop
    if total > MOST_PARTS:
        return PartsCurve(total, registered.is_tied, problem=f"not tried with more than {MOST_PARTS} good parts")
    if min(overview_size(height, width)) < _LEAST_SIDE_PX:
        return PartsCurve(total, registered.is_tied, problem="not tried on an inspected area this narrow")
    try:
        return _Trial(registered, network, seed=seed, progress=progress, workers=workers).curve()
    except (cv2.error, ValueError) as err:
        return PartsCurve(total, registered.is_tied, problem=f"it could not be found out: {err}")


class _Trial:
    """Good parts and synthetic defects on them, as the overview sees them."""

    def __init__(
        self, registered: RegisteredSet, network: bytes, *, seed: int, progress: Progress, workers: Workers
    ) -> None:
        self._total, self.is_tied, self._workers = len(registered.images), registered.is_tied, workers
        self._steps, self._progress = 2 * self._total + _DEFECTS + _QUARTERS * len(_sizes(self._total)), progress
        pictures: list[NDArray[np.uint8]] = []
        for picture in workers.each(Work(_picture, (registered,)), range(self._total)):
            pictures.append(picture)
            progress(len(pictures), self._steps)
        extractor = partial(Extractor, (View.OVERVIEW,), network, threads=1)
        features, places = features_at_places(
            Work(_view, (pictures,)),
            registered,
            extractor,
            registered.part,
            lambda done: progress(self._total + done, self._steps),
            is_tied=self.is_tied,
            workers=workers,
        )
        self._good, self._places = features[View.OVERVIEW], places[View.OVERVIEW]
        self._seen = seen_places(self._places, is_tied=self.is_tied)
        # All of them and not the clearer half: it is the faint ones that more parts help with (docs/decisions/0059,
        # Tried).
        self.defects = make_defects([picture.copy for picture in pictures], _DEFECTS, seed=seed, workers=workers)
        self._bad: list[NDArray[np.float16]] = []
        look = Work(_look, (pictures, self._seen), partial(_looking, extractor, self._seen))
        for features_of_defect in workers.each(look, self.defects):
            self._bad.append(features_of_defect)
            progress(2 * self._total + len(self._bad), self._steps)
        self._order = np.random.default_rng(seed).permutation(self._total)

    def curve(self) -> PartsCurve:
        """Every size of the memory in turn."""
        sizes = _sizes(self._total)
        good, bad = np.empty((len(sizes), self._total)), np.empty((len(sizes), len(self.defects)))
        tasks = [(size, quarter) for size in range(len(sizes)) for quarter in range(_QUARTERS)]
        scores = self._workers.each(Work(_scores, (self._learned(),)), [(sizes[size], part) for size, part in tasks])
        for done, ((size, _), (of_good, of_bad)) in enumerate(zip(tasks, scores, strict=True), start=1):
            good[size, list(of_good)] = list(of_good.values())
            bad[size, list(of_bad)] = list(of_bad.values())
            self._progress(self._steps - len(tasks) + done, self._steps)
        told = (told_apart(*both) for both in zip(good, bad, strict=True))
        return PartsCurve(self._total, self.is_tied, sizes, tuple(told))

    def _learned(self) -> _Looked:
        origins = tuple((defect.base, defect.donor) for defect in self.defects)
        return _Looked(self._good, self._bad, origins, self._order, self._places, self.is_tied)


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """What is seen of good parts (n, K, d) and of defects (m, K, d) at the ``places`` (h, w) that count.

    ``origins`` are the part that a defect is on and the one that its pixels are from; ``order`` (n) is drawn.
    """

    good: NDArray[np.float16]
    bad: Sequence[NDArray[np.float16]]
    origins: tuple[tuple[int, int | None], ...]
    order: NDArray[np.int64]
    places: NDArray[np.bool_]
    is_tied: bool

    def scores(self, size: int, quarter: int) -> tuple[dict[int, float], dict[int, float]]:
        """Of the parts in a quarter, and of the defects on them, by so many of the others."""
        aside = self.order[quarter::_QUARTERS].tolist()
        # The smaller sets lie within the larger ones: only what was learned differs (docs/decisions/0059).
        known = np.delete(self.order, np.s_[quarter::_QUARTERS])[:size]
        memory = _Memory(ViewMemory(self.good[known], self.places, range(size), is_tied=self.is_tied), known)
        good = {part: memory.score(self._whole(self.good[part])) for part in aside}
        bad = {
            index: memory.score(self._whole(self.bad[index]), without=donor)
            for index, (base, donor) in enumerate(self.origins)
            if base in good
        }
        return good, bad

    def _whole(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        whole = np.zeros((*self.places.shape, features.shape[1]), np.float32)
        whole[seen_places(self.places, is_tied=self.is_tied)] = features
        return whole


def _scores(looked: _Looked, task: tuple[int, int]) -> tuple[dict[int, float], dict[int, float]]:
    return looked.scores(*task)


def _looking(extractor: Callable[[], Extractor[View]], seen: NDArray[np.bool_]) -> Extractor[View]:
    return extractor().looking_at({View.OVERVIEW: seen})


def _look(
    extractor: Extractor[View],
    pictures: Sequence[NDArray[np.uint8]],
    seen: NDArray[np.bool_],
    defect: SyntheticDefect,
) -> NDArray[np.float16]:
    """The features (K, d) of a good part with a defect."""
    picture = _as_crop(defect.onto(pictures[defect.base]))
    return extractor.features(Views.of_image(picture))[View.OVERVIEW][seen].astype(np.float16)


class _Memory:
    """What the parts ``known`` teach: the scale of distances, the bank, and what is usual."""

    def __init__(self, memory: ViewMemory, known: NDArray[np.int64]) -> None:
        self._known, self._bank, self._usual = known, memory.bank(), memory.held_out().usual

    def score(self, features: NDArray[np.float32], without: int | None = None) -> float:
        """Of a part that is not known, ``without`` the one that the pixels of its defect came from."""
        distances = self._bank.to_each(features)[:, self._known != (-1 if without is None else without)]
        return top_mean(self._usual(distances.min(axis=1)))


def _sizes(total: int) -> tuple[int, ...]:
    """How many parts are learned from: all that are not set aside, half and a quarter of them."""
    # Less the largest quarter: every quarter that is set aside leaves at least so many.
    most = total - -(-total // _QUARTERS)
    return most // 4, most // 2, most


def _picture(registered: RegisteredSet, index: int) -> NDArray[np.uint8]:
    """A registered crop at the overview's size: what defects are drawn on."""
    crop = registered.cropped(index)
    small = resized(crop, *overview_size(*crop.shape[:2]), cv2.INTER_AREA)
    picture = np.clip(np.rint(small * np.float32(255.0)), 0, 255).astype(np.uint8)
    return np.asarray(picture[..., 0] if picture.shape[2] == 1 else picture)


def _view(pictures: Sequence[NDArray[np.uint8]], index: int) -> Views:
    return Views.of_image(_as_crop(pictures[index]))


def _as_crop(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1]."""
    return np.ascontiguousarray(picture.reshape(*picture.shape[:2], -1) * np.float32(1.0 / 255.0))


def _listed(items: Sequence[object]) -> str:
    """A, B and C."""
    return f"{', '.join(map(str, items[:-1]))} and {items[-1]}"
