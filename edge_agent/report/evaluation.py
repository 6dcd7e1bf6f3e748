"""The report of an evaluation: methods side by side, curves, histograms, and what a method saw in single parts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from edge_agent.report.evaluation_figures import (
    learning_chart,
    neighbourhood_chart,
    precision_recall_chart,
    roc_chart,
    scores_chart,
)
from edge_agent.report.html import write_page
from edge_agent.report.pictures import MapScale, views

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.report.evaluation_facts import EvaluationFacts, SetsFacts

__all__ = ["write_evaluation_report", "write_sets_report"]


def write_sets_report(path: Path, *, facts: SetsFacts) -> None:
    """Write how methods compare on several data sets. Raises OSError if the file cannot be written."""
    reports = [(one, quote(one.report)) for one in facts.sets]
    write_page(path, "evaluation_sets.html.j2", facts=facts, reports=reports)


def write_evaluation_report(path: Path, *, facts: EvaluationFacts) -> None:
    """Write how the methods compare. Raises OSError if the file cannot be written."""
    scale = MapScale.of([part.anomaly_map for part in facts.parts if part.anomaly_map is not None])
    curves = [(method.title, method.scores) for method in facts.methods]
    write_page(
        path,
        "evaluation.html.j2",
        facts=facts,
        roc=roc_chart(curves, facts.is_defective),
        precision_recall=precision_recall_chart(curves, facts.is_defective),
        histograms=[(m.title, scores_chart(m.scores, m.limit, facts.is_defective)) for m in facts.methods],
        learning_chart=learning_chart(facts.learning) if facts.learning else None,
        neighbourhoods=[
            (words, neighbourhood_chart(points, facts.is_defective))
            for words, points in (
                ("the autoencoder's latent codes, of all patches one after the other", facts.latent),
                ("the embedding of the anomaly map, pooled as in the paper", facts.embedding),
            )
            if points is not None
        ],
        views=views(facts.parts, scale),
        scale=scale,
    )
