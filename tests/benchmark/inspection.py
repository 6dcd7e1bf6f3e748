"""What one image costs from its bytes to its verdict, stage by stage, at 1600 x 1200; and what a calibration costs.

Run: ``python -m tests.benchmark.inspection [--methods views,local] [--images 24] [--runs 15]``. Wall times depend on
whatever else the machine does; processor time is printed beside them.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.calibrate import calibrate
from calibration.method import DEFAULT_METHOD
from calibration.options import CalibrationOptions
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from calibration.result import CalibrationResult

WIDTH, HEIGHT = 1600, 1200
JUDGED_FROM = 1000
STAGES = ("decode", "register", "reconstruct", "embed", "score")


def render(seed: int) -> npt.NDArray[np.uint8]:
    """A plate with bores and a grain of its own, somewhere else each time, sensor noise on top."""
    rng = np.random.default_rng(seed)
    plate = np.full((HEIGHT, WIDTH), 40.0, np.float32)
    cv2.rectangle(plate, (250, 200), (1350, 1000), 150.0, -1)
    for x, y, radius, grey in ((420, 380, 90, 70), (1100, 450, 120, 95), (800, 780, 70, 210), (1180, 850, 50, 60)):
        cv2.circle(plate, (x, y), round(radius * rng.uniform(0.97, 1.03)), grey + rng.uniform(-8, 8), -1, cv2.LINE_AA)
    motion = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), rng.uniform(-2, 2), 1.0)
    motion[:, 2] += rng.uniform(-15, 15, 2)
    moved = cv2.warpAffine(plate, motion, (WIDTH, HEIGHT), borderValue=40.0)
    return np.clip(moved * rng.uniform(0.97, 1.03) + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8)


def bmp(image: npt.NDArray[np.uint8]) -> bytes:
    """The file that a controller sends."""
    ok, data = cv2.imencode(".bmp", image)
    if not ok:
        raise ValueError("the image does not encode")
    return data.tobytes()


def write_good(folder: Path, images: int) -> None:
    """Write images of so many plates into a new folder; those to be judged have seeds from ``JUDGED_FROM`` on."""
    folder.mkdir(parents=True)
    for seed in range(images):
        (folder / f"{seed:03}.bmp").write_bytes(bmp(render(seed)))


def calibrated(folder: Path, method: str, images: int) -> CalibrationResult:
    """A bundle of the whole frame: nothing is saved by cropping."""
    good = folder / "good"
    write_good(good, images)
    options = CalibrationOptions(part="plate", crop="full", method=method)
    return calibrate(good, folder / "bundle", options)


@dataclass(slots=True)
class Times:
    """Milliseconds of every run: wall time by stage, and processor time in all."""

    wall: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    processor: list[float] = field(default_factory=list)

    def add(self, inspector: Inspector, data: bytes) -> None:
        """One more run."""
        begin = time.process_time()
        timings_ms = inspector.inspect(data).timings_ms
        self.processor.append((time.process_time() - begin) * 1000.0)
        for stage in STAGES:
            self.wall[stage].append(timings_ms.get(stage, 0.0))

    def table(self) -> str:
        """Medians, and the least in brackets."""
        lines = [f"  {stage:<12}{median(values):8.1f} ({min(values):.1f})" for stage, values in self.wall.items()]
        totals = [sum(run) for run in zip(*self.wall.values(), strict=True)]
        processor = f"processor {median(self.processor):.1f} ({min(self.processor):.1f})"
        return "\n".join([*lines, f"  {'all':<12}{median(totals):8.1f} ({min(totals):.1f}); {processor}\n"])


def calibrated_inspector(method: str, images: int, say: Callable[[str], object]) -> Inspector:
    """An inspector that is warm; what its calibration took is said."""
    with tempfile.TemporaryDirectory() as folder:
        begin, begin_processor = time.perf_counter(), time.process_time()
        result = calibrated(Path(folder), method, images)
        took, processor = time.perf_counter() - begin, time.process_time() - begin_processor
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result.timings_s.items())
        say(
            f"calibration of {images} images, method {method}: {took:.0f} s ({processor:.0f} s processor), {stages}; "
            f"peak memory {peak_mib:.0f} MiB\n"
        )
        inspector = Inspector(Bundle.load(result.path))
    inspector.warm_up()
    return inspector


def main() -> int:
    """Print a table of each method; of more than one also how the first compares with each other, image by image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=DEFAULT_METHOD, help="with commas between; the first is the one compared")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    say = sys.stdout.write
    inspectors = {method: calibrated_inspector(method, args.images, say) for method in args.methods.split(",")}
    times = {method: Times() for method in inspectors}
    for seed in range(JUDGED_FROM, JUDGED_FROM + args.runs):
        data = bmp(render(seed))
        for method, inspector in inspectors.items():  # in turn: whatever else the machine does hits all of them
            times[method].add(inspector, data)
    for method, measured in times.items():
        say(f"{method}: one grey image of {WIDTH} x {HEIGHT}, whole frame, {args.runs} runs, 2 threads: ")
        say(f"median (least) in ms\n{measured.table()}")
    (first, ours), *others = times.items()
    for method, theirs in others:
        ratios = [a / b for a, b in zip(ours.processor, theirs.processor, strict=True)]
        say(f"{first} takes {median(ratios):.2f} times the processor time of {method} (median over images)\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
