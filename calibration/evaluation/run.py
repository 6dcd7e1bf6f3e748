"""How well methods tell good from defective on a labelled data set, and what their own limits would have done.

The product's methods go the product's road: a calibration of the good training images, the written bundle loaded
again, the inspector on every test image. The others see the same registered crops. Measures are of raw scores
(Saeedi & Giusti, section 4.3).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calibration.baselines.published import published_for
from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.dataset import DataSet, read_dataset
from calibration.evaluation.result import Evaluation, MethodResult, Trial
from calibration.evaluation.trial import is_seeded, note_of, run_trial
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from edge_agent.errors import CalibrationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from calibration.evaluation.gallery import Gallery
    from calibration.evaluation.options import EvaluationOptions

    Progress = Callable[[str, int, int], None]

__all__ = ["calibration_options", "evaluate", "measured", "one_trial", "prefixed"]

_SEARCH = SearchWishes(left_out_share=0.1)
"""A labelled data set is good where it says so: what does not register there is no foreign image."""


def _unseen(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def evaluate(dataset: Path, options: EvaluationOptions, progress: Progress = _unseen) -> Evaluation | LearningCurve:
    """Learn from ``dataset/train/good`` and judge ``dataset/test/*/``; a learning curve where ``counts`` ask for one.

    Every method runs once a draw and once a seed, one that does not depend on the seed once a draw. In a curve a draw's
    larger number of images holds those of its smaller ones. Raises DataError for a folder that is not such a data
    set, UsageError, CalibrationRefused, Unavailable; what can be known before anything is trained is.
    """
    options.check()
    with TemporaryDirectory(prefix="edge-agent-evaluate-") as spare:
        data = read_dataset(dataset, lambda done, total: progress("check", done, total), Path(spare))
        return measured(data, options, progress)


def measured(data: DataSet, options: EvaluationOptions, progress: Progress) -> Evaluation | LearningCurve:
    """Evaluate the methods on a data set that was read and proven before. Raises as ``evaluate`` does."""
    for count in options.counts or [options.train_images]:
        data.check_count(count)
    if not options.counts:
        return _evaluated(data, options, progress)
    points = []
    for count in options.counts:
        is_last = count == options.counts[-1]
        here = replace(options, train_images=count, with_gallery=options.with_gallery and is_last)
        points.append(_evaluated(data, here, prefixed(progress, f"{count} images: ")))
    return LearningCurve(tuple(points))


def _evaluated(data: DataSet, options: EvaluationOptions, progress: Progress) -> Evaluation:
    trials: dict[str, list[Trial]] = {name: [] for name in options.methods}
    gallery = None
    for draw in range(options.repeats):
        for seed in range(options.seeds):
            if not _methods_of(options, seed):
                break
            where = _counted((draw, options.repeats), (seed, options.seeds))
            try:
                found, shown = one_trial(data, options, draw, seed, prefixed(progress, where))
            except CalibrationRefused as err:
                raise CalibrationRefused(f"{where}{err}", hint=err.hint) from err
            gallery = gallery or shown
            for name, trial in found.items():
                trials[name].append(trial)
    return _gathered(data, options, trials, gallery)


def one_trial(
    data: DataSet, options: EvaluationOptions, draw: int, seed: int, progress: Progress
) -> tuple[dict[str, Trial], Gallery | None]:
    """One draw and seed of an evaluation, for those of its methods that run on that seed; pictures of the first alone.

    Raises as ``evaluate`` does.
    """
    is_first = draw == seed == 0
    return run_trial(
        data,
        data.drawn(options.train_images, draw),
        _methods_of(options, seed),
        calibration_options(data.name, options, seed),
        draw=draw,
        with_gallery=options.with_gallery and is_first,
        with_drift=options.with_drift and is_first,
        progress=progress,
    )


def calibration_options(part: str, options: EvaluationOptions, seed: int) -> CalibrationOptions:
    """How an evaluation calibrates on its good images."""
    return CalibrationOptions(
        part=part,
        seed=seed,
        search=_SEARCH,
        method="views" if "views" in options.methods else "local",
        backbone=options.backbone,
        channels=options.channels,
        voices=options.voices,
        threads=options.threads,
    )


def _methods_of(options: EvaluationOptions, seed: int) -> list[str]:
    """What does not depend on the seed runs on the first alone."""
    return [name for name in options.methods if seed == 0 or is_seeded(name)]


def _gathered(
    data: DataSet, options: EvaluationOptions, trials: dict[str, list[Trial]], gallery: Gallery | None
) -> Evaluation:
    published = published_for(PurePath(data.name).name)
    of_paper = {row.ours: row for row in published if row.ours is not None}
    return Evaluation(
        dataset=data.name,
        train_images=options.train_images or len(data.train),
        available_images=len(data.train),
        draws=options.repeats,
        good=int((~data.defective).sum()),
        defective=int(data.defective.sum()),
        chance_ap=data.chance_ap,
        methods=tuple(
            MethodResult(name, options.title_of(name), tuple(trials[name]), of_paper.get(name), note_of(name))
            for name in options.methods
        ),
        published=published,
        test_images=tuple(f"{test.kind}/{test.path.name}" for test in data.tests),
        is_defective=tuple(bool(is_defective) for is_defective in data.defective),
        gallery=gallery,
        notes=data.notes,
        sha256=tuple(test.sha256 for test in data.tests),
        channels=tuple(map(str, options.channels)),
    )


def _counted(draw: tuple[int, int], seed: tuple[int, int]) -> str:
    counts = [f"{name} {at + 1}/{of}" for name, (at, of) in (("draw", draw), ("seed", seed)) if of > 1]
    return ", ".join(counts) + ": " if counts else ""


def prefixed(progress: Progress, prefix: str) -> Progress:
    """A progress that hands every step on to ``progress``, with these words in front of its stage."""
    return lambda stage, done, total: progress(prefix + stage, done, total)
