"""Shares of good parts: what a rank among so many parts promises, as numbers and in words."""

from __future__ import annotations

import math
from functools import cache

from edge_agent.errors import UsageError
from edge_agent.report.tally import rate_upper_bound

__all__ = [
    "SHARE_HINT",
    "false_reject_bound",
    "images_to_expect",
    "images_to_promise",
    "parts_in",
    "percent",
    "place_of",
    "share_for",
    "share_of",
]

ROUNDING = 1e-9
"""Of a share that is a whole number of parts but for its last digit."""


@cache
def false_reject_bound(n: int, rank: int = 1) -> float:
    """The 95 % upper bound of the false-reject rate above the rank-th largest of n, by Beta(rank, n + 1 - rank).

    It is the bound of a rate of which rank - 1 in n were seen: the parts above that score.
    """
    # Clopper and Pearson's bound for rank - 1 of n is the same quantile of Beta(rank, n + 1 - rank): one function
    # serves both.
    return rate_upper_bound(rank - 1, n)


def images_to_expect(share: float) -> int:
    """Good images from which on a limit above the largest score expects no more than this share of false rejects."""
    # From 1 / (n + 1) <= share.
    return math.ceil(1.0 / share - ROUNDING) - 1


def images_to_promise(share: float) -> int:
    """Good images from which on it stays below that share with 95 % confidence: 59 for 5 %, 299 for 1 %."""
    # From (1 - share)^n <= 0.05: with a larger share n parts without a single reject are rarer than one in twenty.
    return math.ceil(math.log(0.05) / math.log1p(-share) - ROUNDING)


def share_for(rank: int, n: int) -> str:
    """The shortest target to ask for, as a person writes it, that puts the limit above the rank-th largest of n."""
    digits = 1
    while True:
        # Rounded up: a share that is a little too small would lead to the rank before.
        written = math.ceil(rank / (n + 1) * 100 * 10**digits - ROUNDING) / 10**digits
        if parts_in(written / 100, n) == rank:
            return f"{written:.{digits}f}%"
        digits += 1


def percent(share: float) -> str:
    """For a person: 10.2 %, 3.4 %, 0.33 %."""
    value = share * 100.0
    return f"{value:.1f} %" if value >= 0.95 else f"{value:.2g} %"


SHARE_HINT = "a share of good parts, above 0 and below 100 %: write 1% or 0.01"


def share_of(name: str, text: str | None) -> float | None:
    """A share of good parts as a person writes it; None for None. Raises UsageError."""
    if text is None:
        return None
    number, is_percent = (text.strip()[:-1], True) if text.strip().endswith("%") else (text, False)
    try:
        share = float(number) / (100.0 if is_percent else 1.0)
    except ValueError as err:
        raise UsageError(f"{name}: {text!r} is no number", hint=SHARE_HINT) from err
    if not 0.0 < share < 1.0:
        raise UsageError(f"{name}: {text} is no share of parts", hint=SHARE_HINT)
    return share


def parts_in(share: float, n: int) -> int:
    """How many of the n held-out parts a limit may lie below so that the expected share is not exceeded."""
    # The largest r with r / (n + 1) <= share. ROUNDING, because 0.29 of 100, say, is a little less than 29 in binary.
    return math.floor(share * (n + 1) + ROUNDING)


def place_of(rank: int) -> str:
    """A rank in words: largest, 2nd largest."""
    if rank == 1:
        return "largest"
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending} largest"
