"""Facts in, one HTML file out: nothing in it is loaded from elsewhere, everything that came from outside is escaped."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.local_time import in_local_time, in_utc
from edge_agent.report.figures import (
    latency_histogram,
    registration_scatter,
    score_histogram,
    score_strip,
    trade_off,
    training_curve,
)
from edge_agent.report.pictures import MapScale, heat_scale, map_uri, picture_uri, reference_uri, views
from edge_agent.report.speech import printable, speak
from edge_agent.report.tally import Confusion, Latency, reason_counts
from edge_agent.report.words import NOT_TOLD, PUBLISHED_WORDS, REASON_WORDS
from edge_agent.store.fs import write_durably
from edge_agent.wording import tr

if TYPE_CHECKING:
    from edge_agent.report.drawing import Chart
    from edge_agent.report.facts import CalibrationFacts, PartFact, PartPictures, RunFacts

__all__ = ["write_calibration_report", "write_page", "write_run_report"]

_MOST_ROWS = 250
"""Of a long run the table is on paper a handful of pages: what went otherwise than it should, and who came near."""
_LONGEST_PLAIN = 1e9
_ABOVE = " is at or above the limit "
"""In the words of the inspection (``decision``)."""
_TEMPLATES = Path(__file__).parent / "templates"


def write_calibration_report(path: Path, *, facts: CalibrationFacts) -> None:
    """Write what a calibration found and what its limit promises, for a person to confirm and sign.

    Raises OSError if the file cannot be written; a report that was there before then still stands.
    """
    missed = facts.defective.pictures if facts.defective else ()
    scale, odd_scale = _scale(missed), MapScale.of([part.heat for part in facts.oddest])
    values = [score.score for score in facts.scores if math.isfinite(score.score)]
    write_page(
        path,
        "calibration.html.j2",
        facts=facts,
        reference=reference_uri(facts.reference, facts.crop_px),
        registration_chart=registration_scatter(facts.registrations) if facts.registrations else None,
        training_chart=training_curve(facts.training, facts.own_variance, facts.mean_image_error)
        if facts.training
        else None,
        score_chart=_calibration_scores(facts, values) if values and math.isfinite(facts.limit) else None,
        trade_off_chart=trade_off(facts.defective) if facts.defective and facts.defective.curve else None,
        scores=sorted(facts.scores, key=lambda score: -score.score),
        above_limit=sum(not value < facts.limit for value in values),
        held_out_error=next((s.held_out_error for s in reversed(facts.training) if s.held_out_error is not None), None),
        oddest=[(part, picture_uri(part.image), map_uri(part.heat, odd_scale)) for part in facts.oddest],
        odd_scale=odd_scale,
        missed_views=views(missed, scale),
        scale=scale,
        release=_release(facts),
    )


def _release(facts: CalibrationFacts) -> str:
    """What is signed: whole sentences, for in no two languages they are made of the same pieces."""
    good = tr("I confirm that the good parts are good.")
    if facts.oddest and facts.left_out:
        good = tr(
            "I have looked at the oddest good parts and confirm that they are good, and that what was left out is not."
        )
    elif facts.oddest:
        good = tr("I have looked at the oddest good parts and confirm that they are good.")
    elif facts.left_out:
        good = tr("I confirm that the good parts are good, and that what was left out is not.")
    bundle = tr(
        "I release reference bundle {bundle} for program {program}, camera {camera}.",
        bundle=facts.bundle_id,
        program=facts.program,
        camera=facts.camera,
    )
    return f"{good} {bundle}"


def _calibration_scores(facts: CalibrationFacts, values: list[float]) -> Chart:
    defective = facts.defective.scores if facts.defective else ()
    return score_histogram(values, facts.limit, facts.review_from, defective)


def write_run_report(path: Path, *, facts: RunFacts) -> None:
    """Write what became of every part of a run or a replay.

    Raises OSError if the file cannot be written; a report that was there before then still stands.
    """
    scale = _scale(facts.pictures)
    latencies_ms = [part.latency_ms for part in facts.parts if part.latency_ms is not None]
    rows = _rows_to_show(facts.parts)
    write_page(
        path,
        "run.html.j2",
        facts=facts,
        verdicts=[(verdict, sum(part.verdict is verdict for part in facts.parts)) for verdict in Verdict],
        tally=reason_counts(facts.parts),
        confusion=Confusion.of(facts.parts),
        latency=Latency.of(latencies_ms),
        latency_chart=latency_histogram(latencies_ms, facts.deadline_ms) if latencies_ms else None,
        score_chart=score_strip(facts.parts) if any(_share(part) is not None for part in facts.parts) else None,
        rows=rows,
        has=_columns(rows),
        all_in_time=bool(facts.parts) and all(part.published is Published.PUBLISHED for part in facts.parts),
        is_gate_watched=any(part.gate for part in facts.parts),
        gate_differs=sum(bool(p.gate) and p.is_let_through is not (p.verdict is Verdict.PASS) for p in facts.parts),
        views=views(facts.pictures, scale),
        scale=scale,
    )


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template, everything from outside escaped, and write it whole or not at all. Raises OSError."""
    html = _environment().get_template(template).render(**values)
    write_durably(path, html.encode("utf-8", "backslashreplace"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent, share=_share, css=_css)
    speak(environment)
    environment.filters.update(local=in_local_time, utc=in_utc)
    environment.globals.update(
        css=_css,
        mistake=_mistake,
        detail=_detail,
        reason_words=REASON_WORDS,
        published_words=PUBLISHED_WORDS,
        not_told=NOT_TOLD,
        heat_scale=heat_scale,
    )
    return environment


def _css(text: str) -> Markup:
    """A text as a CSS string: every character that could end it, or the style element, is an escape."""
    plain = printable(text)
    return Markup('"' + "".join(c if c.isalnum() or c == " " else f"\\{ord(c):06x}" for c in plain) + '"')  # noqa: S704


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "-"
    if not math.isfinite(value):
        return tr("not finite")
    is_whole = 10**digits <= abs(value) < _LONGEST_PLAIN  # 1050, not 1.05e+03
    return f"{value:.0f}" if is_whole else f"{value:.{digits}g}"


def _percent(value: float) -> str:
    return f"{value * 100:.3g} %"


def _share(part: PartFact) -> float | None:
    """Score over limit, None where that says nothing."""
    if part.score is None or not part.limit or not math.isfinite(part.score) or not math.isfinite(part.limit):
        return None
    return part.score / part.limit


def _detail(part: PartFact) -> str:
    """What is to be said of a part beside its reason. That its score is above the limit stands in a column already."""
    if part.reason is not Reason.SCORE or part.score is None or _ABOVE not in part.detail:
        return part.detail
    _, seen, where = part.detail.partition(", seen in ")
    return f"seen in {where}" if seen else ""


def _mistake(part: PartFact) -> str:
    """``miss``, ``false-reject`` or nothing."""
    if part.is_defective is None or part.is_defective is not part.is_let_through:
        return ""
    return "miss" if part.is_defective else "false-reject"


def _rows_to_show(parts: tuple[PartFact, ...]) -> list[PartFact]:
    """All parts; of very many the mistakes, then those that did not pass, then those nearest to the limit; in order."""
    if len(parts) <= _MOST_ROWS:
        return list(parts)

    def worth(i: int) -> tuple[bool, bool, float, int]:
        return not _mistake(parts[i]), parts[i].verdict is Verdict.PASS, -(_share(parts[i]) or 0.0), i

    return [parts[i] for i in sorted(sorted(range(len(parts)), key=worth)[:_MOST_ROWS])]


def _columns(rows: list[PartFact]) -> dict[str, bool]:
    """Which columns have anything in them."""
    return {
        "part_seq": any(row.part_seq is not None for row in rows),
        "label": any(row.label for row in rows),
        "count": any(row.count is not None for row in rows),
        "latency": any(row.latency_ms is not None for row in rows),
        "truth": any(row.truth or row.is_defective is not None for row in rows),
        "gate": any(row.gate and row.is_let_through is not (row.verdict is Verdict.PASS) for row in rows),
        "published": any(row.published not in (None, Published.PUBLISHED) for row in rows),
    }


def _scale(pictures: tuple[PartPictures, ...]) -> MapScale:
    return MapScale.of([row.anomaly_map for row in pictures if row.anomaly_map is not None])
