"""tests/RESULTS.md, written by a small suite of its own: what a run leaves as it was, and what it replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Case = tuple[str, tuple[str, ...], str]
    AfterRun = Callable[..., list[str]]

pytest_plugins = "pytester"

CONFTEST = """
from tests.results import figure, pytest_addoption, pytest_configure, pytest_runtest_makereport, pytest_sessionfinish
"""
NONE = ""
WHOLE = "100 times | reached | before"
MISSED = "99 times | NOT REACHED | before"
SHORT = "5 times | short form | before"
SKIPPED = "- | not run here | before"

WELL = "figure('100 times')"
SLOW = "figure('slowly', is_reached=False)"
A_FEW = "figure('3 times', is_whole=False)"
A_FEW_SLOW = "figure('3 times, slowly', is_reached=False, is_whole=False)"
A_FEW_FAIL = f"{A_FEW}; assert False"
SKIPS = "pytest.skip('not here')"


@pytest.fixture
def after_run(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AfterRun:
    """Figure, result and commit of each case's row, after one run of the tests of all of them."""
    path = tmp_path / "RESULTS.md"
    monkeypatch.setattr(results, "PATH", path)
    monkeypatch.setattr(results, "commit", lambda: "now")
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(cases: list[Case], option: str = "--results") -> list[str]:
        heads = [f"| T-{number} | a thing | 100 times | " for number in range(10, 10 + len(cases))]
        path.write_text("".join(f"{head}{row} |\n" for head, (row, _, _) in zip(heads, cases, strict=True) if row))
        code = "import pytest\n"
        for number, (_, bodies, _) in enumerate(cases, 10):
            for which, body in enumerate(bodies):
                code += f"@pytest.mark.promise('T-{number}', 'a thing', '100 times')\n"
                code += f"def test_{number}_{which}(figure):\n    {body}\n"
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(code)
        pytester.runpytest_inprocess(option, "-p", "no:cacheprovider")
        rows = path.read_text().splitlines()
        return [row.removeprefix(head).removesuffix(" |") for head in heads for row in rows if row.startswith(head)]

    return run


def test_a_row_is_replaced_only_by_one_that_says_as_much(after_run: AfterRun) -> None:
    cases: list[Case] = [
        # A skipped test says nothing.
        (WHOLE, (SKIPS,), WHOLE),
        (MISSED, (SKIPS,), MISSED),
        (SHORT, (SKIPS,), SHORT),
        (NONE, (SKIPS,), "- | not run here | now"),
        # A short form that went well says less than a whole run, and never that the row is reached.
        (WHOLE, (A_FEW,), WHOLE),
        (WHOLE, (A_FEW_SLOW,), WHOLE),
        (MISSED, (A_FEW,), MISSED),
        (SHORT, (A_FEW,), "3 times | short form | now"),
        (SKIPPED, (A_FEW,), "3 times | short form | now"),
        (NONE, (A_FEW,), "3 times | short form | now"),
        # A failure is one, however short the run.
        (WHOLE, (A_FEW_FAIL,), "3 times | NOT REACHED | now"),
        (WHOLE, (WELL,), "100 times | reached | now"),
        (MISSED, (WELL,), "100 times | reached | now"),
        (SHORT, (WELL,), "100 times | reached | now"),
        (WHOLE, (SLOW,), "slowly (load 0.5 on 2 cores) | NOT REACHED | now"),
    ]

    assert after_run(cases) == [after for _, _, after in cases]


def test_of_several_tests_of_a_row_the_worst_counts(after_run: AfterRun) -> None:
    cases: list[Case] = [
        (NONE, (WELL, WELL), "100 times; 100 times | reached | now"),
        (NONE, (WELL, SKIPS), "100 times | reached | now"),
        (NONE, (SKIPS, WELL), "100 times | reached | now"),
        (NONE, (A_FEW, WELL), "3 times; 100 times | short form | now"),
        (NONE, (SLOW, WELL), "slowly (load 0.5 on 2 cores); 100 times | NOT REACHED | now"),
        (WHOLE, (A_FEW_FAIL, A_FEW), "3 times; 3 times | NOT REACHED | now"),
    ]

    assert after_run(cases) == [after for _, _, after in cases]


def test_without_the_option_nothing_is_written(after_run: AfterRun) -> None:
    assert after_run([(WHOLE, (A_FEW_FAIL,), WHOLE)], "-q") == [WHOLE]


def test_unnoticed_changes_stay_with_their_file_until_it_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "RESULTS.md"
    monkeypatch.setattr(results, "PATH", path)
    monkeypatch.setattr(results, "commit", lambda: "before")
    kept = ("a.py", "b.py")
    results.write_mutants("gone.py", 3, ["2: and/or"], kept=("gone.py",))
    results.write_mutants("b.py", 7, ["3: dropped `return`", "5: and/or"], kept=kept)
    results.write_mutants("a.py", 2, ["1: turned round"], kept=kept)
    monkeypatch.setattr(results, "commit", lambda: "now")
    results.write_mutants("a.py", 9, [], kept=kept)

    text = path.read_text()
    assert "### `a.py`\n\n9 changes, 0 survived, at now.\n" in text
    assert "### `b.py`\n\n7 changes, 2 survived, at before.\n\n- `3: dropped 'return'`\n- `5: and/or`\n" in text
    assert text.index("a.py") < text.index("b.py")
    assert "turned round" not in text
    assert "gone.py" not in text
