"""The report of a candidate beside the line: counts, what people know, both scores, and the parts that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.report.agreement import Rate
from edge_agent.report.drawing import HALF_WIDTH_IN, Chart, add_legend, draw_chart, label_axes, mark_line
from edge_agent.report.html import write_page
from edge_agent.report.pictures import MapScale, views
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge_agent.report.drawing import Theme
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = ["KnownParts", "ShadowFacts", "write_shadow_report"]

_HIGHEST = 3.0
"""Shares of a limit above this one stand at the edge of the chart."""


@dataclass(frozen=True, slots=True)
class KnownParts:
    """Parts that people reviewed: how many, over which the candidate is wrong, and how many the bundle in use is."""

    of: int
    wrong: tuple[int, ...]
    wrong_before: int

    @property
    def rate(self) -> Rate | None:
        """How often the candidate is wrong, None where there is no such part."""
        return Rate(len(self.wrong), self.of) if self.of else None


@dataclass(frozen=True, slots=True)
class ShadowFacts:
    """All that the report says. ``scores`` are shares of the limits: bundle in use, candidate, and whether they differ.

    ``not_comparable`` are numbers by what they are; ``pictures`` of the newest parts over which the two differ.
    """

    head: Head
    versions: Mapping[str, str]
    candidate: str
    active: tuple[str, ...]
    both_pass: int
    both_reject: int
    to_reject: int
    to_pass: int
    good: KnownParts
    bad: KnownParts
    not_comparable: tuple[tuple[str, int], ...] = ()
    scores: tuple[tuple[float, float, bool], ...] = ()
    median_ms: float | None = None
    pictures: tuple[PartPictures, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def of_passes(self) -> Rate | None:
        """How much of what passes today the candidate rejects; None where nothing passed."""
        passing = self.both_pass + self.to_reject
        return Rate(self.to_reject, passing) if passing else None


def write_shadow_report(path: Path, facts: ShadowFacts) -> None:
    """Write it, whole or not at all. Raises OSError."""
    scale = MapScale.of([row.anomaly_map for row in facts.pictures if row.anomaly_map is not None])
    write_page(
        path,
        "shadow.html.j2",
        facts=facts,
        score_chart=_scatter(facts.scores) if facts.scores else None,
        views=views(facts.pictures, scale),
        scale=scale,
    )


def _scatter(scores: Sequence[tuple[float, float, bool]]) -> Chart:
    """Each part as a mark: across the bundle in use, upwards the candidate."""
    high = min(_HIGHEST, max(1.5, *(max(active, candidate) for active, candidate, _ in scores)))
    low = max(-1.0, min(0.0, *(min(active, candidate) for active, candidate, _ in scores)))

    def draw(axes: Any, theme: Theme) -> None:
        for is_flip, words, marker, colour in (
            (False, tr("both say the same"), "o", theme.good),
            (True, tr("they differ"), "^", theme.defective),
        ):
            at = [(min(a, high), min(c, high)) for a, c, differs in scores if differs is is_flip]
            if at:
                axes.plot(*zip(*at, strict=True), marker, color=colour, markersize=4, alpha=0.7, label=words)
        mark_line(axes, theme, "v", 1.0, tr("limit"))
        mark_line(axes, theme, "h", 1.0, tr("limit"))
        margin = (high - low) * 0.04
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        axes.set_aspect("equal")
        label_axes(axes, tr("score / limit, bundle in use"), tr("score / limit, candidate"))
        add_legend(axes, theme)

    words = tr("Scores of {number} parts by both bundles, over their limits, which are at 1", number=len(scores))
    return draw_chart(draw, 3.8, words, width_in=HALF_WIDTH_IN)
