"""What learning from overturned rejects is worth on real images: false rejects and detection, before and after.

Run: ``python -m tests.benchmark.learned FOLDER [--sets bottle,...] [--good 24] [--keep FOLDER]``. FOLDER holds data
sets in MVTec's layout. Of each the first good parts in the order of their names are calibrated with the defaults. The
rest of ``train/good`` are the new parts of a line, one after the other into two halves: what is rejected of the first
half a person overturns; the second half, with ``test/good``, was never seen by anything and is what false rejects are
counted on. Of the defects every second one is known and has to be found, the others are what detection is counted on.
Nothing is tuned, and no image is kept. Parts that stand apart are kept, as a person does who knows them to be good.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from calibration.calibrate import calibrate
from calibration.choosing.synthetic_defects import told_apart
from calibration.options import CalibrationOptions
from calibration.suspects.stand_apart import PartsInDoubt
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.tally import rate_bounds
from edge_agent.settings import load_settings
from edge_agent.tools.learn.proposal import propose
from edge_agent.tools.learn.running import learn
from edge_agent.tools.learn.wish import Wish
from edge_agent.tools.learn.workshop import opened
from tests.learned_line import LearnLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_agent.tools.learn.found import Found

_Made = TypeVar("_Made")
_IMAGES = ("*.png", "*.bmp", "*.jpg")


@dataclass(frozen=True, slots=True)
class Measured:
    """Unseen parts by one bundle: rejected good parts and all, found defects and all, and the AUC of the scores."""

    rejected: int
    good: int
    found: int
    bad: int
    auc: float

    @property
    def words(self) -> str:
        """A row's cells."""
        low, high = rate_bounds(self.rejected, self.good)
        return (
            f"{self.rejected} / {self.good} ({100 * self.rejected / self.good:.1f} %, {100 * low:.1f} to "
            f"{100 * high:.1f}) | {self.found} / {self.bad} | {100 * self.auc:.2f}"
        )


def main(arguments: Sequence[str]) -> int:
    """Print a table of before and after for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default="")
    parser.add_argument("--good", type=int, default=24)
    parser.add_argument("--keep", type=Path, help="keep what is made here, so that a run that was ended goes on")
    asked = parser.parse_args(arguments)
    names = (
        asked.sets.split(",") if asked.sets else sorted(path.name for path in asked.folder.iterdir() if path.is_dir())
    )
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            tried(asked.folder / name, (asked.keep or Path(scratch)) / name, asked.good)
    return 0


def tried(data: Path, work: Path, good: int) -> None:
    """One data set; its rows are printed."""
    train = _images(data / "train" / "good")
    bad = [path for folder in sorted((data / "test").iterdir()) if folder.name != "good" for path in _images(folder)]
    work.mkdir(parents=True, exist_ok=True)
    _calibrated(train[:good], work)
    line = LearnLine(_fresh(work / "line"), work / "before")
    rows = line.parts([path.read_bytes() for path in train[good::2]])
    new = [*train[good + 1 :: 2], *_images(data / "test" / "good")]
    overturned = [row for row in rows if row.verdict == "REJECT"]
    for row in overturned:
        line.say(row.part_seq, "OVERTURNED")
    if not overturned:
        _say(f"| {data.name} | before | {_measured(work / 'before', new, bad[1::2]).words} |")
        _say(f"  {len(rows)} new parts, none rejected: there is nothing to learn")
        return
    known = line.parts([path.read_bytes() for path in bad[::2]])
    for row in known:
        line.say(row.part_seq, "CONFIRMED" if row.verdict == "REJECT" else "ESCAPE")
    found, kept = _learned(line, work)
    made = work / "learned" / ("bundle" if found.bundle_id else "calibrated")
    for which, bundle in (("before", work / "before"), ("after", made)):
        _say(f"| {data.name} | {which} | {_measured(bundle, new, bad[1::2]).words} |")
    passing, of = found.own_good
    _say(
        f"  {len(rows)} new parts, {len(overturned)} rejected and overturned, {len(found.added)} added, {kept} kept "
        f"although they stand apart; by a score that had not learned them {passing} of {of} pass; "
        + ("offered" if found.bundle_id else f"REFUSED, lost {found.lost}"),
        *(f"    {one.name}: {one.before} -> {one.after}{'  WORSE' if one.is_worse else ''}" for one in found.figures),
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _calibrated(images: Sequence[Path], work: Path) -> None:
    if (work / "before" / "manifest.json").exists():
        return
    folder = _fresh(work / "good")
    for path in images:
        (folder / path.name).write_bytes(path.read_bytes())
    _although_apart(lambda keep: calibrate(folder, work / "before", CalibrationOptions(program=1, keep=keep)))


def _learned(line: LearnLine, work: Path) -> tuple[Found, int]:
    settings = load_settings(line.config)
    wish = Wish((work / "good",), "a benchmark", "overturned rejects")
    kept = 0

    def run(keep: tuple[str, ...]) -> Found:
        nonlocal kept
        kept = len(keep)
        with opened(work / "learned") as workshop, tempfile.TemporaryDirectory() as spool:
            proposal = propose(settings, 1, 1, Path(spool))
            _say(f"  {proposal.headline}", *(f"  {note}" for note in proposal.notes))
            return learn(settings, proposal, workshop, replace(wish, keep=keep))

    return _although_apart(run), kept


def _although_apart(run: Callable[[tuple[str, ...]], _Made]) -> _Made:
    """Do it, and where images stand apart once more with those kept, as often as it takes."""
    keep: tuple[str, ...] = ()
    while True:
        try:
            return run(keep)
        except PartsInDoubt as err:
            _say(f"  {err.suspicion.statement}")
            keep = (*keep, *(err.suspicion.image(part).path.name for part in err.suspicion.suspects))


def _measured(bundle: Path, good: Sequence[Path], bad: Sequence[Path]) -> Measured:
    inspector = Inspector(Bundle.load(bundle), threads=2)
    inspector.warm_up()
    ours, theirs = ([inspector.inspect(path.read_bytes()) for path in paths] for paths in (good, bad))
    # What registration or light refused has no score: it is rejected, however odd anything else is.
    scores = [np.array([math.inf if math.isnan(one.score) else one.score for one in side]) for side in (ours, theirs)]
    return Measured(
        sum(one.outcome != "OK" for one in ours),
        len(ours),
        sum(one.outcome != "OK" for one in theirs),
        len(theirs),
        told_apart(scores[0], scores[1]),
    )


def _images(folder: Path) -> list[Path]:
    return sorted(path for pattern in _IMAGES for path in folder.glob(pattern))


def _fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
