"""The paired benchmark says what stops it, and counts what it says it counts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge_agent.errors import EdgeAgentError, UsageError
from tests.benchmark.paired import (
    SUBJECTS,
    TODAY,
    Answer,
    Judged,
    Part,
    Side,
    compare,
    main,
    older_code,
    ratio,
    stage_ms,
    stages_of,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

_ECHO = """
import json, sys
print("{}", flush=True)
for line in sys.stdin:
    with open(line.strip(), "rb") as file:
        wall_ms = float(file.read())
    print(json.dumps({"wall_ms": FACTOR * wall_ms, "processor_ms": 2.0 * wall_ms, "stages_ms": {"decode": wall_ms},
                      "is_passed": wall_ms < 20.0, "peak_kib": 1024}), flush=True)
"""
"""A side that takes as long for an image as the image says."""


def answer(wall_ms: float, processor_ms: float = 1.0, *, is_passed: bool = True, **stages_ms: float) -> Answer:
    return Answer(wall_ms, processor_ms, stages_ms, is_passed, peak_kib=2048)


def side(name: str, script: str) -> Side:
    return Side(name, [sys.executable, "-c", script], TODAY)


@pytest.fixture
def _in_git() -> None:
    asked = subprocess.run(["git", "-C", str(TODAY), "rev-parse", "HEAD"], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip("no git repository")


# what stops it


@pytest.mark.usefixtures("_in_git")
def test_a_commit_that_is_not_there_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", "0123456789abcdef"]) == 64
    said = capsys.readouterr()
    assert "has no commit 0123456789abcdef" in said.err
    assert "git fetch --unshallow" in said.err
    assert not said.out


@pytest.mark.slow
@pytest.mark.usefixtures("_in_git")
def test_the_older_code_is_that_of_the_commit(tmp_path: Path) -> None:
    name = older_code("HEAD", tmp_path)
    show = ["git", "-C", str(TODAY), "show", "HEAD:edge_agent/domain.py"]
    shown = subprocess.run(show, capture_output=True, check=True)
    assert (tmp_path / "edge_agent/domain.py").read_bytes() == shown.stdout
    assert len(name) >= 7
    with pytest.raises(UsageError):  # a name that git would take for an option
        older_code("--all", tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("_in_git")
def test_a_side_that_dies_is_shown_with_its_last_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kept folders that hold no bundle: the older side ends before it is warm, by itself."""
    name = older_code("HEAD", tmp_path / "code")
    kept = tmp_path / "kept" / "frame-24"
    (kept / f"bundle-{name}").mkdir(parents=True)
    (kept / "bundle-today").mkdir()
    assert main(["--base", "HEAD", "--subjects", "frame", "--runs", "1", "--keep", str(tmp_path / "kept")]) == 70
    said = capsys.readouterr()
    assert "BundleRejected" in said.err
    assert f"the process with the code of {name} ended with 1" in said.err
    assert not said.out


def test_a_side_that_dies_in_between_is_shown_with_its_last_words(tmp_path: Path) -> None:
    script = "import sys; print('{}', flush=True); sys.stdin.readline(); sys.exit('the disk is gone')"
    with side("today", script) as dying:
        dying.until_warm()
        for _ in range(2):  # the second time there is nobody to ask any more
            with pytest.raises(
                EdgeAgentError, match=r"the disk is gone\nthe process with the code of today ended with 1"
            ):
                dying.ask(tmp_path)


@pytest.mark.slow
def test_a_side_runs_the_code_that_it_was_given(tmp_path: Path) -> None:
    """An older folder without the package: it would import the installed one, and compare today with today."""
    with (
        Side.of("older", tmp_path, tmp_path / "bundle") as wrong,
        pytest.raises(EdgeAgentError, match="was to run the code"),
    ):
        wrong.until_warm()


