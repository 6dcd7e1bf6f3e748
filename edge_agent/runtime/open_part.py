"""A part while it is open: its evidence, and what asyncio needs beside it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edge_agent.domain import Published

if TYPE_CHECKING:
    from drivers.base import ControllerLink
    from edge_agent.domain import Inspection
    from edge_agent.runtime.part import Part

__all__ = ["EarlyWord", "EngineOptions", "OpenPart"]


@dataclass(slots=True)
class EarlyWord:
    """The REJECT that was said before the inspection was done, at ``at_mono_s``."""

    at_mono_s: float
    telling: asyncio.Task[Published]
    told_mono_s: float | None = None
    """When it stood on the wire, read back; None before, and where it did not get there."""

    async def became(self) -> Published:
        """What became of it on its way to the line. Cancelling who waits does not take it back."""
        return await asyncio.shield(self.telling)

    @property
    def is_told(self) -> bool:
        """It stood on the wire, read back."""
        return self.telling.done() and self.telling.result() is Published.PUBLISHED


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What line.toml says about a part."""

    cameras: tuple[int, ...]
    deadline_s: float
    judgement: Literal["agent", "both"]
    trigger_number: int | None
    boot_id: str
    is_simulated: bool
    is_dry_run: bool = False
    triggers_itself: bool = False
    imaging_s: float = 0.0
    """What camera and controller take before a part's first sign."""

    @property
    def longest_s(self) -> float:
        """From when an image was taken to its result's proof, by a clock of whole seconds: nothing older is of now."""
        # Cutting a time off at whole seconds moves either end by up to one of them (docs/decisions/0047).
        return 1.0 + math.ceil(self.deadline_s + self.imaging_s)


@dataclass(slots=True)
class OpenPart:
    """An open part. ``changed`` is set whenever there may be more to decide on."""

    part: Part
    not_ready: str
    """Why the line was not READY at the part's first sign; empty when it was."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    inspections: dict[int, Inspection] = field(default_factory=dict)
    inspecting: list[asyncio.Task[None]] = field(default_factory=list)
    certain: set[int] = field(default_factory=set)
    """Cameras whose image can no longer be OK, though its inspection may not be done."""
    begun: asyncio.Task[None] | None = None
    """The output is being told that this part is here."""
    early: EarlyWord | None = None
    """The REJECT that was said before the inspection was done; None where none was."""
    trigger_problem: str = ""
    link: ControllerLink | None = None
    """Where the agent triggered it; None for a part that something else triggered."""
    force_decision: bool = False

    def decide_now(self) -> None:
        """Decide with what there is: nothing more is waited for."""
        self.force_decision = True
        self.changed.set()

    @property
    def owes_count(self) -> bool:
        """Whether the controller took the trigger, and neither result nor image told the count."""
        return self.link is not None and self.part.count is None and not self.trigger_problem
