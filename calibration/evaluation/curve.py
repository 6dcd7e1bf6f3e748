"""Whether more training images would pay: the same measures from few images and from more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.evaluation.dataset import read_dataset
from calibration.evaluation.run import check_wishes, evaluate, measure
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from calibration.evaluation.result import Evaluation, MethodResult

__all__ = ["LearningCurve", "counts_from", "learning_curve", "study"]

_WORTH = 0.2
_UNSURE = 1.0


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Evaluations of one data set, of ever more training images."""

    evaluations: tuple[Evaluation, ...]

    @property
    def last(self) -> Evaluation:
        """The one of the most images."""
        return self.evaluations[-1]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence a method: what the last step brought, and whether more images would pay."""
        before, last = self.evaluations[-2:]
        counts = before.train_images, last.train_images
        return tuple(f"{after.title}: {_verdict(before.method(after.method), after, counts)}" for after in last.methods)

    def to_json(self, *, with_scores: bool = False) -> dict[str, object]:
        """One versioned object."""
        return {
            "schema_version": 1,
            "dataset": self.last.dataset,
            "verdicts": list(self.verdicts),
            "points": [evaluation.to_json(with_scores=with_scores) for evaluation in self.evaluations],
        }

    def summary(self) -> list[str]:
        """Lines for a person."""
        tables = [line for evaluation in self.evaluations for line in evaluation.measured_lines()]
        return [*tables, *self.last.published_lines(), *self.verdicts]


def counts_from(text: str) -> tuple[int, ...]:
    """Ascending numbers of training images from a list with commas. Raises UsageError."""
    try:
        counts = tuple(sorted({int(count) for count in text.split(",")}))
    except ValueError as err:
        raise UsageError(f"{text!r} is no list of numbers", hint="for example 20,40,80") from err
    if len(counts) < 2:
        raise UsageError("a curve needs two numbers of training images", hint="for example 20,40,80")
    return counts


def learning_curve(
    dataset: Path,
    methods: Sequence[str],
    counts: Sequence[int],
    *,
    seeds: int = 1,
    repeats: int = 1,
    backbone: Backbone = DEFAULT_BACKBONE,
    threads: int = 2,
    with_gallery: bool = False,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> LearningCurve:
    """Evaluate with each number of training images; a draw's larger number holds the images of its smaller ones.

    Raises as ``evaluate`` does.
    """
    check_wishes(methods, seeds, repeats)
    data = read_dataset(dataset, lambda done, total: progress("check", done, total))
    for count in counts:
        data.check_count(count)
    evaluations = []
    for number, count in enumerate(counts, start=1):
        evaluations.append(
            measure(
                data,
                methods,
                seeds=seeds,
                train_images=count,
                repeats=repeats,
                backbone=backbone,
                threads=threads,
                with_gallery=with_gallery and number == len(counts),
                progress=_prefixed(progress, f"{count} images: "),
            )
        )
    return LearningCurve(tuple(evaluations))


def study(
    dataset: Path,
    methods: Sequence[str],
    *,
    counts: Sequence[int],
    train_images: int | None,
    seeds: int,
    repeats: int,
    backbone: Backbone,
    threads: int,
    with_gallery: bool,
    progress: Callable[[str, int, int], None],
) -> Evaluation | LearningCurve:
    """What the command line asks for: a curve over ``counts``, or one evaluation. Raises as ``evaluate`` does."""
    if not counts:
        return evaluate(
            dataset,
            methods,
            seeds=seeds,
            train_images=train_images,
            repeats=repeats,
            backbone=backbone,
            threads=threads,
            with_gallery=with_gallery,
            progress=progress,
        )
    if train_images is not None:
        raise UsageError("a learning curve says itself how many training images", hint="leave out --train-images")
    return learning_curve(
        dataset,
        methods,
        counts,
        seeds=seeds,
        repeats=repeats,
        backbone=backbone,
        threads=threads,
        with_gallery=with_gallery,
        progress=progress,
    )


def _prefixed(progress: Callable[[str, int, int], None], prefix: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: progress(prefix + stage, done, total)


def _verdict(before: MethodResult, after: MethodResult, counts: tuple[int, int]) -> str:
    gains = [b - a for a, b in zip(_of_each_draw(before), _of_each_draw(after), strict=True)]
    gain = mean(gains)
    said = f"from {counts[0]} to {counts[1]} images the AUC changed by {gain:+.2f} points"
    if len(gains) == 1:
        return f"{said} in a single draw: repeat the draws to tell that from chance"
    error = stdev(gains) / math.sqrt(len(gains))
    said = f"{said} (standard error {error:.2f}, {len(gains)} draws)"
    if gain > max(2 * error, _WORTH):
        return f"{said}: more images would probably pay"
    if 2 * error > _UNSURE:
        return f"{said}: too uncertain to tell, repeat more draws"
    return f"{said}: more images would hardly pay"


def _of_each_draw(method: MethodResult) -> list[float]:
    """The AUC of each draw, the mean over its seeds."""
    draws = sorted({trial.draw for trial in method.trials})
    return [mean(trial.auc for trial in method.trials if trial.draw == draw) for draw in draws]