@pytest.mark.parametrize("words", [["--subjects", "demo,plate"], ["--runs", "0"]])
def test_options_that_cannot_be_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert words[0][2:] in capsys.readouterr().err


# what it counts


def test_every_part_goes_to_both_sides(tmp_path: Path) -> None:
    parts = [Part(b"10", is_good=True), Part(b"30", is_good=False), Part(b"15", is_good=True)]
    with (
        side("older", _ECHO.replace("FACTOR", "1.0")) as older,
        side("today", _ECHO.replace("FACTOR", "0.5")) as today,
    ):
        found = compare(older, today, parts, tmp_path)
    assert [judged.older.wall_ms for judged in found] == [10.0, 30.0, 15.0]
    assert [judged.today.wall_ms for judged in found] == [5.0, 15.0, 7.5]
    assert [judged.is_good for judged in found] == [True, False, True]
    assert ratio(found, lambda it: it.wall_ms) == 0.5


def test_a_ratio_is_of_the_same_image_and_not_of_medians() -> None:
    pairs = [(100.0, 50.0), (10.0, 20.0), (40.0, 10.0)]
    found = [Judged(True, answer(older), answer(today)) for older, today in pairs]
    assert ratio(found, lambda it: it.wall_ms) == 0.5  # of the medians it would be 20 / 40, of the means 80 / 150
    assert ratio(found[:2], lambda it: it.wall_ms) == (0.5 + 2.0) / 2


def test_a_stage_is_the_median_of_the_images_that_have_it() -> None:
    answers = [answer(1.0, decode=3.0), answer(1.0, decode=9.0, embed=5.0), answer(1.0, decode=4.0)]
    assert stage_ms(answers, "decode") == 4.0
    assert stage_ms(answers, "embed") == 5.0
    assert stage_ms(answers, "map") is None


def test_the_table_says_what_one_side_lacks_and_who_passed_what() -> None:
    found = [
        Judged(True, answer(100.0, 200.0, decode=1.0, map=7.0), answer(50.0, 80.0, decode=2.0, polish=4.0)),
        Judged(True, answer(100.0, 200.0, decode=1.0, map=7.0), answer(60.0, 80.0, is_passed=False, decode=2.0)),
        Judged(False, answer(100.0, 100.0, is_passed=False), answer(90.0, 80.0, is_passed=False)),
    ]
    assert stages_of(found) == ["decode", "map", "polish"]
    lines = table("3dc5cc9", found).splitlines()
    assert "| decode | 1.0 | 2.0 | | | | |" in lines
    assert "| map | 7.0 | - | | | | |" in lines
    assert "| polish | - | 4.0 | | | | |" in lines
    assert "| all parts (3) | 100.0 | 60.0 | 200.0 | 80.0 | 0.60 | 0.40 |" in lines
    assert "| all, parts that both pass (1) | 100.0 | 50.0 | 200.0 | 80.0 | 0.50 | 0.40 |" in lines
    assert "| all, parts that both reject (1) | 100.0 | 90.0 | 100.0 | 80.0 | 0.90 | 0.80 |" in lines
    assert "Passed by 3dc5cc9: 2 of 2 good parts, 0 of 1 defective parts." in lines
    assert "Passed by today: 1 of 2 good parts, 0 of 1 defective parts." in lines
    assert "Peak memory of the process: 3dc5cc9 2 MiB, today 2 MiB." in lines


@pytest.mark.slow
@pytest.mark.parametrize(("name", "good"), [("demo", 2), ("frame", 3)])
def test_a_subject_judges_other_images_than_it_learns_from(name: str, good: int, tmp_path: Path) -> None:
    subject = SUBJECTS[name]
    subject.write_good(tmp_path / "good", 1)
    (learned,) = (path.read_bytes() for path in (tmp_path / "good").iterdir())
    parts = subject.parts(3)
    assert len(parts) == 3
    assert sum(part.is_good for part in parts) == good
    assert learned not in {part.image for part in parts}
