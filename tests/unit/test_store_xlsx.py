"""`journal export NAME.xlsx`, read back from the file's own XML: dates are dates, numbers numbers, names only text."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.unit.test_journal_commands import answer, edge_agent, folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet(path: Path, number: int = 1) -> ET.Element:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return ET.fromstring(file.read(f"xl/worksheets/sheet{number}.xml"))  # noqa: S314 - our own file


def cells(root: ET.Element) -> list[dict[str, Any]]:
    """Each row by its columns' letters; a number as it stands, a text as str, a yes or no as bool."""
    rows = []
    for row in root.iter(f"{_MAIN}row"):
        found: dict[str, Any] = {}
        for cell in row.iter(f"{_MAIN}c"):
            letters = re.sub(r"\d", "", cell.attrib["r"])
            value = cell.findtext(f"{_MAIN}v")
            if cell.get("t") == "inlineStr":
                found[letters] = "".join(cell.itertext())
            elif cell.get("t") == "b":
                found[letters] = value == "1"
            else:
                found[letters] = float(value or "nan")
        rows.append(found)
    return rows


def table(path: Path, number: int = 1) -> list[dict[str, Any]]:
    header, *rows = cells(sheet(path, number))
    return [{header[letters]: value for letters, value in row.items()} for row in rows]


def as_time(serial: float) -> datetime:
    return datetime(1899, 12, 30) + timedelta(milliseconds=round(serial * 86_400_000))  # noqa: DTZ001


@pytest.mark.usefixtures("berlin")
def test_dates_are_dates_numbers_numbers_and_names_text(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "november.xlsx"
    assert answer("export", str(out), cwd=folder)["records"] == 5

    rows = table(out)
    assert [row["part_seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert as_time(rows[3]["decided_local"]) == datetime(2026, 11, 24, 11)  # noqa: DTZ001
    assert as_time(rows[3]["decided_utc"]) == datetime(2026, 11, 24, 10)  # noqa: DTZ001
    assert (rows[0]["score"], rows[0]["shares.map"], rows[0]["align_scale"]) == (0.1, 0.1, 1.01)
    assert (rows[3]["score"], rows[3]["camera_score"]) == ("inf", 2.5)
    assert "score" not in rows[4], "nothing is an empty cell, not a 0"
    assert rows[3]["image_name"] == "=cmd|' /C calc'!A0"
    assert rows[0]["simulated"] is False
    assert rows[0]["verdict"] == "PASS"
    assert not {"boot_id", "first_sign_mono_s", "shares", "timings_ms"} & rows[0].keys()
    with zipfile.ZipFile(out) as file:
        assert b"<f>" not in file.read("xl/worksheets/sheet1.xml"), "a name from the wire is no formula"
        styles = file.read("xl/styles.xml").decode()
    assert "yyyy\\-mm\\-dd hh:mm:ss.000" in styles or "yyyy-mm-dd hh:mm:ss.000" in styles


def test_the_header_stays_in_sight_filters_and_columns_are_wide_enough(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "november.xlsx"
    answer("export", str(out), "--verdict", "PASS", "--from", "2026-11-20", cwd=folder)
    root = sheet(out)

    pane = root.find(f".//{_MAIN}pane")
    assert pane is not None
    assert (pane.get("state"), pane.get("ySplit")) == ("frozen", "1")
    found = root.find(f"{_MAIN}autoFilter")
    assert found is not None
    assert re.fullmatch(r"A1:[A-Z]+4", found.attrib["ref"])
    widths = [float(column.attrib["width"]) for column in root.iter(f"{_MAIN}col")]
    assert min(widths) >= 8
    assert max(widths) <= 45
    about = {row["A"]: row["B"] for row in cells(sheet(out, 2))}
    assert about["verdict"] == "PASS"
    assert about["from"].startswith("2026-11-20 00:00")
    assert about["records"] == "3"
    assert about["edge-agent"]


def test_more_rows_than_a_sheet_has_go_on_in_the_next(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_agent.store.excel.EXCEL_ROWS", 2)
    out = tmp_path / "many.xlsx"
    assert answer("export", str(out), "--for", "excel", cwd=folder)["records"] == 5

    assert [[row["part_seq"] for row in table(out, number)] for number in (1, 2, 3)] == [[1, 2], [3, 4], [5]]
    with zipfile.ZipFile(out) as file:
        names = re.findall(r'<sheet name="([^"]+)"', file.read("xl/workbook.xml").decode())
    assert names == ["parts", "parts 2", "parts 3", "about"]


def test_a_selection_without_a_part_is_a_workbook_with_its_header(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "none.xlsx"
    assert answer("export", str(out), "--part", "99", cwd=folder)["records"] == 0
    (header,) = cells(sheet(out))
    assert header["A"] == "part_seq"


def test_without_the_library_it_says_what_to_do_and_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    ran = edge_agent("export", str(tmp_path / "parts.xlsx"), "--journal", "journal.db", cwd=folder)

    assert ran.returncode == 69
    assert "pip install 'edge-agent[xlsx]'" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_json_answer_names_the_format(folder: Path, tmp_path: Path) -> None:
    ran = edge_agent("export", str(tmp_path / "x.XLSX"), "--journal", "journal.db", "--json", cwd=folder)
    assert json.loads(ran.stdout)["format"] == "xlsx"
