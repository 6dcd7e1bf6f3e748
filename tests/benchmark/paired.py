"""What one inspection costs today and at an older commit, image by image, in one run.

Run: ``python -m tests.benchmark.paired [--base COMMIT] [--subjects demo,frame] [--images 24] [--runs 30]
[--keep FOLDER]``. Two processes live at the same time, one with the older code and one with today's. Each image goes to
one of them, and when it has answered to the other, in turn: whatever else the machine does hits both. So believe the
ratios before the milliseconds. Each code calibrates by its own default method, in a process of its own, from the same
good images; ``--keep`` keeps the bundles, and a later run takes them as they are.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, Self

from edge_agent.errors import DataError, EdgeAgentError, Unavailable, UsageError
from edge_agent.wiring.shown_parts import render_good, render_line
from tests.benchmark import inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

BASE = "3dc5cc9"
THREADS = 2
TODAY = Path(__file__).resolve().parents[2]
"""The folder of today's code, as it lies there, committed or not."""
_CHILD = Path(__file__).with_name("paired_child.py")
_STAGES = ("decode", "register", "reconstruct", "map", "embed", "score")
"""In their order; a stage that another code has comes behind them."""
_DEMO_SEED, _DEMO_WIDTH = 7, 1600
_DEFECTIVE_SHARE = 3
"""Of the demonstration's parts one in three is defective here, so that rejects are more than a few."""
_LAST_LINES = 30


# the images


class Part(NamedTuple):
    """One image file that is judged, and what its part really is."""

    image: bytes
    is_good: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What is inspected: how good images get into a new folder, the parts of a run, and the crop of both codes."""

    words: str
    crop: str
    write_good: Callable[[Path, int], None]
    parts: Callable[[int], list[Part]]


def _unseen(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _demo_good(folder: Path, images: int) -> None:
    render_good(folder, images, width=_DEMO_WIDTH, seed=_DEMO_SEED, progress=_unseen)


def _demo_parts(runs: int) -> list[Part]:
    shown = render_line(runs, runs // _DEFECTIVE_SHARE, width=_DEMO_WIDTH, seed=_DEMO_SEED, progress=_unseen)
    return [Part(part.image, part.defect is None) for part in shown]


def _frame_parts(runs: int) -> list[Part]:
    seeds = range(inspection.JUDGED_FROM, inspection.JUDGED_FROM + runs)
    return [Part(inspection.bmp(inspection.render(seed)), is_good=True) for seed in seeds]


SUBJECTS = {
    "demo": Subject("parts of the demonstration, the crop that calibration finds", "auto", _demo_good, _demo_parts),
    "frame": Subject("grey plates of 1600 x 1200, the whole frame", "full", inspection.write_good, _frame_parts),
}


# the two codes


def older_code(base: str, folder: Path) -> str:
    """Put the code of the commit ``base`` into ``folder``; returns the commit's short name. Raises UsageError."""
    named = _git("rev-parse", "--verify", "--quiet", "--short", f"{base}^{{commit}}")
    if named.returncode:
        why = named.stderr.decode(errors="replace").strip()
        raise UsageError(
            f"this folder has no commit {base}{f': {why}' if why else ''}",
            hint="a shallow clone has only the newest commits: git fetch --unshallow gets the others; or name another "
            "commit with --base",
        )
    archived = _git("archive", "--format=tar", base)
    if archived.returncode:
        raise UsageError(f"git archive {base}: {archived.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return named.stdout.decode().strip()


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(TODAY), *words], capture_output=True, check=False)
    except FileNotFoundError as err:
        raise Unavailable("there is no git here, which has the older code", hint="install git") from err


def with_code(code: Path) -> dict[str, str]:
    """The environment in which Python imports from ``code``."""
    return os.environ | {"PYTHONPATH": str(code)}


