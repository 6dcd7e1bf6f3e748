"""A bundle that went to all lines is watched for a week: a rise stops it, and what it is not at fault for does not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, select, text, update

from edge_agent.fleet.afterwards import WATCHED_FOR, watch
from edge_agent.fleet.counting import counts_of
from edge_agent.fleet.database import act, open_database, promotion, review, tally
from edge_agent.fleet.promoting import Wish, advance, begin, examine, promotions
from edge_agent.fleet.rows import take
from tests.fleet_database import NEW, OLD, join, judging, promoted, rows, said, stage, tells, three_lines

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine


def test_a_bundle_is_compared_with_its_last_250_hours_of_work_and_what_people_said_in_them(engine: Engine) -> None:
    with engine.begin() as connection:
        line, now = join(connection, "Line 1"), int(time.time() // 3600)
        take(connection, line, rows(1, 10, events=[said(n, n, "ESCAPE") for n in (1, 2)]))
        connection.execute(update(review).where(review.c.part_seq == 1).values(hour=now - 5000))
        kinds = ("pass", "reject", "other")
        key = {"line_id": line, "bundle_id": OLD}
        old = [{**key, "hour": now - 5000 - h, "kind": kind, "number": 9} for h in range(20) for kind in kinds]
        new = [{**key, "hour": now - h, "kind": kind, "number": 1} for h in range(1, 251) for kind in kinds]
        connection.execute(tally.insert(), [*old, *new])
        found = counts_of(connection, line, OLD)
        assert (found.rejected, found.escaped) == (249, 1), found
        assert counts_of(connection, line, NEW).parts == 0


def test_a_database_of_before_gets_what_makes_its_counts_quick(engine: Engine, tmp_path: Path) -> None:
    names = {"tally_of_bundle", "review_of_bundle"}
    with engine.begin() as connection:
        for name in names:
            connection.execute(text(f"DROP INDEX {name}"))
    again = open_database(tmp_path)
    found = {one["name"] for table in ("tally", "review") for one in inspect(again).get_indexes(table)}
    again.dispose()
    assert found == names


def on_all_lines(connection: Connection, found: list[int]) -> datetime:
    """The new bundle, promoted, with its 200 good parts on each line; when that was."""
    promoted(connection)
    connection.execute(update(promotion).values(stage="all"))
    for line_id in found:
        tells(connection, line_id, judging(OLD))
        take(connection, line_id, rows(501, 750, rejected=2, bundle=NEW))
    examine(connection)
    assert stage(connection) == ("all", "done")
    done = connection.execute(select(act.c.at_utc).where(act.c.what == "done")).scalar_one()
    return datetime.fromisoformat(done)


def test_a_bundle_on_all_lines_is_watched_for_days_and_no_longer(engine: Engine) -> None:
    with three_lines(engine) as (connection, found):
        done = on_all_lines(connection, found)
        assert watch(connection, done)
        until = done + WATCHED_FOR
        assert promotions(connection)[0].words.endswith(f"watched until {until:%Y-%m-%d %H:%M} UTC")
        assert watch(connection, done) is False, "nothing new, and nothing is written"
        assert watch(connection, until)
        assert "watched for 7 days: all lines: 6 of 750 parts rejected" in promotions(connection)[0].words
        take(connection, found[0], rows(751, 1700, rejected=900, bundle=NEW))
        assert watch(connection, until + timedelta(days=1)) is False
        assert stage(connection) == ("all", "done")


@pytest.mark.parametrize("what", ["escapes", "overturned", "rejects everywhere"])
def test_a_rise_after_the_last_stage_stops_it_and_every_line_is_offered_the_way_back(engine: Engine, what: str) -> None:
    with three_lines(engine) as (connection, found):
        done = on_all_lines(connection, found)
        watch(connection, done)
        if what == "escapes":
            # None of 500 under the one before: 5 of 300 come about by chance in fewer than 1 of 100 cases.
            escapes = [said(n, 760 + n, "ESCAPE") for n in range(1, 6)]
            take(connection, found[1], rows(751, 800, bundle=NEW, events=escapes))
        elif what == "overturned":
            told = [said(n, 750 + n, "OVERTURNED") for n in range(1, 10)]
            take(connection, found[1], rows(751, 900, rejected=9, bundle=NEW, events=told))
        else:
            for line_id in found:
                take(connection, line_id, rows(751, 1000, rejected=20, bundle=NEW))
        assert watch(connection, done + timedelta(days=2))
        assert stage(connection) == ("all", "stopped")
        for line_id in found:
            (offer,) = tells(connection, line_id, judging(NEW))
            assert (offer.stage, offer.why) == ("withdrawn", promotions(connection)[0].words)
        assert watch(connection, done + timedelta(days=2)) is False
        last = connection.execute(select(act.c.what, act.c.by).order_by(act.c.act_id.desc())).first()
        assert tuple(last or ()) == ("stop", "")


@pytest.mark.parametrize("what", ["one line rejects more", "as many escapes as before", "a little more everywhere"])
def test_what_a_bundle_is_not_at_fault_for_stops_nothing_after_the_last_stage(engine: Engine, what: str) -> None:
    with three_lines(engine) as (connection, found):
        before = [said(n, n + 100, "ESCAPE") for n in range(1, 4)]
        take(connection, found[1], rows(1, 500, rejected=5, events=before if what.startswith("as many") else []))
        done = on_all_lines(connection, found)
        if what == "one line rejects more":  # a lot of bad material: the other lines say that it is not the bundle
            take(connection, found[1], rows(751, 850, rejected=8, bundle=NEW))
            for line_id in (found[0], found[2]):
                take(connection, line_id, rows(751, 1700, rejected=9, bundle=NEW))
        elif what == "as many escapes as before":
            take(connection, found[1], rows(751, 1000, bundle=NEW, events=[said(9, 760, "ESCAPE")]))
        else:
            for line_id in found:
                take(connection, line_id, rows(751, 1700, rejected=12, bundle=NEW))
        watch(connection, done + timedelta(days=1))
        assert stage(connection) == ("all", "done"), promotions(connection)[0].words


def test_a_line_that_takes_it_late_has_its_first_parts_looked_at_as_in_the_last_stage(engine: Engine) -> None:
    with three_lines(engine) as (connection, (one, two, three)):
        number = promoted(connection)
        connection.execute(update(promotion).values(stage="all"))
        for line_id in (one, two):
            tells(connection, line_id, judging(OLD))
            take(connection, line_id, rows(501, 750, bundle=NEW))
        tells(connection, three, judging(OLD))
        examine(connection)
        assert advance(connection, number, by="A. Weber", why="line 3 stands still") == "done"
        watch(connection, datetime.now(UTC))
        assert stage(connection) == ("all", "done")
        take(connection, three, rows(501, 525, rejected=9, bundle=NEW))
        watch(connection, datetime.now(UTC))
        assert stage(connection) == ("all", "stopped")
        assert promotions(connection)[0].words.startswith("Line 3: it rejects more: 9 of 25 parts")


def test_once_a_newer_bundle_is_on_all_lines_the_one_before_is_watched_no_longer(engine: Engine) -> None:
    with three_lines(engine) as (connection, found):
        done = on_all_lines(connection, found)
        begin(connection, Wish("c" * 64, "zipper", 1, 1, "Line 1", True), by="A. Weber", why="")
        take(connection, found[1], rows(751, 800, bundle=NEW, events=[said(n, 760 + n, "ESCAPE") for n in range(1, 6)]))
        newer = update(promotion).where(promotion.c.bundle_id != NEW)
        connection.execute(newer.values(stage="all"))
        assert watch(connection, done) is False
        connection.execute(newer.values(stage="one"))
        assert watch(connection, done), "the newer one is only tried yet"
        assert [one.status for one in promotions(connection)] == ["running", "stopped"]
