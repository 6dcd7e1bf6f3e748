"""One changed copy of the project, and whether the tests of a file notice: the worker of ``make mutants``."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
_ROOMS = ("edge_agent", "drivers", "calibration", "tests")
_SAID = "said.json"
_AT_ONCE_S = 2.0


class Trial:
    """Tests, in the order in which they are likely to notice a change of what they test.

    First what noticed most so far without waiting, then what is quick.
    """

    def __init__(self, folder: Path, tests: Sequence[str]) -> None:
        self._folder = folder
        self._tests = tests
        self._seconds: dict[str, float] = {}
        self._noticed: dict[str, int] = {}
        self.failed = ""
        for room in _ROOMS:
            shutil.copytree(ROOT / room, folder / "whole" / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder / "whole")

    def survives(self, file: str, altered: str) -> bool:
        """Whether every test passes on a copy where this file reads so; ``failed`` is the one that did not."""
        with tempfile.TemporaryDirectory(dir=self._folder) as named:
            work = Path(named) / "work"
            shutil.copytree(self._folder / "whole", work, copy_function=os.link)
            (work / file).unlink()  # a second name of what the other copies read
            (work / file).write_text(altered)
            order = _Order(work / _SAID, self._seconds, self._noticed)
            child = multiprocessing.get_context("fork").Process(target=_run_tests, args=(work, self._tests, order))
            child.start()
            child.join()
            self._learn(work / _SAID)
        return child.exitcode == 0

    def _learn(self, said: Path) -> None:
        self.failed = "one that hung"
        if said.exists():
            seconds, self.failed = json.loads(said.read_text())
            self._seconds = seconds | self._seconds
            if self.failed and seconds[self.failed] < _AT_ONCE_S:
                self._noticed[self.failed] = self._noticed.get(self.failed, 0) + 1


class _Order:
    """A plugin of pytest in the child: sorts the tests, ends one that hangs, and says how long they took."""

    def __init__(self, told: Path, seconds: dict[str, float], noticed: dict[str, int]) -> None:
        self._told = told
        self._known = dict(seconds)
        self._noticed = dict(noticed)
        self._took: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: (-self._noticed.get(item.nodeid, 0), self._known.get(item.nodeid, 0.0)))
        for item in items:
            if item.nodeid in self._known:
                # A thread ends the whole process: what a signal raises can end in a task that nobody waits for.
                item.add_marker(pytest.mark.timeout(3 + 10 * self._known[item.nodeid], method="thread"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._took[report.nodeid] = self._took.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._tell(report.nodeid)
            os._exit(1)  # what the test leaves behind is of no interest, and its end may take long

    def pytest_sessionfinish(self) -> None:
        self._tell("")

    def _tell(self, failed: str) -> None:
        self._told.write_text(json.dumps([self._took, failed]))


def _run_tests(work: Path, tests: Sequence[str], order: _Order) -> None:
    """In a child: the tests of the altered copy; ends with pytest's exit code."""
    os.chdir(work)
    sys.path.insert(0, str(work))
    sys.dont_write_bytecode = True
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    plugins = ["-p", "no:randomly", "-p", "no:cacheprovider", f"--basetemp={work.parent / 'tmp'}"]
    os._exit(pytest.main(["-x", "-q", *plugins, *quiet, *tests], plugins=[order]))
