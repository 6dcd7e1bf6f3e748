"""Whether a part lay as good parts lie: what registration took out, judged against the good parts' own spread.

Registration forgives a part that sits askew, too far out, or in another light. That can be the defect.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_agent.domain import Alignment

__all__ = ["PoseLimits", "Span", "tail_margin"]

# The factor of ``tail_margin``. By simulation below 0.2 % of good parts are refused by seven quantities with long tails
# together (docs/decisions/0005).
_TAILS: Final = 45.0
_LEAST_SHIFT: Final = 0.005  # of the image's long side
_LEAST_SHIFT_PX: Final = 2.0
# What a fixture does by itself, whatever a few dozen parts happened to show (docs/decisions/0005, What is judged of
# it).
_LEAST: Final = {"angle_deg": 0.5, "scale": 0.01, "gain": 0.15, "offset": 15.0}
_WORDS: Final = {
    "angle_deg": "turned by {} degrees",
    "shift_x_px": "shifted to the right by {} px",
    "shift_y_px": "shifted down by {} px",
    "scale": "larger by a factor of {}",
    "gain": "of a contrast multiplied by {}",
    "offset": "brighter by {} grey values",
}
_DIGITS: Final = {"scale": 3, "gain": 2}


@dataclass(frozen=True, slots=True)
class Span:
    """One quantity: good parts lay from ``low`` to ``high``; below ``least`` or above ``most`` a part is refused."""

    low: float
    high: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if not -math.inf < self.least <= self.low <= self.high <= self.most < math.inf:
            raise ValueError(f"no span: {self}")


@dataclass(frozen=True, slots=True)
class PoseLimits:
    """How good parts lay, by the names of Alignment's fields. A quantity that is absent is not judged."""

    spans: Mapping[str, Span]

    @classmethod
    def of(cls, alignments: Sequence[Alignment], long_side_px: int, factor: float = 1.0) -> PoseLimits:
        """The limits from good parts: their range, and beyond each end ``factor`` times the margin.

        The margin follows the tails of the spread and the number of parts, and is never below what a fixture does.
        Angles all round the circle are not judged.
        """
        least = {
            **_LEAST,
            **dict.fromkeys(("shift_x_px", "shift_y_px"), max(_LEAST_SHIFT_PX, _LEAST_SHIFT * long_side_px)),
        }
        spans = {}
        for name in _WORDS:
            values = np.array([getattr(alignment, name) for alignment in alignments], np.float64)
            if name == "angle_deg":
                values = _unrolled(values)
            low, high = float(values.min()), float(values.max())
            # Wide on purpose: what it costs good parts is simulated in docs/decisions/0005.
            margin = factor * max(least[name], tail_margin(values))
            # Else every angle would be allowed anyhow, and the words would only mislead.
            if name != "angle_deg" or high - low + 2 * margin < 360.0:
                spans[name] = Span(low, high, low - margin, high + margin)
        return cls(spans)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PoseLimits:
        """What ``to_json`` gave. Raises TypeError or ValueError for anything else."""
        unknown = set(content) - set(_WORDS)
        if unknown:
            raise ValueError(f"pose limits for unknown quantities: {sorted(unknown)}")
        return cls({name: Span(**{key: float(v) for key, v in dict(span).items()}) for name, span in content.items()})

    def to_json(self) -> dict[str, dict[str, float]]:
        """Plain numbers, for the manifest."""
        return {name: asdict(span) for name, span in self.spans.items()}

    def without(self, *names: str) -> PoseLimits:
        """The limits of all other quantities."""
        return PoseLimits({name: span for name, span in self.spans.items() if name not in names})

    def judge(self, alignment: Alignment) -> str:
        """Empty where the part lay as good parts lie, else how it lay and how they do. NaN is refused."""
        return "; ".join(filter(None, (self._fault(name, getattr(alignment, name)) for name in self.spans)))

    def _fault(self, name: str, value: float) -> str:
        span = self.spans[name]
        if name == "angle_deg" and math.isfinite(value):
            middle = (span.low + span.high) / 2.0
            # The turn next to the good parts' own: 359 degrees are 1 degree away from 0.
            value = middle + math.remainder(value - middle, 360.0)
        if span.least <= value <= span.most:
            return ""
        digits = _DIGITS.get(name, 1)
        limit = span.least if value < span.least else span.most
        good = f"the good parts by {span.low:.{digits}f} to {span.high:.{digits}f} (limit {limit:.{digits}f})"
        return f"{_WORDS[name].format(f'{value:.{digits}f}')}, {good}"


def tail_margin(values: np.ndarray[Any, np.dtype[np.float64]], tails: float = _TAILS) -> float:
    """How far beyond the ends of a sample of good parts a good part may still lie.

    A multiple, falling with the square root of their number, of the mean length of the sample's outer quarters: short
    tails (a fixture's play) give a small margin, long ones a large one.
    """
    # The outer quarters alone: how far a law's ends reach says little about its middle, and the other way round.
    low, first, third, high = np.quantile(values, (0.0, 0.25, 0.75, 1.0))
    return tails / math.sqrt(len(values)) * float((first - low) + (high - third)) / 2.0


def _unrolled(angles_deg: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Angles without a jump at half a turn: the circle is cut in the middle of its widest gap."""
    ordered = np.sort(np.mod(angles_deg, 360.0))
    gaps = np.diff(np.append(ordered, ordered[0] + 360.0))
    widest = int(gaps.argmax())
    start = ordered[(widest + 1) % len(ordered)]
    unrolled = start + np.mod(angles_deg - start, 360.0)
    return np.asarray(unrolled - 360.0 * np.round(np.median(unrolled) / 360.0), np.float64)
