"""The examples of docs/ask.md run: the dashboard's questions in DuckDB, the notebook's cells in Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import matplotlib as mpl
import pytest

from edge_agent.warehouse.columns import DATASETS
from edge_agent.warehouse.exporting import Line, export
from edge_agent.warehouse.targets import target_of
from tests.unit.test_warehouse_ask import parts, review

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana-store.json"
NOTEBOOK = ROOT / "docs" / "examples" / "store.ipynb"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    store = folder / "store"
    store.mkdir()
    for name in ("press-1", "press-2"):
        told = [{"score": 0.1 * number, "measured": {"lot": "A"}} for number in range(1, 20)]
        parts(folder / f"{name}.db", *told)
        review(folder / f"{name}.db", 16, "OVERTURNED")
        export(Line(name, folder / f"{name}.db", ("06:00", "14:00", "22:00")), target_of(str(store)), begin=True)
    return store


def filled(sql: str, store: Path) -> str:
    """As Grafana fills in its variables."""
    values = {
        "${store}": str(store),
        "${line:sqlstring}": "'press-1','press-2'",
        "${channel}": "share_map",
        "${__from:date:iso}": "2026-11-23T00:00:00.000Z",
        "${__to:date:iso}": "2026-11-24T00:00:00.000Z",
        "${__from:date:YYYY-MM-DD}": "2026-11-23",
        "${__to:date:YYYY-MM-DD}": "2026-11-24",
    }
    for name, value in values.items():
        sql = sql.replace(name, value)
    assert "${" not in sql
    return sql


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: str(panel["title"]))
def test_every_panel_of_the_dashboard_has_an_answer(plant: Path, panel: dict[str, Any]) -> None:
    (target,) = panel["targets"]
    rows = duckdb.sql(filled(target["rawSql"], plant)).fetchall()
    assert rows, panel["title"]


def test_the_dashboard_counts_false_rejects_and_offers_every_line(plant: Path) -> None:
    (sql,) = [panel["targets"][0]["rawSql"] for panel in _panels() if panel["title"] == "False rejects by lot"]
    assert duckdb.sql(filled(sql, plant)).fetchall() == [(f"press-{n}", "A", 19, 5, 1, 1) for n in (1, 2)]
    variables = {one["name"]: one for one in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert duckdb.sql(filled(variables["line"]["query"], plant)).fetchall() == [("press-1",), ("press-2",)]
    offered = set(variables["channel"]["query"].split(","))
    assert offered <= {column.name for column in DATASETS["cameras"].columns}


@pytest.fixture
def unseen() -> Iterator[None]:
    before = mpl.get_backend()
    mpl.use("agg", force=True)
    yield
    mpl.use(before, force=True)


@pytest.mark.usefixtures("unseen")
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_every_cell_of_the_notebook_runs(
    plant: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORE", str(plant))
    known: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        assert cell["outputs"] == [], "the example is kept without what somebody's plant answered"
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), known)  # noqa: S102 - our own cells
    said = capsys.readouterr().out
    assert re.search(r"press-1 +19 parts", said)
    assert re.search(r"press-2 +A +rejected +5, reviewed +1, good +1", said)
    assert "'p99_ms': " in said
    known["plt"].close("all")
