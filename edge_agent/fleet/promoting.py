"""A bundle on its way to the lines: in shadow on one, in use on one, in use on all that follow (docs/decisions/0103).

Every function works within a transaction. What a line is told is computed anew each time that it asks.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, func, select, update

from edge_agent.errors import UsageError
from edge_agent.fleet.counting import counts_of
from edge_agent.fleet.database import act, line, promotion, promotion_line, state
from edge_agent.fleet.rules import FIRST_LOOK, Found, Watched, in_shadow, in_use, next_look
from edge_agent.fleet.wall import saved_state
from edge_agent.fleet_line.messages import Offer, words

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edge_agent.fleet_line.messages import State

__all__ = [
    "ALL",
    "DONE",
    "STOPPED",
    "Promoted",
    "Wish",
    "advance",
    "begin",
    "examine",
    "offers_for",
    "promotions",
    "set_promotion",
    "sign_act",
    "stop",
]

SHADOW, ONE, ALL = "shadow", "one", "all"
RUNNING, PASSED, STOPPED, DONE = "running", "passed", "stopped", "done"
_NEXT = {SHADOW: ONE, ONE: ALL}
_OFFERED_MOST = 20


class Promoted(NamedTuple):
    """One promotion, as the database has it."""

    promotion_id: int
    bundle_id: str
    program: int
    camera: int
    first_line: int
    stage: str
    status: str
    words: str
    by_itself: bool
    by: str
    why: str


class Wish(NamedTuple):
    """What a person wants to be promoted: a signed bundle, first to that line. ``by_itself``: on without asking."""

    bundle_id: str
    part: str
    program: int
    camera: int
    first_line: str
    by_itself: bool


def begin(connection: Connection, wish: Wish, *, by: str, why: str) -> int:
    """Offer it to the first line, in shadow; the promotion's number. Raises UsageError."""
    found = connection.execute(
        select(line.c.line_id).where(line.c.name == wish.first_line, line.c.is_off.is_(False))
    ).scalar()
    if found is None:
        raise UsageError(f"there is no line {wish.first_line!a}", hint="edge-agent fleet lines")
    of_place = and_(promotion.c.program == wish.program, promotion.c.camera == wish.camera)
    going_on = connection.execute(
        select(promotion.c.promotion_id).where(of_place, promotion.c.status.in_((RUNNING, PASSED)))
    ).scalar()
    if going_on is not None:
        raise UsageError(
            f"promotion {going_on} of a bundle for program {wish.program}, camera {wish.camera} goes on",
            hint=f"edge-agent fleet stop {going_on}, then begin this one",
        )
    said = _state_of(connection, found)
    if said is None or said.follow == "none" or not _has_place(said, wish.program, wish.camera):
        raise UsageError(
            f"{wish.first_line} has not said that it follows (fleet.follow) and has program {wish.program}, camera "
            f"{wish.camera}",
            hint="edge-agent fleet lines says what each line follows",
        )
    values = {
        "bundle_id": wish.bundle_id,
        "part": wish.part[:200],
        "program": wish.program,
        "camera": wish.camera,
        "first_line": found,
        "stage": SHADOW,
        "status": RUNNING,
        "words": "",
        "by_itself": wish.by_itself,
        "by": by[:120],
        "why": why[:400],
        "begun_utc": _now(),
    }
    made = connection.execute(promotion.insert().values(**values))
    number = int(made.inserted_primary_key[0])  # type: ignore[index]
    sign_act(connection, number, "begin", by, why)
    return number


def advance(connection: Connection, number: int, *, by: str, why: str) -> str:
    """On to the next stage; which one it is. Raises UsageError where the stage before has not passed.

    The last stage waits for every line; a person may end it, as where a line stands still for weeks.
    """
    examine(connection)  # what has come since the last look counts, too
    found = _one(connection, number)
    if (found.stage, found.status) == (ALL, RUNNING):
        set_promotion(connection, number, status=DONE)
        sign_act(connection, number, "done", by, why)
        return DONE
    if found.status != PASSED:
        raise UsageError(f"promotion {number} is {found.status} at stage {found.stage}: {found.words}")
    stage = _NEXT[found.stage]
    set_promotion(connection, number, stage=stage, status=RUNNING, words="")
    sign_act(connection, number, f"to {stage}", by, why)
    return stage


def stop(connection: Connection, number: int, *, by: str, why: str) -> None:
    """Withdraw it: shadows end, and lines that took it go back. Raises UsageError."""
    found = _one(connection, number)
    if found.status == STOPPED:
        raise UsageError(f"promotion {number} is stopped already: {found.words}")
    set_promotion(connection, number, status=STOPPED, words=why or f"stopped by {by}")
    sign_act(connection, number, "stop", by, why)


