"""The numbers of an attribute agreement study: how often a line's verdicts are right, and how well they repeat.

After AIAG, Measurement Systems Analysis, 4th edition, chapter III section C; Cohen (1960) and Fleiss (1971) for kappa.
Verdicts are arrays of shape (parts, runs), bool, True where the part passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.report.tally import rate_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Verdicts = NDArray[np.bool_]
    Scores = NDArray[np.float64]

__all__ = [
    "LIMITS",
    "Agreement",
    "Grade",
    "Position",
    "Rate",
    "Repeatability",
    "agreement",
    "cohen_kappa",
    "fleiss_kappa",
    "fleiss_kappa_of_counts",
    "position_bias",
    "repeatability",
]

_UNLIKELY = 0.05
"""A difference between begin and end that chance makes more rarely than this is told as one."""


class Grade(StrEnum):
    """What AIAG's limits say of one number, or of the whole study: the worst of its numbers."""

    ACCEPTED = "accepted"
    CONDITIONAL = "conditional"
    NOT_ACCEPTED = "not accepted"


LIMITS = {"effectiveness": (0.90, 0.80), "misses": (0.02, 0.05), "false_alarms": (0.05, 0.10)}
"""AIAG's limits for accepted and for conditional. Effectiveness has to reach them, the others must not exceed them."""
_WORST = [Grade.ACCEPTED, Grade.CONDITIONAL, Grade.NOT_ACCEPTED]


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was seen, with the exact two-sided 95 % bounds of Clopper and Pearson."""

    seen: int
    of: int

    @property
    def value(self) -> float:
        """The share itself, 0 to 1."""
        return self.seen / self.of

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper bound, 0 to 1."""
        return rate_bounds(self.seen, self.of)


@dataclass(frozen=True, slots=True)
class Repeatability:
    """How far the score of one part spreads from run to run.

    ``deviation`` is the standard deviation within parts, pooled over them, in units of the score; ``nearest`` the
    distance from the limit to the nearest part's mean score, and ``nearest_part`` that part's row.
    """

    deviation: float
    nearest: float
    nearest_part: int

    @property
    def share(self) -> float:
        """The deviation as a share of the distance; infinite where a part lies on the limit."""
        return self.deviation / self.nearest if self.nearest > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Position:
    """The first third of the showings against the last third.

    ``chance`` is the p-value of Fisher's exact test of the wrong verdicts; ``score_chance`` that of Wilcoxon's
    signed-rank test of how far the scores of each part that was shown in both differ; None where there is none.
    """

    first: Rate
    last: Rate
    chance: float
    score_chance: float | None

    @property
    def is_biased(self) -> bool:
        """Whether either test says that chance alone makes such a difference in less than 5 % of studies."""
        return self.chance < _UNLIKELY or (self.score_chance is not None and self.score_chance < _UNLIKELY)


@dataclass(frozen=True, slots=True)
class Agreement:
    """All numbers of a study.

    ``effectiveness`` counts parts that every run judged rightly, ``within`` parts that every run judged alike; misses
    and false alarms count showings. Each kappa is None where it is not defined: there was no difference to agree on.
    ``kappa_reference`` is of each run against the known state, ``kappa_between`` of two runs by their numbers from 0.
    ``fleiss_reference`` is the mean over the runs of Fleiss' kappa of the run and the known state. The scores of good
    and of defective parts spread differently: each kind has its own spread, None where there are no scores.
    """

    effectiveness: Rate
    within: Rate
    misses: Rate
    false_alarms: Rate
    kappa_reference: tuple[float | None, ...]
    kappa_between: tuple[tuple[int, int, float | None], ...]
    fleiss_within: float | None
    fleiss_reference: float | None
    spread_good: Repeatability | None
    spread_defective: Repeatability | None
    position: Position

    @property
    def grades(self) -> dict[str, Grade]:
        """What AIAG's limits say of effectiveness, misses and false alarms, by these names."""
        found = {}
        for name, (accepted, conditional) in LIMITS.items():
            rate: Rate = getattr(self, name)
            is_within = rate.value.__ge__ if name == "effectiveness" else rate.value.__le__
            found[name] = (
                Grade.ACCEPTED
                if is_within(accepted)
                else Grade.CONDITIONAL
                if is_within(conditional)
                else Grade.NOT_ACCEPTED
            )
        return found

    @property
    def grade(self) -> Grade:
        """The study's verdict: the worst of its grades."""
        return max(self.grades.values(), key=_WORST.index)


