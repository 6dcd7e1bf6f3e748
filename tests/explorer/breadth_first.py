"""Every schedule of a model, breadth first: each state is looked at once, and the first violation is a shortest one."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    Choice = tuple[Any, ...]


class State(Protocol):
    """Where a schedule has come to."""

    def choices(self) -> Iterable[Choice]:
        """All that may happen next."""
        ...

    def after(self, choice: Choice) -> State:
        """The state behind it; this one stays as it is. Raises AssertionError where a promise is broken by it."""
        ...

    def key(self) -> Hashable:
        """All that what follows depends on: two states of one key have the same future."""
        ...

    def seen(self) -> str:
        """What this state shows, to be counted; '' for nothing."""
        ...


class Violated(AssertionError):
    """A promise was broken; ``schedule`` leads there, and none that is shorter does."""

    def __init__(self, schedule: Sequence[Choice], why: str) -> None:
        self.schedule, self.why = tuple(schedule), why
        lines = "\n".join(f"  {at}. {' '.join(map(str, choice))}" for at, choice in enumerate(schedule, 1))
        super().__init__(f"{why}\n{lines}")


@dataclass(slots=True)
class Explored:
    """A search that came to its end without a violation."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    seconds: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)


def explore(start: State, *, say: Callable[[str], object] = lambda _line: None) -> Explored:
    """Look at every state that can be reached. Raises Violated.

    Of a state that was seen its hash alone is kept, 64 bits: among ten million states, two that differ are taken for
    one with a chance of three in a million.
    """
    began, found = time.monotonic(), Explored(1)
    known, level = {hash(start.key())}, [(start, None)]
    while level:
        behind: list[tuple[State, Any]] = []
        for state, path in level:
            for choice in state.choices():
                found.steps += 1
                try:
                    then = state.after(choice)
                except AssertionError as err:
                    raise Violated(_schedule((path, choice)), str(err)) from err
                key = hash(then.key())
                if key not in known:
                    known.add(key)
                    behind.append((then, (path, choice)))
                    if what := then.seen():
                        found.seen[what] += 1
        found.depth += bool(behind)
        found.states, found.seconds = len(known), time.monotonic() - began
        say(f"depth {found.depth}: {len(behind):,} new, {found.states:,} states, {found.seconds:.0f} s")
        level = behind
    return found


def _schedule(path: Any) -> list[Choice]:
    choices = []
    while path is not None:
        path, choice = path
        choices.append(choice)
    return choices[::-1]
