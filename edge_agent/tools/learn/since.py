"""What people have said since a bundle learned from the line: of its own good parts, and of defects it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.store.reader import NoJournalYet
from edge_agent.store.scored import BAD, GOOD, reviews_of
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_agent.inspection.bundle.learned import Learned
    from edge_agent.store.scored import Reviews

__all__ = ["listed_parts", "said_since"]

_NAMED = 10


def said_since(journal: Path, learned: Learned, *, program: int, camera: int, without: frozenset[str]) -> list[str]:
    """What speaks against the bundle by now, in words; nothing where it learned from another line's journals.

    ``without`` are the sha256 of images that it left out. Raises DataError for a journal that cannot be read.
    """
    try:
        reviews = reviews_of(journal)
    except NoJournalYet:
        return []
    origins = set()
    for path in reviews.journals:
        with JournalSearch.open(path) as search:
            origins.add(search.origin()[0])
    if not any(word.journal in origins for part in (*learned.added, *learned.defects) for word in part.words):
        return []
    doubted = [int(part.part) for part in learned.added if reviews.said.get(int(part.part)) not in GOOD]
    tried = {part.part for part in learned.defects}
    untried = [seq for seq in reviews.of(BAD) if str(seq) not in tried and seq not in doubted]
    untried = [seq for seq in untried if _is_of(reviews, seq, program, camera, without)]
    said = []
    if doubted:
        said.append(
            f"parts that it learned as good, and that people do not call good any more: {listed_parts(doubted)}"
        )
    if untried:
        said.append(f"known defects that it was not tried with: {listed_parts(untried)}")
    return said


def _is_of(reviews: Reviews, seq: int, program: int, camera: int, without: frozenset[str]) -> bool:
    for path in reviews.journals:
        with JournalSearch.open(path) as search:
            row = search.part(seq)
        if row is not None:
            images = [one.image_sha256 for one in row.cameras if one.camera == camera]
            return row.program == program and any(sha256 not in without for sha256 in images)
    return False


def listed_parts(parts: Iterable[int]) -> str:
    """How many there are, and the newest of them by number."""
    ordered = sorted(parts, reverse=True)
    return f"{len(ordered)} ({', '.join(map(str, ordered[:_NAMED]))}{', ...' * (len(ordered) > _NAMED)})"
