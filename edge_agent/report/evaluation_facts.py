"""What the reports of an evaluation say, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = ["EvaluationFacts", "LearningPoint", "MethodFacts", "SetFacts", "SetsFacts"]


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
