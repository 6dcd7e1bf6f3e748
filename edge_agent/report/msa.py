"""The report of an attribute agreement study, to be signed: the verdict on top, the numbers, and every part below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from edge_agent.domain import Verdict
from edge_agent.report.agreement import LIMITS, Grade
from edge_agent.report.drawing import Chart, add_legend, draw_chart, label_axes, mark_line
from edge_agent.report.html import write_page
from edge_agent.report.pictures import MapScale, picture_uri, views
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge_agent.domain import Reason
    from edge_agent.report.agreement import Agreement, Rate
    from edge_agent.report.drawing import Theme
    from edge_agent.report.facts import PartPictures, Picture
    from edge_agent.report.head import Head

__all__ = ["GRADE_WORDS", "MsaFacts", "MsaPart", "MsaRepeat", "write_msa_report"]

GRADE_WORDS: Mapping[Grade, str] = {
    Grade.ACCEPTED: mark("accepted"),
    Grade.CONDITIONAL: mark("conditional"),
    Grade.NOT_ACCEPTED: mark("not accepted"),
}
_SMALL_PX = 96
_MARKS = (-1, 0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Of a chart that is logarithmic above the limit and even below it."""
_GRADE_CLASS = {Grade.ACCEPTED: "PASS", Grade.CONDITIONAL: "REJECT", Grade.NOT_ACCEPTED: "FAULT"}


@dataclass(frozen=True, slots=True)
class MsaPart:
    """A part in all runs. ``ratios`` are scores over the limit, None where there was none; ``image`` is of one run."""

    name: str
    is_defective: bool
    verdicts: tuple[Verdict, ...]
    ratios: tuple[float | None, ...]
    image: Picture | None = None

    @property
    def wrong(self) -> int:
        """In how many runs its verdict was wrong."""
        return sum((verdict is Verdict.PASS) is self.is_defective for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class MsaRepeat:
    """A showing that nobody looked at, made again. ``run`` counts from 1."""

    run: int
    name: str
    part_seq: int | None
    verdict: Verdict
    reason: Reason


@dataclass(frozen=True, slots=True)
class MsaFacts:
    """All that the report of a study says."""

    head: Head
    versions: Mapping[str, str]
    numbers: Agreement
    parts: tuple[MsaPart, ...]
    study_id: str
    study_sha256: str
    seed: int
    runs: int
    pictures: tuple[PartPictures, ...] = ()
    repeats: tuple[MsaRepeat, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False


def write_msa_report(path: Path, facts: MsaFacts) -> None:
    """Write it, whole or not at all. Raises OSError."""
    scale = MapScale.of([row.anomaly_map for row in facts.pictures if row.anomaly_map is not None])
    write_page(
        path,
        "msa.html.j2",
        facts=facts,
        rates=_rates(facts.numbers),
        grade_words={str(grade): tr(words) for grade, words in GRADE_WORDS.items()},
        small=[None if part.image is None else picture_uri(part.image, _SMALL_PX) for part in facts.parts],
        score_chart=_scores(facts.parts) if any(r is not None for part in facts.parts for r in part.ratios) else None,
        views=views(facts.pictures, scale),
        scale=scale,
    )


def _rates(numbers: Agreement) -> list[dict[str, Any]]:
    """The rows of the table of rates: name, meaning, value, bounds, limits, grade."""
    words = {
        "effectiveness": (tr("effectiveness"), tr("parts judged rightly in every run")),
        "misses": (tr("misses"), tr("showings of defective parts that passed")),
        "false_alarms": (tr("false alarms"), tr("showings of good parts that were rejected")),
        "within": (tr("repeatability of the verdict"), tr("parts judged alike in every run, rightly or not")),
    }
    rows = []
    for name, (title, meaning) in words.items():
        rate: Rate = getattr(numbers, name)
        grade = numbers.grades.get(name)
        rows.append(
            {
                "title": title,
                "meaning": meaning,
                "rate": rate,
                "limits": _limits(name),
                "grade": "" if grade is None else tr(GRADE_WORDS[grade]),
                "colour": "" if grade is None else _GRADE_CLASS[grade],
            }
        )
    return rows


def _limits(name: str) -> str:
    if name not in LIMITS:
        return ""
    accepted, conditional = (f"{100 * limit:g} %" for limit in LIMITS[name])
    if name == "effectiveness":
        return tr("at least {accepted}; conditional from {conditional}", accepted=accepted, conditional=conditional)
    return tr("at most {accepted}; conditional up to {conditional}", accepted=accepted, conditional=conditional)


def _scores(parts: Sequence[MsaPart]) -> Chart:
    """Every part's scores over the limit, one mark a run, the parts by their mean."""

    def mean(part: MsaPart) -> float:
        known = [ratio for ratio in part.ratios if ratio is not None]
        return float(np.mean(known)) if known else 0.0

    ordered = sorted(parts, key=mean)
    finite = [ratio for part in parts for ratio in part.ratios if ratio is not None]

    def draw(axes: Any, theme: Theme) -> None:
        is_wide = max(finite) > 4
        if is_wide:  # the limit and the good parts below it stay to be seen, however far defective ones lie
            axes.set_yscale("symlog", linthresh=1.0)
            axes.yaxis.set_major_locator(FixedLocator([mark for mark in _MARKS if mark <= 2 * max(finite)]))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(min([0.0, *finite]) * 1.1, max([1.2, *finite]) * (1.4 if is_wide else 1.08))
        for is_defective, words, marker, colour in (
            (False, tr("good"), "o", theme.good),
            (True, tr("defective"), "^", theme.defective),
        ):
            of = [(x, r) for x, p in enumerate(ordered, 1) if p.is_defective is is_defective for r in p.ratios]
            at = [(x, ratio) for x, ratio in of if ratio is not None]
            if at:
                axes.plot(*zip(*at, strict=True), marker, color=colour, markersize=4, alpha=0.8, label=words)
        mark_line(axes, theme, "h", 1.0, tr("limit"))
        axes.set_xlim(0.2, len(ordered) + 0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        label_axes(
            axes, tr("parts, by their mean score"), tr("score / limit (log)") if is_wide else tr("score / limit")
        )
        add_legend(axes, theme)

    words = tr("Scores of {number} parts in every run, over the limit, which is at 1", number=len(parts))
    return draw_chart(draw, 2.9, words)
