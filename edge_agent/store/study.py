"""An attribute agreement study on the disk: its plan, then one line for each showing of a part.

A file of JSON lines that is only ever added to, synced after each line. Every line holds the sha256 of the one before
it, so that a line that was changed or taken out is seen. What a power cut left of a last line counts as not written.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from edge_agent.domain import Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "MOST_PARTS",
    "MOST_RUNS",
    "Plan",
    "Showing",
    "Study",
    "StudyBundle",
    "StudyFile",
    "StudyPart",
    "read_study",
    "shuffled",
]

MOST_PARTS, MOST_RUNS = 500, 20
_VERSION = 1
_MOST_BYTES = 32 * 2**20
_LINE_MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class StudyPart:
    """A part of the study. ``name`` is what stands on it or its folder; ``images`` are its files with their sha256."""

    name: str
    is_defective: bool
    images: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StudyBundle:
    """A bundle that judges in the study, and its limit."""

    program: int
    camera: int
    bundle_id: str
    limit: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What was settled when the study began. ``order`` holds for each run the parts' indices in the order shown."""

    line: str
    through: Literal["line", "images"]
    by: str
    begun_utc: str
    seed: int
    bundles: tuple[StudyBundle, ...]
    parts: tuple[StudyPart, ...]
    order: tuple[tuple[int, ...], ...]

    @property
    def runs(self) -> int:
        """How often each part is shown."""
        return len(self.order)

    @property
    def total(self) -> int:
        """How many showings the study has."""
        return self.runs * len(self.parts)


@dataclass(frozen=True, slots=True)
class Showing:
    """A part that was shown in a run, both counted from 0. ``part_seq`` is its row in the journal, None for an image.

    ``is_seen`` False: nobody looked at it (``reason`` says why), and it is shown again.
    """

    run: int
    part: int
    verdict: Verdict
    reason: Reason
    score: float | None
    limit: float | None
    at_utc: str
    is_seen: bool = True
    part_seq: int | None = None
    image_sha256: str = ""


@dataclass(slots=True)
class Study:
    """A plan and what was shown of it so far. ``head`` is the sha256 of the newest line.

    ``done`` counts the showings that count: they come in the order of the plan.
    """

    plan: Plan
    showings: list[Showing] = field(default_factory=list)
    head: str = ""
    done: int = 0

    @property
    def study_id(self) -> str:
        """The study's name in the journal: the begin of its plan's sha256."""
        return sha256(_line(_plan_facts(self.plan), "")).hexdigest()[:12]

    @property
    def counted(self) -> dict[tuple[int, int], Showing]:
        """The showings that count, by run and part."""
        return {(showing.run, showing.part): showing for showing in self.showings if showing.is_seen}

    def following(self) -> tuple[int, int] | None:
        """The run and the part to be shown next, None when the study is whole."""
        run, place = divmod(self.done, len(self.plan.parts))
        return (run, self.plan.order[run][place]) if run < self.plan.runs else None

    def take(self, showing: Showing) -> None:
        """Take in a showing. Raises ValueError for one that is not what the plan shows next."""
        if (showing.run, showing.part) != self.following():
            raise ValueError(f"run {showing.run}, part {showing.part} is not what is shown next")
        self.showings.append(showing)
        self.done += showing.is_seen


