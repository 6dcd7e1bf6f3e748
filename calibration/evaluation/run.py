"""How well methods tell good from defective on a labelled data set, and what their own limits would have done.

The product's methods go the product's road: a calibration of the good training images, the written bundle loaded
again, the inspector on every test image. The others see the same registered crops. Measures are of raw scores
(Saeedi & Giusti, section 4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.baselines.published import published_for
from calibration.calibrate import CalibrationOptions
from calibration.evaluation.dataset import DataSet, read_dataset
from calibration.evaluation.result import Evaluation, MethodResult, Trial
from calibration.evaluation.trial import TITLES, is_seeded, run_trial
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Progress = Callable[[str, int, int], None]

__all__ = ["check_wishes", "evaluate", "measure", "methods_named"]


def methods_named(text: str) -> tuple[str, ...]:
    """Method names from ``all`` or a list with commas, each once. Raises UsageError for a name there is not."""
    if text.strip() == "all":
        return tuple(TITLES)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in TITLES:
            raise UsageError(f"no method {name!r}", hint=f"methods: all, or of {', '.join(TITLES)}")
    return names


def evaluate(
    dataset: Path,
    methods: Sequence[str],
    *,
    seeds: int = 1,
    train_images: int | None = None,
    repeats: int = 1,
    backbone: Backbone = DEFAULT_BACKBONE,
    threads: int = 2,
    with_gallery: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Evaluation:
    """Learn from ``dataset/train/good`` and judge ``dataset/test/*/``, once a seed (counted from 0).

    With ``train_images`` that many are drawn, ``repeats`` times. A method that does not depend on the seed runs once a
    draw. Raises DataError for a folder that is not such a data set, UsageError, CalibrationRefused, Unavailable.
    """
    check_wishes(methods, seeds, repeats)
    if repeats > 1 and train_images is None:
        raise UsageError("repeats draw training images anew", hint="say how many with --train-images")
    data = read_dataset(dataset, lambda done, total: progress("check", done, total))
    if train_images is not None:
        data.check_count(train_images)
    return measure(
        data,
        methods,
        seeds=seeds,
        train_images=train_images,
        repeats=repeats,
        backbone=backbone,
        threads=threads,
        with_gallery=with_gallery,
        progress=progress,
    )


def measure(
    data: DataSet,
    methods: Sequence[str],
    *,
    seeds: int,
    train_images: int | None,
    repeats: int,
    backbone: Backbone,
    threads: int,
    with_gallery: bool,
    progress: Progress,
) -> Evaluation:
    """The same, of a data set that was read already."""
    trials: dict[str, list[Trial]] = {name: [] for name in methods}
    gallery = None
    for draw in range(repeats):
        for seed in range(seeds):
            names = [name for name in methods if seed == 0 or is_seeded(name)]
            if not names:
                break
            found, shown = run_trial(
                data,
                data.drawn(train_images, draw),
                names,
                CalibrationOptions(part=data.name, seed=seed, backbone=backbone, threads=threads),
                draw=draw,
                with_gallery=with_gallery and draw == seed == 0,
                progress=_prefixed(progress, (draw, repeats), (seed, seeds)),
            )
            gallery = gallery or shown
            for name, trial in found.items():
                trials[name].append(trial)
    return Evaluation(
        dataset=data.name,
        train_images=train_images or len(data.train),
        available_images=len(data.train),
        draws=repeats,
        good=int((~data.defective).sum()),
        defective=int(data.defective.sum()),
        chance_ap=data.chance_ap,
        methods=tuple(MethodResult(name, TITLES[name], tuple(trials[name])) for name in methods),
        published=published_for(data.name),
        test_images=tuple(f"{test.kind}/{test.path.name}" for test in data.tests),
        is_defective=tuple(bool(is_defective) for is_defective in data.defective),
        gallery=gallery,
    )


def check_wishes(methods: Sequence[str], seeds: int, repeats: int) -> None:
    """Raise UsageError for what cannot be evaluated."""
    if not methods:
        raise UsageError("no method to evaluate", hint=f"methods: all, or of {', '.join(TITLES)}")
    methods_named(",".join(methods))
    if seeds < 1 or repeats < 1:
        raise UsageError(f"{seeds} seeds and {repeats} repeats", hint="ask for at least one of each")


def _prefixed(progress: Progress, draw: tuple[int, int], seed: tuple[int, int]) -> Progress:
    counts = [f"{name} {at + 1}/{of}" for name, (at, of) in (("draw", draw), ("seed", seed)) if of > 1]
    prefix = ", ".join(counts) + ": " if counts else ""
    return lambda stage, done, total: progress(prefix + stage, done, total)
