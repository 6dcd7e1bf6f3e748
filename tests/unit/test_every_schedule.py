"""Every schedule of a line within a budget, over the real engine: no part passes wrongly. See docs/decisions/0046.

``make test`` looks at small budgets; ``make explore`` (EDGE_AGENT_EXPLORE=1) at the whole ones, in as many processes as
there are cores.
"""

from __future__ import annotations

import os
from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.runtime import engine, part_handler, readiness
from edge_agent.runtime.counter import ControllerCounter
from edge_agent.runtime.decided import Decided
from edge_agent.runtime.sessions import Sessions
from tests.explorer.line import Budget, Line
from tests.explorer.search import Explored, Violated, shortest, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.explorer.search import Choice
    from tests.results import Figure

IS_WHOLE = bool(os.environ.get("EDGE_AGENT_EXPLORE"))

SMALL = {
    "3 parts and reset": Budget(parts=3, resets=1),
    "reset": Budget(parts=2, resets=1, splits=1, late_answers=1),
    "reset and cut": Budget(parts=2, resets=1, cuts=1, splits=1),
    "two cameras": Budget(parts=2, cameras=2),
    "messages twice": Budget(parts=2, repeats=1, splits=1),
    "program": Budget(parts=2, switches=1, splits=1),
    "bypass": Budget(parts=1, bypasses=2, cuts=1, splits=1, late_answers=1),
    "clock set back": Budget(parts=2, set_back=1, polls=1),
    "agent triggers": Budget(parts=2, idle_triggers=1, splits=1, agent_triggers=True),
}
WHOLE = {
    "3 parts, 1 reset, every step": Budget(parts=3, resets=1, splits=3, late_answers=3, polls=1),
    "4 parts, 1 reset": Budget(parts=4, resets=1),
    "3 parts, 1 reset, 2 cameras": Budget(parts=3, resets=1, cameras=2),
    "2 parts, 2 resets, 2 cuts, 2 cameras, every step": Budget(
        parts=2, resets=2, cuts=2, cameras=2, splits=2, late_answers=2
    ),
    "agent triggers: 4 parts, 1 reset": Budget(parts=4, resets=1, agent_triggers=True),
    "agent triggers: 3 parts, 2 resets, 2 cuts, 1 for nothing": Budget(
        parts=3, resets=2, cuts=2, idle_triggers=1, agent_triggers=True
    ),
    "3 parts, 2 programs, 1 bypass": Budget(parts=3, switches=1, bypasses=1, splits=1),
    "3 parts, 1 reset, 1 message twice, 1 second": Budget(parts=3, resets=1, repeats=1, seconds=1),
    "3 parts, 2 resets, 2 cuts": Budget(parts=3, resets=2, cuts=2, splits=1),
    "3 parts, 2 resets, 2 cuts, 2 cameras": Budget(parts=3, resets=2, cuts=2, cameras=2),
}
"""The later ones take hours; ``BUDGET=`` takes those alone whose names have it."""

WITHOUT: dict[str, tuple[Budget, str]] = {
    "a result is lost on a live link before a reset": (Budget(resets=1, lost_results=1), "messages of parts"),
    "the controller does not tell its clock": (Budget(resets=1, tells_its_clock=False), "messages of parts"),
    "images lie in no folder of their session": (Budget(resets=1, has_sessions=False), "messages of parts"),
}
"""What the line model takes for granted, taken away: each has its shortest schedule to a wrong PASS in 0046."""

OLDER_SESSION_IS_FOLLOWED: Sequence[Choice] = (
    ("image",),
    ("result", 1),
    ("time is up", 1),
    ("image",),
    ("result", 2),
    ("reset",),
    ("image",),
    ("image of", 3, 1),
    ("image of", 1, 1),
    ("result", 3),
    ("decide", 3),
)
"""The shortest schedule to a wrong PASS where sessions are followed in the order in which their images come."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of log lines that nobody reads take longer than the search."""
    for module in (engine, readiness, part_handler):
        monkeypatch.setattr(module, "log", Silent())


class Silent:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_words, **_values: None


def told(found: Explored) -> str:
    return f"{found.states:,} states, {found.steps:,} steps, {found.seconds / 60:.1f} min"


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_no_schedule_of_a_small_budget_passes_a_part_wrongly(name: str) -> None:
    found = shortest(Line.new(SMALL[name]))

    assert found.seen["PASS"] > 0, "a line on which nothing passes proves nothing"


def _row(letter: str, name: str) -> pytest.MarkDecorator:
    what = f"every schedule of the real pairing, decision and part handler: {name}"
    return pytest.mark.promise(f"T-42{letter}", what, "to its end: 0 wrong PASS")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=_row(letter, name)) for letter, name in zip(ascii_lowercase, WHOLE, strict=False)],
)
@pytest.mark.skipif(not IS_WHOLE, reason="hours: make explore")
def test_no_schedule_of_a_whole_budget_passes_a_part_wrongly(name: str, figure: Figure) -> None:
    found = whole(Line.new(WHOLE[name]), processes=os.cpu_count() or 1)
    figure(told(found))

    assert found.seen["PASS"] > 0, "a line on which nothing passes proves nothing"


@pytest.mark.parametrize("taken_away", WITHOUT)
def test_each_thing_that_is_taken_for_granted_is_needed(taken_away: str) -> None:
    budget, what = WITHOUT[taken_away]
    with pytest.raises(Violated, match=what):
        shortest(Line.new(budget))


