"""The page of one part: what was decided, why, in words and numbers, and its pictures. To be printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.domain import Published, Verdict
from edge_agent.report.html import write_page
from edge_agent.report.phrases import sentence
from edge_agent.report.pictures import MapScale, views
from edge_agent.report.words import REASON_WORDS
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.domain import Reason
    from edge_agent.report.drawn import Drawn
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = ["PartPage", "statement_of", "write_part_page"]

_VERDICTS = {
    Verdict.PASS: mark("The part passed."),
    Verdict.REJECT: mark("The part was rejected."),
    Verdict.FAULT: mark("The part was not judged, and so it was rejected."),
}
_TOLD = {
    Published.PUBLISHED: mark("The verdict was written to the output in time."),
    Published.LATE: mark("The verdict came too late for the output: REJECT stood there."),
    Published.FAILED: mark("The output could not be written: REJECT is what it falls back to."),
    Published.WITHHELD: mark("The verdict did not go to the output: REJECT stood there."),
    None: mark("The journal does not tell what became of the verdict at the output."),
}


@dataclass(frozen=True, slots=True)
class PartPage:
    """All that the page says. ``facts`` are names and values in their order; ``pictures`` has one for each camera."""

    head: Head
    verdict: Verdict
    reason: Reason
    published: Published | None
    simulated: bool
    facts: tuple[tuple[str, str], ...]
    reviews: tuple[str, ...]
    drawn: tuple[Drawn, ...]
    pictures: tuple[PartPictures, ...]
    versions: Mapping[str, str]

    @property
    def statement(self) -> str:
        """What its head says, in the language that is spoken when it is asked for."""
        return statement_of(self.verdict, self.reason, self.published)


def statement_of(verdict: Verdict, reason: Reason, published: Published | None) -> str:
    """Verdict, reason and what the output was told, as sentences."""
    return " ".join((tr(_VERDICTS[verdict]), sentence(tr(REASON_WORDS[reason])), tr(_TOLD[published])))


def write_part_page(path: Path, facts: PartPage) -> None:
    """Write it, whole or not at all. Raises OSError."""
    scale = MapScale.of([part.anomaly_map for part in facts.pictures if part.anomaly_map is not None])
    write_page(path, "part.html.j2", facts=facts, views=views(facts.pictures, scale), scale=scale)
