"""The line's state as a table and a pure step. What the table does not name is FAULT."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Health", "LineEvent", "LineState", "step"]


class LineState(StrEnum):
    """READY: waiting for a part. BUSY: a part is open. FAULT: nothing passes."""

    READY = "READY"
    BUSY = "BUSY"
    FAULT = "FAULT"


class LineEvent(StrEnum):
    """What moves the line from state to state."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    FIRST_SIGN = "FIRST_SIGN"
    ALL_DECIDED = "ALL_DECIDED"


# Whatever is missing here is FAULT: a new state or event begins safe.
_NEXT: dict[tuple[LineState, LineEvent], LineState] = {
    (LineState.FAULT, LineEvent.HEALTHY): LineState.READY,
    (LineState.READY, LineEvent.HEALTHY): LineState.READY,
    (LineState.BUSY, LineEvent.HEALTHY): LineState.BUSY,
    (LineState.READY, LineEvent.FIRST_SIGN): LineState.BUSY,
    (LineState.BUSY, LineEvent.FIRST_SIGN): LineState.BUSY,
    (LineState.BUSY, LineEvent.ALL_DECIDED): LineState.READY,
    (LineState.READY, LineEvent.ALL_DECIDED): LineState.READY,
}


def step(state: LineState, event: LineEvent) -> LineState:
    """The state after the event. UNHEALTHY and every unknown pair lead to FAULT."""
    return _NEXT.get((state, event), LineState.FAULT)


@dataclass(slots=True)
class Health:
    """The conditions that must all hold before the line may be READY, each with why it does not."""

    _why_not: dict[str, str] = field(default_factory=dict)

    @classmethod
    def waiting_for(cls, *conditions: str) -> Health:
        """All conditions open: nothing is healthy until it was shown to be."""
        return cls(dict.fromkeys(conditions, "not checked yet"))

    def holds(self, condition: str) -> None:
        """The condition was shown to hold."""
        self._why_not.pop(condition, None)

    def fails(self, condition: str, why: str) -> None:
        """The condition does not hold."""
        self._why_not[condition] = why

    @property
    def is_healthy(self) -> bool:
        """Whether every condition holds."""
        return not self._why_not

    @property
    def reasons(self) -> dict[str, str]:
        """Condition to why it does not hold; empty when healthy."""
        return dict(self._why_not)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in sorted(self._why_not.items())) or "healthy"
