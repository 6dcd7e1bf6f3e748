"""How busy this machine is, and how fast a demonstration may bring parts on it."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["busy_words", "pace_for"]

_TRIES = 3
_ROOM = 6.0
"""So many times as long as one image takes: the simulated peers and the disk want their share of the same cores."""
_SLOWEST_S = 20.0


def busy_words() -> str:
    """What this machine has to do, in numbers: ``load average 9.9 on 2 cores``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"load average {os.getloadavg()[0]:.1f} on {cores} cores"


def pace_for(wanted_s: float, judge: Callable[[], object], clock: Callable[[], float] = monotonic_s) -> float:
    """The time between two parts, in seconds: as wanted, or longer where this machine takes long for one image.

    ``judge`` judges one image. Raises Unavailable, with numbers, where not even the slowest belt would do.
    """
    judge()  # the first one warms up
    took_s = []
    for _ in range(_TRIES):
        begun = clock()
        judge()
        took_s.append(clock() - begun)
    typical_s = statistics.median(took_s)
    if _ROOM * typical_s > _SLOWEST_S:
        raise Unavailable(
            f"this machine is too busy for a demonstration: one image takes {typical_s:.1f} s to judge, and at most "
            f"{_SLOWEST_S / _ROOM:.1f} s would do ({busy_words()})",
            hint="end what else runs here, or take smaller images: edge-agent demo --width 640",
        )
    return max(wanted_s, round(_ROOM * typical_s, 1))
