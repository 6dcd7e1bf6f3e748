"""The journal's events of shadows: who let which candidate judge beside the line, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_agent.store.shadow import Shadow

__all__ = ["SHADOW_EVENT", "shadow_detail"]

SHADOW_EVENT = "SHADOW"


def shadow_detail(what: str, shadow: Shadow, *, by: str, why: str, **told: Any) -> str:
    """The event's detail: ``begun`` or ``ended``, of which candidate, by whom (empty: by itself) and why."""
    candidate = shadow.candidate
    facts = {
        "schema_version": 1,
        "what": what,
        "program": candidate.program,
        "camera": candidate.camera,
        "bundle_id": candidate.bundle_id,
        "limit": candidate.limit,
        "by": by,
        "why": why,
    }
    return json.dumps({**facts, **told}, ensure_ascii=False)
