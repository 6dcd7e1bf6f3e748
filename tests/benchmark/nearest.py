"""What the search of the nearest good part costs in all views of the default score, from few good parts to many.

Run: ``make bench-nearest``, or ``python -m tests.benchmark.nearest [--parts 40,100,300] [--runs 20]``. Parts of the
demonstration are rendered at 1600 x 1200, registered and seen as by a calibration; more good parts than were rendered
are mixed from the features of three of them each, with the noise that tells two parts apart. Milliseconds are of
processor time, medians; beside them what comparing with all good parts everywhere takes.
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
from calibration.gathering import gather
from calibration.memory.view_memory import ViewMemory
from calibration.options import CalibrationOptions
from calibration.scoring.view_scoring import (
    DEFAULT_VOICES,
    extractor_for,
    features_at_places,
    kept_parts,
    views_of_images,
)
from drivers.simulated.camera import ZipperCamera
from edge_agent.inspection.networks.channels import View, views_for
from edge_agent.inspection.scoring.nearest import around
from edge_agent.inspection.scoring.typical_distances import TOP_PLACES
from tests.benchmark.small_defects import Plan, good_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

RENDERED, NEW = 40, 8


def seen_parts(count: int, folder: Path) -> tuple[dict[View, NDArray[np.float16]], dict[View, NDArray[np.bool_]]]:
    """Features (n, K, d) of rendered good parts by view, and the places (h, w) that count."""
    paths = good_parts(ZipperCamera(seed=0), Plan(good=count), folder)
    registered = gather(paths, CalibrationOptions(part="nearest", place="tied", plane="all")).registered
    views = views_for(*registered.native, DEFAULT_VOICES)
    mask = registered.part
    extractor = extractor_for(views, registered, DEFAULT_BACKBONE, threads=2)
    return features_at_places(
        views_of_images(registered), registered, extractor, mask, lambda _done: None, is_tied=True
    )


def mixed(features: NDArray[np.float16], count: int) -> NDArray[np.float16]:
    """So many parts: those that are there, and mixtures of three of them that differ as much as two of them do."""
    rng, found = np.random.default_rng(0), list(features[:count])
    spread = features.astype(np.float32).std(axis=0)
    while len(found) < count:
        shares = rng.dirichlet(np.ones(3)).astype(np.float32)
        three = features[rng.choice(len(features), 3, replace=False)].astype(np.float32)
        lost = np.sqrt(1.0 - float((shares**2).sum()))
        found.append(
            (np.einsum("p,pkd->kd", shares, three) + lost * spread * rng.normal(size=spread.shape)).astype(np.float16)
        )
    return np.stack(found)


def times_ms(work: Callable[[NDArray[np.float32]], object], parts: Sequence[NDArray[np.float32]], runs: int) -> float:
    """The median over the runs, each part in turn."""
    took = []
    for run in range(runs):
        begin = time.thread_time()
        work(parts[run % len(parts)])
        took.append((time.thread_time() - begin) * 1000.0)
    return median(took)


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="40,100,200,300")
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        features, places = seen_parts(RENDERED + NEW, Path(folder))
    say = sys.stdout.write
    say("| good parts | kept by view | all views, ms | compared with all, ms |\n|---|---|---|---|\n")
    for count in map(int, args.parts.split(",")):
        best, every, kept = 0.0, 0.0, []
        for view, seen in features.items():
            stored = mixed(seen[:RENDERED], count)
            memory = ViewMemory(stored, places[view], kept_parts(stored, view, is_tied=True))
            bank, new = memory.bank(), [whole(part, places[view]) for part in seen[RENDERED:]]
            usual = memory.usual_of(np.stack([bank.distances(part) for part in new]))
            best += times_ms(partial(bank.furthest_out, usual=usual, count=TOP_PLACES), new, args.runs)
            every += times_ms(bank.distances, new, args.runs)
            kept.append(f"{view} {memory.parts}")
        say(f"| {count} | {', '.join(kept)} | {best:.1f} | {every:.1f} |\n")
    return 0


def whole(features: NDArray[np.float16], places: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features (h, w, d) of a part; 0 where nobody looks."""
    found = np.zeros((*places.shape, features.shape[1]), np.float32)
    found[around(places)] = features
    return found


if __name__ == "__main__":
    raise SystemExit(main())
