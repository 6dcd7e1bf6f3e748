"""When a promoted bundle is stopped, when it may go on, and why, in words (docs/decisions/0103).

Exact tests, at a few numbers of parts and not after each part: whoever looks often enough finds something by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Literal

__all__ = ["FIRST_LOOK", "LEAST_PARTS", "Counts", "Found", "Watched", "after_all", "in_shadow", "in_use", "next_look"]

FIRST_LOOK = 25
LEAST_PARTS = 200
"""Parts that a stage wants, of each of its lines."""
_BY_CHANCE = 0.001
"""Of one look. Five of them come before a stage is over."""
_ESCAPES_BY_CHANCE = 0.01
"""Of escapes after the last stage: few are ever found, and each of them is worse than a false reject."""
_WORTH_IT = 1.5
"""After the last stage there are so many parts that a rise by a hundredth is more than chance, and no fault."""
_COMPARABLE_LEAST = 0.95


@dataclass(frozen=True, slots=True)
class Found:
    """``go``: nothing was found in enough parts. ``wait``: not enough is known yet. ``stop``: it has got worse."""

    what: Literal["go", "wait", "stop"]
    words: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A candidate beside a line.

    ``good_worse``: good parts that people confirmed and that it alone rejects; ``good_better``: that the bundle in use
    alone rejects. ``bad_wrong``: confirmed defects that it passes.
    """

    parts: int
    to_reject: int
    to_pass: int
    not_comparable: int
    good_worse: int = 0
    good_better: int = 0
    bad_wrong: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Parts that a bundle judged in use. ``rejected`` by the inspection; ``overturned`` and ``escaped`` by people."""

    parts: int
    rejected: int
    overturned: int = 0
    escaped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.parts + other.parts,
            self.rejected + other.rejected,
            self.overturned + other.overturned,
            self.escaped + other.escaped,
        )


def next_look(parts: int) -> int:
    """At how many parts the tests are made the next time, after they were made at ``parts``."""
    at = FIRST_LOOK
    while at <= parts:
        at *= 2
    return at


def in_shadow(seen: Watched, *, is_look: bool) -> Found:
    """Of a candidate beside the first line. ``is_look``: it is time for the tests."""
    if seen.bad_wrong:
        return Found("stop", f"{seen.bad_wrong} defects that people confirmed would pass by it")
    if is_look and _is_rise(seen.to_reject, seen.to_pass):
        return Found(
            "stop",
            f"it rejects more: of {seen.parts} parts {seen.to_reject} that pass today, and it passes {seen.to_pass} "
            "that are rejected today",
        )
    if is_look and _is_rise(seen.good_worse, seen.good_better):
        return Found("stop", f"it rejects {seen.good_worse} parts that people confirmed as good and that pass today")
    if seen.problem:
        return Found("wait", f"it does not judge: {seen.problem}")
    asked = seen.parts + seen.not_comparable
    if seen.parts < LEAST_PARTS:
        return Found("wait", f"{seen.parts} of {LEAST_PARTS} parts compared")
    if seen.parts < _COMPARABLE_LEAST * asked:
        return Found("wait", f"only {seen.parts} of {asked} parts could be compared")
    return Found("go", f"{seen.parts} parts compared: it rejects {seen.to_reject} more and passes {seen.to_pass} more")


def in_use(before: Counts, now: Counts, *, is_look: bool) -> Found:
    """Of a bundle that judges on a line, against the bundle that judged there before."""
    if now.escaped:
        return Found("stop", f"{now.escaped} parts that it passed were confirmed as defects")
    for what, was, has in (
        ("rejected", before.rejected, now.rejected),
        ("overturned", before.overturned, now.overturned),
    ):
        if is_look and _has_risen(was, before.parts, has, now.parts):
            told = "it rejects more" if what == "rejected" else "people overturn more of its rejects"
            return Found("stop", _rise(told, was, has, before, now))
    if now.parts < LEAST_PARTS:
        return Found("wait", f"{now.parts} of {LEAST_PARTS} parts")
    return Found("go", f"{now.rejected} of {now.parts} parts rejected, {before.rejected} of {before.parts} before")


def after_all(before: Counts, now: Counts, *, is_look: bool, is_of_all: bool = False) -> Found:
    """Of a bundle that is in use on all lines: of one line, or (``is_of_all``) of all of them together.

    A rise of what people found wrong stops it. Rejects alone do so of all lines together, and where they are half as
    many again: on one line they are as well the material, the light, or a lot that is bad.
    """
    if _has_risen(before.escaped, before.parts, now.escaped, now.parts, _ESCAPES_BY_CHANCE):
        return Found(
            "stop",
            _rise("more parts that it passed are confirmed as defects", before.escaped, now.escaped, before, now),
        )
    if is_look and _is_worth_it(before.overturned, before.parts, now.overturned, now.parts):
        return Found(
            "stop", _rise("people overturn more of its rejects", before.overturned, now.overturned, before, now)
        )
    if is_look and is_of_all and _is_worth_it(before.rejected, before.parts, now.rejected, now.parts):
        return Found("stop", _rise("it rejects more", before.rejected, now.rejected, before, now))
    return Found(
        "go",
        f"{now.rejected} of {now.parts} parts rejected, {before.rejected} of {before.parts} before; "
        f"{now.overturned} of these were overturned, {now.escaped} others were found to be defects",
    )


def _is_rise(worse: int, better: int) -> bool:
    """Whether so many of the differences go the wrong way that chance does it in fewer than one of a thousand looks."""
    if worse <= better:
        return False
    of = worse + better
    # As many or more heads in so many throws of a coin.
    return sum(exp(_ways(of, heads) - of * log(2)) for heads in range(worse, of + 1)) < _BY_CHANCE


def _rise(what: str, was: int, has: int, before: Counts, now: Counts) -> str:
    return f"{what}: {has} of {now.parts} parts, and {was} of {before.parts} under the one before"


def _is_worth_it(was: int, of_was: int, has: int, of_has: int) -> bool:
    """Whether the share has risen, and by half of what it was."""
    return has * of_was >= _WORTH_IT * was * of_has and _has_risen(was, of_was, has, of_has)


def _has_risen(was: int, of_was: int, has: int, of_has: int, by_chance: float = _BY_CHANCE) -> bool:
    """Fisher's exact test, one-sided: as many or more among the new parts, if old and new were one heap."""
    if not of_was or not of_has or has * of_was <= was * of_has:
        return False
    return _tail(was + has, of_was + of_has, has, of_has) < by_chance


def _tail(marked: int, heap: int, least: int, drawn: int) -> float:
    """The chance that of ``drawn`` parts out of a heap with so many ``marked`` ones at least so many are marked."""
    tail = 0.0
    for found in range(least, min(marked, drawn) + 1):
        ways = _ways(marked, found) + _ways(heap - marked, drawn - found) - _ways(heap, drawn)
        tail += (chance := exp(ways))
        if chance <= tail * 1e-12:  # beyond what is expected each is smaller than the one before
            break
    return tail


def _ways(of: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose; minus infinity where there is none."""
    if not 0 <= chosen <= of:
        return float("-inf")
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)
