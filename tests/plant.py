"""A command of several processes as a process of its own: begun, killed, gone on with, and what it left read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psutil

from edge_agent.tools.plant.manifest import Plan
from edge_agent.tools.plant.parts import Results
from tests.simulated.line import bad_image, good_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.tools.replay import ReplayedImage

__all__ = ["Ran", "done_chunks", "images_below", "results", "until", "verdict_bits"]

_WITHIN_S = 400.0
"""Workers import what they compute with; a busy machine takes half a minute for it."""


def images_below(folder: Path, number: int) -> Path:
    """Good parts and, every fifth, a bad one, in two folders."""
    for index in range(number):
        below = folder / ("b" if index % 2 else "a")
        below.mkdir(parents=True, exist_ok=True)
        data = bad_image(index // 5) if index % 5 == 4 else good_image(index)
        (below / f"{index:04d}.bmp").write_bytes(data)
    return folder


@dataclass
class Ran:
    """``edge-agent`` in a process of its own, or another module's command line."""

    arguments: tuple[str, ...]
    module: str = "edge_agent"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
            start_new_session=True,  # so that Ctrl-C can be given to it and its workers, as a terminal does
        )

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr, once it has ended."""
        out, err = self.process.communicate(timeout=_WITHIN_S)
        return self.process.returncode, out, err

    def workers(self) -> list[psutil.Process]:
        """The processes that judge."""
        try:
            below = psutil.Process(self.process.pid).children(recursive=True)
            return [one for one in below if "spawn_main" in " ".join(one.cmdline())]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """As power does to one process."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def ctrl_c(self) -> None:
        """As a terminal does it: to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def until(what: str, condition: Callable[[], bool], within_s: float = _WITHIN_S) -> None:
    """Wait for it, or fail."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < within_s, f"no {what} within {within_s:.0f} s"
        time.sleep(0.01)


def done_chunks(out: Path) -> list[Path]:
    """The parts that are there."""
    return sorted((out / "chunks").glob("*.parquet")) if out.exists() else []


def results(out: Path) -> list[ReplayedImage]:
    """What a replay that is done has written."""
    plan = Plan.read(out)
    assert plan is not None
    return list(Results(out, plan))


def verdict_bits(image: ReplayedImage) -> tuple[object, ...]:
    """Everything of an image that a verdict is made of, to the last bit; without times and the folder's name."""
    found = image.inspection
    numbers = [found.score, found.limit, *found.shares.values(), *found.condition.values()]
    if (aligned := found.alignment) is not None:
        numbers += [aligned.quality, aligned.shift_x_px, aligned.shift_y_px, aligned.angle_deg, aligned.gain]
        numbers += [aligned.offset, aligned.scale]
    told = (image.path.name, image.verdict, image.reason, image.difference, image.is_altered, image.recorded)
    names = (*found.shares, *found.condition, found.outcome, found.reason, found.detail, found.bundle_id)
    return (*told, *names, found.image_sha256, *(float(number).hex() for number in numbers))
