"""The agent's side: how it stands, said to a process beside it, which nothing here waits for.

What such a process does not read in time it is not told.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.feed.state import AgentState, ArchivedKind, Condition
from edge_agent.store.held import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from edge_agent.feed.state import Samples
    from edge_agent.store.held import HeldKind

__all__ = ["UNREAD_MAX_BYTES", "Looked", "Teller", "say"]

UNREAD_MAX_BYTES = 64 * 1024
_LOOK_EVERY_S = 0.1
_TELL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Looked:
    """The agent at this moment. ``conditions`` maps each to why it does not hold, empty where it does."""

    state: str
    conditions: Mapping[str, str]
    is_simulated: bool
    archive_lost: int
    archive_pruned: int
    is_dry_run: bool = False
    degraded: Mapping[str, str] = field(default_factory=dict)
    bypass: str = ""
    program: int | None = None
    archive_held: Held = field(default_factory=Held)
    locked: str = ""
    samples: Samples | None = None


class Teller:
    """Tells one process how the agent stands. ``look`` is called in this loop."""

    def __init__(self, look: Callable[[], Looked]) -> None:
        self._look = look
        self._state_since = ("", 0.0)
        self._since: dict[str, tuple[bool, float]] = {}

    async def tell(self, to: asyncio.StreamWriter) -> None:
        """Say each change, and the same once a second, until cancelled. Never waits for who reads."""
        last, last_mono_s = None, 0.0
        while True:
            state, now = self._state(), monotonic_s()
            if state != last or now - last_mono_s >= _TELL_EVERY_S:
                say(to, state)
                last, last_mono_s = state, now
            await asyncio.sleep(_LOOK_EVERY_S)

    def _state(self) -> AgentState:
        looked, now = self._look(), monotonic_s()
        if looked.state != self._state_since[0]:
            self._state_since = (looked.state, now)
        conditions = {}
        for name, why_not in looked.conditions.items():
            holds = not why_not
            if name not in self._since or self._since[name][0] != holds:
                self._since[name] = (holds, now)
            conditions[name] = Condition(why_not=why_not, since_mono_s=self._since[name][1])
        return AgentState(
            state=looked.state,
            since_mono_s=self._state_since[1],
            is_simulated=looked.is_simulated,
            is_dry_run=looked.is_dry_run,
            degraded=dict(looked.degraded),
            conditions=conditions,
            archive_lost=looked.archive_lost,
            archive_pruned=looked.archive_pruned,
            bypass=looked.bypass,
            program=looked.program,
            locked=looked.locked,
            samples=looked.samples,
            archive_passes=_kind(looked.archive_held.passes),
            archive_others=_kind(looked.archive_held.others),
        )


def _kind(held: HeldKind) -> ArchivedKind:
    return ArchivedKind(size_bytes=held.size_bytes, oldest_seq=held.oldest_seq)


def say(to: asyncio.StreamWriter, line: BaseModel) -> None:
    """One line, unless too much is unread already: then it is left out."""
    if to.transport.get_write_buffer_size() < UNREAD_MAX_BYTES:
        to.write(line.model_dump_json().encode() + b"\n")
