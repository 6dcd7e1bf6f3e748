"""The report of a replay: whether the verdicts are the recorded ones, and the parts nearest to and above the limit."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.domain import Verdict
from edge_agent.errors import DataError
from edge_agent.report.facts import PartFact, RunFacts
from edge_agent.report.html import write_run_report
from edge_agent.report.phrases import said
from edge_agent.report.seen import score_words, seen_part
from edge_agent.report.subject import identity, versions
from edge_agent.store.shrink import received_bytes
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.tools.replay import ReplayedImage, ReplayResult

__all__ = ["write_replay_report"]

_PICTURES_OF_EACH = 6


def write_replay_report(
    path: Path,
    result: ReplayResult,
    inspectors: Mapping[tuple[int, int], Inspector],
    settings: Settings | None = None,
    *,
    paper: Paper = "A4",
) -> None:
    """One HTML file: what came out, the scores, and pictures of the parts that tell most. Raises OSError, DataError."""
    pictures = tuple(_pictures(image, inspectors) for image in _most_telling(result.images))
    write_run_report(
        path,
        facts=RunFacts(
            head=replace(_head(result, inspectors, settings), paper=paper),
            simulated=any(image.recorded is not None and image.recorded.simulated for image in result.images),
            versions=versions(),
            parts=tuple(_fact(image) for image in result.images),
            pictures=pictures,
            latency_words=tr("from the image's bytes to its judgement"),
            differences=tuple(f"{image.path.name}: {said(image.difference)}" for image in result.differences),
            notes=tuple(map(said, result.notes)),
        ),
    )


def _head(result: ReplayResult, inspectors: Mapping[tuple[int, int], Inspector], settings: Settings | None) -> Head:
    used = {image.inspection.bundle_id for image in result.images if not image.is_altered}
    times = sorted(image.recorded.decided_utc for image in result.images if image.recorded)
    counts = Counter(image.verdict for image in result.images)
    counted = {"passed": counts[Verdict.PASS], "number": len(result.images), "rejected": counts[Verdict.REJECT]}
    verdicts = tr("{passed} of {number} images PASS, {rejected} REJECT", **counted)
    if counts[Verdict.FAULT]:
        fault = counts[Verdict.FAULT]
        verdicts = tr("{passed} of {number} images PASS, {rejected} REJECT, {fault} FAULT", fault=fault, **counted)
    head = replace(
        identity(settings, (i.bundle for i in inspectors.values() if i.bundle.id in used)),
        title=tr("Replay"),
        from_utc=times[0] if times else "",
        to_utc=times[-1] if times else "",
    )
    if result.differences:
        return replace(
            head,
            tone="bad",
            result=tr(
                "DIFFERENT: {different} of {number} images are not judged as they were recorded, or are not the images "
                "that were archived; {verdicts}",
                different=len(result.differences),
                number=len(result.images),
                verdicts=verdicts,
            ),
            to_do=(
                tr(
                    "Read below what differs in each. Another bundle: name the one that judged, with --bundle. The "
                    "same bundle: another version of the agent or another PC computes otherwise: edge-agent doctor."
                ),
                *_altered(result),
            ),
        )
    if result.compared:
        return replace(
            head,
            tone="good",
            result=tr(
                "IDENTICAL: all {number} compared images are judged as they were recorded, every verdict, reason and "
                "score the same, bit for bit; {verdicts}",
                number=result.compared,
                verdicts=verdicts,
            ),
            to_do=(tr("Nothing: these verdicts can be relied on as the record of these images."),),
        )
    return replace(
        head,
        result=tr("{verdicts}; nothing was recorded of these images, so nothing was compared", verdicts=verdicts),
        to_do=(
            tr("Good parts: look at each that was rejected. If many were, the bundle does not know such parts."),
            tr("Known-defective parts: look at each that passed. Parts like these would pass on the line."),
        ),
    )


def _altered(result: ReplayResult) -> tuple[str, ...]:
    if not result.altered:
        return ()
    return (
        tr(
            "{number} of the files are not the images that were archived: somebody or the disk changed them. Keep them "
            "for the record, and look for who can write to the archive.",
            number=result.altered,
        ),
    )


def _fact(image: ReplayedImage) -> PartFact:
    inspection = image.inspection
    return PartFact(
        part_seq=image.recorded.part_seq if image.recorded else None,
        verdict=image.verdict,
        reason=image.reason,
        label=image.path.name,
        count=image.recorded.count if image.recorded else None,
        detail=image.difference or inspection.detail,
        score=_finite(inspection.score),
        limit=_finite(inspection.limit),
        latency_ms=sum(inspection.timings_ms.values()),
    )


def _most_telling(images: Sequence[ReplayedImage]) -> list[ReplayedImage]:
    """The highest scores above the limit and the highest below it: where a person wants to look."""
    scored = sorted(
        (image for image in images if math.isfinite(image.inspection.score)),
        key=lambda image: image.inspection.score / image.inspection.limit,
        reverse=True,
    )
    above = [image for image in scored if image.inspection.score >= image.inspection.limit]
    below = [image for image in scored if image.inspection.score < image.inspection.limit]
    return above[:_PICTURES_OF_EACH] + below[:_PICTURES_OF_EACH]


def _pictures(image: ReplayedImage, inspectors: Mapping[tuple[int, int], Inspector]) -> PartPictures:
    by_id = {inspector.bundle.id: inspector for inspector in inspectors.values()}
    data = received_bytes(image.path)
    if hashlib.sha256(data).hexdigest() != image.inspection.image_sha256:
        raise DataError(f"{image.path} changed while it was replayed", hint="replay a copy that nobody writes to")
    inspection = image.inspection
    return seen_part(
        by_id[inspection.bundle_id],
        data,
        label=image.path.name,
        caption=f"{image.verdict}: {score_words(image.reason, inspection.score, inspection.limit)}",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
