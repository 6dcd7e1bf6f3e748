"""Times as people say them: the last one that has been, the first one after another, a day by the calendar."""

from __future__ import annotations

from datetime import datetime

import pytest

from edge_agent.local_time import local_words
from edge_agent.moment import moment, period

pytestmark = pytest.mark.usefixtures("berlin")

NOW = "2026-11-24T05:00:00+01:00"


def said(text: str, now: str = NOW, after: str | None = None) -> str:
    begin = None if after is None else datetime.fromisoformat(after)
    return moment(text, datetime.fromisoformat(now), begin).astimezone().isoformat(sep=" ", timespec="minutes")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-24 05:00+01:00"),
        ("today", "2026-11-24 00:00+01:00"),
        ("Yesterday", "2026-11-23 00:00+01:00"),
        ("yesterday 22:00", "2026-11-23 22:00+01:00"),
        ("today 6:30", "2026-11-24 06:30+01:00"),
        ("22:00", "2026-11-23 22:00+01:00"),
        ("04:59:30", "2026-11-24 04:59+01:00"),
        ("2026-11-01", "2026-11-01 00:00+01:00"),
        ("2026-07-01T06:00", "2026-07-01 06:00+02:00"),
        ("2026-11-01T06:00Z", "2026-11-01 07:00+01:00"),
        ("2026-11-01 6:00", "2026-11-01 06:00+01:00"),
        ("24.11.2026", "2026-11-24 00:00+01:00"),
        ("1.7.2026 6:00", "2026-07-01 06:00+02:00"),
        ("25.11.", "2025-11-25 00:00+01:00"),
        ("23.11. 22:00", "2026-11-23 22:00+01:00"),
        ("10 pm", "2026-11-23 22:00+01:00"),
        ("12am", "2026-11-24 00:00+01:00"),
        ("yesterday 10pm", "2026-11-23 22:00+01:00"),
        ("yesterday, at 10:30 pm", "2026-11-23 22:30+01:00"),
        ("tomorrow", "2026-11-25 00:00+01:00"),
        ("tuesday", "2026-11-24 00:00+01:00"),
        ("Last Tuesday", "2026-11-17 00:00+01:00"),
        ("last tue 14:00", "2026-11-17 14:00+01:00"),
        ("monday 2 pm", "2026-11-23 14:00+01:00"),
        ("wed", "2026-11-18 00:00+01:00"),
        ("november", "2026-11-01 00:00+01:00"),
        ("dec", "2025-12-01 00:00+01:00"),
        ("2026-10", "2026-10-01 00:00+02:00"),
        ("2 hours ago", "2026-11-24 03:00+01:00"),
        ("90 min ago", "2026-11-24 03:30+01:00"),
        ("2h", "2026-11-24 03:00+01:00"),
        ("-30m", "2026-11-24 04:30+01:00"),
        ("3 days ago", "2026-11-21 05:00+01:00"),
    ],
)
def test_a_time_is_what_a_person_means(text: str, expected: str) -> None:
    assert said(text) == expected


def test_the_end_of_a_night_shift_is_behind_its_begin() -> None:
    begin = moment("22:00", datetime.fromisoformat(NOW)).isoformat()

    assert said("06:00", after=begin) == "2026-11-24 06:00+01:00"
    assert said("23:00", after=begin) == "2026-11-23 23:00+01:00"
    assert said("22:00", after=begin) == "2026-11-24 22:00+01:00"


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("monday", "wednesday", "2026-11-25 00:00+01:00"),
        ("last tuesday", "wednesday", "2026-11-18 00:00+01:00"),
        ("last tuesday", "tuesday", "2026-11-24 00:00+01:00"),
        ("november", "december", "2026-12-01 00:00+01:00"),
        ("yesterday 22:00", "6 am", "2026-11-24 06:00+01:00"),
        ("yesterday", "today", "2026-11-24 00:00+01:00"),
    ],
)
def test_an_end_is_the_first_one_behind_the_begin(begin: str, end: str, expected: str) -> None:
    assert said(end, after=moment(begin, datetime.fromisoformat(NOW)).isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("yesterday", "2026-11-23 00:00+01:00", "2026-11-24 00:00+01:00"),
        ("last tuesday", "2026-11-17 00:00+01:00", "2026-11-18 00:00+01:00"),
        ("2026-10-25", "2026-10-25 00:00+02:00", "2026-10-26 00:00+01:00"),
        ("24.11.2026", "2026-11-24 00:00+01:00", "2026-11-25 00:00+01:00"),
        ("this week", "2026-11-23 00:00+01:00", "2026-11-30 00:00+01:00"),
        ("last week", "2026-11-16 00:00+01:00", "2026-11-23 00:00+01:00"),
        ("november", "2026-11-01 00:00+01:00", "2026-12-01 00:00+01:00"),
        ("dec", "2025-12-01 00:00+01:00", "2026-01-01 00:00+01:00"),
        ("this month", "2026-11-01 00:00+01:00", "2026-12-01 00:00+01:00"),
        ("last month", "2026-10-01 00:00+02:00", "2026-11-01 00:00+01:00"),
        ("2026-02", "2026-02-01 00:00+01:00", "2026-03-01 00:00+01:00"),
    ],
)
def test_a_day_a_week_and_a_month_are_whole(text: str, begin: str, end: str) -> None:
    found = period(text, datetime.fromisoformat(NOW))

    assert [at.isoformat(sep=" ", timespec="minutes") for at in found] == [begin, end]


@pytest.mark.parametrize("text", ["", "22:00", "soon", "yesterday 22:00", "2026-13", "31.2.2026"])
def test_what_is_no_day_week_or_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        period(text, datetime.fromisoformat(NOW))


def test_a_day_is_one_of_the_calendar_also_where_the_clocks_change() -> None:
    assert said("yesterday 12:00", now="2026-10-25T13:00:00+01:00") == "2026-10-24 12:00+02:00"
    assert said("13:30", now="2026-10-25T13:00:00+01:00") == "2026-10-24 13:30+02:00"


def test_now_is_understood_in_any_zone() -> None:
    assert said("today", now="2026-11-23T23:30:00+00:00") == "2026-11-24 00:00+01:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "25:00",
        "22",
        "yesterday evening",
        "2026-13-01",
        "11/24/2026",
        "31.2.2026",
        "13 pm",
        "m",
        "tu",
        "last",
        "last yesterday",
        "24.11.2026 25:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        said(text)


def test_a_time_of_the_journal_is_shown_in_the_zone_of_this_pc() -> None:
    assert local_words("2026-11-24T05:00:00.123+00:00") == "2026-11-24 06:00:00.123+01:00"
    assert local_words("nothing") == "nothing"
