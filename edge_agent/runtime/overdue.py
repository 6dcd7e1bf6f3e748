"""Whether the newest passed challenge is older than line.toml allows. It stops no part: the line says DEGRADED."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.store.journal import EventRow

__all__ = ["CHALLENGE", "ChallengeClock"]

CHALLENGE = "CHALLENGE"
"""The kind of a challenge's event in the journal; its detail is a JSON object with ``ok``."""


class ChallengeClock:
    """Knows the newest passed challenge. ``every_h`` None: none is asked for, nothing is ever overdue.

    By UTC, because a challenge has to outlive a boot; a clock that was set makes it overdue too early or too late.
    """

    def __init__(self, every_h: int | None, events: Iterable[EventRow] = ()) -> None:
        self._every = None if every_h is None else timedelta(hours=every_h)
        self._passed: datetime | None = None
        for event in events:
            self.note(event.detail, datetime.fromisoformat(event.at_utc))

    def note(self, detail: str, at: datetime) -> None:
        """Take note of a challenge recorded at this time, by its event's ``detail``: only a passed one counts."""
        try:
            is_passed = json.loads(detail)["ok"] is True
        except (ValueError, KeyError, TypeError, RecursionError):  # written by something else: it proves nothing
            return
        if is_passed and (self._passed is None or at > self._passed):
            self._passed = at

    def overdue(self) -> str:
        """Why the line is DEGRADED; empty where it is not."""
        if self._every is None:
            return ""
        if self._passed is None:
            return "no challenge was passed yet: edge-agent challenge"
        late = datetime.now(UTC) - self._passed - self._every
        if late <= timedelta(0):
            return ""
        return f"the challenge is overdue since {(self._passed + self._every).isoformat(timespec='minutes')}"

    def degraded(self) -> dict[str, str]:
        """The reasons for DEGRADED by name; empty where there is none."""
        why = self.overdue()
        return {"challenge": why} if why else {}
