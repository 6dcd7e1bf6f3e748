"""The view of golden parts and reject samples: when they are due, and how each of them scored each time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.golden.known import KnownSamples
from edge_agent.golden.series import series_of
from edge_agent.store.starts import was_simulated

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge_agent.settings import Settings

__all__ = ["SamplesPage"]

_KEPT_S = 5.0
"""All events of all journals are read for it: many browsers get the same answer."""


@dataclass(slots=True)
class SamplesPage:
    """The addresses of this view."""

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: tuple[float, dict[str, Any]] | None = None

    def routes(self) -> list[Route]:
        """The addresses, with who answers them."""
        return [Route("/api/samples", self.samples)]

    def samples(self, _: Request) -> Response:
        """Every registered sample with its showings; none where line.toml registers none."""
        with self._lock:
            if self._found is None or monotonic_s() - self._found[0] > _KEPT_S:
                self._found = monotonic_s(), self._look()
            return JSONResponse(self._found[1])

    def _look(self) -> dict[str, Any]:
        # As the challenge itself compares them: what simulated peers showed is nothing that a real sample is like.
        known = KnownSamples.of(self.settings, with_simulated=was_simulated(self.settings.store.journal))
        return {
            "schema_version": 1,
            "samples": [one.to_json() for one in series_of(known)],
            "missing": known.missing or None,
        }
