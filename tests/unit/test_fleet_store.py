"""The fleet's database, SQLite and PostgreSQL alike: rows, reviews, invitations, promotions in stages, retention."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text, update

from edge_agent.errors import ConfigError, DataError, NotPermitted, Unavailable, UsageError
from edge_agent.fleet.database import act, events, invitation, open_database, part, promotion, review, tally
from edge_agent.fleet.lines import enrol, forget, invite, line_of, lines
from edge_agent.fleet.promoting import Wish, advance, begin, examine, promotions, stop
from edge_agent.fleet.retention import forget_old
from edge_agent.fleet.rows import take
from edge_agent.fleet.writing import Writer
from tests.fleet import state_of
from tests.fleet_database import (
    JOURNAL,
    NEW,
    OLD,
    join,
    judging,
    promoted,
    rows,
    said,
    shadow,
    stage,
    tells,
    three_lines,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine


# --- rows -------------------------------------------------------------------------------------------------


def test_what_comes_again_is_known_and_counts_once(engine: Engine) -> None:
    with engine.begin() as connection:
        line = join(connection, "Line 1")
        first = take(connection, line, rows(1, 10, rejected=2))
        again = take(connection, line, rows(5, 12))
        other = take(connection, line, rows(1, 3, journal="1" * 32))
    assert (first.kinds, first.known) == ({"reject": 2, "pass": 8}, 0)
    assert (again.kinds, again.known) == ({"pass": 2}, 6)
    assert other.kinds == {"pass": 3}
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(part)).scalar() == 15
        assert connection.execute(select(func.sum(tally.c.number))).scalar() == 15


def test_the_same_part_twice_in_one_post_is_one(engine: Engine) -> None:
    with engine.begin() as connection:
        line, one = join(connection, "Line 1"), rows(1, 1)
        doubled = one.model_copy(update={"parts": one.parts * 2})
        assert take(connection, line, doubled).kinds == {"pass": 1}


def test_a_part_that_is_another_one_under_a_known_number_is_refused_and_not_passed_over(engine: Engine) -> None:
    """An older copy of a journal that was put in place by hand gives numbers again; so does a PC that was cloned."""
    with engine.begin() as connection:
        line_id = join(connection, "Line 1")
        take(connection, line_id, rows(1, 5))
        for other in (rows(5, 6, rejected=1), rows(5, 6)):
            changed = other.parts[0].model_copy(update={"decided_utc": "2026-11-30T11:00:00.000+00:00"})
            told = other if other.parts[0].verdict == "REJECT" else other.model_copy(update={"parts": (changed,)})
            with pytest.raises(DataError, match="part 5 was told before, and otherwise"):
                take(connection, line_id, told)
        assert connection.execute(select(func.count()).select_from(part)).scalar() == 5
        assert take(connection, line_id, rows(5, 6)).kinds == {"pass": 1}, "what is the same is known"


def test_a_review_with_a_long_note_and_drawings_counts_as_any_other(engine: Engine) -> None:
    """One that is cut counts for nothing, and a bundle that let a defect pass would go on."""
    words = json.dumps({"part_seq": 2, "says": "ESCAPE", "note": "ü" * 500, "drawings": [[1234, 1234]] * 600})
    long = {"journal": JOURNAL, "event_id": 1, "kind": "REVIEW", "detail": words, "at_utc": "x"}
    with engine.begin() as connection:
        line_id = join(connection, "Line 1")
        assert take(connection, line_id, rows(1, 3, events=[long])).reviewed
        assert connection.execute(select(review.c.part_seq, review.c.says)).all() == [(2, "ESCAPE")]


def test_the_last_word_on_a_part_stands(engine: Engine) -> None:
    with engine.begin() as connection:
        line = join(connection, "Line 1")
        told = [said(1, 1, "OVERTURNED"), said(2, 1, "CONFIRMED"), said(3, 7, "ESCAPE"), said(4, 999, "ESCAPE")]
        broken = {**said(5, 1, "x"), "detail": "[1"}
        assert take(connection, line, rows(1, 10, rejected=2, events=[*told, broken])).reviewed
        found = connection.execute(select(review.c.part_seq, review.c.says, review.c.bundle_id)).all()
    assert sorted(map(tuple, found)) == [(1, "CONFIRMED", OLD), (7, "ESCAPE", OLD)]


def test_rows_go_with_time_and_their_counts_stay(engine: Engine) -> None:
    with engine.begin() as connection:
        line = join(connection, "Line 1")
        take(connection, line, rows(1, 10))
        connection.execute(update(part).where(part.c.part_seq <= 4).values(got_s=time.time() - 40 * 86_400))
        assert forget_old(connection, 30) is False
        kept = connection.execute(select(func.count()).select_from(part)).scalar()
        assert (kept, connection.execute(select(func.sum(tally.c.number))).scalar()) == (6, 10)


def test_what_went_with_time_counts_no_second_time_when_a_journal_comes_again(engine: Engine) -> None:
    """As after a restored backup: the line has lost its place, and sends its journal from the beginning."""
    with engine.begin() as connection:
        line_id = join(connection, "Line 1")
        take(connection, line_id, rows(1, 20, events=[said(7, 3, "OVERTURNED")]))
        for table in (part, events):
            connection.execute(update(table).values(got_s=time.time() - 40 * 86_400))
        forget_old(connection, 30)
        again = take(connection, line_id, rows(1, 25, events=[said(7, 3, "OVERTURNED"), said(8, 22, "OVERTURNED")]))
        assert (again.kinds, again.known) == ({"pass": 5}, 20)
        assert connection.execute(select(func.sum(tally.c.number))).scalar() == 25
        assert connection.execute(select(events.c.event_id)).all() == [(8,)]
        other = take(connection, line_id, rows(1, 2, journal="1" * 32))
        assert other.kinds == {"pass": 2}, "another journal's numbers are others"


async def test_work_that_fails_fails_alone_and_what_is_too_much_is_refused(engine: Engine) -> None:
    writer = Writer(engine)

    def wrong(connection: Connection) -> None:
        connection.execute(invitation.insert().values(token_sha256="0", name="n", by="b", until_s=0.0))  # noqa: S106
        raise UsageError("it is not right")

    def count(connection: Connection) -> int:
        return int(connection.execute(select(func.count()).select_from(invitation)).scalar_one())

    waiting = [asyncio.create_task(writer.do(work)) for work in (count, wrong, count)]
    await asyncio.sleep(0)
    running = asyncio.create_task(writer.run())
    first, failed, last = await asyncio.gather(*waiting, return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (first, str(failed), last) == (0, "it is not right", 0), "what it had written is gone"
    many = [asyncio.create_task(writer.do(count)) for _ in range(300)]
    await asyncio.sleep(0)
    refused = [task for task in many if task.done() and isinstance(task.exception(), Unavailable)]
    assert len(refused) == 300 - 256
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


# --- who is a line ----------------------------------------------------------------------------------------


def test_an_invitation_is_for_one_name_once_and_for_a_day(engine: Engine) -> None:
    with engine.begin() as connection:
        token = invite(connection, "Line 1", "a test")
        assert enrol(connection, token)[0] == "Line 1"
        for used in (token, "never made", ""):
            with pytest.raises(NotPermitted):
                enrol(connection, used)
        old = invite(connection, "Line 2", "a test")
        connection.execute(update(invitation).where(invitation.c.name == "Line 2").values(until_s=time.time() - 1))
        with pytest.raises(NotPermitted):
            enrol(connection, old)
        for name in ("", " x", "a\nb", "x" * 65):
            with pytest.raises(UsageError):
                invite(connection, name, "a test")


def test_a_line_that_joins_again_has_another_secret_and_its_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        _, first = enrol(connection, invite(connection, "Line 1", "a test"))
        _, second = enrol(connection, invite(connection, "Line 1", "a test"))
        assert line_of(connection, first) is None
        assert line_of(connection, second) is not None
        assert len(lines(connection)) == 1
        forget(connection, "Line 1")
        assert line_of(connection, second) is None
        with pytest.raises(UsageError):
            forget(connection, "Line 9")


# --- promotions -------------------------------------------------------------------------------------------


def test_a_good_bundle_goes_to_all_lines_in_three_stages(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, two, three)):
        number = promoted(connection)
        assert [offer.stage for offer in tells(connection, one, judging(OLD))] == ["shadow"]
        assert tells(connection, two, judging(OLD)) == ()
        examine(connection)
        assert stage(connection) == ("shadow", "running")
        tells(connection, one, judging(OLD, shadow=shadow(250, to_reject=2)))
        assert examine(connection)
        assert stage(connection) == ("one", "running")
        assert [offer.stage for offer in tells(connection, one, judging(OLD))] == ["activate"]
        assert tells(connection, three, judging(OLD)) == ()
        take(connection, one, rows(501, 750, rejected=3, bundle=NEW))
        examine(connection)
        assert stage(connection) == ("all", "running")
        for line_id in (one, two, three):
            assert [offer.stage for offer in tells(connection, line_id, judging(OLD))] == ["activate"]
        examine(connection)
        assert stage(connection) == ("all", "running"), "two lines have not judged by it yet"
        for line_id in (two, three):
            take(connection, line_id, rows(501, 750, rejected=2, bundle=NEW))
        examine(connection)
        assert stage(connection) == ("all", "done")
        signed = connection.execute(select(act.c.what, act.c.by).where(act.c.promotion_id == number)).all()
        assert [tuple(one) for one in signed] == [
            ("begin", "A. Weber"),
            ("to one", ""),
            ("to all", ""),
            ("done", ""),
        ]


def test_one_that_rejects_more_is_stopped_at_the_first_stage_and_withdrawn(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, two, _)):
        promoted(connection)
        tells(connection, one, judging(OLD, shadow=shadow(100, to_reject=15)))
        examine(connection)
        assert stage(connection) == ("shadow", "stopped")
        assert "it rejects more: of 100 parts 15" in promotions(connection)[0].words
        (offer,) = tells(connection, one, judging(OLD))
        assert (offer.stage, "Line 1: it rejects more" in offer.why) == ("withdrawn", True)
        assert tells(connection, two, judging(OLD)) == (), "who was offered nothing has nothing to go back from"


def test_one_by_which_known_defects_pass_is_stopped_at_the_first_stage(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, *_)):
        promoted(connection)
        tells(connection, one, judging(OLD, shadow=shadow(5, bad_wrong=1)))
        examine(connection)
        assert stage(connection) == ("shadow", "stopped")


@pytest.mark.parametrize("what", ["rejects", "escape", "overturned"])
def test_one_that_gets_worse_in_use_is_stopped_and_every_line_goes_back(engine: Engine, what: str) -> None:
    with three_lines(engine) as (connection, (one, two, three)):
        promoted(connection)
        tells(connection, one, judging(OLD, shadow=shadow(250)))
        examine(connection)
        tells(connection, one, judging(OLD))
        take(connection, one, rows(501, 750, bundle=NEW))
        examine(connection)
        for line_id in (one, two, three):
            tells(connection, line_id, judging(OLD))
        worse = {
            "rejects": rows(501, 600, rejected=20, bundle=NEW),
            "escape": rows(501, 520, bundle=NEW, events=[said(1, 510, "ESCAPE")]),
            "overturned": rows(
                501, 600, rejected=7, bundle=NEW, events=[said(n, 500 + n, "OVERTURNED") for n in range(1, 8)]
            ),
        }
        take(connection, two, worse[what])
        examine(connection)
        assert stage(connection) == ("all", "stopped")
        assert promotions(connection)[0].words.startswith("Line 2: ")
        for line_id in (one, two, three):
            assert [offer.stage for offer in tells(connection, line_id, judging(NEW))] == ["withdrawn"]


def test_where_a_person_decides_a_stage_passes_and_waits(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, *_)):
        number = promoted(connection, by_itself=False)
        with pytest.raises(UsageError, match="running"):
            advance(connection, number, by="A. Weber", why="")
        tells(connection, one, judging(OLD, shadow=shadow(250)))
        examine(connection)
        assert stage(connection) == ("shadow", "passed")
        assert advance(connection, number, by="A. Weber", why="looked") == "one"
        stop(connection, number, by="A. Weber", why="not today")
        assert stage(connection) == ("one", "stopped")
        with pytest.raises(UsageError, match="stopped already"):
            stop(connection, number, by="A. Weber", why="")


def test_the_last_stage_waits_for_every_line_until_a_person_ends_it(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, two, _)):
        number = promoted(connection)
        connection.execute(update(promotion).values(stage="all"))
        for line_id in (one, two):
            tells(connection, line_id, judging(OLD))
        take(connection, one, rows(501, 750, bundle=NEW))
        examine(connection)
        assert stage(connection) == ("all", "running")
        assert promotions(connection)[0].words == "Line 2: it is not in use yet"
        assert advance(connection, number, by="A. Weber", why="line 2 is being moved") == "done"
        assert stage(connection) == ("all", "done")


def test_a_line_that_comes_later_is_offered_the_newest_bundle_alone(engine: Engine) -> None:
    newer = "c" * 64
    with three_lines(engine) as (connection, (_, _, three)):
        promoted(connection)
        connection.execute(update(promotion).values(stage="all", status="done"))
        second = begin(connection, Wish(newer, "zipper", 1, 1, "Line 1", True), by="A. Weber", why="")
        assert tells(connection, three, judging(OLD)) == (), "a newer one is on its way, and not here yet"
        connection.execute(update(promotion).values(stage="all", status="done"))
        assert [offer.bundle_id for offer in tells(connection, three, judging(OLD))] == [newer]
        stop(connection, second, by="A. Weber", why="")
        offered = [(offer.bundle_id, offer.stage) for offer in tells(connection, three, judging(OLD))]
        assert offered == [(newer, "withdrawn"), (NEW, "activate")]


@pytest.mark.parametrize("how", ["looked at", "asked to go on"])
def test_one_that_has_passed_and_waits_for_a_person_is_stopped_where_it_turns_out_worse(
    engine: Engine, how: str
) -> None:
    """It is in use on its first line meanwhile, for days perhaps."""
    with three_lines(engine) as (connection, (one, two, _)):
        number = promoted(connection, by_itself=False)
        connection.execute(update(promotion).values(stage="one"))
        tells(connection, one, judging(OLD))
        take(connection, one, rows(501, 750, bundle=NEW))
        examine(connection)
        assert stage(connection) == ("one", "passed")
        assert not examine(connection), "nothing has changed"
        take(connection, one, rows(751, 760, bundle=NEW, events=[said(1, 755, "ESCAPE")]))
        if how == "looked at":
            assert examine(connection)
        else:
            with pytest.raises(UsageError, match="stopped"):
                advance(connection, number, by="A. Weber", why="")
        assert stage(connection) == ("one", "stopped")
        assert [offer.stage for offer in tells(connection, one, judging(NEW))] == ["withdrawn"]
        assert tells(connection, two, judging(OLD)) == ()


def test_a_line_that_was_away_hears_of_a_stop_after_however_many_other_promotions(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, *_)):
        number = promoted(connection)
        connection.execute(update(promotion).values(stage="one"))
        assert [offer.stage for offer in tells(connection, one, judging(OLD))] == ["activate"]
        stop(connection, number, by="A. Weber", why="it lets a defect pass")
        other = [state_of().bundles[0].model_copy(update={"program": 100 + at}) for at in range(30)]
        tells(connection, one, judging(NEW).model_copy(update={"bundles": tuple(other)}))
        for place in other:
            begin(connection, Wish("c" * 64, "cap", place.program, 1, "Line 1", True), by="a", why="")
        # The line comes back with its own places.
        assert [offer.stage for offer in tells(connection, one, judging(NEW))] == ["withdrawn"]


def test_a_line_with_many_places_is_offered_what_goes_on_first(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, *_)):
        assert tells(connection, one, state_of(bundles=())) == ()
        places = tuple(state_of().bundles[0].model_copy(update={"program": 100 + at}) for at in range(30))
        tells(connection, one, state_of(bundles=places))
        for place in places:
            begin(connection, Wish(NEW, "cap", place.program, 1, "Line 1", True), by="a", why="")
        connection.execute(update(promotion).values(stage="all", status="done"))
        first = begin(connection, Wish("c" * 64, "cap", 100, 1, "Line 1", True), by="a", why="")
        offers = tells(connection, one, state_of(bundles=places))
        assert (len(offers), offers[0].promotion_id, offers[0].stage) == (20, first, "shadow")
        have = {offer.program for offer in offers if offer.stage == "activate"}
        taken = tuple(
            place.model_copy(update={"chosen_id": NEW}) if place.program in have else place for place in places
        )
        assert {offer.program for offer in tells(connection, one, state_of(bundles=taken))} >= {
            place.program for place in places if place.program not in have
        }


def test_what_cannot_be_promoted_is_said(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, *_)):
        with pytest.raises(UsageError, match="no line"):
            begin(connection, Wish(NEW, "zipper", 1, 1, "Line 9", True), by="a", why="")
        with pytest.raises(UsageError, match="program 2"):
            begin(connection, Wish(NEW, "zipper", 2, 1, "Line 1", True), by="a", why="")
        promoted(connection)
        with pytest.raises(UsageError, match=r"promotion 1 .* goes on"):
            promoted(connection)
        stop(connection, 1, by="a", why="")
        tells(connection, one, judging(OLD, follow="none"))
        with pytest.raises(UsageError, match="follows"):
            promoted(connection)
        assert connection.execute(select(func.count()).select_from(promotion)).scalar() == 1


def test_a_database_of_another_version_and_a_url_that_all_may_read_are_refused(tmp_path: Path) -> None:
    made = open_database(tmp_path)
    with made.begin() as connection:
        connection.execute(text("UPDATE fleet_about SET version = 99"))
    made.dispose()
    with pytest.raises(DataError, match="version 99"):
        open_database(tmp_path)
    (tmp_path / "database-url").write_text("sqlite:///x")
    (tmp_path / "database-url").chmod(0o644)
    with pytest.raises(ConfigError, match="everyone"):
        open_database(tmp_path)
    (tmp_path / "database-url").chmod(0o600)
    (tmp_path / "database-url").write_text("no url")
    with pytest.raises(ConfigError, match="database-url"):
        open_database(tmp_path)
