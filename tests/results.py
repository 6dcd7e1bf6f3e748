"""tests/RESULTS.md, written by the suite: a row a promise, its figure to reach, the last figure, the commit.

A test names its row with ``@pytest.mark.promise("T-16", "0 PASS without a row")`` and tells its figure by the fixture
``figure``; a time is told with ``is_reached``, because no test fails for a slow machine. Only a run with ``--results``
writes; rows of tests that did not run stay as they were.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


class Figure(Protocol):
    """What the fixture ``figure`` gives."""

    def __call__(self, text: str, *, is_reached: bool = True) -> None:
        """Tell one figure, and whether it is what is to be reached."""


PATH = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Written by the suite (`make results`, `make chaos`, `make mutants`), never by hand. A row is as old as its commit.

| test | what | to reach | last figure | result | commit |
|---|---|---|---|---|---|
"""
_MUTANTS = "## Changes that no test noticed (`make mutants`)"
_ROW = re.compile(r"\| (?P<key>T-\d\d[a-z]?) \|.*\|")
_SAID = pytest.StashKey[list[str]]()
_MISSED = pytest.StashKey[bool]()
_ROWS = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", action="store_true", help="write tests/RESULTS.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promise(row, what, to_reach): a row of tests/RESULTS.md")
    config.stash[_ROWS] = {}


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Tell a figure that this test measured."""
    stash = request.node.stash
    said = stash.setdefault(_SAID, [])

    def tell(text: str, *, is_reached: bool = True) -> None:
        if not is_reached:
            stash[_MISSED] = True
            text += f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
        said.append(text)

    return tell


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.CallInfo[None], None]:
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    mark = item.get_closest_marker("promise")
    if mark is None or (report.when != "call" and report.passed):
        return
    row, what, to_reach = mark.args
    result = {"passed": "reached", "failed": "NOT REACHED", "skipped": "not run here"}[report.outcome]
    rows = item.config.stash[_ROWS]
    before = rows.get(row, "")
    if "NOT REACHED" in before or item.stash.get(_MISSED, False):
        result = "NOT REACHED"
    figures = "; ".join(filter(None, [_cell(before, 3), *item.stash.get(_SAID, [])])) or "-"
    rows[row] = f"| {row} | {what} | {to_reach} | {figures.removeprefix('-; ')} | {result} | {commit()} |"


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash[_ROWS]
    if not rows or not session.config.getoption("--results"):
        return
    _write(rows, None)


def write_mutants(tried: int, survivors: list[str]) -> None:
    """Write what no test noticed of the changes that were tried."""
    lines = "".join(f"- `{survivor.replace('`', chr(39))}`\n" for survivor in survivors)
    _write({}, f"{_MUTANTS}\n\n{tried} changes, {len(survivors)} survived, at {commit()}.\n\n{lines}")


def _write(rows: dict[str, str], mutants: str | None) -> None:
    before, mark, survivors = (PATH.read_text() if PATH.exists() else "").partition(_MUTANTS)
    kept = {found["key"]: line for line in before.splitlines() if (found := _ROW.fullmatch(line))}
    lines = kept | rows
    table = _HEAD + "".join(f"{lines[key]}\n" for key in sorted(lines))
    section = mutants or mark + survivors
    PATH.write_text(table + (f"\n{section}" if section else ""))


def _cell(row: str, number: int) -> str:
    return row.split(" | ")[number].strip() if row else ""


def commit() -> str:
    """The commit that is checked out, short."""
    ran = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"