def promotions(connection: Connection, *, most: int = 1000) -> list[Promoted]:
    """The newest of them, the newest first."""
    query = _PROMOTED.order_by(promotion.c.promotion_id.desc()).limit(most)
    return [Promoted(*found) for found in connection.execute(query)]


def offers_for(connection: Connection, line_id: int, said: State) -> tuple[Offer, ...]:
    """What a line is told when it asks. At its first offer the bundle of now is written down."""
    offers: list[Offer] = []
    for one in _of_line_and_places(connection, line_id, said):
        stage = _stage_for(connection, one, line_id, said)
        if stage is None:
            continue
        if len(offers) == _OFFERED_MOST:
            break
        if stage != "withdrawn":
            _note_before(connection, one, line_id, said)
        offers.append(
            Offer(
                promotion_id=one.promotion_id,
                stage=stage,  # type: ignore[arg-type]
                bundle_id=one.bundle_id,
                program=one.program,
                camera=one.camera,
                by=words(one.by, 120),
                why=words(one.words if stage == "withdrawn" else one.why),
            )
        )
    return tuple(offers)


def _of_line_and_places(connection: Connection, line_id: int, said: State) -> list[Promoted]:
    """The promotions that matter to a line, however many there were since of others: the most urgent first.

    Those that it was offered and that were stopped since, and of each of its places the newest of the others: a line
    that joins later is not led through the ones before. A line that was away for weeks still goes back from what was
    stopped meanwhile.
    """
    was_offered = select(promotion_line.c.promotion_id).where(promotion_line.c.line_id == line_id)
    stopped = _PROMOTED.where(promotion.c.status == STOPPED, promotion.c.promotion_id.in_(was_offered))
    newest = (
        select(func.max(promotion.c.promotion_id))
        .where(promotion.c.status != STOPPED)
        .group_by(promotion.c.program, promotion.c.camera)
    )
    others = _PROMOTED.where(promotion.c.promotion_id.in_(newest))
    chosen = {(place.program, place.camera): place.chosen_id for place in said.bundles}
    found = [Promoted(*one) for query in (stopped, others) for one in connection.execute(query)]
    found = [one for one in found if (one.program, one.camera) in chosen]

    def urgency(one: Promoted) -> tuple[int, int]:
        has_it = chosen.get((one.program, one.camera)) == one.bundle_id
        # What goes on has to be heard of; then what is to be left; what is done and has arrived can wait.
        kind = {RUNNING: 0, PASSED: 0, STOPPED: 1}.get(one.status, 3 if has_it else 2)
        return kind, -one.promotion_id

    return sorted(found, key=urgency)


def examine(connection: Connection) -> bool:
    """Look at every promotion that goes on: stop it, let it pass, or wait; whether anything has changed.

    One that has passed and waits for a person is in use meanwhile: it is still stopped where it turns out to be worse.
    """
    changed = False
    going_on = _PROMOTED.where(promotion.c.status.in_((RUNNING, PASSED))).order_by(promotion.c.promotion_id.desc())
    for one in [Promoted(*found) for found in connection.execute(going_on)]:
        found = _examined(connection, one)
        if one.status == PASSED and found.what != "stop":
            continue
        status, stage, told = one.status, one.stage, found.words
        if found.what == "stop":
            status = STOPPED
            sign_act(connection, one.promotion_id, "stop", "", told)
        elif found.what == "go" and one.stage == ALL:
            status = DONE
            sign_act(connection, one.promotion_id, "done", "", told)
        elif found.what == "go" and one.by_itself:
            stage = _NEXT[one.stage]
            sign_act(connection, one.promotion_id, f"to {stage}", "", told)
        elif found.what == "go":
            status = PASSED
            sign_act(connection, one.promotion_id, "passed", "", told)
        if (status, stage, told) != (one.status, one.stage, one.words):
            set_promotion(connection, one.promotion_id, status=status, stage=stage, words=told)
            changed = True
    return changed


def _stage_for(connection: Connection, one: Promoted, line_id: int, said: State) -> str | None:
    if not _has_place(said, one.program, one.camera):
        return None
    was_offered = bool(_offered(connection, one.promotion_id, line_id))
    if one.status == STOPPED:
        return "withdrawn" if was_offered else None
    if one.stage == SHADOW:
        return "shadow" if line_id == one.first_line else None
    if one.stage == ONE:
        return "activate" if line_id == one.first_line else None
    return "activate" if said.follow == "activate" or was_offered else None


def _note_before(connection: Connection, one: Promoted, line_id: int, said: State) -> None:
    if one.stage in _offered(connection, one.promotion_id, line_id):
        return
    before = next(
        (place.bundle_id for place in said.bundles if (place.program, place.camera) == (one.program, one.camera)), ""
    )
    earlier = connection.execute(
        select(promotion_line.c.bundle_before).where(
            promotion_line.c.promotion_id == one.promotion_id,
            promotion_line.c.line_id == line_id,
            promotion_line.c.bundle_before != one.bundle_id,
        )
    ).scalar()
    connection.execute(
        promotion_line.insert().values(
            promotion_id=one.promotion_id,
            line_id=line_id,
            stage=one.stage,
            bundle_before=earlier or before,
            next_look=FIRST_LOOK,
            words="",
        )
    )


