"""One calibration by one process, by one worker and by two, in turn: how long each takes, and that all bundles are one.

Run: ``python -m tests.benchmark.hired [--images 60] [--rounds 3] [--width 1600] [--threads 2]``. The images are good
parts of the simulated camera. Wall time is that of the command, with the start of its workers in it; the stages' is
what the command tells. ``--threads`` are those of the client, which trains the autoencoder and does what no worker can.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from drivers.simulated.camera import encode_bmp
from tests.plant import Ran
from tests.simulated.line import camera

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of the command, of all its stages together and by name, and of processor of all its processes."""

    whole_s: float
    stages_s: dict[str, float]
    cpu_s: float
    bundle_id: str

    @property
    def staged_s(self) -> float:
        """All stages together: without the start of the command and its workers."""
        return sum(self.stages_s.values())


def render(folder: Path, number: int, size: tuple[int, int]) -> Path:
    """Write so many good parts."""
    folder.mkdir(parents=True)
    cam, rng = camera(size), np.random.default_rng([3, 1])
    for index in range(number):
        (folder / f"{index:04d}.bmp").write_bytes(encode_bmp(cam.render(rng).image))
    return folder


def calibrated(good: Path, out: Path, threads: int, *options: str) -> Run:
    """One calibration, watched until it ends."""
    begin, used_s = time.monotonic(), dict[int, float]()
    fixed = ("calibrate-reference", str(good), "--out", str(out), "--threads", str(threads), "--json")
    with Ran((*fixed, *options)) as ran:
        while ran.process.poll() is None:
            for pid in (ran.process.pid, *(one.pid for one in ran.workers())):
                try:
                    used = psutil.Process(pid).cpu_times()
                except psutil.NoSuchProcess:
                    continue
                used_s[pid] = used.user + used.system
            time.sleep(_LOOK_S)
        code, said, err = ran.end()
    if code:
        sys.exit(err)
    facts = json.loads(said)
    return Run(time.monotonic() - begin, facts["timings_s"], sum(used_s.values()), facts["bundle_id"])


def table(found: dict[str, list[Run]]) -> list[str]:
    """Medians of all rounds as a Markdown table, the stages of the last round, and the ratio of two workers to one."""
    lines = ["| by | command | stages | processor |", "|---|---|---|---|"]
    for name, rounds in found.items():
        cells = (
            median(one.whole_s for one in rounds),
            median(one.staged_s for one in rounds),
            median(one.cpu_s for one in rounds),
        )
        lines.append(f"| {name} | {' | '.join(f'{cell:.0f} s' for cell in cells)} |")
    for name, rounds in found.items():
        stages = ", ".join(f"{stage} {took:.1f}" for stage, took in rounds[-1].stages_s.items())
        lines.append(f"\n{name}, seconds by stage: {stages}")
    pairs = list(zip(found["1 worker"], found["2 workers"], strict=True))
    lines.append(
        f"\none worker's stages by two workers': {', '.join(f'{a.staged_s / b.staged_s:.2f}' for a, b in pairs)}"
    )
    return lines


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table, the load of the machine beside it, and whether all bundles are the same."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=60)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--width", type=int, default=1600, help="px; the height is three quarters of it")
    options.add_argument("--threads", type=int, default=2, help="of the client, and of one process")
    chosen = options.parse_args()
    ways = {"one process": (), "1 worker": ("--workers", "1"), "2 workers": ("--workers", "2")}
    found: dict[str, list[Run]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as made:
        good = render(Path(made) / "good", chosen.images, (chosen.width, chosen.width * 3 // 4))
        _say(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
        for number in range(chosen.rounds):
            for place, (name, way) in enumerate(ways.items()):
                found[name].append(calibrated(good, Path(made) / f"{number}-{place}", chosen.threads, *way))
                _say(f"round {number + 1}, {name}: {found[name][-1].whole_s:.0f} s")
        _say("\n".join(table(found)))
        _say(f"load behind: {os.getloadavg()[0]:.2f}")
        ids = {one.bundle_id for rounds in found.values() for one in rounds}
        _say(f"the same bundle: {len(ids) == 1}")


if __name__ == "__main__":
    main()
