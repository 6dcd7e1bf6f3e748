"""What tests of the fleet's database share: lines with parts, what they say, and a bundle on its way to them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from edge_agent.fleet.database import state
from edge_agent.fleet.lines import enrol, invite, line_of
from edge_agent.fleet.promoting import Wish, begin, offers_for, promotions
from edge_agent.fleet.rows import Rows, take
from edge_agent.fleet_line.messages import KnownParts, ShadowCounts, State
from tests.fleet import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from edge_agent.fleet_line.messages import Offer

__all__ = [
    "JOURNAL",
    "NEW",
    "OLD",
    "join",
    "judging",
    "promoted",
    "rows",
    "said",
    "shadow",
    "stage",
    "tells",
    "three_lines",
]

OLD, NEW = "a" * 64, "b" * 64
JOURNAL = "0" * 32


def rows(first: int, last: int, *, rejected: int = 0, bundle: str = OLD, journal: str = JOURNAL, **more: Any) -> Rows:
    """Parts of which the first ``rejected`` were rejected by the inspection."""
    parts = [
        {
            "journal": journal,
            "part_seq": seq,
            "decided_utc": "2026-11-30T10:00:00.000+00:00",
            "verdict": "REJECT" if seq < first + rejected else "PASS",
            "reason": "SCORE" if seq < first + rejected else "OK",
            "bundle_id": bundle,
            "score": "inf",
            "limit": 1.5,
        }
        for seq in range(first, last + 1)
    ]
    return Rows.model_validate({"schema_version": 1, "parts": parts, "events": [], **more})


def said(event_id: int, part_seq: int, says: str) -> dict[str, Any]:
    detail = f'{{"part_seq": {part_seq}, "says": "{says}"}}'
    return {"journal": JOURNAL, "event_id": event_id, "kind": "REVIEW", "detail": detail, "at_utc": "x"}


def join(connection: Connection, name: str) -> int:
    _, secret = enrol(connection, invite(connection, name, "a test"))
    found = line_of(connection, secret)
    assert found is not None
    return found.line_id


def tells(connection: Connection, line_id: int, told: State) -> tuple[Offer, ...]:
    """As the server keeps what a line says, and answers."""
    values = {"said": told.model_dump_json(), "got_s": time.time()}
    if connection.execute(update(state).where(state.c.line_id == line_id).values(**values)).rowcount == 0:
        connection.execute(state.insert().values(line_id=line_id, **values))
    return offers_for(connection, line_id, told)


def shadow(parts: int, *, to_reject: int = 0, bad_wrong: int = 0, bundle: str = NEW) -> ShadowCounts:
    known = KnownParts(of=bad_wrong, wrong=bad_wrong, wrong_before=0)
    none = KnownParts(of=0, wrong=0, wrong_before=0)
    return ShadowCounts(
        bundle_id=bundle,
        program=1,
        camera=1,
        parts=parts,
        to_reject=to_reject,
        to_pass=0,
        not_comparable=0,
        good=none,
        bad=known,
    )


def judging(bundle: str, **more: Any) -> State:
    place = state_of().bundles[0].model_copy(update={"bundle_id": bundle, "chosen_id": bundle})
    return state_of(bundles=(place,), **more)


@contextmanager
def three_lines(engine: Engine) -> Iterator[tuple[Connection, list[int]]]:
    """Three lines that have judged by the old bundle for a while."""
    with engine.begin() as connection:
        found = [join(connection, f"Line {number}") for number in (1, 2, 3)]
        for line_id in found:
            take(connection, line_id, rows(1, 500, rejected=5))
            tells(connection, line_id, judging(OLD))
        yield connection, found


def promoted(connection: Connection, *, by_itself: bool = True) -> int:
    return begin(connection, Wish(NEW, "zipper", 1, 1, "Line 1", by_itself), by="A. Weber", why="a new lot")


def stage(connection: Connection) -> tuple[str, str]:
    found = promotions(connection)[0]
    return found.stage, found.status
