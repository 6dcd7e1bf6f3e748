"""The decision on one image: total, rejecting first. OK is the last line and needs every proof."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_agent.domain import Outcome, Reason

if TYPE_CHECKING:
    from edge_agent.inspection.scoring.condition import ConditionFault

__all__ = ["decide_outcome"]


def decide_outcome(
    *,
    score: float,
    limit: float,
    review_from: float,
    quality: float,
    quality_min: float,
    unseen_fraction: float,
    unseen_max: float,
    likeness: float = 1.0,
    likeness_min: float = -1.0,
    pose_fault: str = "",
    condition_fault: ConditionFault | None = None,
    seen_in: str = "",
) -> tuple[Outcome, Reason, str]:
    """Outcome, reason and the words for a person. A score at the limit is NG, one from ``review_from`` on REVIEW.

    Without a review band ``review_from`` is the limit. REVIEW is a reject on the line: a person may look again.
    ``quality`` is the correlation after registration, on the finest edges; ``likeness`` that of the part as a whole;
    ``unseen_fraction`` the share of the inspected crop that lay outside the image; ``pose_fault`` says how the part lay
    as no good part does, empty where it did; ``condition_fault`` says how the image is in no condition to judge by,
    None where it is; ``seen_in`` names the channel or view that says most, where a score has several.
    """
    numbers = (
        score, limit, review_from, quality, quality_min, unseen_fraction, unseen_max, likeness, likeness_min
    )  # fmt: skip
    # First of all: every comparison with a NaN is false, and would let the part through.
    if not all(math.isfinite(number) for number in numbers):
        return Outcome.NG, Reason.NOT_FINITE, f"score {score}, registration quality {quality}"
    # Where the part lies comes before its score, which means nothing for a part that lies wrongly.
    if quality < quality_min:
        return Outcome.NG, Reason.ALIGN, f"registration quality {quality:.3f} is below {quality_min:.3f}"
    if likeness < likeness_min:
        words = f"the part is not where it should be: its likeness {likeness:.3f} is below {likeness_min:.3f}"
        return Outcome.NG, Reason.ALIGN, words
    if unseen_fraction > unseen_max:
        return Outcome.NG, Reason.ALIGN, f"{unseen_fraction:.1%} of the inspected area lies outside the image"
    if pose_fault:
        return Outcome.NG, Reason.ALIGN, f"the part is {pose_fault}"
    # Behind the pose, for beside a part that is not in its place the ground is measured; before the score, which may
    # follow from the light (docs/decisions/0057).
    if condition_fault is not None:
        also = f"; the score {score:.4g} is at or above the limit {limit:.4g} too: it may be the part itself"
        return Outcome.NG, condition_fault.reason, condition_fault.words + (also if score >= limit else "")
    seen = f", seen in {seen_in}" if seen_in else ""
    if score >= limit:
        return Outcome.NG, Reason.SCORE, f"score {score:.4g} is at or above the limit {limit:.4g}{seen}"
    if score >= review_from:
        band = f"the band from {review_from:.4g} to the limit {limit:.4g}"
        words = f"to be reviewed: score {score:.4g} is in {band}{seen}"
        return Outcome.REVIEW, Reason.SCORE, words
    return Outcome.OK, Reason.OK, ""
