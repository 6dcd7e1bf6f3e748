"""The report of the demonstration: what the gate did with each part, against what the part really was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.domain import Reason
from edge_agent.report.facts import PartFact, RunFacts
from edge_agent.report.html import write_run_report
from edge_agent.report.phrases import said
from edge_agent.report.seen import score_words, seen_part
from edge_agent.report.subject import identity, versions
from edge_agent.report.tally import Confusion
from edge_agent.wording import tr, trn

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head
    from edge_agent.tools.demo.plan import DemoPlan
    from edge_agent.tools.demo.result import DemoPart

__all__ = ["write_demo_report"]

_PICTURES = 12


def write_demo_report(path: Path, plan: DemoPlan, parts: list[DemoPart], inspector: Inspector) -> None:
    """Write the demonstration's report, with the pictures of its most telling parts, to ``path``. Raises OSError."""
    facts = tuple(_fact(part) for part in parts)
    write_run_report(
        path,
        facts=RunFacts(
            head=replace(_head(parts, facts, inspector), paper=plan.paper),
            simulated=True,
            versions=versions(),
            parts=facts,
            pictures=tuple(_pictures(part, inspector) for part in _most_telling(parts)),
            deadline_ms=plan.deadline_ms,
            latency_words=tr("from the first sign of the part to its verdict on the wire"),
            notes=(
                tr(
                    "Rendered zipper cursors, {parts} parts, {defective} of them defective; calibrated from {good} "
                    "other good ones.",
                    parts=plan.parts,
                    defective=plan.defective,
                    good=plan.good,
                ),
            ),
        ),
    )


def _head(parts: list[DemoPart], facts: tuple[PartFact, ...], inspector: Inspector) -> Head:
    counted = Confusion.of(facts) or Confusion(0, 0, 0, 0)
    escaped = [part.truth.index for part in parts if part.truth.is_escape]
    unwritten = sum(part.row is None for part in parts)
    times = [part.row.decided_utc for part in parts if part.row]
    found = tr(
        "The gate held back {stopped} of {defective} defective parts and let through {passed} of {good} good ones",
        stopped=counted.defective_stopped,
        defective=counted.defective,
        passed=counted.good_passed,
        good=counted.good,
    )
    to_do = [
        tr(
            "Nothing on a real line: this one was simulated, and its parts are rendered. Measure on your own parts "
            "before you believe a figure: edge-agent init --simulated shows how a line is set up."
        )
    ]
    late = sum(part.is_late for part in parts)
    if late:
        to_do.insert(
            0,
            trn(
                "{n} part was not judged in time: something else runs on this PC, or --spacing-ms is short.",
                "{n} parts were not judged in time: something else runs on this PC, or --spacing-ms is short.",
                late,
            ),
        )
    if escaped:
        named = ", ".join(map(str, escaped[:20]))
        to_do.insert(0, tr("Look at part {names} below: defective, or never imaged, and let through.", names=named))
    if unwritten:
        found = tr("{found}; parts without a row in the journal: {number}", found=found, number=unwritten)
        to_do.insert(0, tr("Read agent.log beside this file: every part must have its row."))
    return replace(
        identity(None, [inspector.bundle]),
        title=tr("Demonstration line"),
        line=tr("demo (simulated)"),
        from_utc=min(times, default=""),
        to_utc=max(times, default=""),
        tone="bad" if escaped or unwritten else "note" if counted.good_stopped > counted.good // 10 else "good",
        result=found,
        to_do=tuple(to_do),
    )


def _fact(part: DemoPart) -> PartFact:
    row = part.row
    return PartFact(
        part_seq=row.part_seq if row else None,
        verdict=part.verdict,
        reason=row.reason if row else Reason.NO_ANSWER,
        count=row.count if row else None,
        detail=row.detail if row else "",
        score=row.score if row else None,
        limit=row.limit if row else None,
        latency_ms=part.latency_ms if row else None,
        is_defective=part.is_defective,
        truth=said(part.words),
        gate="passed" if part.truth.is_let_through else "rejected",
        published=part.publication.published if part.publication else None,
    )


def _most_telling(parts: list[DemoPart]) -> list[DemoPart]:
    """Defects nearest to the limit first, then the good parts nearest to it."""
    scored = [part for part in parts if part.row is not None and part.row.score is not None]
    by_score = sorted(scored, key=lambda part: (part.row.score if part.row else None) or 0.0)
    defects = [part for part in by_score if part.is_defective]
    good = [part for part in reversed(by_score) if not part.is_defective]
    return defects[: _PICTURES * 2 // 3] + good[: _PICTURES // 3]


def _pictures(part: DemoPart, inspector: Inspector) -> PartPictures:
    row = part.row
    caption = tr("no row") if row is None else f"{row.verdict}: {score_words(row.reason, row.score, row.limit)}"
    return seen_part(
        inspector,
        part.image,
        label=tr("part {part}: {words}", part=part.truth.index, words=said(part.words)),
        caption=caption,
        is_wrong=part.is_defective is part.truth.is_let_through,
    )
