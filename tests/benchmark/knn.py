"""What the k-NN costs: the local score's memory in all its channels beside PatchCore's, on the same parts and features.

PatchCore's memory is a tenth of all places of all training images (Roth et al., 2022); each place of a new part is
compared with each of it. Which places a coreset chooses does not change the time: here they are drawn at random. The
baseline of ``edge-agent evaluate`` thins a sample of at most 50,000 places instead; its time is printed too.

Run: ``python -m tests.benchmark.knn [--dataset FOLDER] [--images 96] [--runs 20]``. Without a data set in MVTec layout
the parts are rendered, at 1600 x 1200.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE
from calibration.baselines.base import shrunk
from calibration.gathering import register
from calibration.good_parts.images import read_good_images
from calibration.memory.channel_memory import PROJECTIONS, Memory
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from drivers.simulated.camera import ZipperCamera
from edge_agent.inspection.networks.anomaly_map import anomaly_map, upsize
from edge_agent.inspection.networks.channels import CHANNELS, Channel, channels_for
from edge_agent.inspection.networks.embedding import FeatureGrid
from edge_agent.inspection.networks.extractor import Extractor, Views
from edge_agent.inspection.scoring.local import LocalBank
from tests.benchmark.small_defects import Plan, good_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet

    Features = NDArray[np.float32]

_WORKING_PX = 512
_POOL = 50_000
_CORESET = 0.10
_NEW_PARTS = 5


def registered_parts(dataset: Path | None, images: int, folder: Path) -> RegisteredSet:
    """Good parts laid on each other, as many as asked for and some new ones."""
    count = images + _NEW_PARTS
    if dataset is None:
        paths = good_parts(ZipperCamera(seed=0), Plan(good=count), folder)
    else:
        paths = sorted((dataset / "train" / "good").iterdir())[:count]
    options = CalibrationOptions(part="knn", search=SearchWishes(left_out_share=0.1))
    return register(read_good_images(paths, lambda _done, _total: None), options)


def features_of(registered: RegisteredSet) -> tuple[dict[Channel, list[Features]], list[Features]]:
    """What the local score's channels and PatchCore see of each part.

    In the autoencoder's place stands the mean part: that changes what a place holds, not how many there are.
    """
    mean = registered.working(lambda _done, _total: None).mean(axis=0, dtype=np.float32)
    used = channels_for(registered.crop[3], registered.crop[2])
    fine = DEFAULT_BACKBONE.fine_onnx() if Channel.FINE in used else None
    extractor = Extractor(used, DEFAULT_BACKBONE.overview_onnx(), fine, threads=2)
    grid = FeatureGrid(DEFAULT_BACKBONE.grid_onnx(), threads=2)
    seen: dict[Channel, list[Features]] = {channel: [] for channel in used}
    of_patchcore = []
    for index in range(len(registered.images)):
        crop = registered.cropped(index)
        views = Views(crop, mean, anomaly_map(crop, upsize(mean, *crop.shape[:2])))
        for channel, features in extractor.features(views).items():
            seen[channel].append(features)
        of_patchcore.append(grid.features(shrunk(crop, _WORKING_PX)))
    return seen, of_patchcore


def times_ms(work: Callable[[Features], object], parts: Sequence[Features], runs: int) -> float:
    """The median over the runs, each part in turn."""
    took = []
    for run in range(runs):
        begin = time.perf_counter()
        work(parts[run % len(parts)])
        took.append((time.perf_counter() - begin) * 1000.0)
    return median(took)


def exhaustive(memory: Features, squares: Features, part: Features) -> float:
    """PatchCore's score: the largest distance of a place (h, w, d) to its nearest in memory (m, d)."""
    places = part.reshape(-1, part.shape[-1])
    nearest = (squares - 2.0 * (places @ memory.T)).min(axis=1)
    return float(np.sqrt(np.maximum(nearest + np.einsum("nd,nd->n", places, places), 0.0)).max())


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen, of_patchcore = features_of(registered_parts(args.dataset, args.images, Path(folder)))
    images = len(of_patchcore) - _NEW_PARTS
    say = sys.stdout.write
    say(f"{images} parts in memory\n")
    local_ms = 0.0
    for channel, features in seen.items():
        stored = np.stack(features[:images])
        projecting = PROJECTIONS[CHANNELS[channel].projection]
        bank = LocalBank.of(stored, Memory(stored.astype(np.float16), range(images), projecting).projection)
        took = times_ms(bank.score, features[images:], args.runs)
        local_ms += took
        say(f"  local, {channel:<12}{bank.places.nbytes / 2**20:8.0f} MiB{took:10.2f} ms\n")
    say(f"  local, all channels{local_ms:24.2f} ms\n")
    places = np.concatenate([features.reshape(-1, features.shape[-1]) for features in of_patchcore[:images]])
    rng = np.random.default_rng(0)
    for name, of in (("a tenth of all places", len(places)), ("a tenth of 50,000", min(_POOL, len(places)))):
        memory = places[rng.choice(len(places), max(1, round(_CORESET * of)), replace=False)]
        squares = np.einsum("md,md->m", memory, memory)
        took = times_ms(partial(exhaustive, memory, squares), of_patchcore[images:], args.runs)
        say(f"  PatchCore, {name:<22}{len(memory):7} places{took:9.2f} ms: local takes {local_ms / took:.2f} of it\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
