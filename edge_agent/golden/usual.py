"""Whether a sample scored as this sample does: worn, swapped or mixed up samples show by their own history.

The control of one sample, by one bundle: scores of two bundles are not on one scale, and are never compared. What is
usual are the sample's first ``BASIS`` showings that were right; they stay what they are, or slow wear would
become usual. A new score outside their prediction interval (Student's t, exact for normal scores) is a jump, one of
the mean of the newest ``NEWEST`` is a creep. Which mistake costs what: docs/decisions/0097. Pure arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_agent.store.challenges import ShownSample

__all__ = ["BASIS", "FEWEST", "NEWEST", "Control", "Odd", "control_of", "history_by", "scores_like"]

FEWEST: Final = 5
"""Right showings by one bundle before anything is said of what is usual."""
BASIS: Final = 12
NEWEST: Final = 5
_BY_CHANCE: Final = 0.001
"""A sample that stayed itself is told once in so many showings: half of it for the jump, half for the creep."""
_RESOLUTION: Final = 0.005
"""The least spread that is believed, as a share of the limit: samples of which five scores were all but equal."""


class Odd(StrEnum):
    """What is odd about a score. The value is what the journal holds."""

    LOW = "low"
    HIGH = "high"
    BAND = "band"
    """Outside what line.toml expects of it."""
    CREEP_LOW = "creep-low"
    CREEP_HIGH = "creep-high"

    @property
    def is_creep(self) -> bool:
        """It moves slowly; its newest score alone is as usual."""
        return self in (Odd.CREEP_LOW, Odd.CREEP_HIGH)


@dataclass(frozen=True, slots=True)
class Control:
    """What is usual of a sample under one bundle, in the score's own unit.

    ``low`` and ``high`` bound its next score, ``creep_low`` and ``creep_high`` the mean of its newest ones; it has
    scored from ``least`` to ``most``.
    """

    times: int
    least: float
    most: float
    mean: float
    low: float
    high: float
    creep_low: float
    creep_high: float

    def odd(self, score: float, before: Sequence[float]) -> Odd | None:
        """What is odd about this score, behind those ``before`` it (oldest first); None for nothing."""
        if score < self.low:
            return Odd.LOW
        if score > self.high:
            return Odd.HIGH
        # Only what came behind the showings that say what is usual: their own mean says nothing new.
        newest = [*before[self.times :], score][-NEWEST:]
        if len(newest) < NEWEST:
            return None
        mean = fmean(newest)
        return Odd.CREEP_LOW if mean < self.creep_low else Odd.CREEP_HIGH if mean > self.creep_high else None

    def holds(self, score: float) -> bool:
        """Whether that score would be usual for it."""
        return self.low <= score <= self.high


def control_of(scores: Sequence[float], limit: float | None) -> Control | None:
    """From the scores of right showings by one bundle, oldest first; None for fewer than ``FEWEST``."""
    basis = [score for score in scores if math.isfinite(score)][:BASIS]
    if len(basis) < FEWEST:
        return None
    mean, times = fmean(basis), len(basis)
    spread = max(stdev(basis), _RESOLUTION * abs(limit or mean), 1e-12)
    reach = _quantile(times - 1) * spread
    one, some = reach * math.sqrt(1 + 1 / times), reach * math.sqrt(1 / NEWEST + 1 / times)
    return Control(times, min(basis), max(basis), mean, mean - one, mean + one, mean - some, mean + some)


def history_by(shown: Sequence[ShownSample], bundle: str) -> list[float]:
    """The scores of a sample's right showings by this bundle, in their order, without those that jumped."""
    return [
        one.score
        for one in shown
        if one.bundle == bundle and one.is_right and one.score is not None and _is_usual(one.odd)
    ]


def scores_like(score: float, controls: Mapping[str, Control | None]) -> str:
    """The one sample that usually has this score; '' where none has, or several."""
    found = [name for name, control in controls.items() if control is not None and control.holds(score)]
    return found[0] if len(found) == 1 else ""


def _is_usual(odd: str) -> bool:
    return odd not in (Odd.LOW, Odd.HIGH, Odd.BAND)


@cache
def _quantile(freedom: int) -> float:
    """Both sides, and two questions of one showing."""
    return float(stdtrit(freedom, 1 - _BY_CHANCE / 4))
