"""What one image costs from its bytes to its verdict, stage by stage, at 1600 x 1200; and what a calibration costs.

Run: ``python -m tests.benchmark.inspection [--method paper|local] [--images 24] [--runs 15]``. Wall times depend on
whatever else the machine does; processor time is printed beside them.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.calibrate import METHODS, CalibrationOptions, CalibrationResult, calibrate
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    import numpy.typing as npt

WIDTH, HEIGHT = 1600, 1200
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


def calibrated(folder: Path, method: str, images: int) -> CalibrationResult:
    """A bundle of the whole frame: nothing is saved by cropping."""
    good = folder / "good"
    good.mkdir()
    for seed in range(images):
        (good / f"{seed:03}.bmp").write_bytes(bmp(render(seed)))
    options = CalibrationOptions(part="plate", crop="full", method=method)
    return calibrate(good, folder / "bundle", options)


def stage_times(inspector: Inspector, runs: int) -> tuple[dict[str, list[float]], list[float]]:
    """Wall milliseconds by stage, and processor milliseconds in all, of every run."""
    wall: dict[str, list[float]] = {stage: [] for stage in STAGES}
    processor = []
    for seed in range(1000, 1000 + runs):
        data = bmp(render(seed))
        begin = time.process_time()
        timings_ms = inspector.inspect(data).timings_ms
        processor.append((time.process_time() - begin) * 1000.0)
        for stage in STAGES:
            wall[stage].append(timings_ms.get(stage, 0.0))
    return wall, processor


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=METHODS, default="paper")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        begin, begin_processor = time.perf_counter(), time.process_time()
        result = calibrated(Path(folder), args.method, args.images)
        took, processor = time.perf_counter() - begin, time.process_time() - begin_processor
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(f"calibration of {args.images} images, method {args.method}: {took:.0f} s ({processor:.0f} s processor), ")
        say(", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result.timings_s.items()))
        say(f"; peak memory {peak_mib:.0f} MiB\n")
        inspector = Inspector(Bundle.load(result.path))
    inspector.warm_up()
    wall, processor_ms = stage_times(inspector, args.runs)
    say(f"one grey image of {WIDTH} x {HEIGHT}, whole frame, {args.runs} runs, 2 threads: median (least) in ms\n")
    for stage, values in wall.items():
        say(f"  {stage:<12}{median(values):8.1f} ({min(values):.1f})\n")
    totals = [sum(run) for run in zip(*wall.values(), strict=True)]
    say(f"  {'all':<12}{median(totals):8.1f} ({min(totals):.1f}); processor {median(processor_ms):.1f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
