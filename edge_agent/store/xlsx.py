"""Parts of the journal as an Excel workbook: dates are dates, numbers are numbers, and the header stays in sight.

XlsxWriter writes one row after the other, so a month of parts takes no more memory than a minute of them. More rows
than a sheet has go on in the next one; the last sheet says what was asked for.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from edge_agent.errors import Unavailable
from edge_agent.store import excel
from edge_agent.store.excel import LOCAL, flat_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["write_xlsx"]

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - Excel's day 0; its dates have no zone
_UTC = "decided_utc"
_FOR_MACHINES = frozenset({"session", "boot_id", "first_sign_mono_s", "decided_mono_s", "deadline_mono_s"})
"""Left out: they say nothing to a person, and a month of parts has room and time for what does. CSV has them."""
_DATE_WIDTH, _WIDEST, _NARROWEST = 22, 40, 8
_MOST_EXACT = 10**15
"""Excel keeps fifteen digits of a number."""


def write_xlsx(records: Iterable[dict[str, Any]], to: IO[bytes], about: Mapping[str, str], scratch: Path) -> int:
    """Write every record; how many there were. ``about`` is what the last sheet says; ``scratch`` a folder with room.

    Raises Unavailable where XlsxWriter is not installed.
    """
    try:
        import xlsxwriter  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise Unavailable(
            "an Excel workbook needs the package XlsxWriter, which is not installed",
            hint="pip install 'edge-agent[xlsx]'; or a name with .csv and --for excel, which Excel opens too",
        ) from err
    options = {
        # Each row goes to the disk as it comes; then no cell may be written to a row before.
        "constant_memory": True,
        "tmpdir": str(scratch),
        # Texts come from the wire: none of them may become a formula, a number or a link.
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "use_zip64": True,
    }
    with flat_table(records, leave_out=_FOR_MACHINES) as table, xlsxwriter.Workbook(to, options) as book:
        _Sheets(book, table.header, table.widths).write(table.rows(_local))
        facts = book.add_worksheet("about")
        facts.set_column(0, 1, _WIDEST)
        for row, (name, words) in enumerate({**about, "records": str(table.number)}.items()):
            facts.write_string(row, 0, name)
            facts.write_string(row, 1, words)
    return table.number


class _Sheets:
    def __init__(self, book: Any, header: Sequence[str], widths: Sequence[int]) -> None:
        self._book, self._header, self._widths = book, header, widths
        self._bold = book.add_format({"bold": True, "bottom": 1})
        self._date = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000", "align": "left"})
        self._is_date = [name in (LOCAL, _UTC) for name in header]

    def write(self, rows: Iterable[Sequence[object]]) -> None:
        sheet, at = self._begun("parts"), 0
        for row in rows:
            if at == excel.EXCEL_ROWS:
                sheet.autofilter(0, 0, at, len(self._header) - 1)
                sheet, at = self._begun(f"parts {len(self._book.worksheets()) + 1}"), 0
            at += 1
            self._row(sheet, at, row)
        sheet.autofilter(0, 0, at, len(self._header) - 1)

    def _begun(self, name: str) -> Any:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        for column, (title, width) in enumerate(zip(self._header, self._widths, strict=True)):
            wide = _DATE_WIDTH if self._is_date[column] else min(_WIDEST, max(_NARROWEST, width, len(title)) + 2)
            sheet.set_column(column, column, wide)
            sheet.write_string(0, column, title, self._bold)
        return sheet

    def _row(self, sheet: Any, at: int, row: Sequence[object]) -> None:
        for column, value in enumerate(row):
            if value is None:
                continue
            if self._is_date[column]:
                sheet.write_number(at, column, _serial(str(value)), self._date)
            elif isinstance(value, bool):
                sheet.write_boolean(at, column, value)
            elif isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < _MOST_EXACT:
                sheet.write_number(at, column, value)
            else:
                sheet.write_string(at, column, value if isinstance(value, str) else _text(value))


def _local(utc: str) -> str:
    return datetime.fromisoformat(utc).astimezone().isoformat()


def _serial(time: str) -> float:
    """Days since Excel's day 0 of a time as it reads, without its zone."""
    return (datetime.fromisoformat(time).replace(tzinfo=None) - _EPOCH).total_seconds() / 86_400


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
