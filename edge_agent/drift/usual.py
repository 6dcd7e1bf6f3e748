"""What is usual of one quantity among good parts: where its values lie, how far apart, and how their mean wanders."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CLIP", "FEWEST", "Usual"]

CLIP: Final = 3.5
"""Spreads from the mean beyond which a value counts no further: one odd part must not move a mean."""
FEWEST: Final = 10
"""Values below which nothing is said of what is usual."""
_BLOCK: Final = 20
_FEWEST_BLOCKS: Final = 4
_MAD_TO_SPREAD: Final = 1.4826
"""Of a normal distribution: its standard deviation over its median absolute deviation."""
_MOST_WANDER: Final = 2.0
_TIMES: Final = 4


@dataclass(frozen=True, slots=True)
class Usual:
    """Mean and spread (one standard deviation) in the quantity's own unit, of so many ``parts``.

    ``wander`` is how far the mean of twenty parts moves about by itself beyond what their own spread explains, in
    spreads: lots, a machine that warms up. ``since_utc`` is when the first of the parts was decided where they were
    learned on the line, and empty where they are the calibration's own good parts. Raises ValueError for what is none.
    """

    mean: float
    spread: float
    parts: int
    wander: float = 0.0
    since_utc: str = ""

    def __post_init__(self) -> None:
        numbers = (self.mean, self.spread, self.wander)
        if not all(math.isfinite(n) for n in numbers) or self.spread <= 0 or self.wander < 0 or self.parts < FEWEST:
            raise ValueError(f"nothing usual: {self}")

    @classmethod
    def of(cls, values: Sequence[float], resolution: float, since_utc: str = "") -> Usual:
        """From good parts in the order in which they came; a spread is never below ``resolution`` (above 0).

        Values far outside count as if they lay at the edge. Raises ValueError for fewer than ``FEWEST``.
        """
        found = [value for value in values if math.isfinite(value)]
        if len(found) < FEWEST:
            raise ValueError(f"{len(found)} values are too few to say what is usual")
        middle = median(found)
        robust = max(resolution, _MAD_TO_SPREAD * median([abs(value - middle) for value in found]))
        mean, spread, kept = middle, robust, found
        for _ in range(_TIMES):  # as the chart cuts values off: about the mean that comes of it
            kept = [min(max(value, mean - CLIP * spread), mean + CLIP * spread) for value in found]
            mean, spread = fmean(kept), max(resolution, pstdev(kept))
        return cls(mean, spread, len(found), _wander(kept, spread), since_utc)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Usual:
        """What ``to_json`` gave. Raises TypeError, ValueError or KeyError for anything else."""
        mean, spread, wander = (float(content[name]) for name in ("mean", "spread", "wander"))
        return cls(mean, spread, int(content["parts"]), wander)

    def to_json(self) -> dict[str, float | int]:
        """Plain numbers, for a manifest."""
        return {"mean": self.mean, "spread": self.spread, "wander": self.wander, "parts": self.parts}

    def over(self, limit: float) -> Usual:
        """The same as a share of ``limit`` (above 0)."""
        return replace(self, mean=self.mean / limit, spread=self.spread / limit)

    def sigmas(self, value: float) -> float:
        """How far a value is from the mean, in spreads."""
        return (value - self.mean) / self.spread


def _wander(values: Sequence[float], spread: float) -> float:
    """From the means of blocks of parts that came one after the other; 0 where there are too few to say."""
    blocks = [fmean(values[at : at + _BLOCK]) for at in range(0, len(values) - _BLOCK + 1, _BLOCK)]
    if len(blocks) < _FEWEST_BLOCKS:
        return 0.0
    middle = fmean(blocks)
    between = sum((block - middle) ** 2 for block in blocks) / (len(blocks) - 1)
    return min(_MOST_WANDER, math.sqrt(max(0.0, between / spread**2 - 1 / _BLOCK)))
