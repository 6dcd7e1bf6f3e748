"""Charts of an evaluation: ROC and precision-recall curves, scores by class, learning curve, t-SNE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from edge_agent.report.drawing import HALF_WIDTH_IN, Theme, add_legend, draw_chart, label_axes, mark_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_agent.report.drawing import Chart
    from edge_agent.report.evaluation_facts import LearningPoint

__all__ = ["learning_chart", "neighbourhood_chart", "precision_recall_chart", "roc_chart", "scores_chart"]

_STYLES = ("-", "--", "-.", ":")
_BINS = 30


def roc_chart(methods: Sequence[tuple[str, Sequence[float]]], is_defective: Sequence[bool]) -> Chart:
    """Good parts rejected against defective parts found, over all limits."""

    def draw(axes: Any, theme: Theme) -> None:
        for number, (title, scores) in enumerate(methods):
            found, rejected = _sweep(scores, is_defective)
            axes.plot(100.0 * rejected, 100.0 * found, label=title, **_style(number))
        axes.plot([0, 100], [0, 100], color=theme.muted, linewidth=0.8)
        _square(axes)
        label_axes(axes, "good parts rejected, %", "defective parts found, %")
        _legend_inside(axes, theme, "lower right")

    return draw_chart(draw, 3.8, f"ROC curves of {len(methods)} methods", width_in=HALF_WIDTH_IN)


def precision_recall_chart(methods: Sequence[tuple[str, Sequence[float]]], is_defective: Sequence[bool]) -> Chart:
    """Defective parts found against the share of rejected parts that are defective."""
    chance = 100.0 * float(np.mean(is_defective))

    def draw(axes: Any, theme: Theme) -> None:
        defective, good = sum(is_defective), len(is_defective) - sum(is_defective)
        for number, (title, scores) in enumerate(methods):
            found, rejected = _sweep(scores, is_defective)
            right, all_rejected = found[1:] * defective, found[1:] * defective + rejected[1:] * good
            axes.plot(100.0 * found[1:], 100.0 * right / all_rejected, label=title, **_style(number))
        axes.axhline(chance, color=theme.muted, linewidth=0.8)
        axes.annotate(
            f"chance {chance:.0f} %", (0, chance), (2, 3), textcoords="offset points", color=theme.muted, fontsize=8
        )
        _square(axes)
        label_axes(axes, "defective parts found, %", "defective among the rejected, %")
        _legend_inside(axes, theme, "lower left")

    words = f"Precision-recall curves of {len(methods)} methods; chance is {chance:.0f} %"
    return draw_chart(draw, 3.8, words, width_in=HALF_WIDTH_IN)


def scores_chart(scores: Sequence[float], limit: float | None, is_defective: Sequence[bool]) -> Chart:
    """Raw scores of good and of defective parts, and the limit where there is one. What has no score is not drawn."""
    has_score = np.isfinite(scores)
    values, defective = np.asarray(scores)[has_score], np.asarray(is_defective)[has_score]
    is_log = bool(values.size and values.min() > 0 and values.max() > 8 * values.min())

    def draw(axes: Any, theme: Theme) -> None:
        reach = np.append(values, [] if limit is None else limit)
        low, high = (float(reach.min()), float(reach.max())) if reach.size else (0.0, 1.0)
        edges = np.geomspace(low, high, _BINS + 1) if is_log and low > 0 else np.linspace(low, high or 1.0, _BINS + 1)
        for part, colour, words in ((~defective, theme.good, "good"), (defective, theme.defective, "defective")):
            axes.hist(values[part], bins=edges, color=colour, alpha=0.75, label=words)
        if limit is not None:
            mark_line(axes, theme, "v", limit, f"limit {limit:.4g}")
        if is_log and low > 0:
            axes.set_xscale("log")
        label_axes(axes, "score" + (", log" if is_log else ""), "parts")
        add_legend(axes, theme)

    return draw_chart(draw, 2.3, f"Scores of {len(values)} test images by class", width_in=HALF_WIDTH_IN)


def learning_chart(points: Sequence[LearningPoint]) -> Chart:
    """AUC over the number of training images, with the spread over draws."""
    titles = list(dict.fromkeys(point.title for point in points))

    def draw(axes: Any, theme: Theme) -> None:
        for number, title in enumerate(titles):
            own = [point for point in points if point.title == title]
            axes.errorbar(
                [point.train_images for point in own],
                [point.auc for point in own],
                yerr=[point.auc_sd or 0.0 for point in own],
                marker="o",
                markersize=4,
                capsize=3,
                label=title,
                **_style(number),
            )
        label_axes(axes, "training images", "AUC, %")
        _legend_inside(axes, theme, "lower right")

    return draw_chart(draw, 3.2, f"AUC of {len(titles)} methods over the number of training images")


def neighbourhood_chart(points: NDArray[np.float64], is_defective: Sequence[bool]) -> Chart:
    """Test images as points (n, 2) by t-SNE: near means alike, distances between groups mean nothing."""
    defective = np.asarray(is_defective)

    def draw(axes: Any, theme: Theme) -> None:
        for part, colour, marker, words in (
            (~defective, theme.good, "o", "good"),
            (defective, theme.defective, "^", "defective"),
        ):
            axes.plot(points[part, 0], points[part, 1], marker, color=colour, markersize=4.5, label=words)
        axes.set_xticks([])
        axes.set_yticks([])
        add_legend(axes, theme)

    return draw_chart(draw, 3.4, f"t-SNE of {len(points)} test images", width_in=HALF_WIDTH_IN)


def _sweep(scores: Sequence[float], is_defective: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of defective and of good parts at or above each limit, from none to all; ties fall together."""
    values, defective = np.asarray(scores), np.asarray(is_defective)
    limits = np.unique(values)[::-1]
    at_or_above = values >= limits[:, None]
    shares = [at_or_above[:, part].mean(axis=1) for part in (defective, ~defective)]
    return np.concatenate([[0.0], shares[0]]), np.concatenate([[0.0], shares[1]])


def _style(number: int) -> dict[str, Any]:
    """Colours and strokes that stay apart on a light and on a dark ground, and without colour."""
    return {
        "color": mpl.colormaps["tab10"](number % 10),
        "linestyle": _STYLES[number % len(_STYLES)],
        "linewidth": 1.6,
    }


def _square(axes: Any) -> None:
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)


def _legend_inside(axes: Any, theme: Theme, place: str) -> None:
    axes.legend(loc=place, frameon=False, fontsize=8, labelcolor=theme.ink)
