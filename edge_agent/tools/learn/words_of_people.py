"""Who said what of a part, and in which event: beside the word that stands, which ``store/scored`` alone tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_agent.inspection.bundle.learned import Word, plain
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["alone", "words_by_part"]


def words_by_part(journals: Iterable[Path]) -> dict[int, tuple[Word, ...]]:
    """Every review that can be read, by part, in the order in which they were said. ``journals``: the newest first.

    Raises DataError for a journal that cannot be read.
    """
    found: dict[int, list[Word]] = {}
    for path in reversed(list(journals)):
        with JournalSearch.open(path) as journal:
            origin = journal.origin()[0]
            for event in journal.events_between(0, journal.newest_event(), "REVIEW"):
                told = _told(event.detail)
                if told is not None:
                    part_seq, by, says = told
                    found.setdefault(part_seq, []).append(
                        Word(plain(origin), event.event_id, plain(by), plain(says)[:64])
                    )
    return {part_seq: tuple(words) for part_seq, words in found.items()}


def alone(parts: Iterable[tuple[Word, ...]]) -> dict[str, int]:
    """Of how many of these parts only one person said what stands, by the person, who said most first."""
    counts: dict[str, int] = {}
    for words in parts:
        standing = {word.by for word in words if word.says == words[-1].says} if words else set()
        if len(standing) == 1:
            (by,) = standing
            counts[by] = counts.get(by, 0) + 1
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _told(detail: str) -> tuple[int, str, str] | None:
    """None for a review that another version wrote, which nobody here can read."""
    try:
        said = json.loads(detail)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    part_seq, by, says = said.get("part_seq"), said.get("by"), said.get("says")
    if isinstance(part_seq, int) and isinstance(by, str) and isinstance(says, str) and says:
        return part_seq, by, says
    return None
