"""The control chart of one quantity: an EWMA with limits, and a Shewhart chart of single parts with run rules.

EWMA: Roberts (1959), with values cut off as by Langenberg and Iglewicz (1986), so that one odd part is no drift.
Run rules: Western Electric (1956), lengthened, for as they stand they cry once in ninety parts. Which ones, and what
they cost in false alarms: docs/decisions/0094. Pure arithmetic: no clock, no journal.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from edge_agent.drift.change_point import change_point
from edge_agent.drift.usual import CLIP, Usual

__all__ = ["CAUSE_RULES", "RULES", "Change", "Chart", "Point", "Rules"]

_NOW: Final = 25
_FEWEST_NOW: Final = 5
_CLIP_BEYOND: Final = 1.25
_LEAST_OF_BEFORE: Final = 0.1
_REMEMBERED: Final = 2000
"""Values since the mean was last where it should be: what a change is looked for in."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``weights`` are the lambdas of a slow EWMA and a quick one, ``widths`` their L, in standard deviations of each.

    Until ``refines`` parts have come on the line nobody knows how a mean moves about by itself there: lots, a machine
    that warms up. Until then so much is allowed for as ``unknown_wander``, in spreads; from then on ``wander_times``
    what those parts showed. No limit is below ``least`` spreads. ``outside`` marks one part and alarms nobody (Western
    Electric's rule 1). ``run`` alarms: so many of so many newest parts beyond so many spreads on one side (rule 2,
    lengthened). A change is over once every EWMA is below ``back`` of its limit, ``settles`` parts after a stop.
    """

    weights: tuple[float, float] = (0.03, 0.1)
    widths: tuple[float, float] = (4.5, 6.0)
    refines: int = 1000
    unknown_wander: float = 0.6
    wander_times: float = 2.5
    least: float = 1.0
    outside: float = 3.0
    run: tuple[int, int, float] = (10, 10, 2.5)
    back: float = 0.5
    settles: int = 30

    def limits(self, usual: Usual) -> tuple[float, ...]:
        """How far each EWMA may be from the mean, in spreads: its own noise, that of the mean, and what wanders."""
        is_known = usual.parts >= self.refines
        wander = self.wander_times * usual.wander if is_known else self.unknown_wander
        return tuple(
            max(self.least, width * math.sqrt(weight / (2 - weight) + 1 / usual.parts + wander**2))
            for weight, width in zip(self.weights, self.widths, strict=True)
        )


RULES: Final = Rules()
CAUSE_RULES: Final = Rules(least=0.75)
"""For light, focus and pose: what follows from them rejects parts, so they are told a little sooner."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that stands: when it began, with which part, whether all at once, and which rule told it when."""

    since_utc: str
    since_seq: int
    is_sudden: bool
    rule: str
    told_utc: str
    told_seq: int


@dataclass(frozen=True, slots=True)
class Point:
    """One part on the chart. ``mean`` is the EWMA in the quantity's unit, ``is_outside`` marks a part by itself."""

    part_seq: int
    at_utc: str
    value: float
    mean: float
    is_outside: bool


