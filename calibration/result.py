"""What came out of a calibration, as frozen values for whoever tells it to a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from calibration.suspects.contamination import far_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.choosing.learning_curve import PartsCurve
    from calibration.choosing.questions import Answer
    from calibration.choosing.within_cost import Cost
    from calibration.good_parts.known import KnownImage
    from calibration.limits.defects import Findings
    from calibration.limits.disturbance_tolerance import DisturbanceTolerance
    from calibration.limits.limit import Limit
    from calibration.registering.reference import Box
    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.scored import Scored
    from calibration.suspects.stand_apart import Suspicion
    from calibration.training.crossfit import Learned
    from calibration.training.train import CurvePoint
    from edge_agent.inspection.bundle.promise import Promise

__all__ = ["CalibrationResult", "RegistrationRow", "result_of"]


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """Where one good image lies against the reference."""

    name: str
    shift_x_px: float
    shift_y_px: float
    angle_deg: float
    quality: float


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """What came out. ``scores`` are leave-one-out scores by file name, the oddest part first.

    ``registration`` is empty where it is off. ``choice`` is the limit with all it promises; ``findings`` is None
    where no defective parts were shown. Errors and ``own_variance`` are mean squares over pixels in [0, 1];
    ``timings_s`` seconds by stage. ``odd_part`` names the good part whose score is too far above the others' to have a
    say in the limit, and says what to do; empty where there is none. ``answers`` say why parts are compared as they
    are; ``suspicion`` how odd each part is among the others, ``parts_curve`` whether more parts would pay,
    ``tolerance`` what light and lens may do to a good part's score; None: nobody looked. ``time`` is what an inspection
    took here, ``cost`` what a size chosen for its time costs in detection. ``warnings`` are what must not be
    overlooked, with what to do.
    """

    bundle_id: str
    path: Path
    images: int
    limit: float
    scores: tuple[tuple[str, float], ...]
    statement: str
    expected_false_rejects: float
    false_reject_bound_95: float
    registration: tuple[RegistrationRow, ...]
    quality_min: float
    notes: tuple[str, ...]
    curve: tuple[CurvePoint, ...]
    heldout_error: float
    mean_image_error: float
    own_variance: float
    reference: str
    crop: Box
    choice: Limit
    left_out: tuple[KnownImage, ...] = ()
    kept: tuple[KnownImage, ...] = ()
    findings: Findings | None = None
    timings_s: dict[str, float] = field(default_factory=dict)
    odd_part: str = ""
    answers: tuple[Answer, ...] = ()
    suspicion: Suspicion | None = None
    parts_curve: PartsCurve | None = None
    tolerance: DisturbanceTolerance | None = None
    time: Promise | None = None
    cost: Cost | None = None
    warnings: tuple[str, ...] = ()


def result_of(
    written: tuple[str, Path],
    registered: RegisteredSet,
    learned: Learned,
    limit: Limit,
    scored: Scored,
    *,
    timings_s: dict[str, float],
) -> CalibrationResult:
    """What was found, before light, lens and time were tried. ``written``: the bundle's id and its folder."""
    names = [image.path.name for image in registered.images]
    return CalibrationResult(
        bundle_id=written[0],
        path=written[1],
        images=len(names),
        limit=limit.value,
        scores=tuple((names[i], float(scored.scores[i])) for i in np.argsort(-scored.scores, kind="stable")),
        statement=limit.statement,
        expected_false_rejects=limit.expected,
        false_reject_bound_95=limit.bound_95,
        registration=tuple(
            RegistrationRow(name, a.shift_x_px, a.shift_y_px, a.angle_deg, a.quality)
            for name, a in zip(names, registered.alignments, strict=True)
            if not registered.registration.settings.off
        ),
        quality_min=registered.quality_min,
        notes=(*registered.notes, *scored.notes, *_apart(scored.scores, names, limit)),
        warnings=registered.warnings,
        curve=learned.curve,
        heldout_error=learned.heldout_error,
        mean_image_error=learned.mean_image_error,
        own_variance=learned.own_variance,
        reference=names[registered.reference],
        crop=registered.crop,
        choice=limit,
        timings_s=timings_s,
        odd_part=_odd_part(scored.scores, names, limit),
    )


def _apart(scores: NDArray[np.float64], names: Sequence[str], limit: Limit) -> tuple[str, ...]:
    """What a limit by rank does above a score far out, of a part that nobody doubted or a person confirmed."""
    apart = far_out(scores)
    if limit.tail is not None or limit.rank > len(apart):
        return ()
    name = names[apart[limit.rank - 1]]
    return (f"the limit lies above the score of {name}, which is far above the others': defects up to it pass",)


def _odd_part(scores: NDArray[np.float64], names: Sequence[str], limit: Limit) -> str:
    if limit.tail is None or not limit.tail.without_largest:
        return ""
    second, largest = np.sort(scores)[-2:]
    name = names[int(scores.argmax())]
    return (
        f"look at {name}: its score is {largest:.4g}, the next one's {second:.4g}, further out than the others make "
        f"likely. It had no say in the limit, and parts like it will be rejected. If it is not good, calibrate again "
        f"with --leave-out {name}"
    )
