"""The report of a shift: what was judged by what, what became of it, and whether the record is whole. To be signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.report.drift import drift_charts, drift_rows
from edge_agent.report.figures import latency_histogram, score_strip
from edge_agent.report.html import write_page
from edge_agent.report.pictures import MapScale, views
from edge_agent.report.tally import Latency

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.drift.traces import Trace
    from edge_agent.golden.series import Series
    from edge_agent.report.facts import PartFact, PartPictures
    from edge_agent.report.head import Head
    from edge_agent.report.tally import ReasonCount

__all__ = ["BundleFact", "Period", "ShiftFacts", "write_shift_report"]


@dataclass(frozen=True, slots=True)
class BundleFact:
    """A bundle that judged parts. ``statement`` is what its limit promises; all but the id empty where it is gone."""

    bundle_id: str
    parts: int
    folder: str
    created: str
    limit: float | None
    images: int | None
    statement: str
    versions: str


@dataclass(frozen=True, slots=True)
class Period:
    """Counts of an hour, or of the whole time. ``to_gate`` is how many PASS reached the wire."""

    title: str
    passed: int
    rejected: int
    fault: int
    to_gate: int

    @property
    def parts(self) -> int:
        """How many parts there were in all: passed, rejected and FAULT."""
        return self.passed + self.rejected + self.fault

    @property
    def share(self) -> str:
        """The share that passed, in words."""
        return f"{100 * self.passed / self.parts:.1f} %" if self.parts else "-"


@dataclass(frozen=True, slots=True)
class ShiftFacts:
    """All that a shift report says. ``published`` counts the values of Published, and what nothing was told of.

    ``by_score`` is how many parts their score rejected; ``worst`` are those of them that are shown. Each event is its
    time in UTC, what happened, and what was said of it, in words. ``drift`` are the control charts
    at the end of the time. ``samples`` and ``samples_due`` are the golden parts and reject samples as the journal has
    them when the report is written, and when they are due.
    """

    head: Head
    simulated: int
    dry_run: int
    whole: Period
    hours: tuple[Period, ...]
    reasons: tuple[ReasonCount, ...]
    published: Mapping[str, int]
    bundles: tuple[BundleFact, ...]
    latencies_ms: tuple[float, ...]
    deadline_ms: float
    shown: tuple[PartFact, ...]
    by_score: int
    worst: tuple[PartPictures, ...]
    events: tuple[tuple[str, str, str], ...]
    confirmed: int
    overturned: int
    passes_confirmed: int
    escapes: int
    chain_problems: tuple[str, ...]
    chain_head: str
    versions: Mapping[str, str]
    drift: tuple[Trace, ...] = ()
    disputed: int = 0
    samples: tuple[Series, ...] = ()
    samples_due: str = ""


def write_shift_report(path: Path, facts: ShiftFacts) -> None:
    """Write it, whole or not at all. Raises OSError."""
    scale = MapScale.of([part.anomaly_map for part in facts.worst if part.anomaly_map is not None])
    write_page(
        path,
        "shift.html.j2",
        facts=facts,
        latency=Latency.of(facts.latencies_ms),
        latency_chart=latency_histogram(facts.latencies_ms, facts.deadline_ms) if facts.latencies_ms else None,
        score_chart=score_strip(facts.shown) if any(p.score is not None and p.limit for p in facts.shown) else None,
        worst=views(facts.worst, scale),
        scale=scale,
        drift=drift_rows(facts.drift),
        drift_charts=drift_charts(facts.drift),
    )
