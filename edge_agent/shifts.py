"""When shifts begin: by the clock on the wall, also where it is put forward or back for the summer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["next_shift", "shift_start"]


def shift_start(now: datetime, starts: tuple[str, ...]) -> datetime:
    """The last beginning of a shift at or before ``now`` (in its time zone), as UTC."""
    # Without a zone while comparing with the clock on the wall: where clocks change, the offset is that of the start.
    return max(start for start in _near(now, starts, (0, -1)) if start <= now.replace(tzinfo=None)).astimezone(UTC)


def next_shift(now: datetime, starts: tuple[str, ...]) -> datetime:
    """The next beginning of a shift behind ``now`` (in its time zone), as UTC."""
    # In UTC: in the hour that comes twice the clock on the wall may show a beginning that is over.
    return min(at for start in _near(now, starts, (0, 1)) if (at := start.astimezone(UTC)) > now)


def _near(now: datetime, starts: tuple[str, ...], days: tuple[int, ...]) -> list[datetime]:
    """The beginnings on these days from now, as the clock on the wall shows them."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return [
        (midnight + timedelta(days=day)).replace(hour=int(start[:2]), minute=int(start[3:]))
        for day in days
        for start in starts
    ]
