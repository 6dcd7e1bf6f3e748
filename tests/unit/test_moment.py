"""Times as people say them: the last one that has been, the first one after another, a day by the calendar."""

from __future__ import annotations

from datetime import datetime

import pytest

from edge_agent.moment import local_words, moment

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
    ],
)
def test_a_time_is_what_a_person_means(text: str, expected: str) -> None:
    assert said(text) == expected


def test_the_end_of_a_night_shift_is_behind_its_begin() -> None:
    begin = moment("22:00", datetime.fromisoformat(NOW)).isoformat()

    assert said("06:00", after=begin) == "2026-11-24 06:00+01:00"
    assert said("23:00", after=begin) == "2026-11-23 23:00+01:00"
    assert said("22:00", after=begin) == "2026-11-24 22:00+01:00"


def test_a_day_is_one_of_the_calendar_also_where_the_clocks_change() -> None:
    assert said("yesterday 12:00", now="2026-10-25T13:00:00+01:00") == "2026-10-24 12:00+02:00"
    assert said("13:30", now="2026-10-25T13:00:00+01:00") == "2026-10-24 13:30+02:00"


def test_now_is_understood_in_any_zone() -> None:
    assert said("today", now="2026-11-23T23:30:00+00:00") == "2026-11-24 00:00+01:00"


@pytest.mark.parametrize("text", ["", "soon", "25:00", "22", "yesterday evening", "2026-13-01", "24.11.2026"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        said(text)


def test_a_time_of_the_journal_is_shown_in_the_zone_of_this_pc() -> None:
    assert local_words("2026-11-24T05:00:00.123+00:00") == "2026-11-24 06:00:00.123+01:00"
    assert local_words("nothing") == "nothing"
