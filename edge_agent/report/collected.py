"""The list of collected good parts: a picture of each, for a person to say which of them is not good after all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.report.html import write_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.report.head import Head

__all__ = ["CollectedFacts", "CollectedPart", "write_collected"]


@dataclass(frozen=True, slots=True)
class CollectedPart:
    """One image. ``picture`` is a data URI, or None; ``said`` is its quality, or why it was refused."""

    name: str
    said: str
    picture: str | None


@dataclass(frozen=True, slots=True)
class CollectedFacts:
    """Everything that the list of collected images shows: parts taken, parts refused, versions."""

    head: Head
    taken: tuple[CollectedPart, ...]
    refused: tuple[CollectedPart, ...]
    versions: Mapping[str, str]


def write_collected(path: Path, facts: CollectedFacts) -> None:
    """Write the list, whole or not at all. Raises OSError."""
    write_page(path, "collected.html.j2", facts=facts)
