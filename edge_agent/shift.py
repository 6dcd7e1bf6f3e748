"""A shift's parts out of the journal, its worst ones out of the archive, as the facts of a report to sign."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import BundleRejected, DataError, EdgeAgentError, Unavailable
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.decode import decode
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.registry import find
from edge_agent.replay import versions
from edge_agent.report.facts import PartFact
from edge_agent.report.shift import BundleFact, Period, ShiftFacts, WorstPart
from edge_agent.report.tally import ReasonCount
from edge_agent.runtime.dry_run import DRY_RUN
from edge_agent.store.search import JournalSearch
from edge_agent.web.pictures import heat_colours, read_archived

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, EventRow, PartRow

__all__ = ["pictures_of", "print_pdf", "shift_facts"]

_AT_ONCE = 500
_DRAWN = 1500
_PDF_WITHIN_S = 120
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
        events = [event for event in journal.events() if from_utc <= event.at_utc < to_utc]
    reviews = Counter(_says(event) for event in events if event.kind == "REVIEW")
    return ShiftFacts(
        line=settings.line.name,
        from_utc=from_utc,
        to_utc=to_utc,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        simulated=seen.simulated,
        dry_run=seen.dry_run,
        whole=_period("all", seen.whole),
        hours=tuple(_period(hour, counted) for hour, counted in sorted(seen.hours.items())),
        reasons=tuple(
            ReasonCount(verdict, str(reason), n)
            for (verdict, reason), n in sorted(seen.reasons.items(), key=lambda item: (item[0][0], -item[1]))
        ),
        published=dict(seen.published.most_common()),
        bundles=tuple(_bundle(settings, bundle_id, n, seen) for bundle_id, n in seen.bundles.most_common()),
        latencies_ms=tuple(seen.latencies_ms),
        deadline_ms=float(settings.line.deadline_ms),
        shown=tuple(_drawn(seen.parts)),
        worst=_worst(settings, seen, progress),
        events=tuple((event.at_utc, event.kind, event.detail) for event in events if event.kind != "REVIEW"),
        confirmed=reviews["CONFIRMED"],
        overturned=reviews["OVERTURNED"],
        chain_problems=audit.problems,
        chain_head=str(audit.head),
        versions=versions(),
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
    hour = seen.hours.setdefault(row.decided_utc[:13].replace("T", " ") + "h", Counter())
    word = "not told" if published is None else str(published)
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
    if row.verdict is Verdict.REJECT and row.reason is Reason.SCORE and row.score is not None and row.limit:
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


def _bundle(settings: Settings, bundle_id: str, parts: int, seen: _Seen) -> BundleFact:
    folder = _folder(settings, bundle_id, seen)
    try:
        bundle = None if folder is None else Bundle.load(folder)
    except BundleRejected:
        bundle = None
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


def _worst(settings: Settings, seen: _Seen, progress: Callable[[str, int, int], None]) -> tuple[WorstPart, ...]:
    inspectors: dict[str, Inspector] = {}
    found = []
    for done, (ratio, row) in enumerate(seen.worst):
        progress("worst parts", done, len(seen.worst))
        label = f"part {row.part_seq}" + ("" if row.count is None else f", count {row.count}")
        caption = f"{row.decided_utc}, score {row.score:.4g}, {ratio:.2f} times the limit"
        camera = next((c for c in row.cameras if c.score == row.score), None)
        try:
            if camera is None or row.bundle_id is None:
                raise DataError("no image of this part was judged")
            image, heat = pictures_of(settings, row, camera, inspectors, _folder(settings, row.bundle_id, seen))
            found.append(WorstPart(label, caption, image, heat, "" if heat is not None else "no heat map"))
        except (EdgeAgentError, OSError) as err:
            found.append(WorstPart(label, caption, None, None, str(err)))
    return tuple(found)


def pictures_of(
    settings: Settings, row: PartRow, camera: CameraRow, inspectors: dict[str, Inspector], folder: Path | None
) -> tuple[Any, Any]:
    """The image as received and with its heat map over it; None for what cannot be made. Raises DataError."""
    data = read_archived(settings.store.archive, row, camera)
    image = decode(data)
    if folder is None or camera.bundle_id is None:
        return image, None
    if camera.bundle_id not in inspectors:
        inspectors[camera.bundle_id] = Inspector(Bundle.load(folder), threads=settings.inference.threads)
    _, seen = inspectors[camera.bundle_id].explain(data)
    if seen is None or seen.heat_map is None:
        return image, None
    below = Image.fromarray(image).convert("RGBA")
    below.alpha_composite(Image.fromarray(heat_colours(seen.heat_map)))
    return image, np.asarray(below.convert("RGB"))


def _says(event: EventRow) -> str:
    try:
        return str(json.loads(event.detail)["says"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def print_pdf(html: Path, pdf: Path) -> None:
    """The same as PDF, by the browser of this PC. Raises Unavailable where there is none, or it fails."""
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
        ran = subprocess.run(  # noqa: S603 - a browser of this PC, with our own file
            [*command, f"--print-to-pdf={pdf.absolute()}", html.absolute().as_uri()],
            capture_output=True,
            check=False,
            timeout=_PDF_WITHIN_S,
        )
    if ran.returncode or not pdf.is_file():
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unavailable(f"{browser} made no PDF: {' '.join(last)}", hint="print the HTML")
