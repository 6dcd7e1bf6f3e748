"""Every run of a budget, breadth first: each state is reached by doing its schedule over from the start.

A state that was seen is not gone on from, so what is counted is every state once and every step once. The first
violation is one of the shortest there is, counted in steps at which something else might have come.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from tests.explorer.output_line import GO_ON, TIME, Budget, Line, explorable
from tests.explorer.output_loop import TICK_S
from tests.explorer.output_promises import Violation
from tests.explorer.output_state import state_of

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Explored", "Schedule", "explore", "read", "replay", "told"]

Schedule = tuple[str, ...]
_HERE = "(here)"
_ALIVE = 3000
_AUDIT_EACH = 50
"""One in so many states that were taken for equal is looked into."""


@dataclass(slots=True)
class Explored:
    """What an exploration found. ``violation`` is empty where every promise held in every run."""

    states: int = 0
    steps: int = 0
    longest: int = 0
    audited: int = 0
    seconds: float = 0.0
    told: Counter[str] = field(default_factory=Counter)
    violation: str = ""
    schedule: Schedule = ()
    is_complete: bool = True
    """False: it was cut off at ``at_most`` states."""

    def __str__(self) -> str:
        if self.violation:
            return f"{self.violation}:\n{told(self.schedule)}"
        return f"{self.states:,} states, {self.steps:,} steps, longest {self.longest}, {self.seconds / 60:.1f} min"


def replay(budget: Budget, schedule: Schedule) -> Line:
    """The line after that schedule. Raises Violation. Only inside ``explorable``."""
    line = Line(budget)
    for done in range(len(schedule)):
        take(line, schedule[: done + 1])
    return line


def take(line: Line, schedule: Schedule) -> None:
    """The last choice of a schedule, on the line that the others led to. Raises Violation with the schedule in it."""
    try:
        line.take(schedule[-1])
    except BaseException as err:
        line.throw_away()
        if isinstance(err, Violation):
            err.schedule = schedule
        raise


def explore(budget: Budget, *, at_most: int = 10_000_000) -> Explored:
    """Look at every run that the budget allows, until a promise is broken."""
    began_s = time.monotonic()
    found = Explored()
    with explorable():
        _search(budget, found, at_most)
    found.seconds = time.monotonic() - began_s
    return found


def _search(budget: Budget, found: Explored, at_most: int) -> None:
    search = _Search(budget, found)
    try:
        _walk(budget, found, search, at_most)
    finally:
        for line in search.alive.values():
            line.throw_away()


def _walk(budget: Budget, found: Explored, search: _Search, at_most: int) -> None:
    search.arrive(replay(budget, ()), ())
    while search.waiting:
        schedule, choices = search.waiting.popleft()
        for choice in choices:
            following = (*schedule, choice)
            try:
                alive = search.alive.pop(schedule, None) if choice == choices[-1] else None
                if alive is None:
                    alive = replay(budget, following)
                else:
                    take(alive, following)
                search.arrive(alive, following)
            except Violation as broken:
                found.violation, found.schedule = str(broken), broken.schedule
                return
        if found.states > at_most:
            found.is_complete = False
            return


class _Search:
    """The states that were seen, each with the schedule that led to it first, and those to go on from."""

    def __init__(self, budget: Budget, found: Explored) -> None:
        self.waiting: deque[tuple[Schedule, list[str]]] = deque()
        self.alive: dict[Schedule, Line] = {}
        """Lines that wait to go on: that spares doing their schedules over once."""
        self._budget = budget
        self._found = found
        self._seen: dict[bytes, Schedule] = {}
        self._merges = 0

    def arrive(self, line: Line, schedule: Schedule) -> None:
        """Note the state; where only one thing can come next, go on to the state behind it."""
        while True:
            self._found.steps += 1
            key, choices = _key(line), line.choices()
            is_new = key not in self._seen
            if is_new:
                self._seen[key] = schedule
                self._found.states += 1
                self._found.longest = max(self._found.longest, len(schedule))
            if not is_new or len(choices) > 1:
                break
            schedule = (*schedule, choices[0])
            take(line, schedule)
        self._found.told.update(line.promises.told)
        if is_new:
            self.waiting.append((schedule, choices))
            if len(self.alive) < _ALIVE:
                self.alive[schedule] = line
                return
        line.throw_away()
        if not is_new:
            self._merges += 1
            if self._merges % _AUDIT_EACH == 0:
                self._found.audited += 1
                _audit(self._budget, schedule, self._seen[key])


def _key(line: Line) -> bytes:
    """Python's own hash will not do: -1 and -2 have the same."""
    return blake2b(repr(state_of(line)).encode(), digest_size=16).digest()


def _audit(budget: Budget, one: Schedule, other: Schedule) -> None:
    """Two schedules that were taken for the same state go on the same way, whatever comes next."""
    futures = [_futures(budget, schedule) for schedule in (one, other)]
    assert futures[0] == futures[1], f"not the same state:\n{told(one)}\n-- and --\n{told(other)}"


def _futures(budget: Budget, schedule: Schedule) -> dict[str, Any]:
    line = replay(budget, schedule)
    choices = line.choices()
    line.throw_away()
    found: dict[str, Any] = {}
    for choice in choices:
        try:
            line = replay(budget, (*schedule, choice))
        except Violation as broken:
            found[choice] = str(broken)
        else:
            found[choice] = (line.choices(), _key(line))
            line.throw_away()
    return found


def told(schedule: Schedule) -> str:
    """A schedule for reading: what came when."""
    ticks, lines = 0, []
    for choice in schedule:
        ticks += choice == TIME
        if choice not in (TIME, GO_ON):
            lines.append(f"  {ticks * TICK_S * 1000:6.1f} ms  {choice}")
    return "\n".join([*lines, f"  {ticks * TICK_S * 1000:6.1f} ms  {_HERE}"])


def read(text: str) -> Schedule:
    """The schedule that ``told`` wrote; only of a budget whose choices come while the agent waits."""
    schedule: list[str] = []
    ticks = 0
    for line in text.splitlines():
        at_ms, _, choice = line.strip().partition(" ms  ")
        waits = round(float(at_ms) / 1000 / TICK_S) - ticks
        ticks += waits
        schedule += [TIME] * waits + ([choice] if choice != _HERE else [])
    return tuple(schedule)
