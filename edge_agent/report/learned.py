"""The report of a bundle that learned: what is worse first, both bundles by figure, and the parts that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.report.html import write_page
from edge_agent.report.phrases import said
from edge_agent.report.pictures import MapScale, views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.report.agreement import Rate
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = ["DefectRow", "FigureRow", "LearnedFacts", "write_learned_report"]


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A figure by both bundles, in the reader's words."""

    name: str
    before: str
    after: str
    is_worse: bool


@dataclass(frozen=True, slots=True)
class DefectRow:
    """A known defect: what people said, its score as a share of both limits (None: no score), and what both say.

    ``is_lost``: it is found today and would pass.
    """

    part: str
    says: str
    before: float | None
    after: float | None
    is_found_before: bool
    is_found: bool
    is_lost: bool


@dataclass(frozen=True, slots=True)
class LearnedFacts:
    """All that the report says. ``people`` called so many of the added parts good.

    ``own_good``: how many of the added parts pass by the score of an inspection that had not learned them, and of how
    many. ``of_passes``: how much of what passes today would be rejected; None where nothing passed.
    """

    head: Head
    versions: Mapping[str, str]
    parent: str
    bundle: str
    added: tuple[int, ...]
    people: tuple[tuple[str, int], ...]
    own_good: tuple[int, int]
    figures: tuple[FigureRow, ...]
    defects: tuple[DefectRow, ...]
    both_pass: int
    both_reject: int
    to_reject: int
    to_pass: int
    of_passes: Rate | None
    not_counted: tuple[tuple[str, int], ...]
    hours: float
    pictures: tuple[PartPictures, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[FigureRow, ...]:
        """Those figures that are worse than today."""
        return tuple(one for one in self.figures if one.is_worse)

    @property
    def said_notes(self) -> tuple[str, ...]:
        """The notes in the reader's language."""
        return tuple(map(said, self.notes))


def write_learned_report(path: Path, facts: LearnedFacts) -> None:
    """Write it, whole or not at all. Raises OSError."""
    scale = MapScale.of([row.anomaly_map for row in facts.pictures if row.anomaly_map is not None])
    write_page(path, "learned.html.j2", facts=facts, views=views(facts.pictures, scale), scale=scale)
