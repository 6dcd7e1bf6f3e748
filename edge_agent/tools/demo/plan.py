"""What a demonstration is asked to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.report.head import Paper

__all__ = ["DemoPlan"]


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demonstration does. ``spacing_s`` is the time between two parts."""

    out: Path
    parts: int
    defective: int
    good: int
    width: int
    spacing_s: float
    seed: int
    paper: Paper = "A4"

    @property
    def deadline_ms(self) -> int:
        """The rest of the spacing is for what comes before the first sign: exposure and transfer."""
        return round(self.spacing_s * 700)
