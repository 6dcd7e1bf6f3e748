"""The charts of reports about parts and calibrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from edge_agent.report.drawing import (
    HALF_WIDTH_IN,
    Chart,
    Theme,
    add_legend,
    count_axis,
    draw_chart,
    label_axes,
    log_axis,
    mark_line,
)
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_agent.report.facts import DefectiveFacts, PartFact, RegistrationRow, TrainingStep

    Draw = Callable[["Any", "Theme"], None]

__all__ = ["latency_histogram", "registration_scatter", "score_histogram", "score_strip", "trade_off", "training_curve"]


def latency_histogram(latencies_ms: Sequence[float], deadline_ms: float | None) -> Chart:
    """How long the verdicts took, with the deadline where it is within sight."""

    def draw(axes: Any, theme: Theme) -> None:
        axes.hist(latencies_ms, bins=_bins(len(latencies_ms)), color=theme.good)
        if deadline_ms is not None and deadline_ms <= 4 * max(latencies_ms):
            mark_line(axes, theme, "v", deadline_ms, tr("deadline {ms} ms", ms=f"{deadline_ms:.0f}"))
        axes.set_xlim(left=0)
        count_axis(axes)
        label_axes(axes, tr("milliseconds"), tr("parts"))

    words = tr("Histogram of {number} latencies in milliseconds", number=len(latencies_ms))
    return draw_chart(draw, 2.1, words, width_in=HALF_WIDTH_IN)


def score_strip(parts: Sequence[PartFact]) -> Chart:
    """Every part's score over its limit, in order, with what the part really was. 1 is the limit."""
    ratios = [_ratio(part) for part in parts]
    finite = [ratio for ratio in ratios if ratio is not None]

    def draw(axes: Any, theme: Theme) -> None:
        is_log = bool(finite) and min(finite) > 0 and max(finite) > 4
        if is_log:
            log_axis(axes)
            axes.set_ylim(min([1.0, *finite]) * 0.7, max(finite) * 1.5)  # the limit is in sight, always
        else:
            low, high = min([0.0, *finite]), max([1.2, *finite])
            axes.set_ylim(low - (high - low) * 0.06 if low < 0 else 0.0, high * 1.08)
        for is_defective, words, marker, colour in (
            (False, tr("good"), "o", theme.good),
            (True, tr("defective"), "^", theme.defective),
            (None, tr("not known"), "s", theme.unknown),
        ):
            at = [i for i, part in enumerate(parts) if part.is_defective is is_defective and ratios[i] is not None]
            if at:
                axes.plot([i + 1 for i in at], [ratios[i] for i in at], marker, color=colour, markersize=5, label=words)
        wrong = [i for i, part in enumerate(parts) if part.is_defective is part.is_let_through and ratios[i]]
        if wrong:
            axes.plot(
                [i + 1 for i in wrong],
                [ratios[i] for i in wrong],
                "o",
                fillstyle="none",
                color=theme.ink,
                markersize=11,
                label=tr("wrong"),
            )
        unscored = [i + 1 for i, ratio in enumerate(ratios) if ratio is None]
        if unscored:
            axes.plot(
                unscored,
                [0.03] * len(unscored),
                "x",
                color=theme.ink,
                label=tr("no score"),
                transform=axes.get_xaxis_transform(),
            )
        mark_line(axes, theme, "h", 1.0, tr("limit"))
        axes.set_xlim(0.2, len(parts) + 0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, tr("parts in their order"), tr("score / limit (log)") if is_log else tr("score / limit"))
        add_legend(axes, theme)

    return draw_chart(
        draw, 2.9, tr("Score over limit of {number} parts in their order, the limit at 1", number=len(parts))
    )


def training_curve(steps: Sequence[TrainingStep], own_variance: float | None, mean_image_error: float | None) -> Chart:
    """Reconstruction error while training, against what it has to beat."""

    def draw(axes: Any, theme: Theme) -> None:
        axes.plot([s.step for s in steps], [s.train_error for s in steps], color=theme.good, label=tr("images it sees"))
        held_out = [(s.step, s.held_out_error) for s in steps if s.held_out_error is not None]
        if held_out:
            axes.plot(
                *zip(*held_out, strict=True), color=theme.defective, marker=".", label=tr("good images it never saw")
            )
        for value, words, style in (
            (mean_image_error, tr("mean image"), "--"),
            (own_variance, tr("own variance"), ":"),
        ):
            if value is not None:
                axes.axhline(value, color=theme.muted, linestyle=style, linewidth=1.2, label=words)
        log_axis(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, tr("training steps"), tr("error (log)"))
        add_legend(axes, theme)

    return draw_chart(draw, 2.7, tr("Reconstruction error over the training steps"))


