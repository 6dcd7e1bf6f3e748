"""Who said what of a part, and in which event: beside the word that stands, which ``store/scored`` alone tells."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from edge_agent.inspection.bundle.learned import Word, plain
from edge_agent.reviews.settling import settle
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge_agent.reviews.settling import Word as Said

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


def alone(parts: Iterable[Sequence[Said]]) -> dict[str, int]:
    """Of how many of these parts only one person says what stands, by the person, who says it of most first.

    Of each part all words, in the order in which they were said.
    """
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for words in parts:
        standing = settle(words)
        agree = [word for word in standing.words if word.says == standing.says]
        if len(agree) == 1:
            counts[agree[0].person] += 1
            names[agree[0].person] = plain(agree[0].by)
    return {names[person]: number for person, number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))}


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