def test_what_is_not_needed_is_not_taken_for_granted() -> None:
    """Names without a time, a reset in the second of the last told clock, an answer that overtakes results."""
    for budget in (
        Budget(resets=1, names_tell_times=False),
        Budget(resets=1, resets_take_a_second=False),
        Budget(resets=1, is_one_stream=False),
    ):
        assert shortest(Line.new(budget)).seen["PASS"] > 0


def after(schedule: Sequence[Choice], line: Line) -> Line:
    for choice in schedule:
        assert choice in set(line.choices()), f"{choice} cannot happen here"
        line = line.after(choice)
    return line


def test_sessions_in_the_order_in_which_their_images_come_pass_a_part_on_anothers_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the time of a part's result out as well, by which a late image finds its part: two layers hold this."""
    monkeypatch.setattr(Sessions, "_is_newer", lambda *_: True)
    monkeypatch.setattr(Decided, "is_of_the_time", lambda *_: None)

    with pytest.raises(AssertionError, match=r"passed on messages of parts \[1, 3\]"):
        after(OLDER_SESSION_IS_FOLLOWED, Line.new(Budget(parts=3, resets=1)))


def test_sessions_in_the_order_of_the_clock_do_not() -> None:
    line = after(OLDER_SESSION_IS_FOLLOWED[:-1], Line.new(Budget(parts=3, resets=1)))
    parts = [live.part for live in line.agent.engine._open_parts.values()]

    assert not any(part.result is not None and part.captures and not part.stale for part in parts)
    assert not any(capture.sha256 == "1" for part in parts for capture in part.captures.values()), "it is filed late"


def test_an_image_of_a_part_whose_result_came_names_no_later_trigger() -> None:
    """Found by the search: trigger 3's image took the place of trigger 4's, which imaged nothing, and passed for it."""
    line = Line.new(Budget(parts=3, resets=2, cuts=2, idle_triggers=1, agent_triggers=True))
    up = [("cut",), ("link up",), ("cut",), ("reset",), ("link up",), ("trigger",), ("time is up", 1), ("reset",)]
    images = [("image of", 1, 1), ("image of", 2, 1), ("trigger nothing",), ("result", 3), ("image of", 3, 1)]
    line = after([*up, ("link up",), ("trigger",), ("result", 2), ("trigger",), *images], line)
    parts = [live.part for live in line.agent.engine._open_parts.values()]

    (on_third,) = [part for part in parts if part.result is not None and part.result.fields == ("3",)]
    assert on_third.seq == 3
    assert "before the controller told the count of the first" in on_third.stale


@pytest.mark.parametrize(
    ("where", "name", "fault", "budget"),
    [
        (ControllerCounter, "why_apart", lambda *_: "", Budget(parts=2, resets=1)),
        (ControllerCounter, "is_overtaken", lambda *_: False, Budget(parts=2)),
        (part_handler.PartHandler, "may_pass", lambda *_: True, Budget(parts=1, bypasses=1, splits=1)),
    ],
    ids=["a reset that nobody sees", "order of arrival for order of time", "nothing is asked again"],
)
def test_the_search_finds_a_fault(
    where: type, name: str, fault: Any, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most single faults are caught by another layer behind; these three are not."""
    monkeypatch.setattr(where, name, fault)

    with pytest.raises(Violated):
        shortest(Line.new(budget))


def test_several_processes_find_what_one_finds() -> None:
    budget = Budget(parts=2, resets=1, splits=1)
    one, deep, many = shortest(Line.new(budget)), *(whole(Line.new(budget), processes=n, table_bits=20) for n in (1, 2))

    assert (deep.seen, deep.states) == (one.seen, one.states)
    # What two processes come to at the same moment is looked at by both.
    assert one.states <= many.states <= 1.1 * one.states
    assert many.seen["PASS"] >= one.seen["PASS"]
    with pytest.raises(Violated):
        whole(Line.new(replace(budget, has_sessions=False)), processes=2, table_bits=20)


@pytest.mark.slow
def test_a_part_that_cannot_pass_never_can_again() -> None:
    """The search goes no further where no open part can pass: none that is stale, or behind which another opened."""

    def of(line: Line) -> tuple[int, set[int]]:
        engine = line.agent.engine
        return engine._readiness.newest_seq, {seq for seq, live in engine._open_parts.items() if live.part.stale}

    known, level = set(), [Line.new(Budget(parts=2, resets=1, cuts=1, repeats=1, splits=1))]
    while level:
        behind = []
        for line in level:
            newest, stale = of(line)
            for choice in line.choices():
                then = line.after(choice)
                newest_then, stale_then = of(then)
                assert newest_then >= newest
                assert stale & set(then.agent.engine._open_parts) <= stale_then
                if not then.is_over() and then.key() not in known:
                    known.add(then.key())
                    behind.append(then)
        level = behind

    assert len(known) > 1000
    assert len({hash(key) for key in known}) == len(known), "the search keeps hashes alone"


def test_states_of_one_key_have_the_same_future() -> None:
    """The key leaves out what nothing asks for any more: else a schedule would be taken for one that was looked at."""
    first: dict[object, set[object]] = {}
    compared, level = 0, [Line.new(Budget(parts=2, resets=1, cuts=1, cameras=2))]
    while level:
        behind = []
        for line in level:
            then = [line.after(choice) for choice in line.choices()]
            future = {(state.is_over() or state.key(), state.seen()) for state in then}
            if line.key() in first:
                compared += 1
                assert future == first[line.key()]
            else:
                first[line.key()] = future
                behind += [state for state in then if not state.is_over()]
        level = behind

    assert compared > 500
