"""The five invariants of a line, for every harness: random schedules, the line in virtual time, killed processes.

A part is named by its truth: the number that the line itself gave it, which the agent never sees.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.domain import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Passed:
    """PASS stood while part ``truth`` was before the gate; the verdict rests on images and results of ``judged``."""

    truth: int
    judged: frozenset[int]
    is_good: bool


def no_stale_pass(passed: Iterable[Passed]) -> None:
    """Whoever was let through was judged, by its own image and result alone, and is good."""
    for part in passed:
        assert part.judged == {part.truth}, f"part {part.truth} went through on messages of {set(part.judged)}"
        assert part.is_good, f"part {part.truth} is bad and went through"


def every_part_is_accounted_for(parts: Collection[int], accounted: Iterable[int]) -> None:
    """Each part exactly once: PASS, REJECT or FAULT."""
    found = Counter(accounted)
    twice = sorted(part for part, times in found.items() if times > 1)
    assert not twice, f"accounted for more than once: {twice[:10]}"
    assert set(found) == set(parts), (
        f"missing {sorted(set(parts) - set(found))[:10]}, unknown {set(found) - set(parts)}"
    )


def a_pass_has_its_row(passed: Iterable[int], rows: Mapping[int, Verdict]) -> None:
    """Nobody goes through without a durable PASS row of its own."""
    without = [part for part in passed if rows.get(part) is not Verdict.PASS]
    assert not without, f"went through without a PASS row: {without[:10]}"


def output_drops_when_silent(
    windows: Iterable[tuple[float, float]], silent_since: Iterable[float], *, within_s: float
) -> float:
    """A PASS that stands when the agent falls silent ends in that time. The longest it took, 0.0 if none stood."""
    windows, longest_s = list(windows), 0.0
    for since in silent_since:
        for begin, end in windows:
            if begin <= since < end:
                longest_s = max(longest_s, end - since)
    assert longest_s <= within_s, f"PASS stood for {longest_s:.3f} s after the agent fell silent"
    return longest_s


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process holds: threads and open files."""

    threads: int
    files: int

    @classmethod
    def now(cls) -> Holdings:
        """Of this process."""
        files = Path("/proc/self/fd")
        return cls(threading.active_count(), len(list(files.iterdir())) if files.exists() else 0)


def nothing_leaks(before: Holdings, after: Holdings, **bounded: tuple[int, int]) -> None:
    """No more threads and files than before; each ``name=(size, most)`` within its bound."""
    assert after.threads <= before.threads, f"threads: {before.threads}, then {after.threads}"
    assert after.files <= before.files, f"open files: {before.files}, then {after.files}"
    for name, (size, most) in bounded.items():
        assert size <= most, f"{name}: {size}, at most {most}"
