"""A replay by one worker and by two, in turn: images a second, memory over time, and the bits of one process.

Run: ``python -m tests.benchmark.plant [--images 10000] [--rounds 3] [--width 400] [--keep FOLDER]``. The images are
those of the simulated camera, every tenth with a defect; the bundle is calibrated from 24 good ones. The rate is taken
between the first and the last chunk: what workers take to get ready is told beside it. Memory is what each process
holds for itself and shares (RSS), looked at twice a second; its growth is between the first quarter of a replay and
its end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from drivers.simulated.camera import encode_bmp
from drivers.simulated.defects import Defect, DefectSpec
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.replay import replay_folder
from tests.plant import Ran, done_chunks, results, verdict_bits
from tests.simulated.conftest import calibrated
from tests.simulated.line import camera

_MIB = 1 << 20
_DEFECTIVE = 10
_EACH_FOLDER = 1000
_LOOK_S = 0.5


@dataclass(slots=True)
class Watched:
    """One replay: images a second once all workers were at work, seconds of the whole command, memory of each process.

    ``memory`` has, by process, (seconds since the start, bytes); ``cpu_s`` the processor time of all of them, which
    other work on the machine changes less than it changes the rate.
    """

    rate: float
    whole_s: float
    cpu_s: float = 0.0
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def growth_mib(self, kind: str) -> float:
        """The most that a process of a kind held above what it held at the end of its first quarter, MiB."""
        grown = [0.0]
        for name, points in self.memory.items():
            if name.startswith(kind) and len(points) >= 8:
                settled = points[len(points) // 4 :]
                grown.append((max(held for _, held in settled) - settled[0][1]) / _MIB)
        return max(grown)

    def most_mib(self, kind: str) -> float:
        """The most that a process of a kind ever held, MiB."""
        return max((held / _MIB for name, points in self.memory.items() if name.startswith(kind) for _, held in points))


def render(folder: Path, number: int, size: tuple[int, int]) -> Path:
    """Write the images, unless they are there."""
    made = camera(size)
    for index in range(number):
        path = folder / f"{index // _EACH_FOLDER:04d}" / f"{index:08d}.bmp"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        defect = DefectSpec(Defect.RESIDUE, size_px=260.0, contrast=0.5) if index % _DEFECTIVE == 0 else None
        path.write_bytes(encode_bmp(made.render(np.random.default_rng([3, 2, index]), defect).image))
    return folder


def watched(images: Path, bundle: Path, out: Path, workers: int) -> Watched:
    """A replay by so many workers, looked at until it ends."""
    begin = time.monotonic()
    found, used_s = Watched(0.0, 0.0), dict[str, float]()
    options = ("--bundle", str(bundle), "--out", str(out), "--workers", str(workers))
    with Ran(("replay", str(images), *options)) as ran:
        while ran.process.poll() is None:
            processes = [("client", ran.process.pid), *((f"worker {one.pid}", one.pid) for one in ran.workers())]
            for name, pid in processes:
                try:
                    process = psutil.Process(pid)
                    held, used = process.memory_info().rss, process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                used_s[name] = used.user + used.system
                found.memory.setdefault(name, []).append((time.monotonic() - begin, held))
            time.sleep(_LOOK_S)
        code, _, said = ran.end()
    if code:
        sys.exit(said)
    found.whole_s = time.monotonic() - begin
    found.cpu_s = sum(used_s.values())
    found.rate = _rate(out, workers)
    return found


def _rate(out: Path, workers: int) -> float:
    """Images a second between the chunk by which every worker was ready and the last one."""
    at_s = sorted(path.stat().st_mtime for path in done_chunks(out))
    per_chunk = len(results(out)) / len(at_s)
    ready = min(2 * workers, len(at_s) - 2)
    return per_chunk * (len(at_s) - 1 - ready) / (at_s[-1] - at_s[ready])


def table(found: dict[int, list[Watched]]) -> list[str]:
    """Medians of all rounds as a Markdown table, and the ratio."""
    lines = [
        "| workers | images a second | command | processor | memory of a worker | grown by | of the client | grown by |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for workers, rounds in found.items():
        cells = [
            f"{median(one.rate for one in rounds):.1f}",
            f"{median(one.whole_s for one in rounds):.0f} s",
            f"{median(one.cpu_s for one in rounds):.0f} s",
            f"{max(one.most_mib('worker') for one in rounds):.0f} MiB",
            f"{max(one.growth_mib('worker') for one in rounds):.1f} MiB",
            f"{max(one.most_mib('client') for one in rounds):.0f} MiB",
            f"{max(one.growth_mib('client') for one in rounds):.1f} MiB",
        ]
        lines.append(f"| {workers} | {' | '.join(cells)} |")
    ratios = [two.rate / one.rate for (one, two) in zip(found[1], found[2], strict=True)]
    lines.append(f"\ntwo workers against one, by rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    return lines


def same_bits(outs: list[Path], images: Path, bundle: Path, checked: int) -> bool:
    """Whether all replays found the same to the last bit; of the first images also what one process finds."""
    for one, other in pairwise(outs):
        for a, b in zip(results(one), results(other), strict=True):
            if verdict_bits(a) != verdict_bits(b):
                return False
    inspector = Inspector(Bundle.load(bundle), threads=2)
    inspector.warm_up()
    first = sorted(path for path in images.rglob("*.bmp"))[:checked]
    with tempfile.TemporaryDirectory() as folder:
        for path in first:
            (Path(folder) / path.name).symlink_to(path)
        here = replay_folder(Path(folder), {(1, 1): inspector}, None, lambda *_: None)
        return [verdict_bits(a) for a in here.images] == [verdict_bits(a) for a in results(outs[0])[:checked]]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table, the load of the machine before it, and whether all bits are the same."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3, help="each with one worker, then with two")
    options.add_argument("--width", type=int, default=400, help="px; the height is three quarters of it")
    options.add_argument("--keep", type=Path, help="a folder that keeps bundle and images for a second run")
    chosen = options.parse_args()
    size = (chosen.width, chosen.width * 3 // 4)
    with tempfile.TemporaryDirectory() as made:
        kept = chosen.keep or Path(made)
        bundle = calibrated(kept / "calibrated", size)
        images = render(kept / f"images-{chosen.images}", chosen.images, size)
        _say(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
        found: dict[int, list[Watched]] = {1: [], 2: []}
        outs = []
        for number in range(chosen.rounds):
            for workers, rounds in found.items():
                outs.append(Path(made) / f"{number}-{workers}")
                rounds.append(watched(images, bundle, outs[-1], workers))
                _say(f"round {number + 1}, {workers} workers: {rounds[-1].rate:.1f} a second")
        _say("\n".join(table(found)))
        _say(f"load behind: {os.getloadavg()[0]:.2f}")
        _say(f"the same bits: {same_bits(outs, images, bundle, min(500, chosen.images))}")


if __name__ == "__main__":
    main()
