"""How long one inspection takes on this machine: before there is a bundle, and with the bundle that was made."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.good_parts.images import read_again
from calibration.good_parts.spread import evenly
from calibration.memory.view_memory import ViewMemory
from calibration.scoring.view_scoring import (
    DEFAULT_VOICES,
    extractor_for,
    features_at_places,
    most_kept,
    views_of_images,
)
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.bundle.promise import Promise, cpu_name
from edge_agent.inspection.containers.decode import read_image
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.anomaly_map import to_working
from edge_agent.inspection.networks.channels import View, views_for
from edge_agent.inspection.networks.extractor import Views
from edge_agent.inspection.scoring.condition import measure_condition
from edge_agent.inspection.scoring.judge import ViewsJudge
from edge_agent.inspection.scoring.local import Scale
from edge_agent.inspection.scoring.view_bank import ViewBank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calibration.backbones import Backbone
    from calibration.choosing.within import Sized
    from calibration.good_parts.images import GoodImage
    from calibration.registering.registered import RegisteredSet
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.networks.channels import Voice

__all__ = ["inspection_ms", "measured", "only", "spread_over"]

_REMEMBERED: Final = 4
"""Good parts that stand for all in a trial's memory: what it compares with, not how well, takes the time."""
# The median of seven: one that another program held up has no say (docs/decisions/0085).
_TIMED: Final = 7
_SHOWN: Final = 12
"""Good images that the finished bundle is timed with."""
_ROUNDS: Final = 3
"""A PC that has just calibrated is busy: a bundle that is not quick enough in so many rounds is too slow."""


def inspection_ms(
    registered: RegisteredSet,
    *,
    backbone: Backbone,
    voices: Sequence[Voice],
    threads: int,
) -> tuple[float, float]:
    """Ms of one inspection by the mean of views at the set's native size, and how many of them before any network.

    Medians over a few good images, with the real networks, and a memory as large as the bundle's will be.
    """
    trial = _Trial(registered, backbone, tuple(voices) or DEFAULT_VOICES, threads)
    # Others than those in the memory: a part that it remembers is found sooner.
    timed = spread_over(registered.images, _REMEMBERED + _TIMED)[_REMEMBERED:]
    trial.inspect(read_again(timed[0].path, timed[0].sha256))  # nothing is warm yet
    taken = [trial.inspect(read_again(image.path, image.sha256)) for image in timed]
    return median(took for took, _ in taken), median(before for _, before in taken)


def measured(bundle: Bundle, good: Sequence[GoodImage], sized: Sized | None, *, threads: int) -> Promise:
    """What an inspection by this bundle takes here, in the best of a few rounds over some good images.

    Raises CalibrationRefused where that is more than a person asked for.
    """
    wish = None if sized is None or not sized.wish.is_asked else sized.wish
    inspector = Inspector(bundle, threads=threads)
    shown = spread_over(good, _SHOWN)
    inspector.inspect(read_again(shown[0].path, shown[0].sha256))
    rounds: list[tuple[float, float]] = []
    while not rounds or (wish is not None and rounds[-1][0] > wish.ms and len(rounds) < _ROUNDS):
        taken = [sum(inspector.inspect(read_again(i.path, i.sha256)).timings_ms.values()) for i in shown]
        rounds.append((median(taken), max(taken)))
    # The best round: what else runs on a PC that has just calibrated is not the bundle's (docs/decisions/0085).
    took_ms, worst_ms = min(rounds)
    if wish is not None and took_ms > wish.ms:
        raise CalibrationRefused(
            f"the bundle is slower than its size promised: an inspection takes {took_ms:.0f} ms on this PC "
            f"({cpu_name()}), {wish.ms:.0f} ms were asked for with --within. Nothing was written",
            hint="see what else runs on this PC and calibrate again; or calibrate on a faster one, inspect less of the "
            "part (--crop), or allow a longer time (--within)",
        )
    return Promise(
        took_ms=took_ms,
        worst_ms=worst_ms,
        cpu=cpu_name(),
        threads=threads,
        within_ms=None if wish is None else wish.ms,
        pixels=None if sized is None else sized.chosen.pixels,
    )


class _Trial:
    """What an inspection by the mean of views does, before there is a bundle to do it with."""

    def __init__(
        self,
        registered: RegisteredSet,
        backbone: Backbone,
        voices: Sequence[Voice],
        threads: int,
    ) -> None:
        self._registered, self._likeness = registered, registered.likeness()
        views = views_for(*registered.native, voices, registered.plane)
        make = extractor_for(views, registered, backbone, threads=threads)
        some = only(registered, spread_over(registered.images, _REMEMBERED + _TIMED)[:_REMEMBERED])
        features, places = features_at_places(
            views_of_images(some), some, make, registered.part, lambda _done: None, is_tied=registered.is_tied
        )
        banks = {view: self._bank(view, features[view], places[view]) for view in views}
        looking = make().looking_at({view: bank.bank.looked_at for view, bank in banks.items()})
        self._places = places[views[0]]
        self._judge = ViewsJudge(looking, banks)

    def inspect(self, data: bytes) -> tuple[float, float]:
        """Ms that an image file takes, and how many of them before any network is asked."""
        begin = time.perf_counter()
        # An inspection takes the hash of its image too: it is part of the time.
        hashlib.sha256(data)
        pixels = read_image(data).pixels
        seen = self._registered.seen(pixels, self._registered.registration.register(pixels))
        before = time.perf_counter()
        measure_condition(seen, self._places)
        self._likeness(to_working(seen, self._registered.grid))
        looked = self._judge.looks(Views.of_image(seen))
        self._judge.judged({name: self._judge.share(name, features) for name, features in looked})
        return (time.perf_counter() - begin) * 1000.0, (before - begin) * 1000.0

    def _bank(self, view: View, features: NDArray[np.float16], places: NDArray[np.bool_]) -> ViewBank:
        """A memory of as many parts as the bundle's: the few there are, over and over."""
        is_tied = self._registered.is_tied
        few, count, depth = features.shape
        parts = min(len(self._registered.images), most_kept(count, depth, view, is_tied=is_tied))
        # How many are compared takes the time, not whether they differ.
        memory = ViewMemory(features, places, [number % few for number in range(parts)], is_tied=is_tied)
        held_out = ViewMemory(features, places, range(few), is_tied=is_tied).held_out()
        return ViewBank(memory.bank(), held_out.usual, Scale(0.0, 1.0))


def only(registered: RegisteredSet, some: Sequence[GoodImage]) -> RegisteredSet:
    """The set with some of its images alone; the first of them stands where its reference did."""
    lie = dict(zip(registered.images, registered.alignments, strict=True))
    return replace(registered, images=tuple(some), alignments=tuple(lie[image] for image in some), reference=0)


def spread_over(images: Sequence[GoodImage], most: int) -> list[GoodImage]:
    """Up to ``most`` of the images, taken from all over the set, in a random order that is always the same."""
    chosen = evenly(len(images), most)
    order = np.random.default_rng(0).permutation(len(chosen))
    return [images[chosen[index]] for index in order]
