"""A part of the journal as the page's JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_agent.report.phrases import said

if TYPE_CHECKING:
    from edge_agent.store.rows import CameraRow, PartRow, PublicationRow

__all__ = ["camera_json", "part_json"]


def part_json(row: PartRow, publication: PublicationRow | None) -> dict[str, Any]:
    """The part in short. ``latency_ms`` is to the wire where that is known, else to the decision."""
    end = row.decided_mono_s if publication is None else publication.at_mono_s
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
        "latency_ms": round((end - row.first_sign_mono_s) * 1000, 1),
        "simulated": row.simulated,
        "decided_utc": row.decided_utc,
        "shares": next((camera.shares for camera in row.cameras if camera.score == row.score), {}),
        "condition": next((camera.condition for camera in row.cameras if camera.score == row.score), {}),
        "camera_numbers": [camera.camera for camera in row.cameras],
    }


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
