"""What the wall shows of a line that stands still, and of clocks that are set: nothing that was true once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.fleet import wall as wall_module
from edge_agent.fleet.lines import KnownLine
from edge_agent.fleet.rows import Added
from edge_agent.fleet.wall import Snapshot, Wall
from tests.fleet import state_of


class Clock:
    """A monotonic clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(wall_module, "monotonic_s", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def said_at(off_s: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=off_s)).isoformat(timespec="milliseconds")


def test_a_line_whose_parts_have_stopped_is_not_shown_with_the_rate_of_before(clock: Clock) -> None:
    wall = Wall()
    wall.hear(1, "Line 1", state_of(at_utc=said_at()))
    wall.count(1, "Line 1", Added(kinds={"pass": 90}, known=0, reviewed=False))
    version, (tile,), *_ = wall.newer_than(-1)
    assert tile["per_minute"] == 90
    for _ in range(70):  # the agent stands and says so each second; no part comes
        clock.now_s += 1.0
        wall.hear(1, "Line 1", state_of(at_utc=said_at()))
        wall.look()
    _, tiles, *_ = wall.newer_than(version)
    assert [one["per_minute"] for one in tiles] == [0], "a browser that follows is told"


def test_a_clock_that_goes_wrong_is_told_to_a_browser_that_follows(clock: Clock) -> None:
    wall = Wall()
    wall.hear(1, "Line 1", state_of(at_utc=said_at()))
    version, (tile,), *_ = wall.newer_than(-1)
    assert tile["clock_off_s"] == 0
    clock.now_s += 1.0
    wall.hear(1, "Line 1", state_of(at_utc=said_at(-3600.0)))
    version, tiles, *_ = wall.newer_than(version)
    assert [abs(one["clock_off_s"] + 3600) < 5 for one in tiles] == [True]
    wall.hear(1, "Line 1", state_of(at_utc=said_at(-3601.0)))
    version, tiles, *_ = wall.newer_than(version)
    assert tiles == [], "a second is no news"
    wall.hear(1, "Line 1", state_of(at_utc=said_at()))
    _, tiles, *_ = wall.newer_than(version)
    assert [one["clock_off_s"] for one in tiles] == [0]


def test_a_server_whose_clock_was_set_back_takes_no_dead_line_for_one_of_now(clock: Clock) -> None:
    """It starts, and has heard nothing yet; what it kept says that it was heard in the future."""
    wall = Wall()
    known = KnownLine(1, "Line 1", "2026-11-30T10:00:00+00:00", is_off=False)
    kept = (state_of().model_dump_json(), time.time() + 3600.0)
    wall.apply(Snapshot([known], {}, {1: kept}, []))
    _, (tile,), *_ = wall.newer_than(-1)
    assert (tile["stale"], tile["heard_ago_s"]) == (True, None)
