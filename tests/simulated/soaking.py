"""Many parts through a real agent, one after the other; what its process holds and how long it took, by quarters.

A machine that is shared gets slower and faster by more than the drift that is looked for. After every part a fixed
calculation is timed in this process: how the agent's times moved is told against how that moved.
"""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.simulated.plc import SimulatedPlc
    from tests.simulated.line import Line

_LOOK_EVERY_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """What the agent's process holds."""

    resident_bytes: int
    threads: int
    files: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """Of that process."""
        process = Path("/proc") / str(pid)
        pages = int((process / "statm").read_text().split()[1])
        return cls(pages * _PAGE_BYTES, len(list((process / "task").iterdir())), len(list((process / "fd").iterdir())))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A fixed calculation, and a file of 4 KiB that is made durable: what is slower when the machine is.

    ``image`` is float32, height x width; it is blurred ``blurs`` times. It should take about as long as a part: what a
    stall of the machine adds to a p99 depends on how long the calculation is.
    """

    folder: Path
    image: np.ndarray
    blurs: int

    @classmethod
    def like(cls, folder: Path, size: tuple[int, int], blurs: int) -> Yardstick:
        """For parts of that width and height."""
        width, height = size
        return cls(folder, np.zeros((height, width), np.float32), blurs)

    def measure_s(self) -> float:
        """How long it takes now, seconds."""
        begin_s = monotonic_s()
        for _ in range(self.blurs):
            cv2.GaussianBlur(self.image, (31, 31), 5.0)
        with (self.folder / "yardstick").open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        return monotonic_s() - begin_s


@dataclass(slots=True)
class Soak:
    """What was seen of a run: latencies from trigger to the PLC's decision, and the process from time to time."""

    yardstick: Yardstick
    latencies_s: list[float] = field(default_factory=list)
    yardstick_s: list[float] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    """Good ones."""
    held: list[Held] = field(default_factory=list)
    took_s: float = 0.0

    async def run(
        self,
        at: Line,
        plc: SimulatedPlc,
        image_of: Callable[[int], tuple[bytes, bool]],
        *,
        parts: int | None,
        for_s: float | None,
    ) -> None:
        """Bring that many parts, or for that long, each as soon as the one before is decided.

        ``image_of`` gives the image of a part, and whether it is a good one.
        """
        assert at.agent is not None
        begin_s = looked_s = monotonic_s()
        number = 0
        while number < (parts or math.inf) and monotonic_s() - begin_s < (for_s or math.inf):
            image, is_good = image_of(number)
            part = plc.part_arrives()
            since_s = monotonic_s()
            while await at.controller.wire_trigger(image) is None:
                await asyncio.sleep(0.001)
                assert monotonic_s() - since_s < _LONGEST_S, f"the controller takes no part:\n{at.log_tail()}"
            while not part.is_decided:
                assert monotonic_s() - since_s < _LONGEST_S, f"part {number}: {part.why}\n{at.log_tail()}"
                await asyncio.sleep(0.001)
            self.latencies_s.append(monotonic_s() - since_s)
            assert is_good or not part.is_let_through, f"part {number} is bad and went through"
            if is_good and not part.is_let_through:
                self.rejected.append(number)
            # In a thread: the peers in this process must go on answering.
            self.yardstick_s.append(await asyncio.to_thread(self.yardstick.measure_s))
            if monotonic_s() - looked_s > _LOOK_EVERY_S:
                looked_s = monotonic_s()
                self.held.append(Held.by(at.agent.pid))
            number += 1
        self.took_s = monotonic_s() - begin_s

    @property
    def drift(self) -> float:
        """How the agent's p99 moved, against how the machine's did."""
        return (1 + moved(self.latencies_s)) / (1 + moved(self.yardstick_s)) - 1

    @property
    def grown_bytes(self) -> float:
        """Resident memory over the last three quarters, medians of a twentieth of the run each."""
        sizes = [held.resident_bytes for held in self.held]
        few = max(1, len(sizes) // 20)
        begin = len(sizes) // 4
        return median(sizes[-few:]) - median(sizes[begin : begin + few])

    def usual(self, quarter: int) -> tuple[float, float]:
        """Threads and open files of a quarter, in the median: a transfer's own files come and go."""
        begin, end = (len(self.held) * at // 4 for at in (quarter, quarter + 1))
        held = self.held[begin:end]
        return median(look.threads for look in held), median(look.files for look in held)

    def __str__(self) -> str:
        return (
            f"{len(self.latencies_s):,} parts in {self.took_s / 60:.1f} min, {len(self.rejected)} good ones rejected, "
            f"no bad one let through; "
            f"memory {self.grown_bytes / 2**20:+.1f} MiB, threads {self.usual(1)[0]:.0f} then {self.usual(3)[0]:.0f}, "
            f"files {self.usual(1)[1]:.0f} then {self.usual(3)[1]:.0f}; p99 {_moved_words(self.latencies_s)}, "
            f"of a fixed calculation {_moved_words(self.yardstick_s)}: drift {self.drift:+.1%}"
        )


def moved(times_s: list[float]) -> float:
    """The p99 of the last quarter against that of the second, 0.1 for a tenth longer: the first is warming up."""
    return _p99_s(times_s, 3) / _p99_s(times_s, 1) - 1


def _p99_s(times_s: list[float], quarter: int) -> float:
    return float(np.quantile(np.array_split(times_s, 4)[quarter], 0.99))


def _moved_words(times_s: list[float]) -> str:
    before, after = (_p99_s(times_s, quarter) * 1000 for quarter in (1, 3))
    return f"{before:.1f} then {after:.1f} ms ({moved(times_s):+.1%})"
