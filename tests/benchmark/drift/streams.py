"""Synthetic streams of one quantity, drift-free and changed, through the product's own chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_agent.drift.chart import CAUSE_RULES, RULES, Chart
from edge_agent.drift.known import SCORE_MOST
from edge_agent.drift.quantities import QUALITY, SCORE, is_cause
from edge_agent.drift.usual import Usual

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHANGES", "STREAMS", "Delays", "delays", "false_alarms", "stream"]

STREAMS: Final = ("normal", "t3", "lognormal", "ar0.3", "ar0.6", "lots0.3", "lots0.5")
"""Student's t with 3 degrees of freedom; a lognormal of sigma 0.6; autoregressive with that coefficient; lots of 50 to
500 parts whose means have that standard deviation, of the parts' own."""
CHANGES: Final = (1.5, 2.0, 3.0, 4.0, 6.0)
"""In standard deviations of single parts."""
CALIBRATED: Final = 40
_KNOWN: Final = RULES.refines + 100


def stream(kind: str, number: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """So many values of mean 0 and standard deviation 1."""
    if kind == "normal":
        return rng.standard_normal(number)
    if kind == "t3":
        return np.asarray(rng.standard_t(3, number) / np.sqrt(3.0))
    if kind == "lognormal":
        sigma = 0.6
        mean, variance = np.exp(sigma**2 / 2), (np.exp(sigma**2) - 1) * np.exp(sigma**2)
        return np.asarray((rng.lognormal(0.0, sigma, number) - mean) / np.sqrt(variance))
    own = float(kind.lstrip("arlots"))
    if kind.startswith("ar"):
        noise = rng.standard_normal(number) * np.sqrt(1 - own**2)
        values = np.empty(number)
        values[0] = rng.standard_normal()
        for at in range(1, number):
            values[at] = own * values[at - 1] + noise[at]
        return values
    lots = np.repeat(rng.standard_normal(number // 50 + 1), rng.integers(50, 500, number // 50 + 1))[:number]
    return np.asarray((rng.standard_normal(number) + own * lots) / np.sqrt(1 + own**2))


def _chart(kind: str, learned: int, rng: np.random.Generator, quantity: str) -> Chart:
    usual = Usual.of(stream(kind, learned, rng).tolist(), 1e-9)
    if quantity == SCORE:
        return Chart(usual, most=SCORE_MOST)
    return Chart(usual, rules=CAUSE_RULES if is_cause(quantity) else RULES)


def false_alarms(
    kind: str, learned: int, *, streams: int, parts: int = 10_000, seed: int = 1, quantity: str = QUALITY
) -> int:
    """In so many independent drift-free streams of so many parts.

    What is usual comes from ``learned`` others, which are of a single lot where there are lots.
    """
    rng, alarms = np.random.default_rng((seed, learned)), 0
    for _ in range(streams):
        chart, stood = _chart(kind, learned, rng, quantity), None
        for seq, value in enumerate(stream(kind, parts, rng).tolist()):
            chart.add(value, seq, "")
            alarms += chart.change is not None and chart.change is not stood
            stood = chart.change
    return alarms


@dataclass(frozen=True, slots=True)
class Delays:
    """Parts from a jump to its alarm, the median and the 95th in a hundred; how far off its instant was said to be."""

    median: float
    most: float
    off: float
    missed: int


def delays(kind: str, jump: float, learned: int, *, streams: int, within: int = 1000, seed: int = 2) -> Delays:
    """Of so many streams that jump once the chart knows its line. One not told ``within`` so many parts is missed."""
    rng, took, off, missed = np.random.default_rng((seed, learned)), [], [], 0
    for _ in range(streams):
        chart = _chart(kind, learned, rng, "brightness")
        values = stream(kind, _KNOWN + within, rng)
        values[_KNOWN:] += jump
        for seq, value in enumerate(values.tolist()):
            chart.add(value, seq, "")
            if chart.change is not None and seq >= _KNOWN:
                took.append(seq + 1 - _KNOWN)
                off.append(abs(chart.change.since_seq - _KNOWN))
                break
        else:
            missed += 1
    if not took:
        return Delays(float("nan"), float("nan"), float("nan"), missed)
    return Delays(float(np.median(took)), float(np.quantile(took, 0.95)), float(np.median(off)), missed)
