"""Which images are too old, by days on which parts came: never by the distance to a clock that someone may set."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DaysOfParts", "today"]


class DaysOfParts:
    """The days' folders of an archive, each with the least and the highest part number that came on it."""

    def __init__(self) -> None:
        self._parts_of_day: dict[Path, tuple[int, int]] = {}
        self._overdue: dict[int, int] = {}
        self._found_by: tuple[str, int] | None = None  # the day, and how many were known, when that was found

    def __len__(self) -> int:
        return len(self._parts_of_day)

    def clear(self) -> None:
        """Forget every day: the archive is looked through anew."""
        self._parts_of_day.clear()
        self._found_by = None

    def note(self, day: Path, part_seq: int) -> None:
        """A part has an image in that folder."""
        least, highest = self._parts_of_day.get(day, (part_seq, part_seq))
        self._parts_of_day[day] = min(least, part_seq), max(highest, part_seq)

    def overdue_seq(self, keep_days: int) -> int:
        """Up to which part number images are overdue, 0 for none. Of a day whose place in time is not sure none is.

        Days are counted that are dated after the image's own and not after today: a month without production makes no
        image old, nor does a clock that is set back, and one that is set ahead counts as one day.
        """
        if self._found_by != (found_by := (today(), len(self))):
            self._overdue.clear()
            self._found_by = found_by
        if keep_days not in self._overdue:
            self._overdue[keep_days] = self._find(keep_days, found_by[0])
        return self._overdue[keep_days]

    def forget(self, up_to_seq: int) -> None:
        """Forget days of which nothing is kept any more. That changes nothing of what is overdue."""
        of_day = self._parts_of_day.items()
        self._parts_of_day = {day: parts for day, parts in of_day if parts[1] > up_to_seq}
        if self._found_by is not None:
            self._found_by = self._found_by[0], len(self)

    def _find(self, keep_days: int, now: str) -> int:
        least_kept = math.inf
        later: list[str] = []  # days up to today that have newer parts
        for day, (least, _) in sorted(self._parts_of_day.items(), key=lambda of_day: of_day[1][1], reverse=True):
            is_ahead = day.name > now  # the clock was set back since, or had been set ahead
            since = len(later) if is_ahead else len(later) - bisect_right(later, day.name)
            if since < keep_days:
                least_kept = min(least_kept, least)
            if not is_ahead:
                insort(later, day.name)
        return 0 if math.isinf(least_kept) else int(least_kept) - 1


def today() -> str:
    """The day as a folder is named; such names sort as days do."""
    return datetime.now(UTC).date().isoformat()
