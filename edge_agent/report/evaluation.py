"""The report of an evaluation: methods side by side, curves, histograms, and what a method saw in single parts."""

from __future__ import annotations

from dataclasses import dataclass
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
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = [
    "EvaluationFacts",
    "LearningPoint",
    "MethodFacts",
    "SetFacts",
    "SetsFacts",
    "write_evaluation_report",
    "write_sets_report",
]


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """One method: its row of the table, and the raw scores of its first trial in the order of the test images."""

    title: str
    cells: tuple[str, ...]
    scores: tuple[float, ...]
    limit: float | None


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """One method with so many training images: mean AUC and its standard deviation over draws, in percent."""

    title: str
    train_images: int
    auc: float
    auc_sd: float | None


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    """All that an evaluation report says.

    ``published`` rows are method, AUC, AP and source, as words. ``latent`` and ``embedding`` are coordinates (n, 2) of
    the test images. ``shown_method`` is whose parts are shown. ``drift`` has a row a method and disturbance, as words.
    """

    head: Head
    versions: Mapping[str, str]
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    methods: tuple[MethodFacts, ...]
    is_defective: tuple[bool, ...]
    published: tuple[tuple[str, str, str, str], ...] = ()
    published_note: str = ""
    learning: tuple[LearningPoint, ...] = ()
    verdicts: tuple[str, ...] = ()
    drift_columns: tuple[str, ...] = ()
    drift: tuple[tuple[str, ...], ...] = ()
    shown_method: str = ""
    parts: tuple[PartPictures, ...] = ()
    latent: NDArray[np.float64] | None = None
    embedding: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SetFacts:
    """One of several data sets: what was measured, in words, and where its own report lies, as a relative path."""

    dataset: str
    report: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetsFacts:
    """All that the report of several data sets says. Each of ``rows`` has a cell a column; the first is the set."""

    head: Head
    versions: Mapping[str, str]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sets: tuple[SetFacts, ...]


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
