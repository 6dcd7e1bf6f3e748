"""A part of the journal as the page's JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Published, Verdict
from edge_agent.report.phrases import said
from edge_agent.runtime.dry_run import DRY_RUN

if TYPE_CHECKING:
    from edge_agent.store.rows import CameraRow, PartRow, PublicationRow

__all__ = ["camera_json", "deciding_camera", "part_json"]


def part_json(row: PartRow, publication: PublicationRow | None) -> dict[str, Any]:
    """The part in short. ``latency_ms`` is to the wire where that is known, else to the decision."""
    end = row.decided_mono_s if publication is None else publication.at_mono_s
    decided_by = deciding_camera(row)
    return {
        "part_seq": row.part_seq,
        "count": row.count,
        "program": row.program,
        "verdict": row.verdict,
        "reason": row.reason,
        "detail": said(row.detail),
        "score": row.score,
        "limit": row.limit,
        "bundle_id": row.bundle_id,
        "controller_judgement": row.controller_judgement,
        "published": None if publication is None else publication.published,
        "held_back": _is_held_back(row, publication),
        "latency_ms": round((end - row.first_sign_mono_s) * 1000, 1),
        "simulated": row.simulated,
        "decided_utc": row.decided_utc,
        "shares": decided_by.shares if decided_by else {},
        "condition": decided_by.condition if decided_by else {},
        "decided_by": decided_by.camera if decided_by else None,
        "camera_numbers": [camera.camera for camera in row.cameras],
        "seen_by": [_in_short(camera) for camera in row.cameras],
    }


def _is_held_back(row: PartRow, publication: PublicationRow | None) -> bool:
    """Whether it was judged PASS and REJECT stood at the output all the same. Of a dry run that is meant so."""
    is_on_its_way = publication is None or publication.published is Published.PUBLISHED
    return row.verdict is Verdict.PASS and not is_on_its_way and not row.detail.startswith(DRY_RUN)


def deciding_camera(row: PartRow) -> CameraRow | None:
    """The camera whose reason is the part's; of several the one furthest above its limit. None without an image."""
    against = [camera for camera in row.cameras if camera.reason == row.reason]
    return max(against or row.cameras, key=_badness, default=None)


def _badness(camera: CameraRow) -> float:
    """Camera by camera as the part's score is chosen: what was judged and has no score comes first."""
    if camera.outcome is None:
        return -math.inf
    return camera.score / camera.limit if camera.score is not None and camera.limit else math.inf


def _in_short(camera: CameraRow) -> dict[str, Any]:
    """What the operator's view shows of one camera."""
    names = ("camera", "outcome", "reason", "score", "limit", "shares", "condition")
    return {name: getattr(camera, name) for name in names}


def camera_json(camera: CameraRow) -> dict[str, Any]:
    """One camera's share of it. JSON knows no NaN: such a value is None."""
    alignment = None if camera.alignment is None else asdict(camera.alignment)
    return {
        "camera": camera.camera,
        "outcome": camera.outcome,
        "reason": camera.reason,
        "detail": said(camera.detail),
        "score": camera.score,
        "limit": camera.limit,
        "bundle_id": camera.bundle_id,
        "image_sha256": camera.image_sha256,
        "image_name": camera.image_name,
        "alignment": alignment and {name: value if value == value else None for name, value in alignment.items()},  # noqa: PLR0124 - NaN
        "timings_ms": camera.timings_ms,
        "shares": camera.shares,
        "condition": camera.condition,
    }
