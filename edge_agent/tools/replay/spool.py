"""What a replay has found so far, on the disk: the memory of a replay does not grow with its images.

A database without a name is SQLite's own file in the system's folder for such files, gone with its connection; what is
small stays in memory.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from edge_agent.tools.replay.image import Judged, ReplayedImage, inspection_of

if TYPE_CHECKING:
    from edge_agent.domain import Inspection

__all__ = ["Images", "OtherImages", "Spool"]

_AT_ONCE = 200


def _table(columns: str) -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute(f"CREATE TABLE kept ({columns})")
    # Nothing of it has to outlive this process: one transaction, never ended.
    connection.execute("BEGIN")
    return connection


class _Rows:
    """Rows in the order in which they came."""

    def __init__(self) -> None:
        self._connection = _table("number INTEGER PRIMARY KEY, content TEXT NOT NULL")
        weakref.finalize(self, self._connection.close)
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def _put(self, row: dict[str, Any]) -> None:
        self._connection.execute("INSERT INTO kept VALUES (?, ?)", (self._number, json.dumps(row)))
        self._number += 1

    def _get(self, number: int) -> dict[str, Any]:
        query = "SELECT content FROM kept WHERE number = ?"
        found: dict[str, Any] = json.loads(self._connection.execute(query, (number,)).fetchone()[0])
        return found

    def _all(self) -> Iterator[dict[str, Any]]:
        # By number, and not by one open cursor: somebody may put in a row or walk through them a second time meanwhile.
        query = "SELECT content FROM kept WHERE number >= ? ORDER BY number LIMIT ?"
        for begin in range(0, self._number, _AT_ONCE):
            for (content,) in self._connection.execute(query, (begin, _AT_ONCE)).fetchall():
                yield json.loads(content)


class Spool(_Rows):
    """Images that were judged, and not compared yet."""

    def add(self, judged: Judged) -> None:
        """Keep one more."""
        self._put(judged.to_row())

    def __iter__(self) -> Iterator[Judged]:
        return map(Judged.of_row, self._all())


class Images(_Rows, Sequence[ReplayedImage]):
    """The images of a replay, in their order."""

    def add(self, image: ReplayedImage) -> None:
        """Keep one more."""
        self._put(image.to_row())

    def __iter__(self) -> Iterator[ReplayedImage]:
        return map(ReplayedImage.of_row, self._all())

    @overload
    def __getitem__(self, index: int) -> ReplayedImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[ReplayedImage]: ...
    def __getitem__(self, index: int | slice) -> ReplayedImage | list[ReplayedImage]:
        numbers = range(self._number)[index]
        if isinstance(numbers, range):
            return [ReplayedImage.of_row(self._get(number)) for number in numbers]
        return ReplayedImage.of_row(self._get(numbers))


class OtherImages:
    """Inspections by their image's sha256: for parts of several images. The last of the same bytes counts."""

    def __init__(self) -> None:
        self._connection = _table("sha256 TEXT PRIMARY KEY, content TEXT NOT NULL")
        weakref.finalize(self, self._connection.close)

    def add(self, row: dict[str, Any]) -> None:
        """Keep an inspection, as a row."""
        self._connection.execute("REPLACE INTO kept VALUES (?, ?)", (row["image_sha256"], json.dumps(row)))

    def find(self, sha256: str) -> Inspection | None:
        """The inspection of the image with that hash; None where it was not judged."""
        query = "SELECT content FROM kept WHERE sha256 = ?"
        found = self._connection.execute(query, (sha256,)).fetchone()
        return None if found is None else inspection_of(json.loads(found[0]))
