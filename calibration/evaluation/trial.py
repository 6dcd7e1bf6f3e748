"""One trial: methods fitted on the same good images with one seed, and all test images shown to each."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from calibration.baselines import BASELINES, Setting, fit_all
from calibration.calibrate import finish
from calibration.calibrate import train as learn_by
from calibration.evaluation.contenders import Baseline, Product, RegisteredCrop, Sight
from calibration.evaluation.drift import drift_rows
from calibration.evaluation.gallery import make_gallery
from calibration.evaluation.masks import read_mask
from calibration.evaluation.measures import PixelMeasure, auc_and_ap, good_passed_at_zero_misses
from calibration.evaluation.result import JudgedImage, Trial
from calibration.gathering import gather, look_for_suspects
from calibration.method import METHODS
from calibration.training.crossfit import FOLDS
from calibration.training.train import Recipe
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from calibration.evaluation.dataset import DataSet, LabelledImage
    from calibration.evaluation.gallery import Gallery
    from calibration.gathered import Gathered, Prepared
    from calibration.limits.limit import Limit
    from calibration.options import CalibrationOptions
    from calibration.registering.registered import RegisteredSet

    Progress = Callable[[str, int, int], None]

__all__ = ["TITLES", "WITH_CHANNELS", "is_seeded", "note_of", "run_trial"]

WITH_CHANNELS = frozenset({"local"})
"""Methods whose channels can be chosen."""
_UNTRAINED = Recipe(batch=1, min_steps=1, max_steps=1)
"""For a network that has to be there and that nobody hears."""

TITLES: dict[str, str] = {
    **{name: f"{name} (this tool)" for name in METHODS},
    **{name: baseline.title for name, baseline in BASELINES.items()},
}
"""Every method there is, the product's first, by the name that asks for it."""


def is_seeded(method: str) -> bool:
    """Whether another seed gives other scores: what trains or draws at random does."""
    return method in METHODS or BASELINES[method].is_seeded


def note_of(method: str) -> str:
    """In what the method is less than its original; empty for most."""
    return BASELINES[method].note if method in BASELINES else ""


def run_trial(
    data: DataSet,
    train: Sequence[Path],
    methods: Sequence[str],
    options: CalibrationOptions,
    *,
    draw: int,
    with_gallery: bool,
    progress: Progress,
    with_drift: bool = False,
) -> tuple[dict[str, Trial], Gallery | None]:
    """Fit these methods on ``train`` and show them all test images; one registration serves all.

    ``with_drift`` shows them again under each disturbance. The gallery is of the first method of the product among
    them. Raises CalibrationRefused, DataError, Unavailable.
    """
    contenders = _fitted(train, methods, options, progress, shown=_first_of_product(methods) if with_gallery else None)
    records = {name: _Record() for name in methods}
    takes_pixels = any(test.masks for test in data.tests)
    for number, test in enumerate(data.tests, start=1):
        with_heat = takes_pixels and (bool(test.masks) or not test.is_defective)
        for name, sight in contenders.look(test, with_heat=with_heat).items():
            records[name].add(test, sight)
        progress("test", number, len(data.tests))
    trials = {
        name: records[name].trial(data, options.seed, draw, contenders.limit_of(name), notes=contenders.notes_of(name))
        for name in methods
    }
    for name, product in contenders.products.items():
        trials[name] = replace(trials[name], odd_part=product.odd_part)
        if with_drift:
            watch = partial(progress, f"drift, {name}")
            rows = drift_rows(data.tests, product.inspector, product.limit.bound_95, watch)
            trials[name] = replace(trials[name], drift=rows)
    shown = _first_of_product(methods) if with_gallery else None
    if shown is None:
        return trials, None
    inspector = contenders.products[shown].inspector
    scores = np.array(trials[shown].scores)
    return trials, make_gallery(shown, inspector, data, scores, partial(progress, "pictures"), options=options)


@dataclass(frozen=True, slots=True, eq=False)
class _Contenders:
    """Fitted methods by name. ``registered`` is what the baselines' test crops are laid on."""

    products: dict[str, Product]
    baselines: dict[str, Baseline]
    registered: RegisteredSet

    def look(self, test: LabelledImage, *, with_heat: bool) -> dict[str, Sight]:
        """What each makes of a test image."""
        data = test.path.read_bytes()
        sights = {name: p.look(data, with_heat=with_heat) for name, p in self.products.items()}
        if self.baselines:
            seen = RegisteredCrop.of(decode(data), self.registered)
            sights |= {name: b.look(test.path, seen, with_heat=with_heat) for name, b in self.baselines.items()}
        return sights

    def notes_of(self, name: str) -> tuple[str, ...]:
        """What the calibration of a method of the product said of its images and its limit."""
        return self.products[name].notes if name in self.products else ()

    def limit_of(self, name: str) -> Limit | None:
        """None for a method without a limit of its own."""
        return self.products[name].limit if name in self.products else self.baselines[name].limit


