"""tests/RESULTS.md, written by the suite: a row a promise, its figure to reach, the last figure, the commit.

A test names its row with ``@pytest.mark.promise("T-16", "0 PASS without a row")`` and tells its figure by the fixture
``figure``; a time is told with ``is_reached``, because no test fails for a slow machine, and a run that is shorter than
its row says without ``is_whole``. Only a run with ``--results`` writes. Rows of tests that did not run or were skipped
stay as they were; so do those of a short form that went well, once a whole run is there.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Container, Generator


class Figure(Protocol):
    """What the fixture ``figure`` gives."""

    def __call__(self, text: str, *, is_reached: bool = True, is_whole: bool = True) -> None:
        """Tell one figure, whether it is what is to be reached, and whether the run was as long as the row says."""


PATH = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Written by the suite (`make results`, `make chaos`, `make mutants`), never by hand. A row is as old as its commit.

| test | what | to reach | last figure | result | commit |
|---|---|---|---|---|---|
"""
_MUTANTS = "## Changes that no test noticed (`make mutants`)"
_MUTANTS_OF = re.compile(r"### `(?P<file>[^`]+)`\n(?P<text>.*?)(?=\n### |\Z)", re.DOTALL)
_ROW = re.compile(r"\| (?P<key>T-\d\d[a-z]?) \|.*\|")
_SAID = pytest.StashKey[list[str]]()
_MISSED = pytest.StashKey[bool]()
_SHORT = pytest.StashKey[bool]()
_ROWS = pytest.StashKey[dict[str, str]]()
_NOT_RUN, _REACHED, _SHORT_FORM, _NOT_REACHED = "not run here", "reached", "short form", "NOT REACHED"
_RESULTS = (_NOT_RUN, _REACHED, _SHORT_FORM, _NOT_REACHED)
"""Of several tests of a row the last of these counts."""
_WEIGHTS = {_NOT_RUN: 0, _SHORT_FORM: 1, _REACHED: 2, _NOT_REACHED: 2}
"""A row is replaced by one that weighs as much: a skipped test says nothing, a short form less than a whole run."""


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

    def tell(text: str, *, is_reached: bool = True, is_whole: bool = True) -> None:
        stash[_SHORT] = stash.get(_SHORT, False) or not is_whole
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
    result = {"passed": _REACHED, "failed": _NOT_REACHED, "skipped": _NOT_RUN}[report.outcome]
    if report.passed and item.stash.get(_SHORT, False):
        result = _SHORT_FORM
    elif report.passed and item.stash.get(_MISSED, False):
        result = _NOT_REACHED
    rows = item.config.stash[_ROWS]
    before = rows.get(row, "")
    result = max(_cell(before, 4) or result, result, key=_RESULTS.index)
    figures = "; ".join(filter(None, [_cell(before, 3), *item.stash.get(_SAID, [])])) or "-"
    rows[row] = f"| {row} | {what} | {to_reach} | {figures.removeprefix('-; ')} | {result} | {commit()} |"


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash[_ROWS]
    if not rows or not session.config.getoption("--results"):
        return
    _write(rows, {})


def write_mutants(file: str, tried: int, survivors: list[str], *, kept: Container[str]) -> None:
    """Write what no test noticed of the changes of one file. What was told of files beyond ``kept`` goes."""
    lines = "".join(f"- `{survivor.replace('`', chr(39))}`\n" for survivor in survivors)
    _write({}, {file: f"{tried} changes, {len(survivors)} survived, at {commit()}.\n\n{lines}".rstrip()}, kept)


def _write(rows: dict[str, str], mutants: dict[str, str], kept_files: Container[str] | None = None) -> None:
    before, _, after = (PATH.read_text() if PATH.exists() else "").partition(_MUTANTS)
    kept = {found["key"]: line for line in before.splitlines() if (found := _ROW.fullmatch(line))}
    lines = kept | {key: line for key, line in rows.items() if _weight(line) >= _weight(kept.get(key, ""))}
    table = _HEAD + "".join(f"{lines[key]}\n" for key in sorted(lines))
    blocks = {found["file"]: found["text"].strip() for found in _MUTANTS_OF.finditer(after)}
    if kept_files is not None:
        blocks = {file: text for file, text in blocks.items() if file in kept_files}
    told = "".join(f"\n### `{file}`\n\n{text}\n" for file, text in sorted((blocks | mutants).items()))
    PATH.write_text(table + (f"\n{_MUTANTS}\n{told}" if told else ""))


def _weight(row: str) -> int:
    return _WEIGHTS.get(_cell(row, 4), 0)


def _cell(row: str, number: int) -> str:
    return row.split(" | ")[number].strip() if row else ""


def commit() -> str:
    """The commit that is checked out, short."""
    ran = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"
