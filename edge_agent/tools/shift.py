"""A shift's parts out of the journal, its worst ones out of the archive, as the facts of a report to sign."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.drift.traces import traces
from edge_agent.errors import BundleRejected, DataError, Unavailable
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.inspector import Inspector
from edge_agent.local_time import in_local_time
from edge_agent.report.changed import event_told
from edge_agent.report.facts import PartFact
from edge_agent.report.head import BundleName
from edge_agent.report.seen import archived_part, score_words
from edge_agent.report.shift import BundleFact, Period, ShiftFacts
from edge_agent.report.subject import identity, versions
from edge_agent.report.tally import ReasonCount
from edge_agent.reviews.settling import DISPUTED, settle, word_of
from edge_agent.runtime.dry_run import DRY_RUN
from edge_agent.store.search import JournalSearch
from edge_agent.tools.challenge_history import sample_history
from edge_agent.wording import tr, trn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head
    from edge_agent.reviews.settling import Word
    from edge_agent.settings import Settings
    from edge_agent.store.rows import EventRow, PartRow

__all__ = ["print_pdf", "shift_facts"]

_AT_ONCE = 500
_DRAWN = 1500
_PDF_WITHIN_S = 120
_BY_SCORE = (Verdict.REJECT, Reason.SCORE)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(slots=True)
class _Seen:
    """What was counted while going through the parts once."""

    whole: Counter[str] = field(default_factory=Counter)
    hours: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[tuple[Verdict, Reason]] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    bundles: Counter[str] = field(default_factory=Counter)
    programs: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    parts: list[PartFact] = field(default_factory=list)
    worst: list[tuple[float, PartRow]] = field(default_factory=list)
    simulated: int = 0
    dry_run: int = 0


def shift_facts(
    settings: Settings, from_utc: str, to_utc: str, most_pictures: int, progress: Callable[[str, int, int], None]
) -> ShiftFacts:
    """Everything between two times (UTC as the journal writes them, the end not included).

    Raises DataError for a journal that is missing or damaged, or without a part in that time.
    """
    with JournalSearch.open(settings.store.journal) as journal:
        first, last = journal.first_seq_since(from_utc), journal.first_seq_since(to_utc) - 1
        if last < first:
            raise DataError(f"the journal has no part between {from_utc} and {to_utc}", hint="another --from and --to?")
        seen = _count(journal, first, last, most_pictures, progress)
        audit = journal.audit(None, lambda done, total: progress("chain of hashes", done, total))
        drift = tuple(traces(settings, journal, first, last))
        all_events = journal.events()
    events = [event for event in all_events if from_utc <= event.at_utc < to_utc]
    reviews = _reviewed(all_events, from_utc, to_utc)
    samples = sample_history(settings)
    bundles = {bundle_id: _load(settings, bundle_id, seen) for bundle_id, _ in seen.bundles.most_common()}
    return ShiftFacts(
        head=_head(settings, seen, bundles, (from_utc, to_utc), audit.problems),
        simulated=seen.simulated,
        dry_run=seen.dry_run,
        whole=_period("all", seen.whole),
        hours=tuple(_period(_local_hour(hour), counted) for hour, counted in sorted(seen.hours.items())),
        reasons=tuple(
            ReasonCount(verdict, reason, n)
            for (verdict, reason), n in sorted(seen.reasons.items(), key=lambda item: (item[0][0], -item[1]))
        ),
        published=dict(seen.published.most_common()),
        bundles=tuple(_bundle(bundle_id, n, bundles[bundle_id]) for bundle_id, n in seen.bundles.most_common()),
        latencies_ms=tuple(seen.latencies_ms),
        deadline_ms=float(settings.line.deadline_ms),
        shown=tuple(_drawn(seen.parts)),
        by_score=sum(n for (verdict, reason), n in seen.reasons.items() if (verdict, reason) == _BY_SCORE),
        worst=_worst(settings, seen, progress),
        events=tuple((e.at_utc, *event_told(e)) for e in events if e.kind != "REVIEW"),
        confirmed=reviews["CONFIRMED"],
        overturned=reviews["OVERTURNED"],
        passes_confirmed=reviews["PASS_CONFIRMED"],
        escapes=reviews["ESCAPE"],
        disputed=reviews[DISPUTED],
        chain_problems=audit.problems,
        chain_head=str(audit.head),
        versions=versions(),
        drift=drift,
        samples=samples.series,
        samples_due=samples.next_start or samples.standing.words,
    )


def _count(
    journal: JournalSearch, first: int, last: int, most_pictures: int, progress: Callable[[str, int, int], None]
) -> _Seen:
    seen = _Seen()
    for begin in range(first, last + 1, _AT_ONCE):
        end = min(last, begin + _AT_ONCE - 1)
        rows = list(journal.rows(begin, end))
        published = journal.publications_of([row.part_seq for row in rows])
        for row in rows:
            word = published.get(row.part_seq)
            latency_ms = None if word is None else (word.at_mono_s - row.first_sign_mono_s) * 1000
            _take(seen, row, None if word is None else word.published, latency_ms)
        # Also where the worst come one after the other, only a few rows are kept.
        seen.worst = sorted(seen.worst, key=lambda entry: -entry[0])[:most_pictures]
        progress("parts", end - first + 1, last - first + 1)
    return seen


def _take(seen: _Seen, row: PartRow, published: Published | None, latency_ms: float | None) -> None:
    hour = seen.hours.setdefault(row.decided_utc[:13], Counter())
    word = "" if published is None else published
    to_gate = row.verdict is Verdict.PASS and published is Published.PUBLISHED
    for counted in (seen.whole, hour):
        counted[str(row.verdict)] += 1
        counted["to_gate"] += to_gate
    seen.reasons[row.verdict, row.reason] += 1
    seen.published[word] += 1
    seen.simulated += row.simulated
    seen.dry_run += row.detail.startswith(DRY_RUN)
    if latency_ms is not None and published is Published.PUBLISHED:
        seen.latencies_ms.append(latency_ms)
    if row.bundle_id:
        seen.bundles[row.bundle_id] += 1
        camera = next((c.camera for c in row.cameras if c.bundle_id == row.bundle_id), 1)
        seen.programs.setdefault(row.bundle_id, (row.program, camera))
    seen.parts.append(
        PartFact(part_seq=row.part_seq, verdict=row.verdict, reason=row.reason, score=row.score, limit=row.limit)
    )
    if (row.verdict, row.reason) == _BY_SCORE and row.score is not None and row.limit:
        seen.worst.append((row.score / row.limit, row))


def _period(title: str, counted: Counter[str]) -> Period:
    return Period(title, counted["PASS"], counted["REJECT"], counted["FAULT"], counted["to_gate"])


def _drawn(parts: list[PartFact]) -> list[PartFact]:
    """All of them; of very many, those that did not pass and an even share of the rest, in their order."""
    if len(parts) <= _DRAWN:
        return parts
    odd = [i for i, part in enumerate(parts) if part.verdict is not Verdict.PASS][: _DRAWN // 2]
    even = np.linspace(0, len(parts) - 1, _DRAWN - len(odd)).astype(int).tolist()
    return [parts[i] for i in sorted({*odd, *even})]


def _folder(settings: Settings, bundle_id: str, seen: _Seen) -> Path | None:
    key = seen.programs.get(bundle_id)
    entry = next((e for e in settings.bundle if (e.program, e.camera) == key), None)
    return None if entry is None else find(entry.path, bundle_id)


def _load(settings: Settings, bundle_id: str, seen: _Seen) -> Bundle | None:
    folder = _folder(settings, bundle_id, seen)
    try:
        return None if folder is None else Bundle.load(folder)
    except BundleRejected:
        return None


def _head(
    settings: Settings,
    seen: _Seen,
    bundles: Mapping[str, Bundle | None],
    span: tuple[str, str],
    problems: Sequence[str],
) -> Head:
    counts = seen.whole
    parts = counts["PASS"] + counts["REJECT"] + counts["FAULT"]
    counted = {"parts": parts, "passed": counts["PASS"], "rejected": counts["REJECT"], "fault": counts["FAULT"]}
    if problems:
        result = tr(
            "{parts} parts: {passed} PASS, {rejected} REJECT, {fault} FAULT. The record is NOT as it was written",
            **counted,
        )
        to_do = [
            tr(
                "Sign nothing. Keep the journal as it is, read below what does not fit, and find out who could write "
                "to it."
            )
        ]
    else:
        result = tr(
            "{parts} parts: {passed} PASS, {rejected} REJECT, {fault} FAULT. The record is whole",
            **counted,
        )
        to_do = [
            tr("Compare the head of the record below with the one that was noted at the last shift; note this one.")
        ]
    if counts["REJECT"]:
        to_do.append(tr("Look at the rejected parts below. A good one among them: overturn it on the page (History)."))
    if counts["FAULT"]:
        to_do.append(
            trn(
                "Find out why {n} part was FAULT: the reason stands below; edge-agent doctor helps.",
                "Find out why {n} parts were FAULT: the reasons stand below; edge-agent doctor helps.",
                counts["FAULT"],
            )
        )
    known = identity(settings, filter(None, bundles.values()))
    gone = tuple(BundleName(bundle_id) for bundle_id, bundle in bundles.items() if bundle is None)
    return replace(
        known,
        bundles=(*known.bundles, *gone),
        title=tr("Shift report of {line}", line=settings.line.name),
        from_utc=span[0],
        to_utc=span[1],
        tone="bad" if problems else "good",
        result=result,
        to_do=tuple(to_do),
    )


def _local_hour(hour: str) -> str:
    """An hour of the journal, as 2026-11-24T06, by the clock of this PC."""
    return f"{datetime.fromisoformat(f'{hour}:00:00+00:00').astimezone():%Y-%m-%d %H:%M}"


def _bundle(bundle_id: str, parts: int, bundle: Bundle | None) -> BundleFact:
    if bundle is None:
        return BundleFact(bundle_id, parts, "", "", None, None, "", "")
    made_with = ", ".join(f"{name} {number}" for name, number in bundle.manifest["versions"].items())
    return BundleFact(
        bundle_id,
        parts,
        str(bundle.folder),
        bundle.created,
        bundle.limit,
        len(bundle.manifest["training_images"]),
        str(bundle.manifest["limit"]["statement"]),
        made_with,
    )


def _worst(settings: Settings, seen: _Seen, progress: Callable[[str, int, int], None]) -> tuple[PartPictures, ...]:
    inspectors: dict[str, Inspector | None] = {}
    found = []
    for done, (_, row) in enumerate(seen.worst):
        progress("worst parts", done, len(seen.worst))
        bundle_id = row.bundle_id or ""
        if bundle_id not in inspectors:
            bundle = _load(settings, bundle_id, seen)
            inspectors[bundle_id] = (
                None if bundle is None else Inspector(bundle, threads=settings.inference.threads_unmeasured)
            )
        label = (
            tr("part {part}", part=row.part_seq)
            if row.count is None
            else tr("part {part}, count {count}", part=row.part_seq, count=row.count)
        )
        caption = f"{in_local_time(row.decided_utc)}; {score_words(row.reason, row.score, row.limit)}"
        camera = next((c for c in row.cameras if c.score == row.score), None)
        archive = settings.store.archive
        found.append(archived_part(archive, row, camera, inspectors[bundle_id], label=label, caption=caption))
    return tuple(found)


def _reviewed(events: Sequence[EventRow], from_utc: str, to_utc: str) -> Counter[str]:
    """What people say of the parts of which somebody spoke in that time: each part once, as it stands at its end."""
    words: dict[int, list[Word]] = {}
    spoken_of = set()
    for event in events:
        if event.kind != "REVIEW" or event.at_utc >= to_utc or (word := word_of(event.detail)) is None:
            continue
        words.setdefault(word.part_seq, []).append(word)
        if event.at_utc >= from_utc:
            spoken_of.add(word.part_seq)
    return Counter(settle(words[seq]).says for seq in spoken_of)


def print_pdf(html: Path, pdf: Path) -> None:
    """Print the report as PDF, by the browser of this PC. Raises Unavailable where there is none, or it fails."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise Unavailable("there is no browser to make a PDF with", hint="apt-get install chromium, or print the HTML")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            *root,
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
        ]
        try:
            ran = subprocess.run(  # noqa: S603 - a browser of this PC, with our own file
                [*command, f"--print-to-pdf={pdf.absolute()}", html.absolute().as_uri()],
                capture_output=True,
                check=False,
                timeout=_PDF_WITHIN_S,
            )
        except subprocess.TimeoutExpired:
            busy = f"{browser} made no PDF within {_PDF_WITHIN_S} s: this PC is busy"
            raise Unavailable(busy, hint="try again, or print the HTML") from None
    if ran.returncode or not pdf.is_file():
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unavailable(f"{browser} made no PDF: {' '.join(last)}", hint="print the HTML")
