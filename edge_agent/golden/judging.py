"""Which bundles judge each program: what the agent that started last went by, and what its next start will go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.registry import bundle_in_use
from edge_agent.store.challenges import BUNDLE_DIGITS
from edge_agent.store.changes import change_of
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_agent.settings import BundleSettings, Settings

__all__ = ["by_program", "chosen", "judging"]

_UNKNOWN = "?"
"""The id of a bundle that cannot be read: no challenge is of it."""


def by_program(bundles: Iterable[tuple[int, str]]) -> Mapping[int, frozenset[str]]:
    """The beginnings of the ids of the bundles of all cameras, by program; of pairs of program and id."""
    found: dict[int, set[str]] = {}
    for program, bundle_id in bundles:
        found.setdefault(program, set()).add(bundle_id[:BUNDLE_DIGITS])
    return {program: frozenset(ids) for program, ids in found.items()}


def chosen(settings: Settings) -> Mapping[int, frozenset[str]]:
    """What the next start will judge by, as the files say it."""
    return by_program((entry.program, _chosen(entry)) for entry in settings.bundle)


def judging(settings: Settings) -> Mapping[int, frozenset[str]]:
    """What the agent that started last judges by, as the journal says it; of a place that it does not name: ``chosen``.

    Raises DataError for a journal that cannot be read.
    """
    told: dict[tuple[int, int], str] = {}
    with JournalReader.open(settings.store.journal) as reader:
        for event in reader.events_of(("BUNDLE",), is_newest_first=True):
            change = change_of(event)
            if "program" in change.facts and change.values:
                told.setdefault((change.facts["program"], change.facts["camera"]), change.values[0].new)
            if all((entry.program, entry.camera) in told for entry in settings.bundle):
                break
    return by_program(
        (entry.program, told.get((entry.program, entry.camera)) or _chosen(entry)) for entry in settings.bundle
    )


def _chosen(entry: BundleSettings) -> str:
    try:
        folder, pinned = bundle_in_use(entry.path)
        return pinned or read_manifest(folder).text("id")
    except (BundleRejected, OSError):
        return _UNKNOWN