class Chart:
    """Takes one value a part, in their order.

    ``floor`` is the least move that matters, in the quantity's unit; ``most`` is where a limit lies at most, in
    spreads, however much the mean may wander (but for the floor). From the first ``Rules.refines`` parts at which no
    change stood ``usual`` is found anew, with ``resolution`` as the least spread: then its limits are the line's own.
    """

    def __init__(
        self, usual: Usual, floor: float = 0.0, most: float = math.inf, resolution: float = 0.0, rules: Rules = RULES
    ) -> None:
        self.rules = rules
        self._in_unit = floor, most, resolution
        self.change: Change | None = None
        self._learned: list[float] = []
        self._learned_since = ""
        self._sigmas = [0.0] * len(rules.weights)
        self.parts = self._changed_at = 0
        self._side = 1.0
        self._set_usual(usual)

    def _set_usual(self, usual: Usual) -> None:
        floor, most, _ = self._in_unit
        self.usual = usual
        self._floor = floor / usual.spread
        self.limits = tuple(max(min(limit, most), self._floor) for limit in self.rules.limits(usual))
        # A value that counted for less than the limit could never reach it.
        self._clip = max(CLIP, _CLIP_BEYOND * max(self.limits))
        self._values: deque[float] = deque(maxlen=_NOW)
        self._newest: deque[float] = deque(maxlen=self.rules.run[1])
        self._since: deque[tuple[float, int, str]] = deque(maxlen=_REMEMBERED)
        self.begin_anew()

    @property
    def sigma(self) -> float:
        """The slow EWMA, in spreads from usual."""
        slow, *_ = self._sigmas
        return slow

    @property
    def limit(self) -> float:
        """Where the slow EWMA alarms, in spreads."""
        return self.limits[0]

    @property
    def mean(self) -> float:
        """The slow EWMA, in the quantity's unit."""
        return self.usual.mean + self.sigma * self.usual.spread

    @property
    def now(self) -> float:
        """What the newest parts have, in the quantity's unit: the EWMA cuts off what is far out, their median does not.

        Of the parts since a change began, where one stands; as usual before the first part. After a stop it is as
        before it until a part has come.
        """
        newest = list(self._values)
        if self.change is not None:
            newest = newest[-max(_FEWEST_NOW, self.parts - self._changed_at) :]
        return median(newest) if newest else self._before_stop

    def add(self, value: float, part_seq: int, at_utc: str) -> Point | None:
        """The next part's value; None where it is no number, which says nothing."""
        if not math.isfinite(value):
            return None
        sigmas = min(max(self.usual.sigmas(value), -self._clip), self._clip)
        before = self.sigma
        self._sigmas = [
            old + weight * (sigmas - old) for old, weight in zip(self._sigmas, self.rules.weights, strict=True)
        ]
        self.parts += 1
        if before * self.sigma <= 0:  # it was where it should be: what comes of now began about here
            while len(self._since) > _NOW:
                self._since.popleft()
        self._values.append(value)
        self._since.append((sigmas, part_seq, at_utc))
        self._newest.append(sigmas)
        self._judge(part_seq, at_utc)
        point = Point(part_seq, at_utc, value, self.mean, abs(sigmas) > self.rules.outside)
        self._learn(value, at_utc)
        return point

    def begin_anew(self) -> None:
        """After a stop nothing before it counts; a change that stands goes once the parts after it are as usual."""
        self._before_stop = self.usual.mean if self.change is None else self.now
        self._sigmas = [0.0] * len(self.rules.weights)
        self.parts = self._changed_at = 0
        for remembered in (self._values, self._newest, self._since):
            remembered.clear()

    def forget_change(self) -> None:
        """No change stands any more: for parts of long ago that were taken to learn from."""
        self.change = None
        self._before_stop = self.usual.mean

    def _learn(self, value: float, at_utc: str) -> None:
        if self.usual.parts >= self.rules.refines or self.change is not None:
            return
        self._learned_since = self._learned_since or at_utc
        self._learned.append(value)
        if len(self._learned) >= self.rules.refines:
            least = self._in_unit[2] or self.usual.spread * _LEAST_OF_BEFORE
            self._set_usual(Usual.of(self._learned, least, self._learned_since))
            self._learned = []

    def _judge(self, part_seq: int, at_utc: str) -> None:
        reached = max(abs(sigma) / limit for sigma, limit in zip(self._sigmas, self.limits, strict=True))
        if self.change is not None:
            if reached < self.rules.back and self.parts >= self.rules.settles:
                self.change = None
                return
            # A mean that runs through what is usual to the other side is another change: a lamp that got dark, and a
            # new one that is too bright.
            if max(self._side * sigma for sigma in self._sigmas) >= 0:
                return
        if reached < self.rules.back:
            return
        rule = "EWMA" if reached > 1 else self._run()
        if rule:
            began = change_point([sigmas for sigmas, _, _ in self._since])
            _, since_seq, since_utc = self._since[began.index]
            self._changed_at = self.parts - (len(self._since) - began.index)
            self._side = math.copysign(1.0, self._sigmas[-1])
            self.change = Change(since_utc, since_seq, began.is_sudden, rule, at_utc, part_seq)

    def _run(self) -> str:
        """The run rule where it is broken, else empty."""
        least, of, beyond = self.rules.run
        side = math.copysign(1.0, self._sigmas[-1])
        if sum(side * sigmas > max(beyond, self._floor) for sigmas in self._newest) < least:
            return ""
        return f"{least} of {of} beyond {beyond:g}"
