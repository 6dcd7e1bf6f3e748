"""Every run of the real outputs within a budget: no promise is broken, and each that is broken on purpose is found.

``EDGE_AGENT_EXPLORE=1`` takes the whole budgets instead of the small ones: an hour or more on a quiet machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.explorer import output_mutants as mutants
from tests.explorer.output_line import REGISTERS, Budget, explorable
from tests.explorer.output_promises import Violation
from tests.explorer.output_search import explore, read, replay, told
from tests.explorer.output_state import state_of
from tests.explorer.output_wire import Late

if TYPE_CHECKING:
    from tests.results import Figure

IS_WHOLE = bool(os.environ.get("EDGE_AGENT_EXPLORE"))
PAGE = Path(__file__).parents[2] / "docs" / "explored-outputs.md"
LATE: dict[str, Any] = {"late": Late.UNTIL_READ, "late_writes": 1}
PLC: dict[str, Any] = {"output": REGISTERS}

SMALL = {
    "coils: 1 part, 1 fault": Budget(parts=1, faults=1),
    "coils, between any two steps: 1 part": Budget(parts=1, faults=0, is_fine=True),
    "registers: 2 parts": Budget(parts=2, faults=0, **PLC),
}
WHOLE = {
    "coils: 1 part, 1 fault, 1 late write, a withdraw": Budget(parts=1, withdrawals=1, **LATE),
    "coils: 1 part, 1 fault, READY falls": Budget(parts=1, ready_falls=1),
    "coils: 1 part, a slow answer, READY falls": Budget(parts=1, faults=0, slow=1, ready_falls=1),
    "coils: 1 part, 1 fault, 2 slow answers within the deadline": Budget(parts=1, slow=2, deadline=3),
    "coils: 1 part, 1 fault, a slow answer, what PASS rests on ends": Budget(parts=1, slow=1, permissions=1),
    "coils: 1 part, 1 fault, a stop": Budget(parts=1, stops=1),
    "coils: 1 part, 1 fault, 1 late write, the publisher is cancelled": Budget(parts=1, cancels=1, **LATE),
    "coils: 1 part, 2 faults, 1 late write": Budget(parts=1, faults=2, **LATE),
    "coils: 2 parts, verdicts in any order, 1 fault": Budget(parts=2, is_newest_only=False),
    "coils: 2 parts, 1 fault, 1 late write": Budget(parts=2, **LATE),
    "coils: 2 parts, 2 faults, 1 late write": Budget(parts=2, faults=2, **LATE),
    "coils: 3 parts": Budget(parts=3, faults=0),
    "coils, between any two steps: 1 part, 1 fault": Budget(parts=1, is_fine=True),
    "coils, between any two steps: 1 part, a slow answer, a withdraw": Budget(
        parts=1, faults=0, slow=1, withdrawals=1, is_fine=True
    ),
    "coils, between any two steps: 1 part, a slow answer, a stop": Budget(
        parts=1, faults=0, slow=1, stops=1, is_fine=True
    ),
    "registers: 1 part, 1 fault, 1 late write, a withdraw": Budget(parts=1, withdrawals=1, **LATE, **PLC),
    "registers: 1 part, 1 fault, a stop": Budget(parts=1, stops=1, **PLC),
    "registers: 1 part, 1 fault, READY falls": Budget(parts=1, ready_falls=1, **PLC),
    "registers: 2 parts, 1 fault, 1 late write": Budget(parts=2, **LATE, **PLC),
    "registers: 3 parts, a miscount": Budget(parts=3, faults=0, miscounts=1, **PLC),
    "registers: 2 parts, 2 miscounts": Budget(parts=2, faults=0, miscounts=2, **PLC),
    "registers, between any two steps: 1 part, a slow answer": Budget(parts=1, faults=0, slow=1, is_fine=True, **PLC),
}


@pytest.mark.slow
@pytest.mark.promise(
    "T-34o", "the real outputs: every run of a budget of parts, faults, late writes, stops", "no promise is broken"
)
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("name", WHOLE if IS_WHOLE else SMALL)
def test_no_promise_is_broken_in_any_run(name: str, figure: Figure) -> None:
    found = explore((SMALL | WHOLE)[name])

    assert not found.violation, str(found)
    assert found.is_complete
    assert {"PASS PUBLISHED", "REJECT PUBLISHED"} <= set(found.told), "where nothing is published nothing is proven"
    assert found.audited, "no two runs were looked into that were taken for the same state"
    figure(f"{name}: {found}", is_whole=IS_WHOLE)


PLANTED: list[tuple[type[Any], dict[str, Any], str]] = [
    (mutants.EndsNoWindow, {}, "longer than it may"),
    (mutants.AddsNoWithdrawals, {"slow": 1, "withdrawals": 1}, "after a withdraw"),
    (mutants.BelievesTheEcho, {"faults": 1}, "told PUBLISHED, and does not stand"),
    (mutants.DoesNotLookAgain, {"slow": 1}, "after its deadline"),
    (mutants.TrustsANewConnection, {"faults": 1, "stops": 1}, "run ended without a word"),
    (mutants.LeavesItToTheRefresh, {"withdrawals": 1}, "stands after a withdraw had returned"),
    (mutants.IgnoresReady, {"ready_falls": 1}, "while the line was not ready"),
    (mutants.SaysNothingAtTheEnd, {"stops": 1}, "run ended without a word"),
    (mutants.GoesOnAfterALoss, {"faults": 1}, "came back by itself"),
    (mutants.ForgetsWhoBegan, {"parts": 2, "is_newest_only": False}, "part 2 has begun"),
    (mutants.NamesWhoIsThere, {"parts": 2}, "the gate opens for part 2 on the PASS of part 1"),
    (mutants.RenamesAtEachRefresh, {"parts": 2}, "the gate opens for part 2 on the PASS of part 1"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("output", "budget", "words"), PLANTED, ids=[planted[0].__name__ for planted in PLANTED])
def test_a_planted_fault_is_found(output: type[Any], budget: dict[str, Any], words: str) -> None:
    found = explore(Budget(**{"output": output, "parts": 1, "faults": 0} | budget), at_most=10_000)
    print(found)  # noqa: T201 - the shortest schedule, for who looks

    assert words in found.violation
    assert found.schedule


NEEDED = {
    "a device is done with an old connection once it has carried out a read of a newer one": Budget(
        parts=1, withdrawals=1, late=Late.ALWAYS, late_writes=1
    ),
    "the PLC counts a part before the agent has its first sign": Budget(
        parts=2, faults=0, miscounts=1, is_counted_first=False, **PLC
    ),
    "the next part comes to the gate 125 ms or more after a part's first sign": Budget(
        parts=3, faults=0, is_spaced=False, **PLC
    ),
    "the PLC's numbers go on when its program starts anew": Budget(parts=2, faults=0, restarts=1, **PLC),
}


def shown(assumption: str) -> tuple[str, str]:
    """What the page shows to go wrong without it, and the schedule to that."""
    _, _, behind = PAGE.read_text().partition(f"## {assumption[0].upper()}{assumption[1:]}\n")
    words, _, schedule = behind.split("```\n")[1].partition(":\n")
    return words, schedule.rstrip("\n")


@pytest.mark.parametrize("assumption", NEEDED)
def test_the_page_shows_why_an_assumption_is_needed(assumption: str) -> None:
    words, schedule = shown(assumption)

    with explorable(), pytest.raises(Violation) as broken:
        replay(NEEDED[assumption], read(schedule))
    assert str(broken.value) == words
    assert told(broken.value.schedule) == schedule


@pytest.mark.skipif(not IS_WHOLE, reason="EDGE_AGENT_EXPLORE is not set")
@pytest.mark.parametrize("assumption", NEEDED)
def test_what_the_page_shows_is_the_shortest_there_is(assumption: str) -> None:
    found = explore(NEEDED[assumption])

    assert str(found) == ":\n".join(shown(assumption)), f"write into {PAGE}:\n{found}"


def test_the_same_schedule_gives_the_same_run() -> None:
    budget = Budget(parts=2, faults=1, slow=1)
    seen = []
    with explorable():
        for _ in range(2):
            line = replay(budget, ())
            schedule: tuple[str, ...] = ()
            for number in range(40):
                choices = line.choices()
                schedule = (*schedule, choices[number % len(choices)])
                line.take(schedule[-1])
            seen.append((schedule, repr(state_of(line))))
            line.throw_away()

    assert seen[0] == seen[1]
    assert read(told(seen[0][0])) == seen[0][0]
