"""The images of a part from several cameras: one after the other, or side by side with fewer threads each.

Two inspections side by side wait less for each other's threads than one does for its own; but they share the caches and
the memory. Which is quicker is measured, where line.toml names no number of threads.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Arranged", "arranged"]

_MOST_THREADS: Final = 4
"""In all: with more of them these networks gain little, and the line has other work."""
_RUNS: Final = 5
_WORTH: Final = 0.05
"""Of the time: less is not worth the memory of two images at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """By (program, camera) what judges, and how many ``workers`` do so at a time.

    Ms (median of a few runs) of all images of a part ``after_ms`` each other and ``beside_ms`` each other.
    """

    inspectors: Mapping[tuple[int, int], Inspector]
    workers: int
    after_ms: float
    beside_ms: float

    @property
    def part_ms(self) -> float:
        """What all images of a part take as they are judged now."""
        return self.after_ms if self.workers == 1 else self.beside_ms

    @property
    def words(self) -> str:
        """What was chosen and why."""
        chosen = "one after the other" if self.workers == 1 else "side by side"
        return (
            f"the images of a part are judged {chosen}: {self.after_ms:.0f} ms one after the other, "
            f"{self.beside_ms:.0f} ms side by side"
        )


def arranged(inspectors: Mapping[tuple[int, int], Inspector], cores: int | None = None) -> Arranged | None:
    """The quicker way, by the first of the programs with most cameras; None where no program has two.

    ``inspectors`` are warm. Side by side each gets its share of the ``cores`` (None: this machine's), four at most; the
    inspectors of programs with several cameras are others then, warm too. Raises BundleRejected as ``warm_up`` does.
    """
    cameras = Counter(program for program, _ in inspectors)
    program, count = max(cameras.items(), key=lambda one: one[1], default=(0, 0))
    if count < 2:
        return None
    each = max(1, min(cores or os.cpu_count() or 1, _MOST_THREADS) // count)
    others = {key: Inspector(one.bundle, threads=each) for key, one in inspectors.items() if cameras[key[0]] > 1}
    for one in others.values():
        one.warm_up()
    after_ms = _part_ms([one for key, one in inspectors.items() if key[0] == program], workers=1)
    beside_ms = _part_ms([one for key, one in others.items() if key[0] == program], workers=count)
    # One after the other where the difference is small: two images at once take twice the memory, and the caches.
    if beside_ms > after_ms * (1.0 - _WORTH):
        return Arranged(inspectors, 1, after_ms, beside_ms)
    return Arranged({**inspectors, **others}, count, after_ms, beside_ms)


def _part_ms(inspectors: Sequence[Inspector], *, workers: int) -> float:
    """Ms from the first image of a part to its last inspection, each bundle with its own reference image."""
    images = [(one.bundle.folder / "reference.png").read_bytes() for one in inspectors]
    times_ms = []
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(_RUNS):
            begin = time.perf_counter()
            list(pool.map(Inspector.inspect, inspectors, images))
            times_ms.append((time.perf_counter() - begin) * 1000.0)
    return median(times_ms)
