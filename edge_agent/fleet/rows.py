"""A line's parts and events, written once however often they come; and the counts that grow with them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import and_, select, update

from edge_agent.errors import DataError
from edge_agent.files.strict_json import strict_json
from edge_agent.fleet.database import events, forgotten, part, review, tally
from edge_agent.fleet_line.messages import BODY_MAX_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

__all__ = ["OVERTURNED", "SAID_ESCAPE", "Added", "Rows", "kind_of", "take"]

OVERTURNED, SAID_ESCAPE = "OVERTURNED", "ESCAPE"
"""What a review says of a good part that was rejected, and of a defect that passed (``edge_agent.store.scored``)."""
_BY_INSPECTION = frozenset({"SCORE", "ALIGN", "NOT_FINITE", "LIGHT", "FOCUS"})
"""Reasons that a bundle can be at fault for. A cable, the clock or the controller are none of them."""
_DETAIL_MOST = 4000
"""Of an event, as it is kept."""
_Journal = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Number = Annotated[int, Field(ge=1, lt=2**62)]
_NO_NUL = r"^[^\x00]*$"
_Word = Annotated[str, Field(max_length=32, pattern=_NO_NUL)]
_Text = Annotated[str, Field(max_length=64, pattern=_NO_NUL)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    journal: _Journal


class PartSaid(_Row):
    """A part, as docs/results.md has it; what the fleet does not use is not looked at."""

    part_seq: _Number
    decided_utc: _Word
    verdict: Annotated[str, Field(max_length=16, pattern=_NO_NUL)]
    reason: _Word
    published: _Word | None = None
    bundle_id: _Text | None = None
    program: Annotated[int, Field(ge=0, le=9999)] | None = None
    score: float | str | None = None
    limit: float | str | None = None


class EventSaid(_Row):
    """Something that happened to the agent."""

    event_id: _Number
    kind: _Text
    detail: str
    at_utc: _Word


class Rows(BaseModel):
    """One POST of a line. Its own word on its name is not looked at: the secret says who it is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Annotated[int, Field(ge=1, le=1)]
    parts: Annotated[tuple[PartSaid, ...], Field(max_length=1000)]
    events: Annotated[tuple[EventSaid, ...], Field(max_length=1000)]


class Added(BaseModel):
    """What was new of a POST: parts by kind; reviews; how many had come before."""

    model_config = ConfigDict(frozen=True)

    kinds: dict[str, int]
    known: int
    reviewed: bool


def kind_of(verdict: str, reason: str) -> str:
    """``pass``, ``reject`` by the inspection, or ``other``: rejected, and no bundle is at fault."""
    if verdict == "PASS":
        return "pass"
    return "reject" if reason in _BY_INSPECTION else "other"