def _fitted(
    train: Sequence[Path],
    methods: Sequence[str],
    options: CalibrationOptions,
    progress: Progress,
    *,
    shown: str | None,
) -> _Contenders:
    names = [name for name in methods if name in BASELINES]
    gathered = gather(train, options, progress)
    if any(name in METHODS for name in methods):  # nobody is there to be asked: what stands apart is named, and stays
        gathered, _ = look_for_suspects(gathered, progress)
    recipes = {name: METHODS[name].recipe for name in methods if name in METHODS}
    as_paper = METHODS["paper"].recipe
    needed = {*recipes.values()} | ({as_paper} if any(BASELINES[name].needs_autoencoder for name in names) else set())
    prepared = {recipe: _prepared(gathered, recipe, methods, progress, shown=shown) for recipe in needed}
    products = {name: _product(prepared[recipe], name, progress) for name, recipe in recipes.items()}
    setting = Setting(
        registered=gathered.registered,
        learned=prepared[as_paper].learned if as_paper in prepared else None,
        seed=options.seed,
        threads=options.threads,
        progress=progress,
        backbone=options.backbone,
    )
    baselines = {}
    for number, (name, detector) in enumerate(fit_all(names, setting).items(), start=1):
        baselines[name] = Baseline(detector)
        progress("hold out", number, len(names))
    return _Contenders(products, baselines, gathered.registered)


def _prepared(
    gathered: Gathered, recipe: Recipe, methods: Sequence[str], progress: Progress, *, shown: str | None
) -> Prepared:
    """The networks of this recipe, in as many folds as any method needs.

    Where no method hears them, and no picture is made of what they repair, they are not trained: the bundle has to hold
    one, and its scores are the same with any.
    """
    products = [name for name in methods if name in METHODS and METHODS[name].recipe == recipe]
    folds = [METHODS[name].folds(gathered.options.voices) for name in products]
    if recipe == METHODS["paper"].recipe:
        folds += [FOLDS for name in methods if name in BASELINES and BASELINES[name].needs_autoencoder]
    is_heard = max(folds) == FOLDS
    if is_heard or shown in products:
        return learn_by(gathered, recipe, progress, folds=max(folds))
    begun = learn_by(gathered, _UNTRAINED, progress, folds=1)
    return replace(begun, learned=replace(begun.learned, is_trained=False))


def _first_of_product(methods: Sequence[str]) -> str | None:
    return next((name for name in methods if name in METHODS), None)


def _product(prepared: Prepared, method: str, progress: Progress) -> Product:
    """The method's bundle, through the disk: what is tested is what would go to the line."""
    prepared = replace(prepared, gathered=_asked_of(prepared.gathered, method))
    with tempfile.TemporaryDirectory(prefix="edge-agent-evaluate-") as folder:
        result = finish(prepared, method, Path(folder) / "bundle", progress)
        inspector = Inspector(Bundle.load(result.path), threads=prepared.gathered.options.threads)
    return Product(inspector, result)


def _asked_of(gathered: Gathered, method: str) -> Gathered:
    """Channels are asked of a method that has them, and of no other."""
    if method in WITH_CHANNELS:
        return gathered
    return replace(gathered, options=replace(gathered.options, channels=()))


class _Record:
    """What one method made of all test images."""

    def __init__(self) -> None:
        self._sights: list[Sight] = []
        self._pixels = PixelMeasure()

    def add(self, test: LabelledImage, sight: Sight) -> None:
        heat = sight.heat
        if heat is not None:
            clear = np.zeros(heat.shape, bool)
            self._pixels.add(heat, read_mask(test.masks, heat.shape) if test.masks else clear)
        self._sights.append(replace(sight, heat=None))

    def trial(self, data: DataSet, seed: int, draw: int, limit: Limit | None, *, notes: tuple[str, ...] = ()) -> Trial:
        sights, defective = self._sights, data.defective
        scores = np.array([sight.score for sight in sights])
        ranked = _ranked(scores)
        auc, ap = auc_and_ap(defective, ranked)
        unregistered = np.array([sight.is_unregistered for sight in sights])
        rejected = None if limit is None else np.array([bool(sight.is_rejected) for sight in sights])
        return Trial(
            seed=seed,
            draw=draw,
            auc=auc,
            ap=ap,
            good_passed_at_zero_misses=good_passed_at_zero_misses(defective, ranked),
            limit=None if limit is None else limit.value,
            expected_false_rejects=None if limit is None else limit.expected,
            false_reject_bound_95=None if limit is None else limit.bound_95,
            good=int((~defective).sum()),
            good_rejected=None if rejected is None else int((rejected & ~defective).sum()),
            defective=int(defective.sum()),
            defective_passed=None if rejected is None else int((~rejected & defective).sum()),
            good_align_rejected=int((unregistered & ~defective).sum()),
            defective_align_rejected=int((unregistered & defective).sum()),
            describe_ms=_median(sight.describe_ms for sight in sights),
            score_ms=_median(sight.score_ms for sight in sights),
            pixel_auroc=self._pixels.auroc,
            pro=self._pixels.pro,
            scores=tuple(float(score) for score in scores),
            judged=tuple(JudgedImage(s.score, s.is_rejected, s.reason, s.channel, s.detail) for s in sights),
            notes=notes,
        )


def _ranked(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores, finite: images that were refused without one stand above all others, for no limit passes them."""
    has_score = np.isfinite(scores)
    highest = float(scores[has_score].max(initial=0.0))
    return np.where(has_score, scores, highest + abs(highest) + 1.0)


def _median(values: Iterable[float | None]) -> float:
    """Of those that there are; not a number where there are none."""
    found = [value for value in values if value is not None]
    return median(found) if found else math.nan
