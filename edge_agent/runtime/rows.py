"""The journal row of a part, from its evidence and its decision."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s
from edge_agent.store.journal import CameraRow, PartRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.domain import Inspection, Published
    from edge_agent.runtime.part import Part
    from edge_agent.runtime.verdict import Decision

__all__ = ["log_judged", "part_row"]

log = structlog.get_logger(__name__)


def part_row(
    part: Part,
    inspections: Mapping[int, Inspection],
    decision: Decision,
    *,
    program: int | None,
    boot_id: str,
    is_simulated: bool,
    decided_mono_s: float | None = None,
) -> PartRow:
    """The row; score, limit and bundle are of the camera that is furthest above its limit.

    ``decided_mono_s`` is when the verdict was given, where that was before now.
    """
    # Read together: UTC is a label of the monotonic time beside it.
    now_mono_s, now_utc = monotonic_s(), datetime.now(UTC)
    ago_s = 0.0 if decided_mono_s is None else now_mono_s - decided_mono_s
    worst = max(inspections.values(), key=_badness, default=None)
    return PartRow(
        part_seq=part.seq,
        count=part.count,
        session=part.session,
        program=program,
        verdict=decision.verdict,
        reason=decision.reason,
        detail=decision.detail,
        score=worst.score if worst else None,
        limit=worst.limit if worst else None,
        bundle_id=worst.bundle_id if worst else None,
        cameras=tuple(
            CameraRow.of(capture, inspections.get(camera)) for camera, capture in sorted(part.captures.items())
        ),
        controller_judgement=part.result.judgement if part.result else None,
        simulated=is_simulated,
        first_sign_mono_s=part.first_sign_mono_s,
        decided_mono_s=now_mono_s if decided_mono_s is None else decided_mono_s,
        deadline_mono_s=part.deadline.at_mono_s,
        boot_id=boot_id,
        decided_utc=(now_utc - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds"),
        measured=part.result.values if part.result else {},
    )


def log_judged(row: PartRow, decision: Decision, published: Published) -> None:
    """Tell the log what became of a part, once its verdict has gone its way."""
    log.info(
        "part_judged",
        part_seq=row.part_seq,
        count=row.count,
        verdict=decision.verdict,
        reason=decision.reason,
        detail=decision.detail or None,
        score=row.score,
        limit=row.limit,
        measured=dict(row.measured) or None,
        published=published,
        latency_ms=round((row.decided_mono_s - row.first_sign_mono_s) * 1000, 1),
    )


def _badness(inspection: Inspection) -> float:
    """How far an inspection is above its limit; what has no score comes first."""
    if not (math.isfinite(inspection.score) and inspection.limit > 0):
        return math.inf
    # By the share and not by the difference: two cameras' bundles have scales of their own.
    return inspection.score / inspection.limit
