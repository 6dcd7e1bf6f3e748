"""The whole of it: plan, judge what is missing, compare all of it with the journal. Broken off, it goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.fs import write_durably
from edge_agent.tools.plant.chunks import judged_chunks
from edge_agent.tools.plant.judging import BundleAt, Chunk
from edge_agent.tools.plant.manifest import chunk_entries, planned
from edge_agent.tools.plant.parts import Parts, Results
from edge_agent.tools.plant.progress import Progress
from edge_agent.tools.replay.comparing import compared
from edge_agent.tools.replay.folder import which_bundle
from edge_agent.tools.replay.image import inspection_row
from edge_agent.tools.replay.records import Records
from edge_agent.tools.replay.result import ReplayResult, Tally
from edge_agent.tools.replay.spool import OtherImages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edge_agent.tools.plant.manifest import Plan
    from edge_agent.tools.plant.sources import Entry, Source

    Bundles = Mapping[tuple[int, int], BundleAt]

__all__ = ["SUMMARY", "Replay"]

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of ``source`` into ``folder``. ``bundles`` judge by (program, camera), ``cluster`` gives the workers."""

    source: Source
    folder: Path
    bundles: Bundles
    journal: Path | None
    versions: Mapping[str, str]
    cluster: Callable[[], AbstractContextManager[Any]]
    per_chunk: int | None = None

    def run(self, say: Callable[[str], None]) -> ReplayResult:
        """Judge what is missing, then compare everything.

        Raises DataError, UsageError, Unavailable; AlreadyRunning where somebody else works in the folder. Whatever
        ends it, what was judged stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _alone(self.folder):
            ids = {f"{program}/{camera}": bundle.id for (program, camera), bundle in self.bundles.items()}
            plan, is_going_on = planned(self.source, self.folder, ids, self.versions, self.per_chunk)
            parts = Parts(self.folder, plan)
            missing = parts.missing()
            if is_going_on:
                say(f"going on: {plan.chunks - len(missing)} of {plan.chunks} chunks are done")
            if missing:
                self._judge(plan, parts, missing, say)
            return self._compared(plan, parts)

    def _judge(self, plan: Plan, parts: Parts, missing: Sequence[int], say: Callable[[str], None]) -> None:
        done = plan.images - sum(map(plan.size, missing))
        progress = Progress(plan.images)
        progress.tell(done, is_first=True)
        proofs = _Proofs(parts, plan, missing)
        with Records.open(self.journal) as records, self.cluster() as client:
            for found in judged_chunks(client, self._chunks(plan, frozenset(missing), records), say):
                proofs.check(found.proof, found.number)
                parts.write(found.number, found.rows, found.proof)
                done += len(found.rows)
                progress.tell(done)
        progress.tell(done, is_last=True)

    def _chunks(self, plan: Plan, missing: frozenset[int], records: Records) -> Iterator[Chunk]:
        places = list(self.bundles)
        for number, entries in chunk_entries(self.folder, plan):
            if number in missing:
                images = tuple((entry.name, places.index(self._which(entry, records))) for entry in entries)
                yield Chunk(number, self.source.address, tuple(self.bundles.values()), images, self.versions)

    def _which(self, entry: Entry, records: Records) -> tuple[int, int]:
        """Which bundle judges an image: of several, what was recorded of it says so, and its bytes say what was."""
        if len(self.bundles) == 1:
            return next(iter(self.bundles))
        name = PurePosixPath(entry.name).name
        record = records.named(name)
        if record is None:
            sha256 = hashlib.sha256(self.source.read(entry.name)).hexdigest()
            record, why_altered = records.find(name, sha256)
            if why_altered:  # it is not judged as anything; whichever bundle looks at it
                return next(iter(self.bundles))
        return which_bundle(self.bundles, record, name)

    def _compared(self, plan: Plan, parts: Parts) -> ReplayResult:
        results, others, tally = Results(self.folder, plan), OtherImages(), Tally()
        with Records.open(self.journal) as records:
            if records.has_several_cameras:
                _gather(plan, parts, records, others)
            for chunk in range(plan.chunks):
                images = [compared(judged, records, others.find) for judged in parts.judged(chunk)]
                for image in images:
                    tally.add(image)
                results.write(chunk, images)
            result = ReplayResult(results, tally, *tally.not_here(records), notes=plan.notes)
        if tally.images != plan.images:
            raise DataError(f"{self.folder} has {tally.images} images of {plan.images}", hint="its files were changed")
        write_durably(self.folder / SUMMARY, json.dumps(result.facts(), ensure_ascii=False).encode() + b"\n")
        return result


def _gather(plan: Plan, parts: Parts, records: Records, others: OtherImages) -> None:
    """The inspections of parts of several images: they are decided together, and may lie in different chunks."""
    for chunk in range(plan.chunks):
        for judged in parts.judged(chunk):
            record, why_altered = records.find(judged.path.name, judged.sha256)
            if record is not None and not why_altered and judged.inspection is not None and len(record[0].cameras) > 1:
                others.add(inspection_row(judged.inspection))


class _Proofs:
    """That every machine computes the same bits."""

    def __init__(self, parts: Parts, plan: Plan, missing: Sequence[int]) -> None:
        gone = frozenset(missing)
        done = next((chunk for chunk in range(plan.chunks) if chunk not in gone), None)
        self._first = "" if done is None else parts.proof(done)

    def check(self, proof: str, chunk: int) -> None:
        """Raise DataError where a chunk was judged by another arithmetic than the first one."""
        self._first = self._first or proof
        if proof and proof != self._first:
            raise DataError(
                f"chunk {chunk} was judged by a machine that computes other bits than the first one did",
                hint="a replay is judged by machines of one kind of processor; the verdicts of others may differ",
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raise AlreadyRunning where another process works in the folder. The kernel gives the lock back, also after -9."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise AlreadyRunning(
                f"another replay works in {folder}", hint="wait for it, or name another --out"
            ) from err
        yield
