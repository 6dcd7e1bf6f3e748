"""A rehearsal: how well one way of looking tells defects from good parts, each as if it were new.

The defects are synthetic, and the known-defective parts where there are any. It is bounded: a few dozen good parts, a
few dozen of the clearer synthetic defects and of the known ones, one view at a moderate size. No part and no defect is
compared with the good part that it is made from, nor with the one that its pixels are from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from calibration.choosing.synthetic_defects import clearer_half, make_defects, told_apart
from calibration.good_parts.spread import evenly
from calibration.memory.view_memory import ViewMemory, seen_places
from calibration.registering.part_mask import counting_places
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.networks.anomaly_map import resized, to_working
from edge_agent.inspection.networks.embedding import FeatureGrid
from edge_agent.inspection.scoring.typical_distances import top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from calibration.choosing.synthetic_defects import SyntheticDefect
    from calibration.good_parts.images import GoodImage
    from calibration.good_parts.known import KnownImage
    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers
    from edge_agent.inspection.registration.likeness import Likeness

    Progress = Callable[[int, int], None]

__all__ = ["Rehearsal", "Told"]

# Bounds that keep a way of looking to some ten seconds (docs/decisions/0058, Rehearsal and Measured).
_MOST_PARTS = 40
_DEFECTS = 120
_MOST_KNOWN = 60
"""As many as there are synthetic ones."""
# Coarse questions need no full resolution (docs/decisions/0058).
_LONG_SIDE_PX = 512
_Image = TypeVar("_Image")


@dataclass(frozen=True, slots=True)
class Told:
    """The AUC of defects against good parts: each place ``tied`` to the same place of good parts, or ``free`` of it."""

    tied: float
    free: float


class Rehearsal:
    """Good parts, spread evenly over all, and defects on them: the same for every way of looking that is tried.

    Each of the ``known`` defective parts counts as a synthetic defect does.
    """

    def __init__(
        self,
        images: Sequence[GoodImage],
        network: bytes,
        *,
        seed: int,
        defects: int = _DEFECTS,
        known: Sequence[KnownImage] = (),
        workers: Workers = ONE_THREAD,
    ) -> None:
        # Evenly over all: images of one hour lie beside each other in a folder.
        self._images = _spread(images, _MOST_PARTS)
        self._known = _spread(known, _MOST_KNOWN)
        # One thread a network: several images at once are quicker than several threads on one.
        self._grid, self._workers = partial(FeatureGrid, network, threads=1), workers
        pictures = [image.pixels for image in self._images]
        # Faint and tiny ones mislead where two ways of looking are told apart (docs/decisions/0058).
        self._defects = clearer_half(make_defects(pictures, defects, seed=seed, workers=workers))

    def told_apart(self, registered: RegisteredSet, progress: Progress) -> Told:
        """By images that are registered, cropped and masked like this.

        What registration does not accept counts as rejected, whether it is good or not: its score is infinite.
        """
        total = len(self._images) + len(self._defects) + len(self._known)
        known = {image.path.name: index for index, image in enumerate(registered.images)}
        laid = [
            (number, known[image.path.name]) for number, image in enumerate(self._images) if image.path.name in known
        ]
        seen = self._workers.each(Work(_seen, (registered,), self._grid), [index for _, index in laid])
        good: dict[int, NDArray[np.float16]] = {}
        for (number, _), features in zip(laid, seen, strict=True):
            good[number] = features
            progress(number + 1, total)
        bad: list[_Bad] = []
        likeness, number_of = registered.likeness(), {part: number for number, part in enumerate(good)}
        defective = list(self._defective(good))
        looked = self._workers.each(Work(_look, (registered, likeness), self._grid), defective)
        for number, (one, found) in enumerate(zip(defective, looked, strict=True), start=len(self._images) + 1):
            bad.append(_Bad(found, tuple(number_of[part] for part in one.origins if part in number_of)))
            progress(number, total)
        shape = next(iter(good.values())).shape[:2]
        places = counting_places(shape, registered.part, registered.asked)
        tell = Work(_told, (list(good.values()), bad, places, len(self._images) - len(good)))
        tied, free = self._workers.each(tell, (True, False))
        return Told(tied=tied, free=free)

    def _defective(self, good: Collection[int]) -> Iterator[_Defective]:
        """Defective parts. A synthetic defect on a part that is not among the ``good`` says nothing: out anyhow."""
        for defect in self._defects:
            if defect.base in good:
                pixels = partial(_with_defect, self._images[defect.base], defect)
                yield _Defective(pixels, (defect.base, defect.donor))
        for image in self._known:
            yield _Defective(partial(_read, image), ())


@dataclass(frozen=True, slots=True)
class _Defective:
    """How to get the picture of a defective part, and of which of the good parts it is made."""

    pixels: Callable[[], NDArray[np.uint8]]
    origins: tuple[int | None, ...]


def _with_defect(image: GoodImage, defect: SyntheticDefect) -> NDArray[np.uint8]:
    return defect.onto(image.pixels())


def _read(image: KnownImage) -> NDArray[np.uint8]:
    return decode(image.read())


def _features(grid: FeatureGrid, crop: NDArray[np.float32]) -> NDArray[np.float16]:
    height, width = crop.shape[:2]
    scale = min(1.0, _LONG_SIDE_PX / max(height, width))
    small = resized(crop, max(1, round(height * scale)), max(1, round(width * scale)), cv2.INTER_AREA)
    return grid.features(small).astype(np.float16)


def _seen(grid: FeatureGrid, registered: RegisteredSet, index: int) -> NDArray[np.float16]:
    return _features(grid, registered.cropped(index))


def _look(
    grid: FeatureGrid, registered: RegisteredSet, likeness: Likeness, one: _Defective
) -> NDArray[np.float16] | None:
    """The features (h, w, d) of a defective part; None where it would be rejected for how it lies."""
    crop = _inspected(registered, likeness, one.pixels())
    return None if crop is None else _features(grid, crop)


def _inspected(registered: RegisteredSet, likeness: Likeness, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The crop of an image that is new to the set; None where it would be rejected for how it lies."""
    found = registered.registration.register(pixels)
    # The same gates as on the line: a way of looking that throws defects out for how they lie has found them, too.
    if found.quality < registered.quality_min or registered.pose.judge(found):
        return None
    if registered.registration.unseen_fraction(found, registered.crop) > registered.unseen_max:
        return None
    crop = registered.seen(pixels, found)
    return None if likeness(to_working(crop, registered.grid)) < registered.whole.least else crop


