"""How the line stands: its state, why, and which part is before the gate. The one place that moves the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edge_agent.runtime.interlock import LineEvent, LineState, step

if TYPE_CHECKING:
    from edge_agent.runtime.interlock import Health

__all__ = ["Readiness"]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Readiness:
    """State, health and the newest part of one line. It begins in FAULT."""

    health: Health
    state: LineState = LineState.FAULT
    newest_seq: int = 0
    """The part whose first sign came last: no other part's PASS may stand."""

    def is_ready(self) -> bool:
        """Whether a PASS may stand on the wire: the line is READY or BUSY, not FAULT."""
        return self.state is not LineState.FAULT

    @property
    def why_not_ready(self) -> str:
        """Why a part cannot pass now; empty when it can."""
        return "" if self.is_ready() else str(self.health)

    def look(self) -> None:
        """Bring the state in step with the health."""
        self.move(LineEvent.HEALTHY if self.health.is_healthy else LineEvent.UNHEALTHY)

    def move(self, event: LineEvent) -> None:
        """Go to the state that this event leads to; FAULT's beginning and end are logged."""
        before, self.state = self.state, step(self.state, event)
        # READY and BUSY take turns with every part: only the beginning and the end of FAULT are news.
        if before is not self.state and LineState.FAULT in (before, self.state):
            log.info("line_state", state=self.state, before=before, why=str(self.health))