def shuffled(parts: int, runs: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """The order of the showings: in every run all parts, each run in another order. The same seed gives the same."""
    draw = random.Random(seed)
    return tuple(tuple(draw.sample(range(parts), parts)) for _ in range(runs))


class StudyFile:
    """A study that goes on: what is added is on the disk when ``add`` returns. ``note`` is empty or what was mended."""

    def __init__(self, path: Path, study: Study, descriptor: int, note: str = "") -> None:
        self.path = path
        self.study = study
        self.note = note
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def begun(cls, path: Path, plan: Plan) -> Iterator[StudyFile]:
        """A new study, with its plan written. Raises OSError, DataError where there is a file of that name.

        DataError also for a plan so long that no one could go on with the study: nothing is written then.
        """
        if (size := len(_line(_plan_facts(plan), ""))) > _LINE_MAX_BYTES:
            raise DataError(
                f"the plan of the study takes {size / 2**20:.1f} MiB, {_LINE_MAX_BYTES >> 20} at most can be read",
                hint="take fewer parts, or fewer images of each: those of the runs are enough",
            )
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise DataError(f"{path} exists", hint="name another file, or go on with that study") from None
        try:
            _hold(descriptor, path)
            file = cls(path, Study(plan), descriptor)
            file._append(_plan_facts(plan))
            _sync_folder(path)
            yield file
        finally:
            os.close(descriptor)

    @classmethod
    @contextmanager
    def resumed(cls, path: Path) -> Iterator[StudyFile]:
        """A study that goes on where it stopped. Raises OSError, DataError, AlreadyRunning while another does."""
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _hold(descriptor, path)
            study, kept_bytes, lost = _read(path)
            note = ""
            if lost:
                os.ftruncate(descriptor, kept_bytes)
                os.fsync(descriptor)
                note = f"the last line of {path.name} was not whole: what it told is not counted, and is shown again"
            yield cls(path, study, descriptor, note)
        finally:
            os.close(descriptor)

    def add(self, showing: Showing) -> None:
        """Write a showing durably. Raises OSError; ValueError for one that is not the next of the plan."""
        if (showing.run, showing.part) != self.study.following():
            raise ValueError(f"run {showing.run}, part {showing.part} is not what is shown next")
        self._append(asdict(showing))
        self.study.take(showing)

    def _append(self, facts: dict[str, Any]) -> None:
        line = _line(facts, self.study.head)
        size = os.fstat(self._descriptor).st_size
        try:
            _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise
        self.study.head = sha256(line).hexdigest()


def read_study(path: Path) -> Study:
    """A study as it stands, whether it is whole or not. Raises DataError, OSError."""
    return _read(path)[0]


def _hold(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(
            f"the study {path} goes on in another process", hint="end that one first, or wait for it"
        ) from None


def _write_all(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, "the disk took a part of a line only")


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _plan_facts(plan: Plan) -> dict[str, Any]:
    return {"schema_version": _VERSION, "kind": "msa", **asdict(plan)}


def _line(facts: dict[str, Any], before: str) -> bytes:
    return json.dumps({**facts, "before": before}, separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> tuple[Study, int, int]:
    """The study, how many bytes of the file are whole lines, and how many behind them are not."""
    try:
        data = read_bounded(path, _MOST_BYTES)
    except ValueError as err:
        raise DataError(f"{path} is no study: {err}", hint="name the file that edge-agent msa wrote") from None
    whole, _, rest = data.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    if not lines:
        raise DataError(
            f"{path} is no study: its plan is not whole", hint="remove it, and begin the study again: nothing is lost"
        )
    study = Study(_plan(path, lines[0]))
    study.head = sha256(lines[0] + b"\n").hexdigest()
    for number, line in enumerate(lines[1:], 2):
        try:
            study.take(_showing(path, number, line, study))
        except ValueError as err:
            raise _altered(path, number, str(err)) from None
        study.head = sha256(line + b"\n").hexdigest()
    return study, len(data) - len(rest), len(rest)


def _altered(path: Path, number: int, why: str) -> DataError:
    return DataError(
        f"{path}, line {number}: {why}",
        hint="the file was changed or damaged behind edge-agent: bring back the last good copy, or begin a new study",
    )


def _facts(path: Path, number: int, line: bytes, before: str) -> dict[str, Any]:
    try:
        found = strict_json(line, most_bytes=_LINE_MAX_BYTES)
    except ValueError as err:
        raise _altered(path, number, str(err)) from None
    if not isinstance(found, dict) or found.pop("before", None) != before:
        raise _altered(path, number, "it does not follow the line before it")
    return found


def _plan(path: Path, line: bytes) -> Plan:
    facts = _facts(path, 1, line, "")
    if facts.pop("kind", None) != "msa" or facts.pop("schema_version", None) != _VERSION:
        raise _altered(path, 1, "it is no plan of a study that this version understands")
    try:
        plan = Plan(
            bundles=tuple(StudyBundle(**bundle) for bundle in facts.pop("bundles")),
            parts=tuple(_part(**part) for part in facts.pop("parts")),
            order=tuple(tuple(run) for run in facts.pop("order")),
            **facts,
        )
        _check(plan)
    except (TypeError, ValueError, KeyError) as err:
        raise _altered(path, 1, f"it is no plan: {err}") from None
    return plan


def _part(name: str, is_defective: bool, images: Sequence[Sequence[str]]) -> StudyPart:  # noqa: FBT001 - its JSON
    return StudyPart(name, is_defective, tuple((str(file), str(digest)) for file, digest in images))


def _check(plan: Plan) -> None:
    every = list(range(len(plan.parts)))
    if not 2 <= plan.runs <= MOST_RUNS or not 2 <= len(every) <= MOST_PARTS:
        raise ValueError(f"{len(every)} parts in {plan.runs} runs")
    if any(sorted(run) != every for run in plan.order):
        raise ValueError("a run does not show every part once")
    if not all(isinstance(part.name, str) and isinstance(part.is_defective, bool) for part in plan.parts):
        raise ValueError("a part without a name or a known state")
    if plan.through not in ("line", "images"):
        raise ValueError(f"shown through {plan.through!r}")


def _showing(path: Path, number: int, line: bytes, study: Study) -> Showing:
    facts = _facts(path, number, line, study.head)
    try:
        verdict, reason = Verdict(facts.pop("verdict")), Reason(facts.pop("reason"))
        return Showing(verdict=verdict, reason=reason, **facts)
    except (TypeError, ValueError, KeyError) as err:
        raise _altered(path, number, f"it is no showing: {err}") from None
