"""The report of a challenge, to be signed: whether it was passed stands on top, each sample with what decided below."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.bundles.line_bundles import load_bundle
from edge_agent.domain import Reason
from edge_agent.errors import BundleRejected, DataError
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.facts import PartFact, PartPictures, RunFacts
from edge_agent.report.html import write_run_report
from edge_agent.report.phrases import said
from edge_agent.report.seen import archived_part, score_words, seen_part
from edge_agent.report.subject import identity, versions
from edge_agent.report.words import challenge_words
from edge_agent.store.search import JournalSearch
from edge_agent.store.shrink import received_bytes
from edge_agent.tools.challenge import is_doubtful
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow
    from edge_agent.tools.challenge import Challenge, Sample

__all__ = ["write_challenge_report"]

_SHOWN = 20


def write_challenge_report(path: Path, challenge: Challenge, settings: Settings, *, paper: Paper = "A4") -> None:
    """One HTML file to sign. Raises OSError, and DataError where a sample's file is not what was judged any more."""
    inspectors, rows = _inspectors(challenge, settings), _rows(challenge, settings)
    # What went wrong first: these are the samples that a person has to see.
    shown = sorted(challenge.samples, key=lambda sample: not _is_wrong(sample))[:_SHOWN]
    write_run_report(
        path,
        facts=RunFacts(
            head=replace(_head(challenge, settings, inspectors), paper=paper),
            simulated=any(row.simulated for row in rows.values()),
            versions=versions(),
            parts=tuple(_fact(sample) for sample in challenge.samples),
            pictures=tuple(
                _of_file(sample, inspectors.get(sample.bundle_id or ""))
                if sample.part_seq is None
                else _of_line(rows[sample.part_seq], sample, settings, inspectors)
                for sample in shown
            ),
            notes=tuple(said(note) for note in (*challenge.notes, challenge.why_not) if note),
        ),
    )


def _head(challenge: Challenge, settings: Settings, inspectors: dict[str, Inspector]) -> Head:
    wrong = [sample for sample in challenge.samples if _is_wrong(sample)]
    result = challenge_words(challenge.to_json())
    head = replace(
        identity(settings, (inspector.bundle for inspector in inspectors.values())),
        title=tr("Challenge with seeded samples"),
        from_utc=challenge.at_utc,
        result=result,
        tone="good" if challenge.is_passed else "bad",
    )
    so_many = tr(
        "So many samples say, with 95 % confidence: at most {share} of parts with such defects would pass.",
        share=f"{challenge.escape_bound:.0%}",
    )
    if not challenge.is_passed:
        named = ", ".join(sample.label for sample in wrong[:_SHOWN])
        return replace(
            head,
            to_do=(
                tr(
                    "Do not let this line judge parts before you know why. Look by hand at what it passed since the "
                    "last challenge that was passed."
                ),
                tr(
                    "Look below at each sample that went wrong: {names}. A reject for want of an image or of time "
                    "proves nothing: mend that, and challenge again.",
                    names=named or tr("there was no reject sample"),
                ),
                so_many,
            ),
        )
    return replace(head, to_do=(tr(_PASSED[challenge.through]), so_many))


_PASSED = {
    "images": mark(
        "Put samples through the line as well (edge-agent challenge --parts N): these images prove bundle and "
        "software, not camera, light and gate."
    ),
    "line": mark("Sign only if you saw the gate hold back each of them: the agent does not see the part."),
}


def _is_wrong(sample: Sample) -> bool:
    """Not judged as it must be, or a reject sample that may be another one."""
    return not sample.is_right or (sample.must_reject and is_doubtful(sample.odd))


def _fact(sample: Sample) -> PartFact:
    wrong = tr("WRONG: this sample must pass, for what it looks like")
    if sample.must_reject:
        wrong = tr("WRONG: this sample must be rejected, for what it looks like")
    held = tr("judged good; the lock alone held it back") if sample.reason is Reason.LOCKED else ""
    told = (held if sample.is_right else wrong, said(sample.wrong), said(sample.odd_words))
    return PartFact(
        part_seq=sample.part_seq,
        verdict=sample.verdict,
        reason=sample.reason,
        label=sample.label,
        detail="; ".join(filter(None, told)),
        score=sample.score,
        limit=sample.limit,
        is_defective=sample.must_reject,
        truth=tr("reject sample") if sample.must_reject else tr("golden sample"),
        published=sample.published,
    )


def _inspectors(challenge: Challenge, settings: Settings) -> dict[str, Inspector]:
    """The bundles that judged, by their ids, as far as they are still there."""
    found: dict[str, Inspector] = {}
    for bundle_id in sorted({sample.bundle_id for sample in challenge.samples if sample.bundle_id}):
        folders = (find(entry.path, bundle_id) for entry in settings.bundle)
        folder = next((folder for folder in folders if folder is not None), None)
        if folder is not None:
            try:
                found[bundle_id] = Inspector(
                    load_bundle(settings, folder), threads=settings.inference.threads_unmeasured
                )
            except BundleRejected:  # replaced or damaged since: the report says of each part that its bundle is gone
                continue
    return found


def _rows(challenge: Challenge, settings: Settings) -> dict[int, PartRow]:
    """What the journal holds of the samples that went through the line, by part number."""
    wanted = [sample.part_seq for sample in challenge.samples if sample.part_seq is not None]
    if not wanted:
        return {}
    with JournalSearch.open(settings.store.journal) as journal:
        return {row.part_seq: row for row in journal.rows(min(wanted), max(wanted))}


def _caption(sample: Sample) -> str:
    wanted = tr("must be rejected") if sample.must_reject else tr("must pass")
    return f"{wanted}; {sample.verdict}: {score_words(sample.reason, sample.score, sample.limit)}"


def _of_file(sample: Sample, inspector: Inspector | None) -> PartPictures:
    if sample.path is None or inspector is None:
        return PartPictures(sample.label, _caption(sample), None, problem=tr("the bundle that judged it is gone"))
    data = received_bytes(sample.path)
    if hashlib.sha256(data).hexdigest() != sample.image_sha256:
        raise DataError(f"{sample.path} changed meanwhile", hint="challenge with files that nobody writes to")
    return seen_part(inspector, data, label=sample.label, caption=_caption(sample), is_wrong=not sample.is_right)


def _of_line(row: PartRow, sample: Sample, settings: Settings, inspectors: dict[str, Inspector]) -> PartPictures:
    camera = next((c for c in row.cameras if c.score == row.score and c.bundle_id == row.bundle_id), None)
    inspector = inspectors.get(row.bundle_id or "")
    archive = settings.store.archive
    shown = archived_part(archive, row, camera, inspector, label=sample.label, caption=_caption(sample))
    return replace(shown, is_wrong=not sample.is_right)
