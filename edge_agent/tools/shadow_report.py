"""The report of a candidate beside the line, out of its file, the journal and the archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.bundles.line_bundles import entry_of, load_bundle
from edge_agent.errors import EdgeAgentError
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.facts import PartPictures
from edge_agent.report.seen import archived_part
from edge_agent.report.shadow import KnownParts, ShadowFacts, write_shadow_report
from edge_agent.report.subject import identity, versions
from edge_agent.shadow.comparison import Side
from edge_agent.store.search import JournalSearch
from edge_agent.store.shadow import What
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.shadow.comparison import Comparison, Known
    from edge_agent.store.shadow import ShadowResult

__all__ = ["write_report"]


def write_report(path: Path, found: Comparison, settings: Settings, pictures: int, *, paper: Paper = "A4") -> None:
    """One HTML file, with so many of the newest parts over which the two differ. Raises OSError, EdgeAgentError."""
    inspectors = _Inspectors(found, settings)
    sides = found.sides
    facts = ShadowFacts(
        head=replace(_head(found, settings, inspectors), paper=paper),
        versions=versions(),
        candidate=found.shadow.candidate.bundle_id[:12],
        active=found.active,
        both_pass=sides[Side.BOTH_PASS],
        both_reject=sides[Side.BOTH_REJECT],
        to_reject=sides[Side.TO_REJECT],
        to_pass=sides[Side.TO_PASS],
        good=_known(found.good),
        bad=_known(found.bad),
        not_comparable=tuple(_not_comparable(found)),
        scores=tuple((a, c, side in (Side.TO_REJECT, Side.TO_PASS)) for a, c, side in found.scores),
        median_ms=found.took_ms,
        pictures=tuple(_pictures(found, settings, inspectors, pictures)),
        notes=(tr("The candidate does not judge: {why}", why=found.shadow.problem),) if found.shadow.problem else (),
    )
    write_shadow_report(path, facts)


class _Inspectors:
    """The bundles of the comparison, loaded when they are asked for; None for one that is gone or altered."""

    def __init__(self, found: Comparison, settings: Settings) -> None:
        self._settings = settings
        self._candidate = found.shadow.candidate
        self._kept: dict[str, Inspector | None] = {}

    def of(self, bundle_id: str | None) -> Inspector | None:
        """The inspector of that bundle."""
        if bundle_id is None:
            return None
        if bundle_id not in self._kept:
            self._kept[bundle_id] = self._load(bundle_id)
        return self._kept[bundle_id]

    def _load(self, bundle_id: str) -> Inspector | None:
        try:
            entry = entry_of(self._settings, self._candidate.program, self._candidate.camera)
            folder = find(entry.path, bundle_id)
            if folder is None and bundle_id == self._candidate.bundle_id:
                folder = Path(self._candidate.folder)
            bundle = None if folder is None else load_bundle(self._settings, folder)
        except EdgeAgentError:  # gone or altered since: the report shows the image alone, and says so
            return None
        if bundle is None or bundle.id != bundle_id:
            return None
        return Inspector(bundle, threads=self._settings.inference.threads_unmeasured)


def _head(found: Comparison, settings: Settings, inspectors: _Inspectors) -> Head:
    candidate = inspectors.of(found.shadow.candidate.bundle_id)
    sides, is_bad = found.sides, bool(found.bad.wrong)
    result = tr(
        "{parts} parts compared: both say the same of {agreed}; {to_reject} would be rejected, {to_pass} would pass.",
        parts=found.parts,
        agreed=found.agreed,
        to_reject=sides[Side.TO_REJECT],
        to_pass=sides[Side.TO_PASS],
    )
    listed = ", ".join(map(str, found.bad.wrong[-10:]))
    passing = tr("Known defects would pass by the candidate: parts {parts}.", parts=listed)
    to_do = (
        tr("Do not put this candidate to use before it is known why these defects pass."),
        tr("Calibrate again with more good parts, or move its limit, and watch it again."),
    )
    look = (tr("Look at each part below: is the candidate right, or the bundle in use? Review them on the page."),)
    return replace(
        identity(settings, () if candidate is None else (candidate.bundle,)),
        title=tr("Candidate beside the line"),
        from_utc=found.shadow.begun_utc,
        to_utc=found.shadow.ended_utc or "",
        result=result,
        tone="bad" if is_bad else "note",
        to_do=to_do if is_bad else look,
        warnings=(passing,) if is_bad else (),
    )


def _known(known: Known) -> KnownParts:
    return KnownParts(known.of, known.wrong, len(known.wrong_before))


def _not_comparable(found: Comparison) -> Iterator[tuple[str, int]]:
    words = {
        What.SKIPPED: tr("left out: the candidate is slower than the line"),
        What.NO_IMAGE: tr("no image in the archive"),
        What.FAILED: tr("the candidate failed"),
        What.NOT_JUDGED: tr("not judged by the bundle in use"),
    }
    yield from ((said, found.whats[what]) for what, said in words.items() if found.whats[what])
    if found.left_behind:
        yield tr("of a journal before this one"), found.left_behind


def _pictures(found: Comparison, settings: Settings, inspectors: _Inspectors, most: int) -> Iterator[PartPictures]:
    with JournalSearch.open(settings.store.journal) as journal:
        for side, one in found.flips[:most]:
            row = journal.part(one.part_seq)
            label, caption = str(one.part_seq), _caption(side, one)
            if row is None:
                yield PartPictures(label, caption, None, problem=tr("the journal does not hold this part any more"))
                continue
            rejecting = found.shadow.candidate.bundle_id if side is Side.TO_REJECT else one.active_bundle
            camera = next((c for c in row.cameras if c.camera == found.shadow.candidate.camera), None)
            inspector = inspectors.of(rejecting)
            yield archived_part(settings.store.archive, row, camera, inspector, label=label, caption=caption)


def _caption(side: Side, one: ShadowResult) -> str:
    passes = tr("passes today, the candidate rejects")
    rejected = tr("rejected today, the candidate passes")
    return tr(
        "{words}; today {active} times the limit, by the candidate {candidate}",
        words=passes if side is Side.TO_REJECT else rejected,
        active=_times(one.active_score, one.active_limit),
        candidate=_times(one.score, one.limit),
    )


def _times(score: float | None, limit: float | None) -> str:
    return f"{score / limit:.2f}" if score is not None and limit else "-"
