"""A person begins a shadow, and ends it: checked, written down, and told to the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.bundles.line_bundles import check_place, entry_of, load_bundle
from edge_agent.desk.noted import noted
from edge_agent.errors import BundleRejected, Unavailable, UsageError
from edge_agent.inspection.bundle.registry import bundle_in_use
from edge_agent.inspection.inspector import Inspector
from edge_agent.shadow.comparison import compared
from edge_agent.shadow.records import SHADOW_EVENT, shadow_detail
from edge_agent.store.position import Position
from edge_agent.store.reader import JournalReader
from edge_agent.store.shadow import Candidate, ShadowFile

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.settings import Settings
    from edge_agent.store.shadow import Shadow

__all__ = ["Begun", "begin_shadow", "end_shadow", "told_journal"]


@dataclass(frozen=True, slots=True)
class Begun:
    """A shadow that was begun, and what a person should know of it."""

    shadow: Shadow
    notes: tuple[str, ...]


def check_candidate(settings: Settings, folder: Path) -> tuple[Bundle, tuple[str, ...]]:
    """A bundle that may judge beside the line, proven on this PC, and what a person should know before.

    Raises BundleRejected, UsageError for one that is in use already, Unavailable where no image is kept.
    """
    bundle = load_bundle(settings, folder)
    entry = entry_of(settings, bundle.program, bundle.camera)
    check_place(entry, bundle)
    in_use = load_bundle(settings, bundle_in_use(entry.path)[0])
    if in_use.id == bundle.id:
        raise UsageError(
            f"{folder} is the bundle in use: it cannot be compared with itself",
            hint="name the candidate's folder, as calibrate-reference or bundle relimit --out wrote it",
        )
    if in_use.reference.shape != bundle.reference.shape:
        raise BundleRejected(
            f"{folder} was made of images of {_size(bundle)}, the bundle in use of images of {_size(in_use)}",
            hint="calibrate it with images as this line's camera sends them",
        )
    if settings.store.keep == "none":
        raise Unavailable(
            'no image is kept: store.keep is "none", and a candidate judges what the archive holds',
            hint='set keep = "all" in [store] and restart the agent',
        )
    notes = []
    if bundle.part != in_use.part:
        notes.append(f"the candidate is of part {bundle.part!r}, the bundle in use of part {in_use.part!r}")
    if settings.store.keep != "all" or settings.store.keep_pass_every != 1:
        notes.append(
            "the archive does not keep every PASS (store.keep, store.keep_pass_every): parts that are not kept are "
            "counted as not comparable, and fewer false rejects of the candidate are seen"
        )
    Inspector(bundle, threads=1).warm_up()
    return bundle, tuple(notes)


def begin_shadow(settings: Settings, folder: Path, *, by: str, why: str) -> Begun:
    """Let a candidate judge beside the line, from the next part on. The journal's event is the caller's.

    Raises BundleRejected, UsageError, Unavailable, DataError where there is no journal yet, AlreadyRunning.
    """
    bundle, notes = check_candidate(settings, folder)
    with JournalReader.open(settings.store.journal) as journal:
        newest = journal.newest_link()
        place = Position(journal.origin()[0], newest, journal.link_sha256(newest))
    candidate = Candidate(bundle.program, bundle.camera, str(folder.resolve()), bundle.id, bundle.limit, by, why)
    file = ShadowFile.open(settings.store.journal, to_write=True)
    assert file is not None  # noqa: S101 - it is made where there is none
    with file:
        return Begun(file.begin(candidate, place), notes)


def end_shadow(settings: Settings, *, by: str, why: str) -> Shadow:
    """End the one that goes on. The journal's event is the caller's. Raises UsageError where none does, DataError."""
    file = ShadowFile.open(settings.store.journal)
    if file is not None:
        with file:
            shadow = file.active()
        if shadow is not None:
            writing = ShadowFile.open(settings.store.journal, to_write=True)
            assert writing is not None  # noqa: S101 - it is there
            with writing:
                writing.end(shadow, by, why)
                return next(one for one in writing.shadows() if one.shadow_id == shadow.shadow_id)
    raise UsageError("no candidate is being watched", hint="edge-agent shadow begin FOLDER")


async def told_journal(settings: Settings, what: str, shadow: Shadow, *, by: str, why: str) -> str:
    """Write the event, by way of the running agent or directly; by which way. Raises EdgeAgentError, DriverError."""
    counts = {} if what == "begun" else compared(settings.store.journal, shadow).counts_json()
    return await noted(settings, SHADOW_EVENT, shadow_detail(what, shadow, by=by, why=why, **counts))


def _size(bundle: Bundle) -> str:
    height, width, *channels = bundle.reference.shape
    return f"{width} x {height}" + (f" in {channels[0]} colours" if channels else "")
