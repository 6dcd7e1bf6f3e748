"""What the journal holds of a part, as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.domain import Alignment, Capture, Inspection, Judgement, Outcome, Published, Reason, Verdict

__all__ = ["CameraRow", "EventRow", "PartRow", "PublicationRow"]


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera's share of a part. ``outcome`` is None if its image was never judged.

    ``reason`` then says what was wrong with the image, or is None if time ran out first. ``image_sha256`` is of the
    very bytes that were judged; of those that came where none were.
    """

    camera: int
    outcome: Outcome | None
    reason: Reason | None
    detail: str
    score: float | None
    limit: float | None
    bundle_id: str | None
    image_sha256: str
    image_name: str
    alignment: Alignment | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    condition: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, capture: Capture, inspection: Inspection | None) -> CameraRow:
        """The row of an image and, where there was one, of its inspection. NaN becomes None."""
        if inspection is None:
            return cls(
                camera=capture.camera,
                outcome=None,
                reason=capture.broken,
                detail=capture.detail,
                score=None,
                limit=None,
                bundle_id=None,
                image_sha256=capture.sha256,
                image_name=capture.name,
            )
        return cls(
            camera=capture.camera,
            outcome=inspection.outcome,
            reason=inspection.reason,
            detail=inspection.detail,
            score=_number(inspection.score),
            limit=_number(inspection.limit),
            bundle_id=inspection.bundle_id or None,
            image_sha256=inspection.image_sha256,
            image_name=capture.name,
            alignment=inspection.alignment,
            timings_ms=dict(inspection.timings_ms),
            shares=dict(inspection.shares),
            condition=dict(inspection.condition),
        )


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part: its verdict and what led to it. ``score``, ``limit`` and ``bundle_id`` are of the worst camera.

    ``measured`` is what the controller's tools said, by name; None where a tool was skipped or measured nothing.
    Times are seconds of the monotonic clock of ``boot_id``; ``decided_utc`` is a label and orders nothing.
    """

    part_seq: int
    count: int | None
    session: str
    program: int | None
    verdict: Verdict
    reason: Reason
    detail: str
    score: float | None
    limit: float | None
    bundle_id: str | None
    cameras: tuple[CameraRow, ...]
    controller_judgement: Judgement | None
    simulated: bool
    first_sign_mono_s: float
    decided_mono_s: float
    deadline_mono_s: float
    boot_id: str
    decided_utc: str
    measured: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublicationRow:
    """What became of a verdict on its way to the line."""

    part_seq: int
    published: Published
    at_mono_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to the agent, not to a part: start, stop, READY, FAULT, an operator's action."""

    event_id: int
    kind: str
    detail: str
    at_mono_s: float
    at_utc: str


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
