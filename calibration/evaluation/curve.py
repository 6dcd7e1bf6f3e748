"""Whether more training images would pay: the same measures from few images and from more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.evaluation.result import Evaluation, MethodResult

__all__ = ["LearningCurve"]

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
        """The object of ``--json``, with its schema's version."""
        return {
            "schema_version": 1,
            "dataset": self.last.dataset,
            "verdicts": list(self.verdicts),
            "points": [evaluation.to_json(with_scores=with_scores) for evaluation in self.evaluations],
        }

    def summary(self) -> list[str]:
        """The result as lines of text for a person."""
        tables = [line for evaluation in self.evaluations for line in evaluation.measured_lines()]
        return [*tables, *self.last.published_lines(), *self.verdicts]


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