def take(connection: Connection, line_id: int, rows: Rows) -> Added:
    """Write what is new of them, within the transaction of ``connection``.

    Raises DataError, and writes nothing, for a part that is another one than the same number of this journal was: an
    older copy of the journal was put in place by hand, or two PCs speak as one line. Not counting it would be silent.
    """
    now = time.time()
    parts = {(one.journal, one.part_seq): one for one in rows.parts}
    known = _known(connection, part, part.c.part_seq, line_id, parts)
    _refuse_others(connection, line_id, [parts[key] for key in known])
    new = [one for key, one in parts.items() if key not in known]
    if new:
        connection.execute(part.insert(), [_part(line_id, one, now) for one in new])
    counts = Counter((one.bundle_id or "", kind_of(one.verdict, one.reason)) for one in new)
    for (bundle_id, kind), number in counts.items():
        key = {"line_id": line_id, "hour": int(now // 3600), "bundle_id": bundle_id, "kind": kind}
        _count(connection, key, number)
    told = {(one.journal, one.event_id): one for one in rows.events}
    known_events = _known(connection, events, events.c.event_id, line_id, told)
    new_events = [one for key, one in told.items() if key not in known_events]
    if new_events:
        connection.execute(events.insert(), [_event(line_id, one, now) for one in new_events])
    reviewed = [_reviewed(connection, line_id, one, now) for one in new_events if one.kind == "REVIEW"]
    kinds: Counter[str] = Counter()
    for (_, kind), number in counts.items():
        kinds[kind] += number
    return Added(kinds=dict(kinds), known=len(rows.parts) - len(new), reviewed=any(reviewed))


def _known(
    connection: Connection, table: Table, number: Any, line_id: int, said: dict[tuple[str, int], Any]
) -> set[Any]:
    found: set[Any] = set()
    for journal in {journal for journal, _ in said}:
        numbers = [one for of, one in said if of == journal]
        query = select(number).where(and_(table.c.line_id == line_id, table.c.journal == journal, number.in_(numbers)))
        found |= {(journal, one) for (one,) in connection.execute(query)}
        where = and_(forgotten.c.line_id == line_id, forgotten.c.journal == journal, forgotten.c.what == table.name)
        gone_to = connection.execute(select(forgotten.c.to_number).where(where)).scalar() or 0
        found |= {(journal, one) for one in numbers if one <= gone_to}
    return found


def _refuse_others(connection: Connection, line_id: int, again: list[PartSaid]) -> None:
    """Raise DataError for a part that comes again and is not what it was."""
    for one in again:
        query = select(part.c.decided_utc, part.c.verdict).where(
            part.c.line_id == line_id, part.c.journal == one.journal, part.c.part_seq == one.part_seq
        )
        found = connection.execute(query).first()  # none: it went with time
        if found is not None and tuple(found) != (one.decided_utc, one.verdict):
            raise DataError(
                f"part {one.part_seq} was told before, and otherwise: was an older copy of the journal put in place, "
                "or does another PC speak as this line?"
            )


def _part(line_id: int, one: PartSaid, now: float) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "journal": one.journal,
        "part_seq": one.part_seq,
        "decided_utc": one.decided_utc,
        "verdict": one.verdict,
        "reason": one.reason,
        "published": one.published,
        "bundle_id": one.bundle_id or "",
        "program": one.program,
        "score": _figure(one.score),
        "score_limit": _figure(one.limit),
        "got_s": now,
    }


def _figure(value: float | str | None) -> float | None:
    """A score that was infinite comes as its name."""
    return value if isinstance(value, float) else None


def _event(line_id: int, one: EventSaid, now: float) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "journal": one.journal,
        "event_id": one.event_id,
        "kind": one.kind,
        # PostgreSQL holds no NUL in a text.
        "detail": one.detail[:_DETAIL_MOST].replace("\0", " "),
        "at_utc": one.at_utc,
        "got_s": now,
    }


def _count(connection: Connection, key: dict[str, Any], number: int) -> None:
    where = and_(*(tally.c[name] == value for name, value in key.items()))
    if connection.execute(update(tally).where(where).values(number=tally.c.number + number)).rowcount == 0:
        connection.execute(tally.insert().values(**key, number=number))


class _Review(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    part_seq: _Number
    says: _Word


def _reviewed(connection: Connection, line_id: int, told: EventSaid, now: float) -> bool:
    """Note what a person said of a part; the last word stands.

    False for words that nobody here can read, or of a part that is not known here.
    """
    try:
        # Whole, not as it is kept: a review with a drawing of the defect is longer.
        said = _Review.model_validate(strict_json(told.detail, most_bytes=BODY_MAX_BYTES))
    except (ValueError, ValidationError):
        return False
    of_line = select(part.c.journal, part.c.bundle_id).where(
        part.c.line_id == line_id, part.c.part_seq == said.part_seq
    )
    found = connection.execute(of_line.where(part.c.journal == told.journal)).first()
    if found is None:  # the journal was rotated between the part and its review
        # By the server's clock, as nothing else tells which journal came later. Where it was set back between two
        # journals that both have this number, the review is counted for the bundle of the other one.
        found = connection.execute(of_line.order_by(part.c.got_s.desc())).first()
    if found is None:
        return False
    journal, bundle_id = found
    key = {"line_id": line_id, "journal": journal, "part_seq": said.part_seq}
    values = {"says": said.says, "bundle_id": bundle_id, "hour": int(now // 3600)}
    where = and_(*(review.c[name] == value for name, value in key.items()))
    if connection.execute(update(review).where(where).values(**values)).rowcount == 0:
        connection.execute(review.insert().values(**key, **values))
    return True
