"""Times of the journal as a line has them: the clock on the wall, and the shift."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from edge_agent.feed.current import shift_start

__all__ = ["NO_DAY", "LocalTime", "LocalTimes"]

NO_DAY = "0001-01-01"
"""The day of a row whose time cannot be read."""
_MOST_MINUTES = 100_000
_MINUTE = len("2026-11-23T10:00")
_MINUTE_MS = 60_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the clock on the wall has no zone


class LocalTime(NamedTuple):
    """``utc_ms`` and ``local_ms`` are milliseconds since 1970; all of it None where the time cannot be read."""

    utc_ms: int | None
    local_ms: int | None
    shift_day: date | None
    shift: str | None


_UNREADABLE = LocalTime(None, None, None, None)


@dataclass(slots=True)
class LocalTimes:
    """By the time zone of this PC. What holds for a minute is found once."""

    shift_starts: tuple[str, ...]
    _minutes: dict[str, tuple[int, int, date | None, str | None]] = field(default_factory=dict)

    def of(self, utc: str) -> LocalTime:
        """The times of a label as the journal writes it, ``2026-11-23T10:00:00.000+00:00``."""
        minute = utc[:_MINUTE]
        known = self._minutes.get(minute)
        try:
            if known is None:
                known = self._minute(minute)
            # By its digits: of a million labels the parsing would take longer than all else.
            within_ms = 1000 * int(utc[17:19]) + int(utc[20:23])
        except (ValueError, OverflowError):
            return _UNREADABLE
        if utc[23:] != "+00:00" or not 0 <= within_ms < _MINUTE_MS:  # not of the journal's own writing
            return _UNREADABLE
        utc_ms, local_ms, day, shift = known
        return LocalTime(utc_ms + within_ms, local_ms + within_ms, day, shift)

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
