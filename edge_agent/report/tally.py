"""Counting what happened: tally, confusion, latencies, and how sure a rate is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.domain import Verdict
from edge_agent.report.words import REASON_WORDS
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.domain import Reason
    from edge_agent.report.facts import PartFact

__all__ = ["Confusion", "Latency", "ReasonCount", "rate_bounds", "rate_upper_bound", "reason_counts"]

_SURE = 0.95


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many parts got this verdict for this reason."""

    verdict: Verdict
    reason: Reason
    parts: int

    @property
    def words(self) -> str:
        """What the reason means, in words for a person."""
        return tr(REASON_WORDS[self.reason])


def reason_counts(parts: Sequence[PartFact]) -> list[ReasonCount]:
    """The tally: PASS, REJECT, FAULT, each by reason, the most frequent first."""
    counted = Counter((part.verdict, part.reason) for part in parts)
    order = list(Verdict)
    rows = [ReasonCount(verdict, reason, number) for (verdict, reason), number in counted.items()]
    return sorted(rows, key=lambda row: (order.index(row.verdict), -row.parts, row.reason))


@dataclass(frozen=True, slots=True)
class Confusion:
    """What became of the parts against what they really were: by the gate where it was watched, else by the verdict."""

    good_passed: int
    good_stopped: int
    defective_passed: int
    defective_stopped: int

    @classmethod
    def of(cls, parts: Sequence[PartFact]) -> Confusion | None:
        """None if the truth of no part is known."""
        known = Counter((part.is_defective, part.is_let_through) for part in parts)
        if not any(is_defective is not None for is_defective, _ in known):
            return None
        return cls(known[False, True], known[False, False], known[True, True], known[True, False])

    @property
    def good(self) -> int:
        """How many of the parts are good."""
        return self.good_passed + self.good_stopped

    @property
    def defective(self) -> int:
        """How many of the parts are defective."""
        return self.defective_passed + self.defective_stopped

    @property
    def miss_bound(self) -> float:
        """With 95 % confidence no more than this share of such defective parts would pass."""
        return rate_upper_bound(self.defective_passed, self.defective)

    @property
    def false_reject_bound(self) -> float:
        """With 95 % confidence no more than this share of such good parts would be stopped."""
        return rate_upper_bound(self.good_stopped, self.good)


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies in milliseconds. The percentiles are measured values, not values between two."""

    parts: int
    p50_ms: float
    p95_ms: float
    max_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> Latency | None:
        """Number, median, 95 % quantile and maximum of these latencies in ms; None where there is none."""
        if not latencies_ms:
            return None
        ordered = sorted(latencies_ms)

        def at(share: float) -> float:
            return ordered[math.ceil(share * len(ordered)) - 1]

        return cls(len(ordered), at(0.5), at(0.95), ordered[-1])


def rate_bounds(seen: int, of: int) -> tuple[float, float]:
    """The two-sided 95 % bounds (Clopper and Pearson) of a rate that was seen ``seen`` times in ``of``."""
    each = (1 + _SURE) / 2
    return 1 - rate_upper_bound(of - seen, of, each), rate_upper_bound(seen, of, each)


def rate_upper_bound(seen: int, of: int, sure: float = _SURE) -> float:
    """The one-sided upper bound (Clopper and Pearson) of a rate that was seen ``seen`` times in ``of``."""
    if seen >= of:
        return 1.0
    low, high = seen / of, 1.0
    while high - low > 1e-9:
        rate = (low + high) / 2
        if _at_most(seen, of, rate) > 1 - sure:
            low = rate
        else:
            high = rate
    return high


def _at_most(seen: int, of: int, rate: float) -> float:
    """The chance of ``seen`` or fewer in ``of`` at that rate."""
    log_all = math.lgamma(of + 1)
    return sum(
        math.exp(
            log_all - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(rate) + (of - k) * math.log1p(-rate)
        )
        for k in range(seen + 1)
    )
