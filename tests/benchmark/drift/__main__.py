"""The tables of docs/decisions/0094: false alarms, delays, and real inspections with a slow change laid over them.

    python -m tests.benchmark.drift [--streams 100] [--sets FOLDER] [--over 4000] [--without-images]

FOLDER holds data sets in MVTec's layout; without it the simulated line's parts are taken alone. Ten minutes for the
streams, two for each set of images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent.domain import Outcome
from edge_agent.drift.quantities import QUALITY, SCORE
from edge_agent.drift.words import changes_words
from tests.benchmark.drift.replayed import (
    OVERLAYS,
    bootstrapped,
    calibrated,
    charts_of,
    judged,
    real_parts,
    rendered,
    replayed,
)
from tests.benchmark.drift.streams import CALIBRATED, CHANGES, STREAMS, delays, false_alarms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.store.rows import PartRow
    from tests.benchmark.drift.replayed import Image

_PARTS: Final = 10_000
_USUAL: Final = 150


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--sets", type=Path)
    parser.add_argument("--over", type=int, default=4000)
    parser.add_argument("--without-images", action="store_true")
    asked = parser.parse_args()
    if asked.streams:
        _streams(asked.streams)
    if not asked.without_images:
        for light in (0.01, 0.06):
            _images(f"simulated line, light +-{light:.0%}", rendered(light), rendered(light, 5), asked.over)
        for folder in sorted(asked.sets.iterdir()) if asked.sets else ():
            _images(folder.name, real_parts(folder, 0), real_parts(folder, CALIBRATED), asked.over)


def _streams(streams: int) -> None:
    """Of a line with seven quantities of light and pose, four of views, fit and time, and the score."""
    _say(
        f"| {streams} streams of {_PARTS} parts | one of light or pose | a view, fit or time | the score | all twelve |"
    )
    _say("|---|---|---|---|---|")
    for kind in STREAMS:
        each = [
            false_alarms(kind, CALIBRATED, streams=streams, quantity=quantity) / streams
            for quantity in ("brightness", QUALITY, SCORE)
        ]
        together = sum(alarms * number for alarms, number in zip(each, (7, 4, 1), strict=True))
        _say(f"| {kind} | {each[0]:.2f} | {each[1]:.2f} | {each[2]:.2f} | {together:.1f} |")
    _say("\n| jump by | after parts, median | 95 % | its instant off by, median | missed |\n|---|---|---|---|---|")
    for jump in CHANGES:
        found = delays("normal", jump, CALIBRATED, streams=streams)
        _say(f"| {jump:g} | {found.median:.0f} | {found.most:.0f} | {found.off:.0f} | {found.missed} |")


def _images(name: str, good: Iterator[Image], parts: Iterator[Image], over: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inspector = calibrated(list(islice(good, CALIBRATED)), Path(folder) / "line")
        usual = [judged(inspector, next(parts), seq) for seq in range(1, _USUAL + 1)]
        rejected = sum(row.cameras[0].outcome is not Outcome.OK for row in usual)
        _say(
            f"\n{name}: {rejected} of {_USUAL} good parts rejected; {_alarms(inspector, usual)} in {_PARTS} drift-free"
        )
        _say("| laid over | told after parts | at | since | good parts rejected by then | expected | in words |")
        _say("|---|---|---|---|---|---|---|")
        for overlay in OVERLAYS:
            told = replayed(inspector, parts, overlay, usual=usual, over=over)
            figures = f"{told.told_at} | {told.share:.1%} | {told.since} | {told.rejected_before} | {told.expected}"
            _say(f"| {overlay} | {figures} | {told.words.partition(';')[0]} |")


def _alarms(inspector: Inspector, usual: list[PartRow]) -> str:
    charts, alarms, before = charts_of(inspector), 0, ""
    for row in bootstrapped(usual, _PARTS, 2):
        charts.take(row)
        words = changes_words(charts)
        alarms += bool(words) and not before
        before = words
    return f"{alarms} false alarms"


if __name__ == "__main__":
    main()
