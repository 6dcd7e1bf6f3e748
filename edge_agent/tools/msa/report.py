"""The report of a study: its numbers with the images, out of the archive or the folder that was judged."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from drivers.base import ImageRefused
from edge_agent.bundles.line_bundles import load_bundle
from edge_agent.domain import Verdict
from edge_agent.errors import BundleRejected, DataError, EdgeAgentError
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.agreement import Grade
from edge_agent.report.facts import PartPictures
from edge_agent.report.msa import MsaFacts, MsaPart, MsaRepeat, write_msa_report
from edge_agent.report.seen import archived_part, score_words, seen_part
from edge_agent.report.subject import identity, versions
from edge_agent.report.words import msa_words
from edge_agent.store.archived import read_archived
from edge_agent.store.search import JournalSearch
from edge_agent.store.shrink import received_bytes
from edge_agent.tools.msa.images import image_of
from edge_agent.tools.msa.parts import notes_of
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.report.facts import Picture
    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow
    from edge_agent.store.study import Showing
    from edge_agent.tools.msa.result import Found

__all__ = ["write_study_report"]

_SHOWN = 12
_TONES: Mapping[Grade, Literal["good", "bad", "note"]] = {
    Grade.ACCEPTED: "good",
    Grade.CONDITIONAL: "note",
    Grade.NOT_ACCEPTED: "bad",
}


def write_study_report(
    path: Path, found: Found, settings: Settings, folder: Path | None = None, *, paper: Paper = "A4"
) -> None:
    """One HTML file to sign; ``folder`` is where a study of images has them. Raises OSError, EdgeAgentError."""
    inspectors = _inspectors(found, settings)
    seen = _Seen(found, folder, settings.store.archive, _rows(found, settings), inspectors)
    plan = found.study.plan
    write_msa_report(
        path,
        MsaFacts(
            head=replace(_head(found, settings, inspectors), paper=paper),
            versions=versions(),
            numbers=found.numbers,
            parts=tuple(_part(number, found, seen) for number in range(len(plan.parts))),
            study_id=found.study.study_id,
            study_sha256=found.study.head,
            seed=plan.seed,
            runs=plan.runs,
            pictures=tuple(seen.picture(one) for one in _wrong(found)[:_SHOWN]),
            repeats=tuple(
                MsaRepeat(one.run + 1, plan.parts[one.part].name, one.part_seq, one.verdict, one.reason)
                for one in found.unseen
            ),
            notes=notes_of(plan),
            simulated=any(row.simulated for row in seen.rows.values()),
        ),
    )


def _head(found: Found, settings: Settings, inspectors: dict[str, Inspector]) -> Head:
    plan = found.study.plan
    record = {"what": "ended", "verdict": str(found.numbers.grade), "rates": found.rates(), "by": plan.by}
    changed = tr("Something changed while the study ran: see Repeatability and position.")
    return replace(
        identity(settings, (inspector.bundle for inspector in inspectors.values())),
        title=tr("Attribute agreement study (MSA)"),
        from_utc=plan.begun_utc,
        to_utc=found.study.showings[-1].at_utc,
        result=msa_words({**record, "through": plan.through, "parts": len(plan.parts), "runs": plan.runs}),
        tone=_TONES[found.numbers.grade],
        to_do=_to_do(found),
        warnings=(changed,) if found.numbers.position.is_biased else (),
    )


def _to_do(found: Found) -> tuple[str, ...]:
    if found.numbers.grade is Grade.ACCEPTED:
        first = tr("Sign if you know of every part that it is what the list says. Keep the parts for the next study.")
    else:
        first = tr(
            "Look at each part below that had a wrong verdict: is it known rightly, is it near the limit, or does the "
            "line not see its defect? Then calibrate again, move the limit, or change light and camera, and study "
            "again."
        )
    if found.study.plan.through == "line":
        return (first,)
    return first, tr("These were recorded images: they prove bundle and software, not camera, light and gate.")


def _wrong(found: Found) -> list[Showing]:
    """One showing of each part that had a wrong verdict, the parts with most of them first."""
    parts = found.study.plan.parts
    wrong = [
        one
        for part in range(len(parts))
        for one in found.of_part(part)
        if (one.verdict is Verdict.PASS) is parts[part].is_defective
    ]
    times = Counter(one.part for one in wrong)
    firsts = {one.part: one for one in reversed(wrong)}
    return sorted(firsts.values(), key=lambda one: -times[one.part])


def _part(number: int, found: Found, seen: _Seen) -> MsaPart:
    part, showings = found.study.plan.parts[number], found.of_part(number)
    return MsaPart(
        part.name,
        part.is_defective,
        tuple(one.verdict for one in showings),
        tuple(one.score / one.limit if one.score is not None and one.limit else None for one in showings),
        seen.image(showings[0]),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where the images of the study are: in the folder that was judged, or in the line's archive."""

    found: Found
    folder: Path | None
    archive: Path
    rows: dict[int, PartRow]
    inspectors: dict[str, Inspector]

    def image(self, one: Showing) -> Picture | None:
        """The part as it was received; None where nobody kept it."""
        try:
            if self.folder is not None:
                return decode(self._received(one, self.folder))
            row = self.rows.get(one.part_seq or 0)
            return decode(read_archived(self.archive, row, row.cameras[0])) if row and row.cameras else None
        except (EdgeAgentError, ImageRefused, OSError):  # not kept, or not what was judged: its large picture says so
            return None

    def picture(self, one: Showing) -> PartPictures:
        """The part with the heat that decided, or why there is none."""
        part = self.found.study.plan.parts[one.part]
        known = tr("known to be defective") if part.is_defective else tr("known to be good")
        caption = f"{known}; {one.verdict}: {score_words(one.reason, one.score, one.limit)}"
        try:
            if self.folder is None:
                shown = self._of_line(one, part.name, caption)
            else:
                shown = self._of_file(one, self.folder, part.name, caption)
        except (DataError, OSError) as err:
            shown = PartPictures(part.name, caption, None, problem=str(err))
        return replace(shown, is_wrong=True)

    def _of_file(self, one: Showing, folder: Path, label: str, caption: str) -> PartPictures:
        inspector = next(iter(self.inspectors.values()), None)
        data = self._received(one, folder)
        if inspector is None:
            return PartPictures(label, caption, decode(data), problem=tr("the bundle that judged it is gone"))
        return seen_part(inspector, data, label=label, caption=caption)

    def _of_line(self, one: Showing, label: str, caption: str) -> PartPictures:
        row = self.rows.get(one.part_seq or 0)
        if row is None:
            return PartPictures(label, caption, None, problem=tr("the journal does not hold this part any more"))
        camera = next((c for c in row.cameras if c.score == row.score and c.bundle_id == row.bundle_id), None)
        inspector = self.inspectors.get(row.bundle_id or "")
        return archived_part(self.archive, row, camera, inspector, label=label, caption=caption)

    def _received(self, one: Showing, folder: Path) -> bytes:
        path, digest = image_of(folder, self.found.study.plan.parts[one.part], one.run)
        data = received_bytes(path)
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"{path} changed since it was judged", hint="bring that image back")
        return data


def _inspectors(found: Found, settings: Settings) -> dict[str, Inspector]:
    """The bundles that judged, by their ids, as far as they are still there."""
    kept: dict[str, Inspector] = {}
    for bundle_id in {bundle.bundle_id for bundle in found.study.plan.bundles}:
        folder = next((at for entry in settings.bundle if (at := find(entry.path, bundle_id)) is not None), None)
        if folder is not None:
            try:
                bundle = load_bundle(settings, folder)
                kept[bundle_id] = Inspector(bundle, threads=settings.inference.threads_unmeasured)
            except BundleRejected:  # replaced or damaged since: the report says of each part that its bundle is gone
                continue
    return kept


def _rows(found: Found, settings: Settings) -> dict[int, PartRow]:
    wanted = {one.part_seq for one in found.study.showings if one.part_seq is not None}
    if not wanted:
        return {}
    with JournalSearch.open(settings.store.journal) as journal:
        return {row.part_seq: row for seq in sorted(wanted) if (row := journal.part(seq)) is not None}
