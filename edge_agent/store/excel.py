"""Parts of the journal as a table that Excel opens by a double click where numbers have a decimal comma.

A byte order mark, or umlauts are broken; semicolons and commas, or 1.5 becomes the first of May; the local time; and a
column for each value that the other formats have as JSON.
"""

from __future__ import annotations

import csv
import json
import tempfile
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from edge_agent.errors import UsageError
from edge_agent.store.export import COLUMNS, Encoded, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

__all__ = ["EXCEL_ROWS", "LOCAL", "FlatTable", "flat_table", "local_cell", "write_excel", "write_table"]

EXCEL_ROWS = 1_048_575
"""A sheet has so many rows below its header."""
LOCAL = "decided_local"
"""The added column, in front of all others but the part's number."""
_NESTED = ("shares", "timings_ms", "measured", "condition")
_FLAT = tuple(name for name in COLUMNS if name not in (*_NESTED, "drawings"))
_LOOKED_AT_FOR_WIDTHS = 1000


class FlatTable:
    """Records as rows of plain values: a column for each nested value. ``header`` and ``number`` are of all of them."""

    def __init__(
        self,
        kept: IO[str],
        flat: Sequence[str],
        names: Sequence[tuple[str, str]],
        number: int,
        widths: Mapping[str, int],
    ) -> None:
        self._kept = kept
        self._flat = flat
        self._names = names
        self.number = number
        self.header = [flat[0], LOCAL, *flat[1:], *(f"{column}.{name}" for column, name in names)]
        self.widths = [widths.get(name, 0) for name in self.header]

    def rows(self, local: Callable[[str], object]) -> Iterator[list[object]]:
        """Each record; ``local`` makes of a time of the journal what stands as the local one. Once."""
        self._kept.seek(0)
        for line in self._kept:
            record = json.loads(line)
            nested = {column: json.loads(record[column] or "{}") for column in _NESTED}
            first, *rest = (record[name] for name in self._flat)
            cells = [first, local(record["decided_utc"]), *rest]
            yield [*cells, *(nested[column].get(name) for column, name in self._names)]


@contextmanager
def flat_table(
    records: Iterable[dict[str, Any]], most: int | None = None, leave_out: Container[str] = ()
) -> Iterator[FlatTable]:
    """All records, kept in a file meanwhile, without columns to leave out. Raises UsageError for more than ``most``.

    What columns there are is known at the end only; an agent may be writing, so the journal is read once.
    """
    nested: dict[str, dict[str, None]] = {column: {} for column in _NESTED}
    widths: dict[str, int] = {}
    number = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:
        for record in records:
            number += 1
            if most is not None and number > most:
                raise UsageError(
                    f"more than {most} records: Excel shows no more of them",
                    hint="take a shorter time with --from and --to, or a name with .xlsx, which has several sheets",
                )
            for column in _NESTED:
                nested[column].update(dict.fromkeys(json.loads(record[column] or "{}")))
            if number <= _LOOKED_AT_FOR_WIDTHS:
                widths.update({name: max(widths.get(name, 0), len(str(record[name] or ""))) for name in _FLAT})
            kept.write(json.dumps(record) + "\n")
        names = [(column, name) for column in _NESTED for name in sorted(nested[column])]
        flat = [name for name in _FLAT if name not in leave_out]
        yield FlatTable(kept, flat, names, number, widths)


def write_excel(records: Iterable[dict[str, Any]], to: IO[bytes]) -> int:
    """Write every record as CSV; how many there were. Raises UsageError for more than a sheet has rows."""
    with flat_table(records, EXCEL_ROWS) as table:
        write_table(table.header, table.rows(local_cell), to)
        return table.number


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]], to: IO[bytes]) -> None:
    """Any table, as Excel opens it by a double click."""
    lines = csv.writer(Encoded(to), delimiter=";")
    to.write(b"\xef\xbb\xbf")
    lines.writerow(header)
    for row in rows:
        lines.writerow(map(_cell, row))


def local_cell(utc: str) -> str:
    """A UTC time as this PC's local time, written so that Excel takes it for a time in every language.

    The offset to UTC is lost by this; the column ``decided_utc`` stands beside it.
    """
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return repr(value).replace(".", ",")
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return safe_text(value)
