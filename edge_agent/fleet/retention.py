"""Rows that are older than a fleet keeps them go, a few at a time; the counts that they made stay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, select, update

from edge_agent.fleet.database import events, forgotten, part

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["forget_old"]

_AT_ONCE = 2000


def forget_old(connection: Connection, keep_days: int) -> bool:
    """Remove some of what is older than so many days; whether there may be more."""
    before_s, more = time.time() - keep_days * 86_400.0, False
    for table, number in ((part, part.c.part_seq), (events, events.c.event_id)):
        oldest = connection.execute(
            select(table.c.line_id, table.c.journal, number).where(table.c.got_s < before_s).limit(_AT_ONCE)
        ).all()
        by_journal: dict[tuple[int, str], list[int]] = {}
        for line_id, journal, seq in oldest:
            by_journal.setdefault((line_id, journal), []).append(seq)
        for (line_id, journal), seqs in by_journal.items():
            where = and_(table.c.line_id == line_id, table.c.journal == journal, number.in_(seqs))
            connection.execute(delete(table).where(where))
            _note(connection, {"line_id": line_id, "journal": journal, "what": table.name}, max(seqs))
        more = more or len(oldest) == _AT_ONCE
    return more


def _note(connection: Connection, key: dict[str, Any], to_number: int) -> None:
    """A line that lost its place sends a journal from its beginning: what is gone here must not count a second time."""
    where = and_(*(forgotten.c[name] == value for name, value in key.items()))
    before = connection.execute(select(forgotten.c.to_number).where(where)).scalar()
    if before is None:
        connection.execute(forgotten.insert().values(**key, to_number=to_number))
    elif before < to_number:
        connection.execute(update(forgotten).where(where).values(to_number=to_number))