def agreement(
    passed: Verdicts,
    is_defective: Verdicts,
    scores: Scores,
    positions: NDArray[np.int64],
    *,
    limit: float | None,
    unseen_good: int = 0,
) -> Agreement:
    """All numbers of a study.

    ``passed``, ``scores`` (NaN: none) and ``positions`` (when it was shown, from 0) are (parts, runs), ``is_defective``
    is (parts,). ``unseen_good`` counts further showings of good parts that were rejected without anybody having looked:
    each is a false alarm. Raises ValueError without good parts, without defective ones, or with fewer than two runs.
    """
    parts, runs = passed.shape
    if runs < 2 or is_defective.all() or not is_defective.any():
        raise ValueError("a study needs good parts, defective parts, and two runs at least")
    reference = np.repeat(~is_defective[:, None], runs, axis=1)
    good = ~is_defective
    is_right = passed == reference
    by_run = [fleiss_kappa(np.stack([passed[:, run], good], axis=1)) for run in range(runs)]
    known = [kappa for kappa in by_run if kappa is not None]
    return Agreement(
        effectiveness=Rate(int(is_right.all(axis=1).sum()), parts),
        within=Rate(int((passed.all(axis=1) | ~passed.any(axis=1)).sum()), parts),
        misses=Rate(int(passed[is_defective].sum()), int(is_defective.sum()) * runs),
        false_alarms=Rate(int((~passed[good]).sum()) + unseen_good, int(good.sum()) * runs + unseen_good),
        kappa_reference=tuple(cohen_kappa(passed[:, run], good) for run in range(runs)),
        kappa_between=tuple((i, j, cohen_kappa(passed[:, i], passed[:, j])) for i, j in combinations(range(runs), 2)),
        fleiss_within=fleiss_kappa(passed),
        fleiss_reference=float(np.mean(known)) if known else None,
        spread_good=repeatability(scores, limit, good),
        spread_defective=repeatability(scores, limit, is_defective),
        position=position_bias(is_right, scores, positions),
    )


def cohen_kappa(one: Verdicts, other: Verdicts) -> float | None:
    """Cohen's kappa of two judges of the same showings, each an array of the same shape; None where it is not defined.

    Two judges who agree in everything, but have only ever said one thing, have shown no agreement: None.
    """
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 - a second of start-up

    if (one.all() and other.all()) or not (one.any() or other.any()):
        return None
    return float(cohen_kappa_score(one.ravel(), other.ravel()))


def fleiss_kappa(ratings: NDArray[Any]) -> float | None:
    """Fleiss' kappa of ratings (subjects, judges) of any values; None where all ratings are the same."""
    values = np.unique(ratings)
    if len(values) < 2:
        return None
    counts = np.stack([(ratings == value).sum(axis=1) for value in values], axis=1)
    return fleiss_kappa_of_counts(counts)


def fleiss_kappa_of_counts(counts: NDArray[np.int64]) -> float:
    """Fleiss' kappa of a table (subjects, categories) of how many judges said what. Source: Fleiss 1971, equation 7."""
    judges = counts.sum(axis=1)[0]
    by_subject = ((counts**2).sum(axis=1) - judges) / (judges * (judges - 1))
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (float(by_subject.mean()) - by_chance) / (1 - by_chance)


def repeatability(scores: Scores, limit: float | None, of: NDArray[np.bool_] | None = None) -> Repeatability | None:
    """The spread of the scores (parts, runs) within those parts that ``of`` (parts,) marks, None: all.

    None where no part has two scores, or there is no limit.
    """
    known = np.isfinite(scores) & (np.ones(len(scores), bool) if of is None else of)[:, None]
    if limit is None or not (known.sum(axis=1) >= 2).any():
        return None
    squares = float((_apart(scores, known)[known] ** 2).sum())
    freedom = int(known.sum()) - int(known.any(axis=1).sum())
    distances = np.array(
        [abs(float(row[has].mean()) - limit) if has.any() else np.inf for row, has in zip(scores, known, strict=True)]
    )
    nearest = int(np.argmin(distances))
    return Repeatability(math.sqrt(squares / freedom), float(distances[nearest]), nearest)


def _apart(scores: Scores, known: NDArray[np.bool_]) -> Scores:
    """Each score less the mean of its part's, exactly 0 where they are all the same: rounding is no spread."""
    apart = np.zeros_like(scores)
    for part, (row, has) in enumerate(zip(scores, known, strict=True)):
        if has.any() and np.ptp(row[has]) > 0:
            apart[part, has] = row[has] - row[has].mean()
    return apart


def position_bias(is_right: Verdicts, scores: Scores, positions: NDArray[np.int64]) -> Position:
    """Whether verdicts or scores differ between the first and the last third of the showings, all (parts, runs)."""
    from scipy.stats import fisher_exact  # noqa: PLC0415 - a second of start-up

    third = positions.size // 3
    first, last = positions < third, positions >= positions.size - third
    wrong = [Rate(int((~is_right[where]).sum()), third) for where in (first, last)]
    table = [[rate.seen, rate.of - rate.seen] for rate in wrong]
    return Position(wrong[0], wrong[1], float(fisher_exact(table)[1]), _score_chance(scores, first, last))


def _score_chance(scores: Scores, first: Verdicts, last: Verdicts) -> float | None:
    """The p-value of the scores' difference, part by part.

    Not all scores of the one third against all of the other: every run shows the same parts, so they are no samples of
    their own. A test of such samples tells a difference in one study of ten where there is none.
    """
    from scipy.stats import wilcoxon  # noqa: PLC0415 - a second of start-up

    known = np.isfinite(scores)
    apart = _apart(scores, known)
    pairs = [
        (float(row[late].mean()) - float(row[early].mean()))
        for row, early, late in zip(apart, first & known, last & known, strict=True)
        if early.any() and late.any()
    ]
    if not pairs:
        return None
    return float(wilcoxon(pairs).pvalue) if any(pairs) else 1.0
