"""What the newest parts cost, step by step, from what the journal has of each: no benchmark, the line itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Spread", "Timings", "timings_of"]

_TIMED = """
SELECT part_seq, decided_mono_s - first_sign_mono_s, at_mono_s - decided_mono_s,
  (SELECT sum(value) FROM camera, json_each(camera.timings_ms) WHERE camera.part_seq = part.part_seq)
FROM part JOIN publication USING (part_seq)
WHERE verdict = 'PASS' AND reason = 'OK' AND published = 'PUBLISHED' ORDER BY part_seq DESC LIMIT ?
"""
_STAGES = """
SELECT key, value FROM camera, json_each(camera.timings_ms) WHERE part_seq BETWEEN ? AND ? AND outcome = 'OK'
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds of one step: the middle one, those that 10 % and 1 % of parts exceed, and the longest."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Spread:
        """Of one time at least."""
        ordered = sorted(times_ms)

        def at(share: float) -> float:
            # A time that some part really took, and none in between two of them.
            return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

        return cls(at(0.5), at(0.9), at(0.99), ordered[-1])


@dataclass(frozen=True, slots=True)
class Timings:
    """Steps of passed parts in their order, by what a person calls them; ``parts`` is of how many."""

    parts: int
    steps: dict[str, Spread]
    stages: dict[str, Spread]
    """Of one image's inspection."""


class _TimedParts(JournalReader):
    def parts(self, most: int) -> list[tuple[int, float, float, float | None]]:
        """Number, seconds to the verdict and from there to the wire, milliseconds of inspection; the newest first."""
        return [(row[0], row[1], row[2], row[3]) for row in self._all(_TIMED, most)]

    def stages(self, first_seq: int, last_seq: int) -> dict[str, list[float]]:
        """Milliseconds of each stage of their images."""
        found: dict[str, list[float]] = {}
        for name, value in self._all(_STAGES, first_seq, last_seq):
            found.setdefault(name, []).append(value)
        return found


def timings_of(path: Path, most: int) -> Timings:
    """Of the newest ``most`` parts whose PASS reached the line. Raises DataError where there is no journal.

    The first sign is mostly the controller's result line: the transfer of the image lies behind it. The inspections of
    several cameras are added up, as one after the other they take that long.
    """
    with _TimedParts.open(path) as journal:
        found = journal.parts(most)
        if not found:
            return Timings(0, {}, {})
        stages = journal.stages(found[-1][0], found[0][0])
    decided = [1000 * to_verdict_s for _, to_verdict_s, _, _ in found]
    published = [1000 * to_wire_s for _, _, to_wire_s, _ in found]
    inspected = [inspection_ms or 0.0 for *_, inspection_ms in found]
    whole = [a + b for a, b in zip(decided, published, strict=True)]
    steps = {
        "first sign to verdict": decided,
        "of that: inspection": inspected,
        "of that: everything else": [a - b for a, b in zip(decided, inspected, strict=True)],
        "verdict to PASS on the wire, row written before": published,
        "first sign to PASS on the wire": whole,
        "of that: everything but the inspection": [a - b for a, b in zip(whole, inspected, strict=True)],
    }
    return Timings(
        len(found),
        {name: Spread.of(times) for name, times in steps.items()},
        {name: Spread.of(times) for name, times in stages.items()},
    )
