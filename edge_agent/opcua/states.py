"""How the agent stands, in the states of OPC 40100-1. Plain values; knows no OPC UA.

Operational means exactly: the inspection decides, and its PASS reaches the output. Whatever takes one of these away is
another state, so that a client that looks at the state alone is told nothing better than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.runtime.interlock import LineState

if TYPE_CHECKING:
    from edge_agent.feed.state import AgentState

__all__ = ["MODE_STATES", "VISION_STATES", "VisionState", "vision_state"]

VISION_STATES = ("Preoperational", "Halted", "Error", "Operational")
MODE_STATES = ("Initialized", "Ready", "SingleExecution", "ContinuousExecution")


@dataclass(frozen=True, slots=True)
class VisionState:
    """One of VISION_STATES; ``mode`` is one of MODE_STATES while it is Operational, else empty; and why, in words."""

    state: str
    mode: str
    words: str


def vision_state(agent: AgentState | None, *, is_heard: bool) -> VisionState:
    """The state that is true of what the agent told last; ``is_heard`` says whether that is of now."""
    if agent is None:
        return VisionState("Preoperational", "", "the agent has not told yet how it stands")
    if not is_heard:
        return VisionState("Error", "", "the agent's loop is silent: nothing passes")
    if agent.state not in (LineState.READY, LineState.BUSY):
        why = "; ".join(f"{name}: {found.why_not}" for name, found in agent.conditions.items() if found.why_not)
        return VisionState("Error", "", why or agent.state)
    if agent.is_dry_run:
        return VisionState("Halted", "", "dry run: parts are judged, and the output stays REJECT")
    if agent.locked:
        return VisionState("Halted", "", agent.locked)
    if agent.bypass:
        return VisionState("Halted", "", f"bypass, the inspection does not decide: {agent.bypass}")
    words = "; ".join(f"degraded, {name}: {why}" for name, why in agent.degraded.items())
    return VisionState("Operational", "SingleExecution" if agent.state == LineState.BUSY else "Ready", words)
