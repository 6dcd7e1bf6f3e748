"""A time as a person at the terminal says it, in the time zone of this PC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

__all__ = ["MOMENT_WORDS", "PERIOD_WORDS", "moment", "period"]

MOMENT_WORDS = (
    '2026-11-24, "24.11.2026 06:00", 22:00, "10 pm", today, "yesterday 22:00", tuesday, "last tuesday 14:00", '
    'november, "2 hours ago" or now'
)
PERIOD_WORDS = 'yesterday, tuesday, 2026-11-24, 24.11.2026, "this week", "last week", november or 2026-11'
_CLOCK = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?")
_TWELVE = re.compile(r"(?P<hour>0?[1-9]|1[0-2])(?::(?P<minute>[0-5]\d))? ?(?P<half>[ap])\.?m\.?")
_AGO = re.compile(r"-?(?P<number>\d{1,5}) ?(?P<unit>m|min|minutes?|h|hours?|d|days?|w|weeks?)(?: ago)?")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})?")
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})")
_NEAR = {"today": 0, "yesterday": -1, "tomorrow": 1}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SHORTEST_NAME = 3


def moment(text: str, now: datetime, after: datetime | None = None) -> datetime:
    """What is meant, with its offset. Raises ValueError, OverflowError for what is no time.

    A time of day, a weekday or a month alone is the last one that has begun, or, where ``after`` is given, the first
    one behind that. A day is its begin. ``now`` has an offset.
    """
    words = _tidy(text)
    if words == "now":
        return now
    if found := _AGO.fullmatch(words):
        back = timedelta(**{_UNITS[found["unit"][0]]: int(found["number"])})
        return (now.astimezone(UTC) - back).astimezone()
    here, behind = now.astimezone(), None if after is None else after.astimezone()
    if (clock := _clock(words)) is not None:
        return _next_clock(clock, here, behind)
    for clock_words in range(3):  # "tuesday", "tuesday 14:00", "tuesday 2 pm"
        said, day_words = words.split(" "), words
        if clock_words:
            day_words, clock = " ".join(said[:-clock_words]), _clock(" ".join(said[-clock_words:]))
        found_day = _day(day_words, here, behind) if clock is not None or not clock_words else None
        if found_day is not None:
            return _at(found_day, clock or time())
    return datetime.fromisoformat(text.strip()).astimezone()


def period(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Begin and end of a day, a week or a month, as a person names it. Raises ValueError for what is none."""
    words, here = _tidy(text), now.astimezone()
    today = here.date()
    if words in ("this week", "last week"):
        begin = today - timedelta(days=today.weekday() + (7 if words == "last week" else 0))
        return _at(begin, time()), _at(begin + timedelta(days=7), time())
    month = _this_or_last(words, "month", today.replace(day=1)) or _month(words, today, None)
    if month is not None:
        return _at(month, time()), _at((month + timedelta(days=31)).replace(day=1), time())
    day = _day(words, here, None)
    if day is None:
        raise ValueError(f"{text!r} is no day, week or month")
    return _at(day, time()), _at(day + timedelta(days=1), time())


def _tidy(text: str) -> str:
    words = text.casefold().replace(",", " ").split()
    return " ".join(word for word in words if word != "at")


def _clock(words: str) -> time | None:
    if found := _CLOCK.fullmatch(words):
        return time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0))
    if found := _TWELVE.fullmatch(words):
        return time(int(found["hour"]) % 12 + (12 if found["half"] == "p" else 0), int(found["minute"] or 0))
    return None


def _next_clock(clock: time, now: datetime, after: datetime | None) -> datetime:
    if after is None:
        found = _at(now.date(), clock)
        return found if found <= now else _at(now.date() - timedelta(days=1), clock)
    found = _at(after.date(), clock)
    return found if found > after else _at(after.date() + timedelta(days=1), clock)


def _day(words: str, now: datetime, after: datetime | None) -> date | None:
    """The day that words alone name; None where they name none. Raises ValueError for a day that no month has."""
    today = now.date()
    if words in _NEAR:
        return today + timedelta(days=_NEAR[words])
    if _ISO_DAY.fullmatch(words):
        return date.fromisoformat(words)
    if found := _DATE.fullmatch(words):
        month, day = int(found["month"]), int(found["day"])
        if found["year"]:
            return date(int(found["year"]), month, day)
        this = date(today.year, month, day)
        return this if this <= today else date(today.year - 1, month, day)
    name = words.removeprefix("last ")
    number = _named(name, _WEEKDAYS)
    if number is None:
        return _month(words, today, None if after is None else after.date())
    if after is not None and name == words:
        return after.date() + timedelta(days=(number - after.weekday() - 1) % 7 + 1)
    back = (today.weekday() - number) % 7
    return today - timedelta(days=back or (7 if name != words else 0))


def _month(words: str, today: date, after: date | None) -> date | None:
    """The first day of a month by its name, or as 2026-11."""
    if found := _MONTH.fullmatch(words):
        return date(int(found["year"]), int(found["month"]), 1)
    number = _named(words, _MONTHS)
    if number is None:
        return None
    near = today if after is None else after
    this = date(near.year, number + 1, 1)
    if after is None:
        return this if this <= today else this.replace(year=this.year - 1)
    return this if this > after else this.replace(year=this.year + 1)


def _this_or_last(words: str, unit: str, this: date) -> date | None:
    if words == f"this {unit}":
        return this
    return (this - timedelta(days=1)).replace(day=1) if words == f"last {unit}" else None


def _named(words: str, names: tuple[str, ...]) -> int | None:
    """Which of the names it is, or begins: tue, nov."""
    if len(words) < _SHORTEST_NAME:
        return None
    return next((at for at, name in enumerate(names) if name.startswith(words)), None)


def _at(day: date, clock: time) -> datetime:
    """That time of day: by the calendar, also over a change of the clocks."""
    return datetime.combine(day, clock).astimezone()
