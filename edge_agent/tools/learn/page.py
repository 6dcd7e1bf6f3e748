"""The page of before and after, out of what a learning found, the journal and the archive."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.bundles.line_bundles import entry_of
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.agreement import Rate
from edge_agent.report.facts import PartPictures
from edge_agent.report.learned import (
    DefectRow,
    FigureRow,
    LearnedFacts,
    write_learned_report,
)
from edge_agent.report.learned_words import lost_words, outcome_words
from edge_agent.report.seen import archived_part
from edge_agent.report.subject import identity, versions
from edge_agent.report.words import SAID_WORDS
from edge_agent.shadow.comparison import Side
from edge_agent.store.search import JournalSearch
from edge_agent.tools.learn.workshop import Workshop
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.tools.learn.found import Figure, Found, Judged, ReplayedPart

__all__ = ["write_report"]

_PICTURES = 24
_SHORT_ID = 12


def write_report(path: Path, folder: Path, found: Found, settings: Settings, *, paper: Paper = "A4") -> None:
    """One HTML file. Raises OSError, DataError for a journal that cannot be read."""
    bundles = _Bundles(found, Workshop(folder), settings)
    sides = found.replay.sides()
    to_reject, passes = found.replay.of_passes
    facts = LearnedFacts(
        head=replace(_head(found, settings, bundles), paper=paper),
        versions=versions(),
        parent=found.parent[:_SHORT_ID],
        bundle=found.bundle_id[:_SHORT_ID],
        added=found.added,
        people=tuple((tr("called good by {by}", by=by), number) for by, number in found.people.items()),
        own_good=found.own_good,
        figures=tuple(map(_row, (*found.worse, *(one for one in found.figures if not one.is_worse)))),
        defects=tuple(
            DefectRow(
                str(one.part_seq),
                tr(SAID_WORDS.get(one.says, one.says)),
                one.before.share,
                one.after.share,
                not one.before.passes,
                not one.after.passes,
                one.is_lost,
            )
            for one in sorted(found.defects, key=lambda one: (not one.is_lost, one.part_seq))
        ),
        both_pass=sides[Side.BOTH_PASS],
        both_reject=sides[Side.BOTH_REJECT],
        to_reject=sides[Side.TO_REJECT],
        to_pass=sides[Side.TO_PASS],
        of_passes=Rate(to_reject, passes) if passes else None,
        not_counted=tuple(_not_counted(found)),
        hours=found.replay.hours,
        pictures=tuple(_pictures(found, settings, bundles)),
        notes=found.notes,
    )
    write_learned_report(path, facts)


class _Bundles:
    """Both bundles, loaded when they are asked for; None for one that is gone or altered."""

    def __init__(self, found: Found, workshop: Workshop, settings: Settings) -> None:
        self._threads = settings.inference.threads_unmeasured
        entry = entry_of(settings, found.program, found.camera)
        self.before = _load(find(entry.path, found.parent))
        self.after = _load(workshop.bundle if found.bundle_id else workshop.calibrated)
        self._inspectors: dict[str, Inspector] = {}

    def rejecting(self, part: ReplayedPart) -> Inspector | None:
        """The inspector of the bundle that rejects this part."""
        bundle = self.after if part.side is Side.TO_REJECT else self.before
        if bundle is None:
            return None
        if bundle.id not in self._inspectors:
            self._inspectors[bundle.id] = Inspector(bundle, threads=self._threads)
        return self._inspectors[bundle.id]


def _load(folder: Path | None) -> Bundle | None:
    try:
        return None if folder is None else Bundle.load(folder)
    except BundleRejected:  # gone or altered since: the report shows the image alone, and says so
        return None


def _head(found: Found, settings: Settings, bundles: _Bundles) -> Head:
    result, to_do = outcome_words(found.lost, len(found.worse))
    added = tr(
        "{added} confirmed good parts added; {defects} known defects tried.",
        added=len(found.added),
        defects=len(found.defects),
    )
    made = tuple(bundle for bundle in (bundles.before, bundles.after) if bundle is not None)
    return replace(
        identity(settings, made),
        title=tr("What the line learned"),
        result=f"{result} {added}",
        tone="bad" if found.lost else "note" if found.worse else "good",
        to_do=(to_do,),
        warnings=lost_words(found.lost),
    )


def _row(one: Figure) -> FigureRow:
    return FigureRow(tr(one.name), one.before, tr(one.after), one.is_worse)


def _not_counted(found: Found) -> Iterator[tuple[str, int]]:
    replay = found.replay
    for number, words in (
        (replay.learned, tr("the new bundle learned them")),
        (replay.no_image, tr("no image in the archive")),
        (replay.not_judged, tr("not judged by the bundle in use")),
    ):
        if number:
            yield words, number


def _pictures(found: Found, settings: Settings, bundles: _Bundles) -> Iterator[PartPictures]:
    flips = found.replay.flips[:_PICTURES]
    if not flips:
        return
    with JournalSearch.open(settings.store.journal) as journal:
        for part in flips:
            row, label = journal.part(part.part_seq), str(part.part_seq)
            caption = _caption(part)
            if row is None:
                yield PartPictures(label, caption, None, problem=tr("the journal does not hold this part any more"))
                continue
            camera = next((one for one in row.cameras if one.camera == found.camera), None)
            rejecting = bundles.rejecting(part)
            yield archived_part(settings.store.archive, row, camera, rejecting, label=label, caption=caption)


def _caption(part: ReplayedPart) -> str:
    words = (
        tr("passes today, the new bundle rejects")
        if part.side is Side.TO_REJECT
        else tr("rejected today, the new bundle passes")
    )
    known = {"good": tr("people know it as good"), "bad": tr("people know it as defective")}.get(part.known, "")
    said = tr(
        "{words}; today {active} times the limit, by the new bundle {candidate}",
        words=words,
        active=_times(part.before),
        candidate=_times(part.after),
    )
    return f"{said}; {known}" if known else said


def _times(judged: Judged) -> str:
    return "-" if judged.share is None else f"{judged.share:.2f}"
