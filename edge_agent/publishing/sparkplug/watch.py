"""How the agent stands, as it tells this process; and whether it still tells."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from edge_agent.feed.state import AgentState

__all__ = ["AgentWatch"]

_SILENT_AFTER_S = 5.0
"""The agent tells once a second."""


class AgentWatch:
    """Told in one thread, asked in another. An agent that has just started is given the time to tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: AgentState | None = None
        self._heard_mono_s = monotonic_s()

    def hear(self, state: AgentState) -> None:
        """The agent told how it stands."""
        with self._lock:
            self._state, self._heard_mono_s = state, monotonic_s()

    @property
    def state(self) -> AgentState | None:
        """What it told last; None: nothing yet."""
        with self._lock:
            return self._state

    @property
    def is_silent(self) -> bool:
        """Whether the agent has told nothing for so long that its parts are not inspected."""
        with self._lock:
            return monotonic_s() - self._heard_mono_s > _SILENT_AFTER_S
