"""The reports of a calibration: the one that an engineer signs, and the page of one that stopped for doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from calibration.limits.limit import at_rank, offers
from calibration.limits.shares import share_for
from calibration.manifest import package_versions
from calibration.reporting import _ODDEST, _finite
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.doubts import DoubtFacts, write_doubts
from edge_agent.report.facts import (
    AnswerRow,
    CalibrationFacts,
    DefectiveFacts,
    GoodPartScore,
    LeftOutPart,
    LightAndLens,
    LimitOffer,
    MoreParts,
    OddPart,
    PartPictures,
    RegistrationRow,
    TimeFacts,
    TradeOffPoint,
    TrainingStep,
)
from edge_agent.report.head import BundleName, Head
from edge_agent.report.html import write_calibration_report
from edge_agent.report.phrases import said, sentence
from edge_agent.report.seen import seen_part
from edge_agent.wording import tr, trn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calibration.choosing.learning_curve import PartsCurve
    from calibration.choosing.within_cost import Cost
    from calibration.good_parts.known import KnownImage
    from calibration.limits.defects import Findings
    from calibration.limits.disturbance_tolerance import DisturbanceTolerance
    from calibration.result import CalibrationResult
    from calibration.suspects.stand_apart import Suspicion
    from edge_agent.inspection.bundle.promise import Promise
    from edge_agent.report.head import Paper

__all__ = ["write_doubt_report", "write_report"]


def write_doubt_report(path: Path, suspicion: Suspicion, images: Path, *, paper: Paper = "A4") -> None:
    """Write what to look at where a calibration stopped: each suspect beside a usual part, with where they differ."""
    write_doubts(
        path,
        DoubtFacts(
            head=Head(
                title=tr(
                    "Good images to look at, before a calibration: {number} of {total}",
                    number=len(suspicion.suspects),
                    total=len(suspicion.registered.images),
                ),
                result=tr("The calibration stopped, and nothing was written. {words}", words=said(suspicion.statement)),
                tone="bad",
                to_do=(
                    tr(
                        "Look at each below: is it a good part? A bad one among them teaches the inspection to pass "
                        "such parts."
                    ),
                    tr(
                        "Give the same command again, with --leave-out for each that is not good and --keep for each "
                        "that is."
                    ),
                ),
                made_utc=_now(),
                part=tr("images in {folder}", folder=images),
                version=package_versions()["edge-agent"],
                paper=paper,
            ),
            suspects=tuple(_doubted(suspicion, part) for part in suspicion.suspects),
            leave_out=suspicion.option("--leave-out"),
            keep=suspicion.option("--keep"),
            usual=_doubted(suspicion, suspicion.usual),
            versions=package_versions(),
        ),
    )


def _doubted(suspicion: Suspicion, part: int) -> PartPictures:
    crop = suspicion.registered.cropped(part)
    return PartPictures(
        label=suspicion.name(part),
        caption=tr(
            "oddity {oddity}; the oddest of the others has {next}",
            oddity=f"{suspicion.oddity_of(part):.1f}",
            next=f"{suspicion.next_oddity:.1f}",
        ),
        image=crop,
        anomaly_map=suspicion.oddity.heat(part, *crop.shape[:2]),
    )


def _head(bundle: Bundle, result: CalibrationResult) -> Head:
    above = sum(not score < result.limit for _, score in result.scores)
    if result.findings is None:
        defective = tr(
            "Judge known-defective parts with it: edge-agent replay defective/ --bundle FOLDER. No count of good parts "
            "can say how many defects are found."
        )
    elif result.findings.missed:
        missed = len(result.findings.missed)
        defective = trn(
            "Look at the {n} known-defective part below that would pass.",
            "Look at the {n} known-defective parts below that would pass.",
            missed,
        )
    else:
        defective = tr("Keep the known-defective parts: they are the samples of edge-agent challenge.")
    to_do = (
        tr("Look at the oddest good parts below: each must surely be good."),
        defective,
        tr("Sign, and put it to use: edge-agent bundle activate FOLDER --config line.toml."),
    )
    return Head(
        title=tr("Calibration of {part}", part=bundle.part),
        result=tr(
            "A reference bundle was made from {number} good parts: the limit is {limit}, and {above} of these good "
            "parts lie on or above it",
            number=result.images,
            limit=f"{result.limit:.4g}",
            above=above,
        ),
        tone="note" if result.warnings or result.odd_part or result.choice.is_extrapolated else "good",
        to_do=to_do,
        warnings=(*_limit_notes(result), *map(said, result.warnings)),
        made_utc=bundle.created,
        part=bundle.part,
        program=str(bundle.program),
        cameras=str(bundle.camera),
        bundles=(BundleName(bundle.id),),
        version=str(bundle.manifest["versions"].get("edge-agent", "")),
    )


def write_report(path: Path, result: CalibrationResult, *, paper: Paper = "A4") -> None:
    """Write the HTML report. The good images are read again, for pictures of the oddest."""
    bundle = Bundle.load(result.path)
    inspector = Inspector(bundle)
    height, width = bundle.reference.shape[:2]
    facts = CalibrationFacts(
        head=replace(_head(bundle, result), paper=paper),
        part=bundle.part,
        program=bundle.program,
        camera=bundle.camera,
        bundle_id=bundle.id,
        created_utc=bundle.created,
        versions=bundle.manifest["versions"],
        image_count=result.images,
        image_width_px=width,
        image_height_px=height,
        reference=bundle.reference,
        crop_px=result.crop,
        registrations=tuple(
            RegistrationRow(row.name, row.shift_x_px, row.shift_y_px, row.angle_deg, row.quality)
            for row in result.registration
        ),
        training=tuple(TrainingStep(p.step, p.train, _finite(p.heldout)) for p in result.curve),
        scores=tuple(GoodPartScore(name, score) for name, score in result.scores),
        notes=tuple(map(sentence, result.notes)),
        answers=tuple(
            AnswerRow(a.question.name, a.question.words[a.answer], tuple(a.figures.items()), a.why)
            for a in result.answers
        ),
        limit=result.limit,
        limit_statement=result.statement,
        seed=bundle.manifest["seed"],
        review_from=None if result.choice.review is None else result.choice.review.value,
        offers=_offers(result),
        left_out=tuple(LeftOutPart(image.path.name, image.sha256) for image in result.left_out),
        defective=None if result.findings is None else _defective(result.findings, inspector),
        own_variance=result.own_variance,
        mean_image_error=_finite(result.mean_image_error),
        oddest=() if result.suspicion is None else _odd_parts(result, result.suspicion),
        more_parts=None if result.parts_curve is None else _more_parts(result.parts_curve),
        light_and_lens=None if result.tolerance is None else _light_and_lens(result.tolerance),
        time=None if result.time is None else _time(result.time, result.cost),
        timings_s=result.timings_s,
    )
    write_calibration_report(path, facts=facts)


def _odd_parts(result: CalibrationResult, suspicion: Suspicion) -> tuple[OddPart, ...]:
    """The good parts that are least like the others, for a person to look at."""
    scores = dict(result.scores)
    return tuple(
        OddPart(
            file=suspicion.name(part),
            oddity=suspicion.oddity_of(part),
            score=scores[suspicion.image(part).path.name],
            image=(crop := suspicion.registered.cropped(part)),
            heat=suspicion.oddity.heat(part, *crop.shape[:2]),
            leave_out=suspicion.typed("--leave-out", part),
            is_kept=part in suspicion.kept,
        )
        for part in suspicion.oddest(_ODDEST)
    )


def _more_parts(curve: PartsCurve) -> MoreParts:
    return MoreParts(curve.statement, tuple(zip(curve.parts, curve.told_apart, strict=True)))


def _light_and_lens(tolerance: DisturbanceTolerance) -> LightAndLens:
    return LightAndLens(
        tolerance.statement, tuple((row.title, row.way_to_limit, row.is_tolerated) for row in tolerance.rows)
    )


def _time(promise: Promise, cost: Cost | None) -> TimeFacts:
    words = tr(
        "One inspection took {took} ms in the middle and {worst} ms at worst, on {cpu} with {threads} threads.",
        took=f"{promise.took_ms:.0f}",
        worst=f"{promise.worst_ms:.0f}",
        cpu=promise.cpu,
        threads=promise.threads,
    )
    if promise.within_ms is not None:
        words = f"{words} {tr('It was asked to be done within {ms} ms.', ms=f'{promise.within_ms:.0f}')}"
    return TimeFacts(words, "" if cost is None else cost.words)


def _limit_notes(result: CalibrationResult) -> tuple[str, ...]:
    """What a reader must not overlook."""
    notes = [sentence(result.odd_part)] if result.odd_part else []
    if result.choice.is_extrapolated:
        notes.append(
            tr(
                "The limit is extrapolated beyond what {number} good parts can carry. It is not proven.",
                number=result.images,
            )
        )
    return tuple(notes)


def _offers(result: CalibrationResult) -> tuple[LimitOffer, ...]:
    """Limits at usual shares, and what was chosen with them, the highest first."""
    choice, findings = result.choice, result.findings

    def offer(value: float, expected: float, bound_95: float, ask: str = "", note: str = "") -> LimitOffer:
        missed = None if findings is None else findings.missed_at(value)
        return LimitOffer(value, expected, bound_95, ask, missed, note)

    chosen = (choice.rank if choice.tail is None else 0, choice.review.rank if choice.review else None)
    rows = [
        offer(limit.value, limit.expected, limit.bound_95, ask=share_for(limit.rank, limit.n))
        for limit in offers(np.array([score for _, score in result.scores]))
        if limit.rank not in chosen
    ]
    if choice.tail is None:
        rows.append(offer(choice.value, choice.expected, choice.bound_95, note=tr("as set")))
    else:
        note = tr("as set, by the tail of the scores")
        if choice.is_extrapolated:
            note = tr("as set: extrapolated, not proven")
        rows.append(offer(choice.value, choice.tail.target, choice.bound_95, note=note))
    if choice.review is not None:
        review = choice.review
        rows.append(offer(review.value, review.expected, review.bound_95, note=tr("as set, with REVIEW")))
    return tuple(sorted(rows, key=lambda row: -row.limit))


def _defective(findings: Findings, inspector: Inspector) -> DefectiveFacts:
    count, choice = len(findings.defects), findings.limit
    ranked = [at_rank(findings.good, rank) for rank in range(1, choice.n + 1)]
    stopped = choice.expected if choice.tail is None else choice.tail.target
    return DefectiveFacts(
        statement=findings.statement,
        count=count,
        missed=tuple((defect.name, defect.score or 0.0) for defect in findings.missed),
        scores=tuple(defect.score for defect in findings.defects if defect.score is not None),
        curve=tuple(TradeOffPoint(limit.expected, findings.missed_at(limit.value) / count) for limit in ranked),
        chosen=TradeOffPoint(
            stopped if choice.review is None else choice.review.expected, len(findings.missed) / count
        ),
        pictures=_pictures(
            inspector,
            [(d.image, d.score or 0.0) for d in findings.missed[:_ODDEST]],
        ),
    )


def _pictures(inspector: Inspector, images: Sequence[tuple[KnownImage, float]]) -> tuple[PartPictures, ...]:
    """Each image with its score, and what the inspection makes of it."""
    return tuple(
        seen_part(
            inspector,
            image.read(),
            label=image.path.name,
            caption=tr(
                "defective, passes with score {score}, limit {limit}",
                score=f"{score:.4g}",
                limit=f"{inspector.bundle.limit:.4g}",
            ),
        )
        for image, score in images
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
