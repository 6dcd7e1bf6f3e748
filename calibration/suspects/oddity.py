"""How far out each good part is among the others, before anything is learned from any of them.

By what the network sees of the image, whatever score the bundle will have; in seconds, where training takes minutes.
Each place of a part is compared with the same place of the others, as in the mean of views. Two parts with the same
defect vouch for each other: so besides the distance to the nearest part there is a second one, to the nearest beyond as
many as may be odd together, and for that one what is usual is found without as many of the largest distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.memory.whitened import Whitening, folds_of
from calibration.scoring.fusion import beside_the_mean, scale_beside
from calibration.scoring.seen import Seen
from calibration.scoring.view_scoring import (
    DEFAULT_VOICES,
    extractor_for,
    features_at_places,
    kept_parts,
    views_of_images,
)
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.channels import views_for
from edge_agent.inspection.scoring.nearest import PlaceBank, around
from edge_agent.inspection.scoring.typical_distances import TypicalDistances, top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.backbones import Backbone
    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers
    from edge_agent.inspection.networks.channels import View

__all__ = ["Oddity", "oddity_of", "see"]

# A quartile, as for a channel's scale: the oddest parts of a few dozen say more about themselves (docs/decisions/0028).
_UPPER = 0.75
_LEAST_SPREAD = 0.02
_HANDICAP = 4.0
"""That of ``scale_beside``, twice as large as for a bundle: here a view beside the mean stops a whole calibration."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewOddity:
    """One view by one distance: how far out each part is (n), and each place of it (n, P) of the ``places`` (h, w)."""

    scores: NDArray[np.float64]
    out: NDArray[np.float32]
    places: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Oddity:
    """``scores`` (n) float64: in each view 0 is the median part, and 1 the upper quartile of all parts.

    ``views`` are those of the mean, ``beside`` those that stand beside it, as in a bundle (docs/decisions/0060).
    """

    scores: NDArray[np.float64]
    views: tuple[ViewOddity, ...]
    beside: tuple[ViewOddity, ...] = ()

    def heat(self, part: int, height: int, width: int) -> NDArray[np.float32]:
        """How far out each pixel of the crop (height, width) is, the mean of the views; 0 where that is usual."""
        means = [_heat(views, part, height, width) for views in (self.views, self.beside) if views]
        return np.asarray(np.maximum.reduce(means))


def _heat(views: Sequence[ViewOddity], part: int, height: int, width: int) -> NDArray[np.float32]:
    total = np.zeros((height, width), np.float32)
    for view in views:
        grid = np.zeros(view.places.shape, np.float32)
        grid[view.places] = np.maximum(view.out[part], 0.0)
        total += resized(grid[..., None], height, width, cv2.INTER_LINEAR)[..., 0]
    return total / np.float32(len(views))


def see(
    registered: RegisteredSet, backbone: Backbone, *, workers: Workers, progress: Callable[[int, int], None]
) -> Seen:
    """What the network sees of each registered part, in all colours, whatever the score looks at.

    What one colour hides may be what is odd. Raises UsageError where a person's mask leaves no place.
    """
    views = views_for(*registered.native, DEFAULT_VOICES)
    n = len(registered.images)
    features, places = features_at_places(
        views_of_images(registered),
        registered,
        extractor_for(views, registered, backbone),
        registered.part,
        lambda done: progress(done, n),
        is_tied=True,
        workers=workers,
    )
    return Seen(features, places, registered.seen_area)


def oddity_of(
    features: Mapping[View, NDArray[np.float16]],
    places: Mapping[View, NDArray[np.bool_]],
    most: int,
    progress: Callable[[int], None] = lambda _done: None,
    *,
    workers: Workers = ONE_THREAD,
) -> Oddity:
    """How odd each part is, where up to ``most`` may be odd in the same way, from what was ``Seen`` of them.

    ``features`` (n, K, d) by view stand at the places around those of ``places`` (h, w) that count. ``progress(done)``
    counts parts, those of every view.
    """
    beside, found_by, before = beside_the_mean(features), {}, 0
    for view, found in features.items():
        where, kept = places[view], kept_parts(found, view, is_tied=True)
        nearest, beyond = _distances(found, where, kept, most, _from(before, progress), workers=workers)
        found_by[view] = [_by_others(nearest, where, 0), _by_others(beyond, where, most)]
        before += len(found)
    in_mean = [one for view, both in found_by.items() if view not in beside for one in both]
    others = [one for view, both in found_by.items() if view in beside for one in both]
    scores = _mean(in_mean)
    if others:
        own, certain = _mean(others), slice(0, len(scores) - most)  # how rare is asked of those that are no suspects
        scale = scale_beside(np.sort(scores)[certain], np.sort(own)[certain], handicap=_HANDICAP)
        scores = np.maximum(scores, [scale(value) for value in own])
    return Oddity(scores, tuple(in_mean), tuple(others))


def _mean(views: Sequence[ViewOddity]) -> NDArray[np.float64]:
    return np.asarray(np.mean([_scaled(view.scores) for view in views], axis=0))


def _distances(
    features: NDArray[np.float16],
    places: NDArray[np.bool_],
    kept: list[int],
    most: int,
    progress: Callable[[int], None],
    *,
    workers: Workers,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances (n, P) of each part at each place to the nearest other part, and to the nearest but ``most`` - 1.

    The scale has seen all parts: one among dozens hardly moves it, and it moves it for all alike.
    """
    n = len(features)
    bank = PlaceBank.of(features[kept], places, Whitening(features, folds_of(n)).projection())
    nearest, beyond = (np.empty((n, int(places.sum())), np.float32) for _ in range(2))
    # So many may be odd in the same way, this part among them: all but one are passed over, and the next is of another
    # kind.
    number = min(most, len(kept) - 1) - 1
    work = Work(_to_others, (bank, around(places), np.array(kept), number))
    for part, found in enumerate(workers.each(work, enumerate(features))):
        nearest[part], beyond[part] = found
        progress(part + 1)
    return nearest, beyond


def _to_others(
    bank: PlaceBank,
    around_them: NDArray[np.bool_],
    stored: NDArray[np.int64],
    number: int,
    one: tuple[int, NDArray[np.float16]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of one part, as ``_distances``."""
    part, features = one
    whole = np.zeros((*around_them.shape, features.shape[1]), np.float32)
    whole[around_them] = features
    distances = bank.to_each(whole)
    # A part is not its own nearest.
    distances[:, stored == part] = np.inf
    return distances.min(axis=1), np.partition(distances, number, axis=1)[:, number]


def _by_others(distances: NDArray[np.float32], places: NDArray[np.bool_], without: int) -> ViewOddity:
    """Each part's distances (n, P) by what is usual among the others, without so many of the largest at each place."""
    out = np.empty_like(distances)
    fewer = len(distances) - 1 - without
    for part in range(len(distances)):
        others = np.delete(distances, part, axis=0)
        out[part] = TypicalDistances.of(np.partition(others, fewer - 1, axis=0)[:fewer])(distances[part])
    return ViewOddity(np.array([top_mean(values) for values in out]), out, places)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 at the median, 1 where three in four are below: no odd part moves that."""
    usual = float(np.median(scores))
    spread = float(np.quantile(scores, _UPPER)) - usual
    return (scores - usual) / max(spread, _LEAST_SPREAD * max(abs(usual), 1.0))


def _from(begin: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: progress(begin + done)
