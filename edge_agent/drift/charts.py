"""The charts of a whole line: every quantity of every camera, by the bundle that judged it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge_agent.drift.chart import CAUSE_RULES, RULES, Chart
from edge_agent.drift.quantities import is_cause, resolution, watched
from edge_agent.drift.usual import Usual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_agent.drift.chart import Change, Point
    from edge_agent.drift.known import Known
    from edge_agent.store.rows import PartRow

__all__ = ["LEARNED_FROM", "STOP_S", "LineCharts", "Standing"]

LEARNED_FROM: Final = 200
"""Parts of the line from which a quantity's usual is learned, where the calibration does not say it."""
STOP_S: Final = 900.0
"""Seconds without a part after which the line had stopped, and every chart begins anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one quantity of one camera stands now. ``usual`` is None while it is learned, from ``learned`` parts so far.

    ``now`` is what the newest parts have, in the quantity's unit; ``sigma`` is the slow EWMA in spreads from usual,
    ``limit`` where it alarms.
    """

    camera: int
    bundle_id: str
    quantity: str
    usual: Usual | None
    learned: int
    now: float | None
    sigma: float
    limit: float
    change: Change | None


@dataclass(slots=True)
class _Camera:
    """One camera as one bundle judges it."""

    known: Known
    charts: dict[str, Chart] = field(default_factory=dict)
    first: dict[str, list[float]] = field(default_factory=dict)
    first_utc: dict[str, str] = field(default_factory=dict)
    taken_to: int = 0

    def begin_anew(self) -> None:
        for chart in self.charts.values():
            chart.begin_anew()

    def take(self, found: dict[str, float], part_seq: int, at_utc: str) -> dict[str, Point]:
        points = {}
        for name, value in found.items():
            chart = self.charts.get(name) or self._begun(name, value, at_utc)
            if chart is not None and (point := chart.add(value, part_seq, at_utc)) is not None:
                points[name] = point
        return points

    def learn(self, first: Iterable[PartRow], camera: int) -> None:
        """What the first parts that the bundle judged here say of what is usual; they stand in no chart."""
        for row in first:
            self.taken_to = row.part_seq
            seen = next(one for one in row.cameras if one.camera == camera)
            self.take(watched(row, seen), row.part_seq, row.decided_utc)
        self.begin_anew()
        for chart in self.charts.values():
            chart.forget_change()

    def _begun(self, name: str, value: float, at_utc: str) -> Chart | None:
        """The chart of a quantity, where it is known what is usual; else None, and the part is one to learn from."""
        usual, least = self.known.usual.get(name), resolution(name)
        if usual is None:
            values = self.first.setdefault(name, [])
            if len(values) < LEARNED_FROM:
                self.first_utc.setdefault(name, at_utc)
                values.append(value)
                return None
            usual = Usual.of(values, least, self.first_utc[name])
        rules = CAUSE_RULES if is_cause(name) else RULES
        self.charts[name] = Chart(usual, self.known.floor(name, usual.mean), self.known.most(name), least, rules)
        return self.charts[name]


class LineCharts:
    """Takes the line's parts in their order.

    ``known(camera, bundle_id)`` is asked once for each bundle, ``first(camera, bundle_id)`` for the first parts that it
    judged on this line, where they came before those that are taken here.
    """

    def __init__(
        self, known: Callable[[int, str], Known], first: Callable[[int, str], Iterable[PartRow]] = lambda *_: ()
    ) -> None:
        self._known = known
        self._first = first
        self._cameras: dict[tuple[int, str], _Camera] = {}
        self._now: dict[int, str] = {}
        self._last: PartRow | None = None
        self.parts = 0

    def take(self, row: PartRow) -> dict[tuple[int, str], Point]:
        """The next part; what it says, by camera and quantity."""
        if self._last is not None and _began_anew(self._last, row):
            for charts in self._cameras.values():
                charts.begin_anew()
        self._last = row
        self.parts += 1
        points = {}
        for camera in row.cameras:
            if camera.bundle_id is None or not (found := watched(row, camera)):
                continue
            charts = self._of(camera.camera, camera.bundle_id)
            for name, point in charts.take(found, row.part_seq, row.decided_utc).items():
                points[camera.camera, name] = point
        return points

    def standing(self) -> Iterator[Standing]:
        """Every quantity of every camera, by the bundle that judges there now."""
        for camera, bundle_id in sorted(self._now.items()):
            charts = self._cameras[camera, bundle_id]
            for name in sorted({*charts.charts, *charts.first}):
                chart = charts.charts.get(name)
                if chart is None:
                    learned = len(charts.first[name])
                    yield Standing(camera, bundle_id, name, None, learned, None, 0.0, 0.0, None)
                    continue
                yield Standing(
                    camera, bundle_id, name, chart.usual, 0, chart.now, chart.sigma, chart.limit, chart.change
                )

    def known(self, camera: int, bundle_id: str) -> Known:
        """What that bundle says of that camera's good parts."""
        return self._cameras[camera, bundle_id].known

    def _of(self, camera: int, bundle_id: str) -> _Camera:
        key = camera, bundle_id
        if key not in self._cameras:
            self._cameras[key] = _Camera(self._known(*key))
            self._cameras[key].learn(self._first(*key), camera)
        if self._now.get(camera) != bundle_id:
            self._cameras[key].begin_anew()
            self._now[camera] = bundle_id
        return self._cameras[key]


def _began_anew(before: PartRow, row: PartRow) -> bool:
    """Whether the line had stopped between the two parts, or changed to another product."""
    if before.program != row.program:
        return True
    if before.boot_id == row.boot_id:
        return row.decided_mono_s - before.decided_mono_s > STOP_S
    try:  # the monotonic clocks of two boots do not compare
        apart = datetime.fromisoformat(row.decided_utc) - datetime.fromisoformat(before.decided_utc)
    except (ValueError, TypeError):
        return True
    return apart.total_seconds() > STOP_S