def calibrate(code: Path, good: Path, bundle: Path, crop: str) -> None:
    """Calibrate as a person would, by that code's default method. Raises DataError with what it said."""
    command = [sys.executable, "-P", "-m", "edge_agent", "calibrate-reference", str(good), "--out", str(bundle)]
    command += ["--crop", crop, "--seed", str(_DEMO_SEED), "--threads", str(THREADS)]
    ran = subprocess.run(
        command, env=with_code(code), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ran.returncode:
        raise DataError(f"{_tail(ran.stdout)}\nthe calibration by the code in {code} ended with {ran.returncode}")


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side says of one image. ``stages_ms`` are wall times of the stages that it has."""

    wall_ms: float
    processor_ms: float
    stages_ms: dict[str, float]
    is_passed: bool
    peak_kib: int


class Side:
    """A process that inspects with one code, from ``with`` on until its end."""

    def __init__(self, name: str, command: Sequence[str], code: Path) -> None:
        self.name, self._said = name, tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it
        self._process = subprocess.Popen(
            command,
            env=with_code(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
        )

    @classmethod
    def of(cls, name: str, code: Path, bundle: Path) -> Self:
        """The side that inspects by ``bundle``."""
        return cls(name, [sys.executable, "-P", str(_CHILD), str(code), str(bundle), str(THREADS)], code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def until_warm(self) -> None:
        """Return when it can be asked. Raises EdgeAgentError, with what it said, if it ended before."""
        self._answer()

    def ask(self, image: Path) -> Answer:
        """What it says of an image. Raises EdgeAgentError, with what it said, if it ended instead."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{image}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: there is no answer to read either, and that says why
        return Answer(**json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return line
        code = self._process.wait()
        self._said.seek(0)
        said = _tail(self._said.read().decode(errors="replace"))
        raise EdgeAgentError(
            f"{said}\nthe process with the code of {self.name} ended with {code}",
            hint="what it said stands above; if its bundle was kept by --keep, remove that folder and try again",
        )


# the figures


class Judged(NamedTuple):
    """What both sides say of one part."""

    is_good: bool
    older: Answer
    today: Answer


def compare(older: Side, today: Side, parts: Sequence[Part], folder: Path) -> list[Judged]:
    """Hand every part to both, one after the other; who comes first changes from part to part."""
    for side in (older, today):
        side.until_warm()
    found, image = [], folder / "part.bmp"
    for number, part in enumerate(parts):
        image.write_bytes(part.image)
        sides = (older, today) if number % 2 == 0 else (today, older)
        answers = {side.name: side.ask(image) for side in sides}
        found.append(Judged(part.is_good, answers[older.name], answers[today.name]))
    return found


def stage_ms(answers: Iterable[Answer], stage: str) -> float | None:
    """The median of a stage over the images that have it; None where none has."""
    times = [answer.stages_ms[stage] for answer in answers if stage in answer.stages_ms]
    return median(times) if times else None


def stages_of(found: Sequence[Judged]) -> list[str]:
    """Every stage that one of them has, in the order in which an image goes through them."""
    named = {stage for judged in found for answer in (judged.older, judged.today) for stage in answer.stages_ms}
    return [stage for stage in _STAGES if stage in named] + sorted(named - set(_STAGES))


def ratio(found: Sequence[Judged], time_of: Callable[[Answer], float]) -> float:
    """Today's time as a part of the older one's: the median of the images' ratios."""
    return median(time_of(judged.today) / time_of(judged.older) for judged in found)


def table(base: str, found: Sequence[Judged]) -> str:
    """The figures as Markdown; in words who passed what, and how much memory it took."""
    older, today = [judged.older for judged in found], [judged.today for judged in found]
    heads = ["stage", f"{base}, wall ms", "today, wall ms", f"{base}, processor ms", "today, processor ms"]
    heads += ["today / older, wall", "today / older, processor"]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for stage in stages_of(found):
        cells = ["-" if (ms := stage_ms(side, stage)) is None else f"{ms:.1f}" for side in (older, today)]
        rows.append(f"| {stage} | {cells[0]} | {cells[1]} | | | | |")
    rows.append(_row(f"all parts ({len(found)})", found))
    for verdict, is_passed in (("pass", True), ("reject", False)):
        if some := [it for it in found if it.older.is_passed is it.today.is_passed is is_passed]:
            rows.append(_row(f"all, parts that both {verdict} ({len(some)})", some))
    peaks = [max(answer.peak_kib for answer in side) / 1024 for side in (older, today)]
    words = [
        _passed(base, [(it.is_good, it.older.is_passed) for it in found]),
        _passed("today", [(it.is_good, it.today.is_passed) for it in found]),
        f"Peak memory of the process: {base} {peaks[0]:.0f} MiB, today {peaks[1]:.0f} MiB.",
    ]
    return "\n".join([*rows, "", *words, ""])


def _row(name: str, found: Sequence[Judged]) -> str:
    cells, ratios = [], []
    for time_of in (attrgetter("wall_ms"), attrgetter("processor_ms")):
        cells += [
            f"{median(time_of(it.older) for it in found):.1f}",
            f"{median(time_of(it.today) for it in found):.1f}",
        ]
        ratios.append(f"{ratio(found, time_of):.2f}")
    return f"| {name} | {' | '.join(cells + ratios)} |"


def _passed(name: str, judged: Sequence[tuple[bool, bool]]) -> str:
    """In words: of (is good, is passed) the passed ones of each kind that there is."""
    words = []
    for kind, is_good in (("good", True), ("defective", False)):
        if some := [is_passed for truth, is_passed in judged if truth is is_good]:
            words.append(f"{sum(some)} of {len(some)} {kind} parts")
    return f"Passed by {name}: {', '.join(words)}."


# the run


def bundle_of(code: Path, name: str, subject: Subject, folder: Path, images: int) -> Path:
    """The bundle of one code, calibrated unless it was kept."""
    bundle, good = folder / f"bundle-{name}", folder / "good"
    if bundle.is_dir():
        sys.stderr.write(f"taken as it was kept: {bundle}\n")
        return bundle
    if not good.is_dir() or len(list(good.iterdir())) != images:  # also where a run was broken off
        shutil.rmtree(good, ignore_errors=True)
        subject.write_good(good, images)
    sys.stderr.write(f"calibrating from {images} good images: {bundle}\n")
    calibrate(code, good, bundle, subject.crop)
    return bundle


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of each subject."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, metavar="COMMIT", help=f"the older commit (default {BASE})")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="with commas between")
    parser.add_argument("--images", type=int, default=24, help="good images to calibrate from")
    parser.add_argument("--runs", type=int, default=30, help="images that are judged")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the bundles there, and take those that are there"
    )
    asked = parser.parse_args(argv)
    names = asked.subjects.split(",")
    if unknown := set(names) - set(SUBJECTS):
        parser.error(f"no subject {', '.join(sorted(unknown))}: there are {', '.join(SUBJECTS)}")
    if asked.runs < 1:
        parser.error("--runs has to be 1 or more")
    try:
        _run(asked, names)
    except EdgeAgentError as err:
        sys.stderr.write(f"{err}\n{err.hint}\n")
        return err.exit_code
    return 0


def _run(asked: argparse.Namespace, names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / "older"
        base = older_code(asked.base, code)
        for name in names:
            subject, folder = SUBJECTS[name], (asked.keep or Path(scratch)).resolve() / f"{name}-{asked.images}"
            folder.mkdir(parents=True, exist_ok=True)
            older_bundle = bundle_of(code, base, subject, folder, asked.images)
            today_bundle = bundle_of(TODAY, "today", subject, folder, asked.images)
            parts = subject.parts(asked.runs)
            with ExitStack() as stack:
                older = stack.enter_context(Side.of(base, code, older_bundle))
                today = stack.enter_context(Side.of("today", TODAY, today_bundle))
                found = compare(older, today, parts, Path(scratch))
            sys.stdout.write(f"{name}: {subject.words}; {THREADS} threads, medians in ms\n\n{table(base, found)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
