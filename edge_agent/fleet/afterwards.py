"""A bundle that went to all lines is watched for some days more, and goes back if it turns out to be worse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, select, update

from edge_agent.fleet.counting import counts_of
from edge_agent.fleet.database import act, line, promotion_line
from edge_agent.fleet.promoting import ALL, DONE, STOPPED, Promoted, promotions, set_promotion, sign_act
from edge_agent.fleet.rules import FIRST_LOOK, LEAST_PARTS, Counts, Found, after_all, in_use, next_look
from edge_agent.fleet_line.messages import words

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

__all__ = ["WATCHED_FOR", "watch"]

WATCHED_FOR = timedelta(days=7)
"""After the last stage: what people find out about parts that passed, they find out days later."""
_TOGETHER = "after"
"""In the place of a stage: when all lines together are looked at the next time."""


def watch(connection: Connection, now: datetime) -> bool:
    """Look at every promotion that is done and is the newest of its place; whether anything has changed."""
    changed, newest = False, set()
    for one in promotions(connection):
        place = (one.program, one.camera)
        if one.stage != ALL or one.status == STOPPED or place in newest:
            continue
        newest.add(place)
        if one.status == DONE:
            changed = _watched(connection, one, now) or changed
    return changed


def _watched(connection: Connection, one: Promoted, now: datetime) -> bool:
    acts = dict(
        connection.execute(
            select(act.c.what, act.c.at_utc).where(act.c.promotion_id == one.promotion_id).order_by(act.c.act_id)
        ).all()
    )
    if "done" not in acts or "watched" in acts:
        return False
    until = datetime.fromisoformat(acts["done"]) + WATCHED_FOR
    found = _found(connection, one)
    if found.what == "stop":
        set_promotion(connection, one.promotion_id, status=STOPPED, words=found.words)
        sign_act(connection, one.promotion_id, "stop", "", found.words)
        return True
    told = f"in use on all lines that follow; watched until {until:%Y-%m-%d %H:%M} UTC"
    if now >= until:
        told = f"in use on all lines that follow; watched for {WATCHED_FOR.days} days: {found.words}"
        sign_act(connection, one.promotion_id, "watched", "", told)
    if told != one.words:
        set_promotion(connection, one.promotion_id, words=told)
    return told != one.words


def _found(connection: Connection, one: Promoted) -> Found:
    """The worst of its lines, and of all of them together."""
    query = (
        select(promotion_line.c.line_id, line.c.name, promotion_line.c.bundle_before, promotion_line.c.next_look)
        .join(line, line.c.line_id == promotion_line.c.line_id)
        .where(promotion_line.c.promotion_id == one.promotion_id, promotion_line.c.stage == ALL)
    )
    before, now = Counts(0, 0), Counts(0, 0)
    for line_id, name, bundle_before, look in connection.execute(query).all():
        was, has = counts_of(connection, line_id, bundle_before), counts_of(connection, line_id, one.bundle_id)
        before, now = before + was, now + has
        is_look = has.parts >= look
        # A line that took it late has its first parts looked at as in the last stage.
        found = (in_use if look <= LEAST_PARTS else after_all)(was, has, is_look=is_look)
        if found.what == "stop":
            return Found("stop", words(f"{name}: {found.words}"))
        if is_look:
            _look_next(connection, one, line_id, ALL, has.parts)
    look = _next_look_together(connection, one)
    found = after_all(before, now, is_look=now.parts >= look, is_of_all=True)
    if now.parts >= look:
        _look_next(connection, one, one.first_line, _TOGETHER, now.parts)
    return Found(found.what, words(f"all lines: {found.words}"))


def _next_look_together(connection: Connection, one: Promoted) -> int:
    look = connection.execute(select(promotion_line.c.next_look).where(_row(one, one.first_line, _TOGETHER))).scalar()
    if look is not None:
        return int(look)
    values = {"promotion_id": one.promotion_id, "line_id": one.first_line, "stage": _TOGETHER, "next_look": FIRST_LOOK}
    connection.execute(promotion_line.insert().values(**values, bundle_before=one.bundle_id, words=""))
    return FIRST_LOOK


def _look_next(connection: Connection, one: Promoted, line_id: int, stage: str, parts: int) -> None:
    connection.execute(update(promotion_line).where(_row(one, line_id, stage)).values(next_look=next_look(parts)))


def _row(one: Promoted, line_id: int, stage: str) -> ColumnElement[bool]:
    return and_(
        promotion_line.c.promotion_id == one.promotion_id,
        promotion_line.c.line_id == line_id,
        promotion_line.c.stage == stage,
    )
