"""Parts of the journal as a table that Excel opens by a double click where numbers have a decimal comma.

A byte order mark, or umlauts are broken; semicolons and commas, or 1.5 becomes the first of May; the local time; and a
column for each value that the other formats have as JSON.
"""

from __future__ import annotations

import csv
import json
import tempfile
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from edge_agent.errors import UsageError
from edge_agent.store.export import COLUMNS, Encoded, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["EXCEL_ROWS", "LOCAL", "local_cell", "write_excel", "write_table"]

EXCEL_ROWS = 1_048_575
"""A sheet has so many rows below its header."""
LOCAL = "decided_local"
"""The added column, in front of all others but the part's number."""
_NESTED = ("shares", "timings_ms", "measured", "condition")


def write_excel(records: Iterable[dict[str, Any]], to: IO[bytes]) -> int:
    """Write every record; how many there were. Raises UsageError for more than a sheet has rows."""
    nested: dict[str, dict[str, None]] = {column: {} for column in _NESTED}
    number = 0
    # What columns there are is known at the end only; an agent may be writing, so the journal is read once.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:
        for record in records:
            number += 1
            if number > EXCEL_ROWS:
                raise UsageError(
                    f"more than {EXCEL_ROWS} records: Excel shows no more of them",
                    hint="take a shorter time with --from and --to, or another format",
                )
            for column in _NESTED:
                nested[column].update(dict.fromkeys(json.loads(record[column] or "{}")))
            kept.write(json.dumps(record) + "\n")
        kept.seek(0)
        flat = [name for name in COLUMNS if name not in _NESTED]
        names = [(column, name) for column in _NESTED for name in sorted(nested[column])]
        header = [flat[0], LOCAL, *flat[1:], *(f"{column}.{name}" for column, name in names)]
        write_table(header, (_row(json.loads(line), flat, names) for line in kept), to)
    return number


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]], to: IO[bytes]) -> None:
    """Any table, as Excel opens it by a double click."""
    lines = csv.writer(Encoded(to), delimiter=";")
    to.write(b"\xef\xbb\xbf")
    lines.writerow(header)
    for row in rows:
        lines.writerow(map(_cell, row))


def _row(record: dict[str, Any], flat: Sequence[str], names: Sequence[tuple[str, str]]) -> list[object]:
    values = {column: json.loads(record[column] or "{}") for column in _NESTED}
    cells = [record[flat[0]], local_cell(record["decided_utc"]), *(record[name] for name in flat[1:])]
    return [*cells, *(values[column].get(name) for column, name in names)]


def local_cell(utc: str) -> str:
    """As Excel takes it for a time in every language; the offset is lost, ``decided_utc`` stands beside it."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return repr(value).replace(".", ",")
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return safe_text(value)
