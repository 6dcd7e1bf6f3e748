"""A time as a person at the terminal says it, in the time zone of this PC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

__all__ = ["MOMENT_WORDS", "local_words", "moment"]

MOMENT_WORDS = '2026-11-24, 2026-11-24T06:00, 22:00, today, yesterday, "yesterday 22:00" or now'
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_DAYS_BACK = {"today": 0, "yesterday": 1}


def moment(text: str, now: datetime, after: datetime | None = None) -> datetime:
    """What is meant, with its offset. Raises ValueError, OverflowError for what is no time.

    A time of day alone is the last one that has been, or, where ``after`` is given, the first one behind that. A day
    is its begin. ``now`` has an offset.
    """
    words = text.strip().casefold()
    if words == "now":
        return now
    day, _, clock = words.partition(" ")
    if day in _DAYS_BACK and (not clock or _CLOCK.fullmatch(clock)):
        return _at(now.astimezone(), -_DAYS_BACK[day], clock or "00:00")
    if _CLOCK.fullmatch(words) is None:
        return datetime.fromisoformat(text.strip()).astimezone()
    if after is None:
        found = _at(now.astimezone(), 0, words)
        return found if found <= now else _at(now.astimezone(), -1, words)
    found = _at(after.astimezone(), 0, words)
    return found if found > after else _at(after.astimezone(), 1, words)


def _at(near: datetime, days: int, clock: str) -> datetime:
    """That time of day, so many days from ``near``: by the calendar, also over a change of the clocks."""
    return datetime.combine(near.date() + timedelta(days=days), time.fromisoformat(clock.zfill(5))).astimezone()


def local_words(utc: str) -> str:
    """A time of the journal in the time zone of this PC, with its offset; as it stands where it cannot be read."""
    try:
        found = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return found.astimezone().isoformat(sep=" ", timespec="milliseconds")
