"""Times of the journal as a line has them: the clock on the wall, and the shift."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from edge_agent.shifts import shift_start

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NO_DAY", "LocalTimes", "Times"]

NO_DAY = "0001-01-01"
"""The day of a row whose time cannot be read."""
_MOST_MINUTES = 100_000
_MINUTE = len("2026-11-23T10:00")
_MINUTE_MS = 60_000
_DAY = len(NO_DAY)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the clock on the wall has no zone


@dataclass(slots=True)
class Times:
    """Of each row, in their order: milliseconds since 1970, the shift, the day in UTC. None where it is unreadable."""

    utc_ms: list[int | None] = field(default_factory=list)
    local_ms: list[int | None] = field(default_factory=list)
    shift_day: list[date | None] = field(default_factory=list)
    shift: list[str | None] = field(default_factory=list)
    day: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LocalTimes:
    """By the time zone of this PC. What holds for a minute is found once."""

    shift_starts: tuple[str, ...]
    _minutes: dict[str, tuple[int, int, date | None, str | None]] = field(default_factory=dict)

    def of(self, labels: Sequence[str]) -> Times:
        """The times of labels as the journal writes them, ``2026-11-23T10:00:00.000+00:00``."""
        found, minutes = Times(), self._minutes
        for label in labels:
            minute = label[:_MINUTE]
            try:
                utc_ms, local_ms, day, shift = minutes.get(minute) or self._minute(minute)
                # By its digits: of a million labels the parsing would take longer than all else.
                within_ms = 1000 * int(label[17:19]) + int(label[20:23])
                is_ours = label[23:] == "+00:00" and 0 <= within_ms < _MINUTE_MS
            except (ValueError, OverflowError):
                is_ours = False
            if is_ours:
                found.utc_ms.append(utc_ms + within_ms)
                found.local_ms.append(local_ms + within_ms)
                found.shift_day.append(day)
                found.shift.append(shift)
                found.day.append(label[:_DAY])
            else:
                for column in (found.utc_ms, found.local_ms, found.shift_day, found.shift):
                    column.append(None)
                found.day.append(NO_DAY)
        return found

    def _minute(self, minute: str) -> tuple[int, int, date | None, str | None]:
        at = datetime.fromisoformat(minute).replace(tzinfo=UTC)
        local = at.astimezone()
        day, shift = None, None
        if self.shift_starts:
            begun = shift_start(local, self.shift_starts).astimezone()
            day, shift = begun.date(), f"{begun:%H:%M}"
        wall = local.replace(tzinfo=None)
        found = int(at.timestamp()) * 1000, int((wall - _EPOCH).total_seconds()) * 1000, day, shift
        if len(self._minutes) >= _MOST_MINUTES:
            self._minutes.clear()
        self._minutes[minute] = found
        return found
