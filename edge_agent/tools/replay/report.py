"""The report of a replay: whether the verdicts are the recorded ones, and the parts nearest to and above the limit."""

from __future__ import annotations

import hashlib
import math
from bisect import insort
from dataclasses import replace
from itertools import islice
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
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.report.facts import PartPictures
    from edge_agent.report.head import Head, Paper
    from edge_agent.settings import Settings
    from edge_agent.tools.replay.image import ReplayedImage
    from edge_agent.tools.replay.result import ReplayResult

__all__ = ["write_replay_report"]

_PICTURES_OF_EACH = 6
_MOST_PARTS = 20_000
"""Images in the report's tables and figures: some ten MB of memory."""


def write_replay_report(
    path: Path,
    result: ReplayResult,
    inspectors: Mapping[tuple[int, int], Inspector],
    settings: Settings | None = None,
    *,
    paper: Paper = "A4",
    read: Callable[[Path], bytes] = received_bytes,
) -> None:
    """One HTML file: what came out, the scores, and pictures of the parts that tell most. Raises OSError, DataError.

    ``read`` gives an image's bytes as they were received, by the path that it has in the result.
    """
    # First: where a file changed meanwhile, nothing is drawn.
    pictures = tuple(_pictures(image, inspectors, read) for image in _most_telling(result.images))
    facts = RunFacts(
        head=replace(_head(result, inspectors, settings), paper=paper),
        simulated=result.tally.is_simulated,
        versions=versions(),
        parts=tuple(map(_fact, _shown(result))),
        pictures=pictures,
        latency_words=tr("from the image's bytes to its judgement"),
        differences=tuple(f"{image.path.name}: {said(image.difference)}" for image in result.differences),
        notes=(*map(said, result.notes), *_left_out(result)),
    )
    write_run_report(path, facts=facts)


def _shown(result: ReplayResult) -> Iterator[ReplayedImage]:
    """All images; of very many, evenly chosen ones: a report of all of them would take the memory of all of them."""
    step = -(-result.tally.images // _MOST_PARTS)
    return islice(iter(result.images), 0, None, max(step, 1))


def _left_out(result: ReplayResult) -> Iterator[str]:
    tally = result.tally
    step = -(-tally.images // _MOST_PARTS)
    if step > 1:
        yield tr(
            "{number} images are too many for one report: its tables and figures show one image of every {step}. The "
            "counts in the heading are of all images.",
            number=tally.images,
            step=step,
        )
    if tally.different > len(result.differences):
        yield tr(
            "{number} images differ from what was recorded; the first {named} of them are named.",
            number=tally.different,
            named=len(result.differences),
        )


def _head(result: ReplayResult, inspectors: Mapping[tuple[int, int], Inspector], settings: Settings | None) -> Head:
    tally = result.tally
    counts = tally.verdicts
    counted = {"passed": counts[Verdict.PASS], "number": tally.images, "rejected": counts[Verdict.REJECT]}
    verdicts = tr("{passed} of {number} images PASS, {rejected} REJECT", **counted)
    if counts[Verdict.FAULT]:
        fault = counts[Verdict.FAULT]
        verdicts = tr("{passed} of {number} images PASS, {rejected} REJECT, {fault} FAULT", fault=fault, **counted)
    head = replace(
        identity(settings, (i.bundle for i in inspectors.values() if i.bundle.id in tally.bundles)),
        title=tr("Replay"),
        from_utc=tally.first_utc,
        to_utc=tally.last_utc,
    )
    if tally.different:
        return replace(
            head,
            tone="bad",
            result=tr(
                "DIFFERENT: {different} of {number} images are not judged as they were recorded, or are not the images "
                "that were archived; {verdicts}",
                different=tally.different,
                number=tally.images,
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


def _most_telling(images: Iterable[ReplayedImage]) -> list[ReplayedImage]:
    """The highest scores above the limit and the highest below it: where a person wants to look."""
    above: list[ReplayedImage] = []
    below: list[ReplayedImage] = []
    for image in images:
        if math.isfinite(image.inspection.score):
            side = above if image.inspection.score >= image.inspection.limit else below
            insort(side, image, key=_below_limit)
            del side[_PICTURES_OF_EACH:]
    return above + below


def _below_limit(image: ReplayedImage) -> float:
    """The less, the further above the limit."""
    return -image.inspection.score / image.inspection.limit


def _pictures(
    image: ReplayedImage, inspectors: Mapping[tuple[int, int], Inspector], read: Callable[[Path], bytes]
) -> PartPictures:
    by_id = {inspector.bundle.id: inspector for inspector in inspectors.values()}
    data = read(image.path)
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
