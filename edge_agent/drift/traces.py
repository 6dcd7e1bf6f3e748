"""The control charts of a time, as they are drawn: what parts measured, their mean, limits, changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from edge_agent.drift.charts import LineCharts
from edge_agent.drift.from_journal import first_parts, known_of
from edge_agent.drift.quantities import ANGLE, LATENCY, QUALITY, SCALE, SCORE, SHARE, of_condition
from edge_agent.drift.words import change_words
from edge_agent.inspection.scoring.quantity import Quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.drift.chart import Point
    from edge_agent.drift.charts import Standing
    from edge_agent.drift.known import Known
    from edge_agent.settings import Settings
    from edge_agent.store.search import JournalSearch

__all__ = ["MOST_PARTS", "Bin", "Trace", "traces"]

MOST_PARTS: Final = 20_000
"""Newest parts of a time that are read: a second or two, at idle priority."""
_WARMED_BY: Final = 500
_BINS: Final = 120
_PERCENT: Final = 100.0
_DIGITS: Final = {
    "percent": 1,
    "grey": 1,
    "ratio": 3,
    "room": 0,
    "px": 2,
    "degrees": 3,
    "factor": 4,
    "correlation": 4,
    "ms": 0,
}
_UNITS: Final = {SCALE: "factor", ANGLE: "degrees", QUALITY: "correlation", LATENCY: "ms"}


@dataclass(frozen=True, slots=True)
class Bin:
    """Some parts that came one after the other: when the first was, from where to where they lay, the EWMA after them.

    ``outside`` is how many of them are marked by themselves.
    """

    at_utc: str
    low: float
    high: float
    mean: float
    outside: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One chart, in the unit that a person reads: % of the limit, grey values, px. ``low`` and ``high`` are its limits.

    ``usual``, ``low`` and ``high`` are None while what is usual is learned. ``unit`` is a code: percent (of the limit),
    grey, ratio, room (% of what light and focus are allowed), px, degrees, factor, correlation, ms. ``words`` say in
    English what has changed, empty where nothing has.
    """

    standing: Standing
    unit: str
    usual: float | None
    low: float | None
    high: float | None
    now: float | None
    bins: tuple[Bin, ...]
    words: str = ""

    @property
    def digits(self) -> int:
        """Digits behind the point that a person wants to see."""
        return _DIGITS[self.unit]


def traces(
    settings: Settings, journal: JournalSearch, first_seq: int, last_seq: int, standing: Sequence[Standing] = ()
) -> list[Trace]:
    """The charts of the parts from ``first_seq`` to ``last_seq``, of the newest ``MOST_PARTS`` at most.

    How things stand is taken from ``standing`` where it is given, else from these parts and some before them. Raises
    DataError for a journal that cannot be read.
    """
    first_seq = max(first_seq, last_seq - MOST_PARTS + 1, 1)
    from_seq = max(1, first_seq - _WARMED_BY)
    charts = LineCharts(
        partial(known_of, settings), lambda camera, bundle: list(first_parts(journal, camera, bundle, from_seq))
    )
    recorded: dict[tuple[int, str, str], list[Point]] = {}
    for row in journal.rows(from_seq, last_seq):
        bundles = {camera.camera: camera.bundle_id or "" for camera in row.cameras}
        for (camera, name), point in charts.take(row).items():
            if row.part_seq >= first_seq:
                recorded.setdefault((camera, bundles[camera], name), []).append(point)
    stands = {(one.camera, one.bundle_id, one.quantity): one for one in standing}
    found = []
    for here in charts.standing():
        key = here.camera, here.bundle_id, here.quantity
        known = charts.known(here.camera, here.bundle_id)
        found.append(_trace(stands.get(key, here), known, recorded.get(key, [])))
    return found


def _trace(one: Standing, known: Known, points: Sequence[Point]) -> Trace:
    shown, unit = partial(_shown, known, one.quantity), _unit(known, one.quantity)
    if one.usual is None or one.now is None:
        return Trace(one, unit, None, None, None, None, ())
    room = one.limit * one.usual.spread
    ends = shown(one.usual.mean - room), shown(one.usual.mean + room)
    binned = tuple(
        Bin(
            some[0].at_utc,
            shown(min(point.value for point in some)),
            shown(max(point.value for point in some)),
            shown(some[-1].mean),
            sum(point.is_outside for point in some),
        )
        for some in _binned(points)
    )
    words = change_words(one, known)
    return Trace(one, unit, shown(one.usual.mean), min(ends), max(ends), shown(one.now), binned, words)


def _binned(points: Sequence[Point]) -> list[Sequence[Point]]:
    each = max(1, -(-len(points) // _BINS))
    return [points[at : at + each] for at in range(0, len(points), each)]


def _shown(known: Known, name: str, value: float) -> float:
    """The value as a person reads it."""
    if name == SCORE or name.startswith(SHARE):
        return value * _PERCENT
    if of_condition(name) is not None:
        raw = known.raw_value(name, value)
        return value * _PERCENT if raw is None else raw
    return value


def _unit(known: Known, name: str) -> str:
    if name == SCORE or name.startswith(SHARE):
        return "percent"
    if of_condition(name) is not None:
        if name not in known.raw:
            return "room"
        return "grey" if name in (Quantity.BRIGHTNESS, Quantity.CONTRAST) else "ratio"
    return _UNITS.get(name, "px")