def registration_scatter(rows: Sequence[RegistrationRow]) -> Chart:
    """Where the good parts lay: shift in x and y, the angle as colour."""

    def draw(axes: Any, theme: Theme) -> None:
        angles = np.array([row.angle_deg for row in rows])
        most = max(float(np.nanmax(np.abs(angles), initial=0.0)), 0.01)
        points = axes.scatter(
            [row.shift_x_px for row in rows],
            [row.shift_y_px for row in rows],
            c=angles,
            cmap="coolwarm",
            vmin=-most,
            vmax=most,
            s=34,
            edgecolors=theme.muted,
            linewidths=0.6,
        )
        bar = axes.figure.colorbar(points, ax=axes, pad=0.02)
        bar.set_label(tr("angle, degrees"), color=theme.ink, fontsize=9)
        bar.ax.tick_params(colors=theme.muted, labelsize=8)
        bar.outline.set_visible(False)
        axes.axhline(0, color=theme.muted, linewidth=0.8)
        axes.axvline(0, color=theme.muted, linewidth=0.8)
        axes.invert_yaxis()  # as in the image: y grows downwards
        axes.margins(0.12)
        label_axes(axes, tr("shift to the right, px"), tr("shift down, px"))

    return draw_chart(draw, 3.2, tr("Shift and angle of {number} good parts against the reference", number=len(rows)))


def score_histogram(
    scores: Sequence[float], limit: float, review_from: float | None = None, defective: Sequence[float] = ()
) -> Chart:
    """Scores of good parts that the inspection had not seen, the limit, and where known-defective parts lie."""
    low, high = min(*scores, limit), max(*scores, limit, *defective)
    is_log = low > 0 and high > 6 * limit

    def draw(axes: Any, theme: Theme) -> None:
        number = _bins(len(scores))
        most = max(scores)
        bins = np.geomspace(low, most, number + 1) if is_log and most > low else number
        axes.hist(scores, bins=bins, color=theme.good, label=tr("good"))
        on_axis: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "linestyle": "none"}
        axes.plot(scores, [0.02] * len(scores), "|", color=theme.ink, markersize=9, **on_axis)
        if defective:
            at = [0.06] * len(defective)
            axes.plot(defective, at, "^", color=theme.defective, markersize=6, label=tr("known-defective"), **on_axis)
            add_legend(axes, theme)
        if review_from is not None:
            axes.axvspan(review_from, limit, color=theme.limit, alpha=0.16, linewidth=0)
        mark_line(axes, theme, "v", limit, tr("limit {limit}", limit=f"{limit:.4g}"))
        if is_log:
            axes.set_xscale("log")
            axes.set_xlim(low * 0.9, high * 1.1)
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            margin = (high - low or 1.0) * 0.12
            axes.set_xlim(low - margin, high + margin)
        count_axis(axes)
        x_words = tr("score (one mark a part), log") if is_log else tr("score (one mark a part)")
        label_axes(axes, x_words, tr("good parts"))

    at = {"number": len(scores), "limit": f"{limit:.4g}"}
    words = tr("Histogram of {number} scores of good parts, the limit at {limit}", **at)
    if defective:
        words = tr(
            "Histogram of {number} scores of good parts, and {defective} of known-defective ones, the limit at {limit}",
            defective=len(defective),
            **at,
        )
    return draw_chart(draw, 2.6, words)


def trade_off(facts: DefectiveFacts) -> Chart:
    """Good parts rejected against defective parts passed, over all limits, and where the chosen one lies."""
    chosen = facts.chosen

    def draw(axes: Any, theme: Theme) -> None:
        x = [100 * point.false_rejects for point in facts.curve]
        y = [100 * point.missed for point in facts.curve]
        # A limit between two scores keeps what the one above it promises: steps, not slopes.
        axes.step(x, y, where="post", color=theme.good, linewidth=1.8)
        axes.plot(x, y, ".", color=theme.good)
        at = [100 * chosen.false_rejects], [100 * chosen.missed]
        axes.plot(*at, "D", color=theme.limit, markersize=8, label=tr("as set"), clip_on=False, zorder=3)
        caught = next((point.false_rejects for point in facts.curve if not point.missed), 0.0)
        axes.set_xlim(0, min(100.0, 100 * max(0.10, 2 * chosen.false_rejects, 1.5 * caught)))
        axes.set_ylim(0, max(5.0, *y, 100 * chosen.missed) * 1.1)
        add_legend(axes, theme)
        label_axes(axes, tr("good parts rejected, expected, %"), tr("defective parts passed, %"))

    words = tr(
        "Good parts rejected against defective parts passed; as set, {missed} of defective parts pass where {rejected} "
        "of good parts are rejected",
        missed=f"{chosen.missed:.0%}",
        rejected=f"{chosen.false_rejects:.1%}",
    )
    return draw_chart(draw, 2.9, words)


def _bins(number: int) -> int:
    return int(np.clip(round(number**0.5 * 2), 8, 40))


def _ratio(part: PartFact) -> float | None:
    if part.score is None or not part.limit or not np.isfinite([part.score, part.limit]).all():
        return None
    return part.score / part.limit
