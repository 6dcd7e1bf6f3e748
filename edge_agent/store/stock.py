"""What an archive holds of one kind: its bytes, and which images are the oldest.

The memory does not grow with the number of images. Of each day's folder only the bytes and the least part number are
known; the oldest images themselves are read from the folders when some have to go, a few thousand at a time.
"""

from __future__ import annotations

import heapq
import re
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from edge_agent.store.fs import FileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BYPASS", "NAME", "OTHERS", "PASSES", "Image", "Stock", "archived"]

NAME = re.compile(
    r"part_(?P<seq>\d{12,})_CAM(?P<camera>\d+)_(?P<verdict>PASS|REJECT|FAULT|BYPASS)_(?P<sha256>[0-9a-f]{8})\.[a-z0-9]{1,8}"
)
"""Of an archived image; ``sha256`` is how the hash in its row begins, ``verdict`` what became of its part."""
BYPASS = "BYPASS"
"""Passed, but not by the inspection: kept as a reject is."""
PASSES: Final = frozenset({"PASS"})
OTHERS: Final = frozenset({"REJECT", "FAULT", BYPASS})
_AT_ONCE = 5000
"""Images that one reading makes known, about 1 MiB. A reading goes through a whole folder, a good third of a second for
20,000 images: this keeps it to less than one in a hundred filings, even while each of them removes twenty."""


class Image(NamedTuple):
    """A file; images sort by their part numbers, and those of one part by their paths."""

    part_seq: int
    folder: Path
    name: str
    size_bytes: int


def archived(root: Path, fs: FileSystem | None = None) -> Iterator[tuple[str, Image]]:
    """Every image below a folder, with what became of its part by its name; what bears no such name is passed over.

    None where there is no folder. Raises OSError.
    """
    fs = fs or FileSystem()
    if not fs.exists(root):
        return
    for path, size_bytes in fs.files(root):
        if found := NAME.fullmatch(path.name):
            yield found["verdict"], Image(int(found["seq"]), path.parent, path.name, size_bytes)


@dataclass(slots=True)
class _Day:
    """Images of one folder that are not among the oldest."""

    least_seq: int
    size_bytes: int


class Stock:
    """Images of one kind. Not safe to call from several threads.

    Oldest goes by part number across all folders. A reading begins with the day whose least remaining part number is
    smallest; days that overlap with it, because a clock was set back, are read with it. A reading also corrects the
    bytes of a day whose files somebody else removed.
    """

    def __init__(self, fs: FileSystem, verdicts: frozenset[str]) -> None:
        self._fs = fs
        self._verdicts = verdicts
        self._oldest: list[Image] = []
        self._days: dict[Path, _Day] = {}  # all they hold is newer than the last of the oldest, if there is one
        self.total_bytes = 0

    def reaches(self, up_to_seq: float) -> bool:
        """Whether there is an image with that part number or a lower one, as far as is known."""
        if self._oldest:
            return self._oldest[0].part_seq <= up_to_seq
        return any(day.least_seq <= up_to_seq for day in self._days.values())

    @property
    def oldest(self) -> Image | None:
        """The oldest image; None if there is none, or if it has to be read first."""
        return self._oldest[0] if self._oldest else None

    @property
    def oldest_seq(self) -> int | None:
        """The part number of the oldest image, as far as is known; None if there is none."""
        if self._oldest:
            return self._oldest[0].part_seq
        return min((day.least_seq for day in self._days.values()), default=None)

    def add(self, image: Image) -> None:
        """Count an image that lies in its folder."""
        self.total_bytes += image.size_bytes
        # Older than one that is known to be among the oldest: a clock or the numbers were set back.
        if self._oldest and image < self._oldest[-1]:
            insort(self._oldest, image)
            if len(self._oldest) > 2 * _AT_ONCE:  # part numbers that began anew, at 1
                self._oldest = _cut(self._oldest, self._days)
        else:
            _put(image, self._days)

    def drop_oldest(self) -> None:
        """Forget the oldest image, whose file is gone."""
        self.total_bytes -= self._oldest.pop(0).size_bytes

    def read(self) -> None:
        """Find the oldest images in their folders; only while none is known. Raises OSError, and then knows no less."""
        oldest: list[Image] = []
        days = dict(self._days)
        for folder in sorted(days, key=lambda folder: days[folder].least_seq):
            # Whatever this day and later ones hold is newer than all that is known by now.
            if oldest and oldest[-1].part_seq < days[folder].least_seq:
                break
            read, rest = self._read_day(folder)
            del days[folder]
            if rest is not None:
                days[folder] = rest
            oldest = _cut(sorted(oldest + read), days)
        # Last and at once: a reading that fails has changed nothing.
        self._oldest, self._days = oldest, days
        self.total_bytes = sum(image.size_bytes for image in oldest) + sum(day.size_bytes for day in days.values())

    def _read_day(self, folder: Path) -> tuple[list[Image], _Day | None]:
        """The oldest images of a folder, and what the others are."""
        total_bytes = 0

        def images() -> Iterator[Image]:
            nonlocal total_bytes
            for image in self._images(folder):
                total_bytes += image.size_bytes
                yield image

        # One more than is kept: its number is the least of those that are left.
        oldest = heapq.nsmallest(_AT_ONCE + 1, images())
        if len(oldest) <= _AT_ONCE:
            return oldest, None
        next_seq = oldest.pop().part_seq
        return oldest, _Day(next_seq, total_bytes - sum(image.size_bytes for image in oldest))

    def _images(self, folder: Path) -> Iterator[Image]:
        try:
            for path, size_bytes in self._fs.files(folder):
                found = NAME.fullmatch(path.name)
                # One in a folder within is of a day of its own.
                if found and found["verdict"] in self._verdicts and path.parent == folder:
                    yield Image(int(found["seq"]), folder, found[0], size_bytes)
        except FileNotFoundError:
            if self._fs.exists(folder):  # a file went while we read, and the others are still there
                raise


def _cut(oldest: list[Image], days: dict[Path, _Day]) -> list[Image]:
    """The oldest of the oldest; the others become some of their day's."""
    for image in oldest[_AT_ONCE:]:
        _put(image, days)
    return oldest[:_AT_ONCE]


def _put(image: Image, days: dict[Path, _Day]) -> None:
    if (day := days.get(image.folder)) is None:
        days[image.folder] = _Day(image.part_seq, image.size_bytes)
    else:
        day.least_seq = min(day.least_seq, image.part_seq)
        day.size_bytes += image.size_bytes
