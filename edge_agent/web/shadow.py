"""The view of a candidate bundle beside the line: how often the two agree, over which parts not, who was right."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.report.phrases import said
from edge_agent.shadow.comparison import newest_comparison

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge_agent.settings import Settings
    from edge_agent.shadow.comparison import Comparison, Side
    from edge_agent.store.shadow import ShadowResult

__all__ = ["ShadowPage"]

_FLIPS_MOST = 60
_KEPT_S = 5.0
"""Of hundred thousands of parts a comparison takes a second: many browsers get the same one."""


@dataclass(slots=True)
class ShadowPage:
    """The addresses of this view."""

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: tuple[float, Comparison | None] | None = None

    def routes(self) -> list[Route]:
        """The addresses, with who answers them."""
        return [Route("/api/shadow", self.shadow)]

    def shadow(self, _: Request) -> Response:
        """The newest candidate beside the line; ``shadow`` is null where there never was one."""
        found = self._newest()
        return JSONResponse({"schema_version": 1, "shadow": None if found is None else _json(found)})

    def _newest(self) -> Comparison | None:
        with self._lock:
            if self._found is None or monotonic_s() - self._found[0] > _KEPT_S:
                self._found = monotonic_s(), newest_comparison(self.settings.store.journal)
            return self._found[1]


def _json(found: Comparison) -> dict[str, Any]:
    facts = found.to_json()
    return facts | {
        "problem": said(found.shadow.problem),
        "ended_why": said(found.shadow.ended_why),
        "flips": [_flip(side, one, found.shadow.candidate.camera) for side, one in found.flips[:_FLIPS_MOST]],
        "scores": [[round(active, 4), round(candidate, 4), str(side)] for active, candidate, side in found.scores],
    }


def _flip(side: Side, one: ShadowResult, camera: int) -> dict[str, Any]:
    return {
        "part_seq": one.part_seq,
        "decided_utc": one.decided_utc,
        "decided_by": camera,
        "side": str(side),
        "score": one.score,
        "limit": one.limit,
        "active_score": one.active_score,
        "active_limit": one.active_limit,
        "reason": one.reason,
    }