def _told(
    good: Sequence[NDArray[np.float16]],
    bad: Sequence[_Bad],
    places: NDArray[np.bool_],
    thrown_out: int,
    is_tied: bool,  # noqa: FBT001 - the item of a work
) -> float:
    seen = seen_places(places, is_tied=is_tied)
    trial = _Trial(ViewMemory(np.stack([part[seen] for part in good]), places, range(len(good)), is_tied=is_tied), good)
    good_scores = [trial.score(part, trial.to_good[number], (number,)) for number, part in enumerate(good)]
    bad_scores = [np.inf if one.features is None else trial.score(one.features, None, one.own) for one in bad]
    # A good part that registration throws out is a part rejected: it counts against that way of looking.
    return told_apart(np.array(good_scores + [np.inf] * thrown_out), np.array(bad_scores))


@dataclass(frozen=True, slots=True, eq=False)
class _Bad:
    """A defective part: its ``features`` (h, w, d), None where it is rejected unseen, and the good parts in it."""

    features: NDArray[np.float16] | None
    own: tuple[int, ...]


class _Trial:
    """Scores without any given good parts: neither in the memory, nor in what is usual."""

    def __init__(self, memory: ViewMemory, good: Sequence[NDArray[np.float16]]) -> None:
        self._memory = memory
        self._banks = {fold: memory.bank(fold) for fold in sorted({memory.fold_of(i) for i in range(len(good))})}
        self.to_good = np.stack([self._to_each(features, part) for part, features in enumerate(good)])
        for part in range(len(good)):
            # Infinitely far from itself: so it is never its own nearest part.
            self.to_good[part, :, part] = np.inf

    def score(
        self, features: NDArray[np.float16], to_each: NDArray[np.float32] | None, without: tuple[int, ...]
    ) -> float:
        """``to_each`` are its distances (P, n) to each good part where they are known."""
        rest = np.delete(np.arange(len(self.to_good)), without)
        found = self._to_each(features, without[0] if without else None) if to_each is None else to_each
        others = self.to_good[rest][:, :, rest].min(axis=2)
        return top_mean(self._memory.usual_of(others)(found[:, rest].min(axis=1)))

    def _to_each(self, features: NDArray[np.float16], part: int | None) -> NDArray[np.float32]:
        """In a scale that has not seen the part."""
        fold = self._memory.fold_of(part or 0)
        return self._banks[fold].to_each(features.astype(np.float32))


def _spread(images: Sequence[_Image], most: int) -> list[_Image]:
    return [images[index] for index in evenly(len(images), most)]
