"""The page of a calibration that stopped: parts among the good ones that a person has to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.report.html import write_page
from edge_agent.report.pictures import MapScale, views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head

__all__ = ["DoubtFacts", "write_doubts"]


@dataclass(frozen=True, slots=True)
class DoubtFacts:
    """All that the page says. ``suspects`` have a picture and a map each; ``usual`` is a good part beside them.

    ``leave_out`` and ``keep`` are what to give for each of the suspects, as it is typed, in their order.
    """

    head: Head
    suspects: tuple[PartPictures, ...]
    leave_out: tuple[str, ...]
    keep: tuple[str, ...]
    usual: PartPictures
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()


def write_doubts(path: Path, facts: DoubtFacts) -> None:
    """Write the page, whole or not at all. Raises OSError."""
    maps = [row.anomaly_map for row in (*facts.suspects, facts.usual) if row.anomaly_map is not None]
    scale = MapScale.of(maps)
    write_page(
        path,
        "doubts.html.j2",
        facts=facts,
        rows=list(zip(views(facts.suspects, scale), facts.leave_out, facts.keep, strict=True)),
        usual=views([facts.usual], scale)[0],
        scale=scale,
    )
