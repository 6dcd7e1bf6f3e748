"""A part and an event as other systems get them, over whatever protocol: docs/results.md is their contract."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_agent.store.starts import without_values

if TYPE_CHECKING:
    from drivers.base import Published
    from edge_agent.store.rows import EventRow, PartRow

__all__ = ["event_record", "part_record"]

_SCHEMA_VERSION = 1


def part_record(row: PartRow, published: Published | None) -> dict[str, Any]:
    """A part as receivers get it. A PASS reached the gate only where ``published`` is PUBLISHED."""
    record = {
        "schema_version": _SCHEMA_VERSION,
        "part_seq": row.part_seq,
        "decided_utc": row.decided_utc,
        "count": row.count,
        "program": row.program,
        "verdict": row.verdict,
        "reason": row.reason,
        "detail": row.detail,
        "published": published,
        "score": row.score,
        "limit": row.limit,
        "bundle_id": row.bundle_id,
        "controller_judgement": row.controller_judgement,
        "simulated": row.simulated,
        "decided_ms": round((row.decided_mono_s - row.first_sign_mono_s) * 1000, 1),
        "cameras": [
            {
                "camera": camera.camera,
                "outcome": camera.outcome,
                "reason": camera.reason,
                "score": camera.score,
                "limit": camera.limit,
                "image_sha256": camera.image_sha256,
                "image_name": camera.image_name,
            }
            for camera in row.cameras
        ],
    }
    return {key: _finite(value) for key, value in record.items()}


def event_record(event: EventRow) -> dict[str, Any]:
    """Something that happened to the agent: START, STOP, BUNDLE, CHALLENGE, REVIEW and the like.

    A START says which values of line.toml changed, and not all of them.
    """
    told = asdict(event) | {"detail": without_values(event.kind, event.detail)}
    return {"schema_version": _SCHEMA_VERSION} | {key: _finite(value) for key, value in told.items()}


def _finite(value: Any) -> Any:
    """JSON has no infinity: such a number stands as its name, as in an export. NaN is None."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
