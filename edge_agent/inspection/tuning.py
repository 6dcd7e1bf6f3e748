"""With how many threads an inspection is quickest on this machine: tried, with the bundle's own reference image.

What an inspection says does not hang on their number, only how long it takes. More threads are not always quicker: they
wait for each other many times an image, and the links need a core too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = ["Tuned", "fewest_of_the_quickest", "tuned"]

_MOST: Final = 4
"""Threads that are tried: with more of them these networks gain little, and the line has other work."""
_RUNS: Final = 5
_NEAR: Final = 0.05
"""Of the quickest time: a difference that comes by chance, and no reason for another thread."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """How many ``threads`` were chosen, and the ms (median of a few runs) that an inspection takes with each number."""

    threads: int
    times_ms: Mapping[int, float]

    @property
    def words(self) -> str:
        """What was chosen and why."""
        all_of_them = ", ".join(f"{ms:.0f} ms with {threads}" for threads, ms in self.times_ms.items())
        why = (
            "the only number here" if len(self.times_ms) == 1 else "the fewest that are about as quick as the quickest"
        )
        return f"threads {self.threads}, {why}: {all_of_them}"


def tuned(bundle: Bundle, cores: int | None = None) -> tuple[Inspector, Tuned]:
    """The inspector with the number of threads that is quickest here, proven and warm, and what was measured.

    From 1 to as many as there are ``cores`` (None: this machine's), four at most. Raises BundleRejected as ``warm_up``
    does.
    """
    inspectors: dict[int, Inspector] = {}
    times_ms: dict[int, float] = {}
    reference = (bundle.folder / "reference.png").read_bytes()
    for threads in range(1, min(cores or os.cpu_count() or 1, _MOST) + 1):
        inspector = Inspector(bundle, threads=threads)
        inspector.warm_up()
        # The median: another program that has its turn in between makes one run slow, not three of five.
        times_ms[threads] = median(sum(inspector.inspect(reference).timings_ms.values()) for _ in range(_RUNS))
        inspectors[threads] = inspector
    threads = fewest_of_the_quickest(times_ms)
    return inspectors[threads], Tuned(threads, times_ms)


def fewest_of_the_quickest(times_ms: Mapping[int, float]) -> int:
    """The smallest number of threads whose time is within 5 % of the best."""
    return min(threads for threads, ms in times_ms.items() if ms <= min(times_ms.values()) * (1.0 + _NEAR))
