"""How the agent stands, as one JSON object a line: when something changed, and once a second."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AgentState", "ArchivedKind", "Condition", "Line", "Samples"]


class Line(BaseModel):
    """One line of what two processes say to each other: no unknown keys, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Condition(Line):
    """One thing that must hold before parts may pass. ``why_not`` is empty while it holds."""

    why_not: str
    since_mono_s: float


class ArchivedKind(Line):
    """Images of a kind that the archive holds: bytes, and the part number of the oldest, None where there is none."""

    size_bytes: int = 0
    oldest_seq: int | None = None


class Samples(Line):
    """How the line stands with the samples that are to be shown.

    ``due_s`` and ``due_parts`` are what is left, None where that is not asked for.
    """

    words: str
    is_soon: bool = False
    due_s: float | None = None
    due_parts: int | None = None


class AgentState(Line):
    """How the agent stands. Times are of this PC's monotonic clock, which both processes share."""

    state: str
    since_mono_s: float
    is_simulated: bool
    is_dry_run: bool = False
    degraded: dict[str, str] = Field(default_factory=dict)
    conditions: dict[str, Condition]
    archive_lost: int
    archive_pruned: int
    archive_passes: ArchivedKind = ArchivedKind()
    archive_others: ArchivedKind = ArchivedKind()
    bypass: str = ""
    """Who answers for the parts at the moment instead of the inspection; empty: nobody."""
    program: int | None = None
    """The controller's program; None while it is not known."""
    locked: str = ""
    """Why no part passes though the line is READY: its samples were not shown; empty: it is not locked."""
    samples: Samples | None = None
    """None where line.toml asks for none."""
