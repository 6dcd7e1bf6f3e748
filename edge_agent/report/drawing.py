"""Charts as SVG, drawn once for light and once for dark. No pyplot: no figure outlives its report.

Words stay text in them: whoever shows the report has the fonts of his language, the line PC may have none but Latin.

Charts carry fixed words and numbers only. What comes from outside (names, details) stands in the HTML, escaped.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from edge_agent.wording import language

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[["Any", "Theme"], None]

__all__ = [
    "HALF_WIDTH_IN",
    "Chart",
    "Theme",
    "add_legend",
    "count_axis",
    "draw_chart",
    "label_axes",
    "log_axis",
    "mark_line",
    "png_uri",
]

_FONT = "DejaVu Sans"
_FONTS = {
    "ja": ("Noto Sans CJK JP", "Yu Gothic", "Hiragino Sans"),
    "zh": ("Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC"),
}
"""The same characters look different in the two, and a picture in a page does not know the page's language."""
_WIDTH_IN = 7.4
HALF_WIDTH_IN = 4.0


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a chart. ``good`` and ``defective`` differ in lightness as well, and never stand without a shape."""

    ink: str
    muted: str
    grid: str
    face: str
    good: str
    defective: str
    unknown: str
    limit: str


_LIGHT = Theme("#1c2430", "#5b6675", "#e3e7ec", "#ffffff", "#2f6fb7", "#d1490c", "#7a8594", "#a3123a")
_DARK = Theme("#e6eaf0", "#9aa6b5", "#2c3541", "#161c24", "#6fb1f5", "#ff8f4d", "#8b96a5", "#ff7096")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart as two data URIs and its description in words."""

    light_uri: str
    dark_uri: str
    words: str


def png_uri(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def draw_chart(draw: Draw, height_in: float, words: str, *, width_in: float = _WIDTH_IN) -> Chart:
    """What ``draw(axes, theme)`` draws, once for light and once for dark."""
    light, dark = (_svg_uri(draw, (width_in, height_in), theme) for theme in (_LIGHT, _DARK))
    return Chart(light, dark, words)


def _svg_uri(draw: Draw, size_in: tuple[float, float], theme: Theme) -> str:
    figure = Figure(figsize=size_in, layout="constrained", facecolor=theme.face)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(facecolor=theme.face)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=theme.grid, linewidth=0.8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    draw(axes, theme)
    axes.tick_params(which="both", colors=theme.muted, labelsize=9, length=0)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    svg = io.BytesIO()
    # No date, and names that do not change: the same facts give the same bytes.
    families = _FONTS.get(language(), ())
    known = [name for name in families if name in font_manager.get_font_names()]
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "edge-agent", "font.sans-serif": [_FONT, *known]}
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # this PC's fonts only measure the words
        figure.savefig(svg, format="svg", facecolor=theme.face, metadata=metadata)
    shown = ", ".join(f"'{name}'" for name in (*families, _FONT))
    drawn = re.sub(r"font-family: [^;]*;", f"font-family: {shown}, sans-serif;", svg.getvalue().decode("utf-8"))
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.encode("utf-8")).decode("ascii")


def mark_line(axes: Any, theme: Theme, way: str, at: float, words: str) -> None:
    """The line that a verdict hangs on, with its name beside it."""
    if way == "v":
        axes.axvline(at, color=theme.limit, linewidth=1.8)
        where, turn = {"xy": (at, 1), "xycoords": ("data", "axes fraction"), "xytext": (-4, -4)}, 90
        align = {"ha": "right", "va": "top"}
    else:
        axes.axhline(at, color=theme.limit, linewidth=1.8)
        where, turn = {"xy": (1, at), "xycoords": ("axes fraction", "data"), "xytext": (-4, 3)}, 0
        align = {"ha": "right", "va": "bottom"}
    axes.annotate(words, textcoords="offset points", color=theme.limit, fontsize=9, rotation=turn, **where, **align)


def label_axes(axes: Any, x_words: str, y_words: str) -> None:
    """Name both axes."""
    axes.set_xlabel(x_words, fontsize=9)
    axes.set_ylabel(y_words, fontsize=9)


def count_axis(axes: Any) -> None:
    """Whole numbers alone on the vertical axis: it counts."""
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def log_axis(axes: Any) -> None:
    """A logarithmic vertical axis whose marks a person can read."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def add_legend(axes: Any, theme: Theme) -> None:
    """A legend above the axes."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=5,
        frameon=False,
        fontsize=9,
        labelcolor=theme.ink,
        borderaxespad=0.2,
        handletextpad=0.4,
    )
