"""Which parts count as known good and known defective: what is disputed counts as neither, across rotated journals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_agent.store.journal import Journal
from edge_agent.store.rotation import rotate
from edge_agent.store.scored import BAD, GOOD, reviews_of
from tests.security.web_site import reject_row, written

if TYPE_CHECKING:
    from pathlib import Path


async def told(path: Path, *words: tuple[int, str, str, str | None]) -> None:
    """These reviews, one after the other; without a role where nobody proved the name."""
    journal = Journal.open(path)
    for seq, by, says, role in words:
        signed = {} if role is None else {"role": role}
        await journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": by, "note": "", **signed}))
    journal.close()


async def test_a_disputed_part_counts_as_neither_good_nor_defective(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await written(path, [reject_row(seq) for seq in range(1, 5)])
    await told(
        path,
        (1, "Lin", "CONFIRMED", "operator"),
        (2, "Lin", "CONFIRMED", "operator"),
        (2, "Ada", "OVERTURNED", "engineer"),
        (3, "Lin", "CONFIRMED", "operator"),
        (3, "Lin", "OVERTURNED", "operator"),
    )
    found = reviews_of(path)
    assert (found.of(BAD), found.of(GOOD), found.disputed) == ([1], [3], {2})
    assert 2 not in found.said
    assert [word.by for word in found.words[2]] == ["Lin", "Ada"]


async def test_a_dispute_that_began_before_the_journal_was_rotated_is_decided_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await written(path, [reject_row(1), reject_row(2)])
    await told(
        path,
        (1, "Lin", "CONFIRMED", "operator"),
        (2, "Lin", "CONFIRMED", "operator"),
    )
    rotate(path, by="Ada")
    await told(path, (1, "Ada", "OVERTURNED", "engineer"), (2, "Lin", "OVERTURNED", "operator"))
    assert reviews_of(path).disputed == {1}
    assert reviews_of(path).of(GOOD) == [2], "her last word, in the newer journal"
    await told(path, (1, "Quinn", "CONFIRMED", "quality"))
    assert (reviews_of(path).of(BAD), reviews_of(path).disputed) == ([1], frozenset())
