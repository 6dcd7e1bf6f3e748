"""The control charts of a report: a row for each watched quantity, and a chart where a person wants to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge_agent.local_time import in_local_time
from edge_agent.report.drawing import HALF_WIDTH_IN, Chart, Theme, draw_chart, label_axes
from edge_agent.report.phrases import said
from edge_agent.report.words import UNIT_WORDS, watched_words
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.drift.traces import Trace

__all__ = ["DriftRow", "began_in", "drift_charts", "drift_rows"]

_ALWAYS_DRAWN: Final = ("score", "brightness", "sharpness", "shift_x_px", "shift_y_px")
_DRAWN_MOST: Final = 12


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One watched quantity in words. ``sigma`` and ``limit`` are in standard deviations, empty while it is learned."""

    camera: int
    title: str
    unit: str
    usual: str
    now: str
    sigma: str
    limit: str
    state: str
    has_changed: bool


def drift_rows(traces: Sequence[Trace]) -> tuple[DriftRow, ...]:
    """The table, what has changed first."""
    return tuple(map(_row, sorted(traces, key=lambda one: (one.standing.change is None, one.standing.camera))))


def drift_charts(traces: Sequence[Trace]) -> tuple[tuple[str, Chart], ...]:
    """Title and chart of what has changed, and of what a person looks at in any case."""
    drawn = [one for one in traces if one.bins and one.usual is not None]
    chosen = [one for one in drawn if one.standing.change is not None]
    chosen += [one for one in drawn if one not in chosen and one.standing.quantity in _ALWAYS_DRAWN]
    return tuple((_title(one), control_chart(one)) for one in chosen[:_DRAWN_MOST])


def began_in(trace: Trace) -> int | None:
    """The bin, from 1, in which the change began: the first one where that was before them; None without a change."""
    change = trace.standing.change
    if change is None:
        return None
    # A bin has the time of its first part, so the change began in the last one that is not later.
    return max((number for number, one in enumerate(trace.bins, 1) if one.at_utc <= change.since_utc), default=1)


def control_chart(trace: Trace) -> Chart:
    """Ranges of the parts one after the other, the EWMA over them, usual and both limits, and where it changed."""
    bins, began = trace.bins, began_in(trace)
    at = list(range(1, len(bins) + 1))
    usual, low, high = trace.usual or 0.0, trace.low or 0.0, trace.high or 0.0

    def draw(axes: Any, theme: Theme) -> None:
        axes.axhspan(low, high, color=theme.good, alpha=0.10, linewidth=0)
        for value, style in ((low, "--"), (usual, "-"), (high, "--")):
            axes.axhline(value, color=theme.muted, linewidth=1.0, linestyle=style)
        axes.vlines(at, [b.low for b in bins], [b.high for b in bins], color=theme.unknown, linewidth=1.4, alpha=0.6)
        axes.plot(at, [b.mean for b in bins], color=theme.good, linewidth=2.0)
        if began is not None:
            axes.axvline(began, color=theme.defective, linewidth=1.8)
            axes.plot([began], [1.0], "v", color=theme.defective, transform=axes.get_xaxis_transform(), clip_on=False)
        marks = sorted({1, (len(bins) + 1) // 2, len(bins)})
        axes.set_xticks(marks, [in_local_time(bins[mark - 1].at_utc)[5:16] for mark in marks])
        label_axes(axes, tr("parts in their order"), tr(UNIT_WORDS[trace.unit]))

    words = tr(
        "{title} of camera {camera}: now {now}, usual is {usual}",
        title=watched_words(trace.standing.quantity)[0],
        camera=trace.standing.camera,
        now=f"{trace.now:.4g}",
        usual=f"{usual:.4g}",
    )
    return draw_chart(draw, 2.1, words, width_in=HALF_WIDTH_IN)


def _title(trace: Trace) -> str:
    title = watched_words(trace.standing.quantity)[0]
    return tr("{title}, camera {camera}", title=title, camera=trace.standing.camera)


def _row(trace: Trace) -> DriftRow:
    one = trace.standing
    if one.usual is None:
        state, sigma, limit = tr("what is usual is learned yet"), "", ""
    else:
        state = said(trace.words) if trace.words else tr("as usual")
        sigma, limit = f"{round(one.sigma, 1) + 0.0:+.1f}", f"{one.limit:.1f}"
    title = watched_words(one.quantity)[0]
    unit = tr(UNIT_WORDS[trace.unit])
    usual, now = (_figure(value, trace.digits) for value in (trace.usual, trace.now))
    return DriftRow(one.camera, title, unit, usual, now, sigma, limit, state, one.change is not None)


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # no -0