def _offered(connection: Connection, number: int, line_id: int) -> set[str]:
    query = select(promotion_line.c.stage).where(
        promotion_line.c.promotion_id == number, promotion_line.c.line_id == line_id
    )
    return {str(stage) for (stage,) in connection.execute(query)}


def _examined(connection: Connection, one: Promoted) -> Found:
    """What is to be said of its stage: the worst of its lines, and "go" only where all of them say so."""
    query = select(promotion_line.c.line_id, promotion_line.c.bundle_before, promotion_line.c.next_look).where(
        promotion_line.c.promotion_id == one.promotion_id, promotion_line.c.stage == one.stage
    )
    found = []
    for line_id, before, look in connection.execute(query).all():
        seen = _of_line(connection, one, line_id, before, look)
        name = connection.execute(select(line.c.name).where(line.c.line_id == line_id)).scalar_one()
        found.append(Found(seen.what, f"{name}: {seen.words}"))
    if not found:
        return Found("wait", "no line has asked yet")
    for what in ("stop", "wait"):
        if told := [one.words for one in found if one.what == what]:
            more = f" (and {len(told) - 1} more lines)" if len(told) > 1 else ""
            return Found(what, words(told[0] + more))
    return Found("go", words(f"{found[0].words}; {len(found)} of {len(found)} lines"))


def _of_line(connection: Connection, one: Promoted, line_id: int, before: str, look: int) -> Found:
    said = _state_of(connection, line_id)
    if said is None:
        return Found("wait", "it has said nothing")
    refused = [taken.why for taken in said.offers if taken.promotion_id == one.promotion_id and taken.how == "refused"]
    if one.stage == SHADOW:
        seen = said.shadow
        if seen is None or seen.bundle_id != one.bundle_id:
            return Found("wait", f"refused: {refused[0]}" if refused else "it has not begun")
        parts = seen.parts
        watched = Watched(
            parts,
            seen.to_reject,
            seen.to_pass,
            seen.not_comparable,
            max(0, seen.good.wrong - seen.good.wrong_before),
            max(0, seen.good.wrong_before - seen.good.wrong),
            seen.bad.wrong,
            seen.problem,
        )
        found = in_shadow(watched, is_look=parts >= look)
    else:
        now = counts_of(connection, line_id, one.bundle_id)
        parts = now.parts
        if not parts:
            return Found("wait", _not_judging(said, one, refused))
        found = in_use(counts_of(connection, line_id, before), now, is_look=parts >= look)
    if parts >= look:
        where = and_(
            promotion_line.c.promotion_id == one.promotion_id,
            promotion_line.c.line_id == line_id,
            promotion_line.c.stage == one.stage,
        )
        connection.execute(update(promotion_line).where(where).values(next_look=next_look(parts)))
    return found


def _not_judging(said: State, one: Promoted, refused: list[str]) -> str:
    if refused:
        return f"refused: {refused[0]}"
    if any(place.chosen_id == one.bundle_id != place.bundle_id for place in said.bundles):
        return "it is put to use, and judges from the agent's next start on"
    return "it is not in use yet"


def _state_of(connection: Connection, line_id: int) -> State | None:
    said = connection.execute(select(state.c.said).where(state.c.line_id == line_id)).scalar()
    return None if said is None else saved_state(said)


def _has_place(said: State, program: int, camera: int) -> bool:
    return any((place.program, place.camera) == (program, camera) for place in said.bundles)


def _one(connection: Connection, number: int) -> Promoted:
    found = connection.execute(_PROMOTED.where(promotion.c.promotion_id == number)).first()
    if found is None:
        raise UsageError(f"there is no promotion {number}", hint="edge-agent fleet promotions")
    return Promoted(*found)


def set_promotion(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a promotion."""
    connection.execute(update(promotion).where(promotion.c.promotion_id == number).values(**values))


def sign_act(connection: Connection, number: int, what: str, by: str, why: str) -> None:
    """For the record: who did it, empty where it went by itself."""
    values = {"promotion_id": number, "what": what, "by": by[:120], "why": why[:400], "at_utc": _now()}
    connection.execute(act.insert().values(**values))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


_PROMOTED = select(
    promotion.c.promotion_id,
    promotion.c.bundle_id,
    promotion.c.program,
    promotion.c.camera,
    promotion.c.first_line,
    promotion.c.stage,
    promotion.c.status,
    promotion.c.words,
    promotion.c.by_itself,
    promotion.c.by,
    promotion.c.why,
)
