"""What a bundle did on a line lately, out of the counts that stay and of what people said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from edge_agent.fleet.database import review, tally
from edge_agent.fleet.rows import OVERTURNED, SAID_ESCAPE
from edge_agent.fleet.rules import Counts

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["NEWEST_ROWS", "counts_of"]

NEWEST_ROWS = 750
"""Of the counts by hour and kind: 250 hours of work. A year of fifty lines would take the writer half of its time."""


def counts_of(connection: Connection, line_id: int, bundle_id: str) -> Counts:
    """Parts of the newest 250 hours or more in which the bundle judged there, and what people said in that time.

    Parts that no bundle is at fault for are in no number.
    """
    newest = (
        select(tally.c.hour, tally.c.kind, tally.c.number)
        .where(tally.c.line_id == line_id, tally.c.bundle_id == bundle_id)
        .order_by(tally.c.hour.desc(), tally.c.kind)
        .limit(NEWEST_ROWS)
        .subquery()
    )
    query = select(newest.c.kind, func.sum(newest.c.number), func.min(newest.c.hour)).group_by(newest.c.kind)
    found = {str(kind): (int(number), int(hour)) for kind, number, hour in connection.execute(query)}
    if not found:
        return Counts(0, 0)
    said_query = (
        select(review.c.says, func.count())
        .where(review.c.line_id == line_id, review.c.bundle_id == bundle_id)
        .where(review.c.hour >= min(hour for _, hour in found.values()))
        .group_by(review.c.says)
    )
    said = {str(says): int(number) for says, number in connection.execute(said_query)}
    passed, rejected = (found.get(kind, (0, 0))[0] for kind in ("pass", "reject"))
    return Counts(passed + rejected, rejected, said.get(OVERTURNED, 0), said.get(SAID_ESCAPE, 0))
