"""The stages of a calibration: how far each is, and how long it took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["Progress", "StageClock", "stage_of", "unseen"]

Progress: TypeAlias = "Callable[[str, int, int], None]"
"""Called with the stage, what of it is done, and all of it."""


def unseen(_stage: str, _done: int, _total: int) -> None:
    """A progress that shows nothing, for calls that nobody watches."""


def stage_of(progress: Progress, name: str) -> Callable[[int, int], None]:
    """Progress of that stage alone: called with what of it is done, and all of it."""
    return lambda done, total: progress(name, done, total)


@dataclass(slots=True)
class StageClock:
    """How long each stage took, in seconds of wall time by the stage's name."""

    timings_s: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str, *, adds: bool = False) -> None:
        """The stage that began with the end of the one before is done; ``adds``: to what it took before."""
        now = time.perf_counter()
        self.timings_s[stage] = now - self._since + (self.timings_s.get(stage, 0.0) if adds else 0.0)
        self._since = now
