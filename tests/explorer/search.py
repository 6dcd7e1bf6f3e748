"""Every schedule of a model: each state is looked at once.

``shortest`` goes breadth first: what it finds is a shortest schedule, and it keeps a whole level in memory. ``whole``
goes depth first in several processes that share what they have seen: for budgets of many millions of states.
"""

from __future__ import annotations

import mmap
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    Choice = tuple[Any, ...]

_BITS = 64


class State(Protocol):
    """Where a schedule has come to."""

    def choices(self) -> Iterable[Choice]:
        """All that may happen next."""
        ...

    def after(self, choice: Choice) -> State:
        """The state behind it; this one stays as it is. Raises AssertionError where a promise is broken by it."""
        ...

    def is_over(self) -> bool:
        """Whether nothing that follows can break a promise: the search looks at it no more."""
        ...

    def key(self) -> Hashable:
        """All that what follows depends on: two states of one key have the same future."""
        ...

    def seen(self) -> str:
        """What the step that led here showed, to be counted; '' for nothing."""
        ...


class Violated(AssertionError):
    """A promise was broken; ``schedule`` leads there."""

    def __init__(self, schedule: Sequence[Choice], why: str) -> None:
        super().__init__(schedule, why)
        self.schedule, self.why = tuple(schedule), why

    def __str__(self) -> str:
        lines = [f"  {at}. {' '.join(map(str, choice))}" for at, choice in enumerate(self.schedule, 1)]
        return "\n".join([self.why, *lines])


@dataclass(slots=True)
class Explored:
    """A search that came to its end without a violation."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    """The steps of the longest schedule that was followed; breadth first, of the longest that is a shortest one."""
    seconds: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)


def shortest(start: State, *, say: Callable[[str], object] = lambda _line: None) -> Explored:
    """Look at every state that can be reached, nearest first. Raises Violated, with a shortest schedule.

    Of a state that was seen its hash alone is kept, 64 bits: among ten million states, two that differ are taken for
    one with a chance of three in a million.
    """
    began, found = time.monotonic(), Explored(1)
    known, level = {hash(start.key())}, [(start, None)]
    while level:
        behind: list[tuple[State, Any]] = []
        for state, path in level:
            for then, way in _behind(state, path, found):
                key = hash(then.key())
                if key not in known:
                    known.add(key)
                    behind.append((then, way))
        found.depth += bool(behind)
        found.states, found.seconds = len(known), time.monotonic() - began
        say(f"depth {found.depth}: {len(behind):,} new, {found.states:,} states, {found.seconds:.0f} s")
        level = behind
    return found


def whole(start: State, *, processes: int, table_bits: int = 27) -> Explored:
    """Look at every state that can be reached, in several processes. Raises Violated, MemoryError if the table is full.

    A state that two processes come to at the same moment is looked at by both, and counted twice; none is left out.
    """
    began = time.monotonic()
    context = multiprocessing.get_context("fork")  # one seed of hash() for all, and one table
    table = _Table(mmap.mmap(-1, 8 << table_bits))
    found, roots = _roots(start, 64 * processes, table)
    tasks, answers = context.SimpleQueue(), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(start, tasks, answers, table)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for root in [*roots, *[None] * processes]:
        tasks.put(root)
    for _ in workers:
        answer = answers.get()
        if isinstance(answer, BaseException):
            for worker in workers:
                worker.terminate()
                worker.join()
            raise answer
        found.states += answer.states
        found.steps += answer.steps
        found.depth = max(found.depth, answer.depth)
        found.seen += answer.seen
    for worker in workers:
        worker.join()
    found.seconds = time.monotonic() - began
    return found


class _Table:
    """Hashes that were seen, in memory that processes share; a hash that gets lost in a race is looked at once more."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._slots: np.ndarray[Any, np.dtype[np.uint64]] = np.frombuffer(memory, dtype=np.uint64)
        self._mask = len(self._slots) - 1

    def add(self, key: int) -> bool:
        """Note it; whether it is new."""
        value = key % (1 << _BITS) or 1
        at = value & self._mask
        for _ in range(1000):
            there = int(self._slots[at])
            if there == value:
                return False
            if there == 0:
                self._slots[at] = value
                return True
            at = (at + 1) & self._mask
        raise MemoryError("the table of states is full: give the search more bits")


def _behind(state: State, path: Any, found: Explored) -> Iterator[tuple[State, Any]]:
    """All states one step further that are not over, each with the way there; counts the steps. Raises Violated."""
    for choice in state.choices():
        found.steps += 1
        try:
            then = state.after(choice)
        except AssertionError as err:
            raise Violated(_schedule((path, choice)), str(err)) from err
        if what := then.seen():
            found.seen[what] += 1
        if not then.is_over():
            yield then, (path, choice)


def _roots(start: State, number: int, table: _Table) -> tuple[Explored, list[Any]]:
    """The first levels, and the schedules that lead to the states behind them."""
    found = Explored(1)
    table.add(hash(start.key()))
    level: list[tuple[State, Any]] = [(start, None)]
    while level and len(level) < number:
        behind = []
        for state, path in level:
            for then, way in _behind(state, path, found):
                if table.add(hash(then.key())):
                    found.states += 1
                    behind.append((then, way))
        found.depth += bool(behind)
        level = behind
    return found, [_schedule(path) for _, path in level]


def _work(start: State, tasks: Any, answers: Any, table: _Table) -> None:
    """One process: root after root, until there is none."""
    try:
        found = Explored()
        while (root := tasks.get()) is not None:
            state, path = start, None
            for choice in root:
                state, path = state.after(choice), (path, choice)
            _dive(state, path, len(root), table, found)
        answers.put(found)
    except BaseException as err:  # noqa: BLE001 - handed to the process that waits
        answers.put(err)


def _dive(state: State, path: Any, depth: int, table: _Table, found: Explored) -> None:
    open_states = [(state, path, depth)]
    while open_states:
        state, path, depth = open_states.pop()
        found.depth = max(found.depth, depth)
        for then, way in _behind(state, path, found):
            if table.add(hash(then.key())):
                found.states += 1
                open_states.append((then, way, depth + 1))


def _schedule(path: Any) -> list[Choice]:
    choices = []
    while path is not None:
        path, choice = path
        choices.append(choice)
    return choices[::-1]
