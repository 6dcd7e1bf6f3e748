"""docs/figures.md is made by a command that may be broken off, and tells what its pieces found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from calibration.evaluation.trial import TITLES
from edge_agent.errors import CalibrationRefused, DataError
from tests.benchmark.figures import __main__ as command
from tests.benchmark.figures.page import begin_of, end_of, with_tables
from tests.benchmark.figures.pieces import _MEASURED, Done, Maker, Pieces, digest_of
from tests.benchmark.figures.plan import TABLES, Piece, Plan
from tests.benchmark.figures.tables import TABLE_TEXTS, Measured
from tests.shards import _code_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULTS = Plan()
TRIAL: dict[str, Any] = {
    "seed": 0,
    "draw": 0,
    "auc": 99.0,
    "ap": 98.0,
    "good_passed_at_zero_misses": 80.0,
    "limit": 2.5,
    "expected_false_rejects": 0.04,
    "false_reject_bound_95": 0.1034,
    "good": 20,
    "good_rejected": 1,
    "defective": 63,
    "defective_passed": 2,
    "good_align_rejected": 0,
    "defective_align_rejected": 0,
    "describe_ms": 51.26,
    "score_ms": None,
    "pixel_auroc": 97.5,
    "pro": None,
    "without_score": 0,
    "notes": ["a note"],
    "odd_part": "",
}


def trials(**methods: dict[str, Any]) -> dict[str, Any]:
    found = {"available": 209, "good": 20, "defective": 63, "chance_ap": 75.9}
    return found | {"methods": {name: TRIAL | facts for name, facts in methods.items()}}


def drift_row(name: str, title: str, **facts: Any) -> dict[str, Any]:
    counts = {"good": 20, "good_rejected": 0, "good_by_condition": 0, "promised_below": 0.05, "holds": True}
    bad = {"defective": 63, "defective_found": 63, "defective_by_condition": 0}
    return {"disturbance": name, "title": title, **counts, **bad, **facts}


def text_of(table: str, sets: Mapping[str, list[dict[str, Any]]], plan: Plan = DEFAULTS, **missing: str) -> list[str]:
    done = {name: [Done(each, "abc1234", "2026-01-02") for each in found] for name, found in sets.items()}
    return TABLE_TEXTS[table](Measured(done, missing), plan)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


# --- the tables -----------------------------------------------------------------------------------------


def test_a_whole_set_has_a_row_a_method_over_all_its_seeds_and_the_published_ones() -> None:
    first = trials(views={}, dfm={"auc": 90.0})
    second = trials(views={"auc": 97.0, "seed": 1, "defective_passed": 4})

    lines = text_of("whole", {"bottle": [first, second]}, Plan(seeds=2, whole_methods=("views", "dfm")))

    assert lines[0] == "### bottle, all 209 good images, 2 seeds"
    assert lines[2] == "`edge-agent evaluate bottle --methods views,dfm --seeds 2`, commit abc1234, 2026-01-02"
    assert "20 good and 63 defective test images; a coin toss: AUC 50, AP 75.9." in lines
    rows = {cells(line)[0]: cells(line)[1:] for line in lines if line.startswith("| ")}
    assert rows["**views (this tool)**"] == [
        "98.00 ± 1.41",
        "98.00 ± 0.00",
        "80.0",
        "1 of 20",
        "10.3",
        "3 of 63",
        "97.50",
        "-",
        "51.3",
        "-",
    ]
    assert rows[TITLES["dfm"]][0] == "90.00"
    assert rows["*published:* proposed (CPCAE, Xception), Saeedi & Giusti, Table 4"][:3] == ["99.71", "99.90", ""]
    assert rows["*published:* PatchCore (ResNet-18), anomalib"][:2] == ["100.00", "-"]
    assert "views (this tool), one after the other: defective passed 2, 4; good rejected 1, 1." in lines


def test_half_a_set_and_draws_of_a_set_have_no_published_rows() -> None:
    half = text_of("whole", {"pill_half": [trials(views={})]}, Plan(seeds=1))
    drawn = text_of("draws", {"bottle": [trials(views={})] * 2}, Plan(draws=2))

    assert half[0] == "### pill_half, all 209 good images, 1 seed"
    assert drawn[0] == "### bottle, 44 of the good images, 2 draws"
    assert "--methods views,patchcore --train-images 44 --repeats 2`" in drawn[2]
    assert not [line for line in (*half, *drawn) if "published" in line]


def test_the_promise_counts_draws_whose_share_of_rejected_parts_is_no_larger_than_stated() -> None:
    rejected = [0, 5, 6, 2]  # of 56 parts 10.3 % are 5.8
    pieces = [{"good": 100, "unseen": 56, "rejected": count, "promised_below": 0.103} for count in rejected]

    lines = text_of("promise", {"screw_half": pieces})

    assert cells(lines[-1]) == ["screw_half", "100", "56", "10.3", "5.8", "5", "6", "3 of 4 (75 %)"]


def test_the_drift_is_marked_where_it_does_not_hold_and_knows_sets_without_colour() -> None:
    bottle = [
        drift_row("none", "undisturbed"),
        drift_row("redder", "redder", good_rejected=9, good_by_condition=8, holds=False),
    ]
    screw = [drift_row("none", "undisturbed", good_rejected=1)]

    lines = text_of("drift", {"bottle": [trials(views={"drift": bottle})], "screw": [trials(views={"drift": screw})]})

    assert "`edge-agent evaluate bottle screw --methods views --train-images 60 --drift`" in lines[0]
    assert cells(lines[-4]) == [
        "disturbance",
        "bottle: good rejected",
        "bottle: defective found",
        "screw: good rejected",
        "screw: defective found",
    ]
    assert cells(lines[-2]) == ["undisturbed", "0 of 20", "63 of 63", "1 of 20", "63 of 63"]
    assert cells(lines[-1]) == ["redder", "**9 of 20 (8)**", "**63 of 63**", "-", "-"]


def test_contaminated_sets_tell_who_stops_and_what_is_named() -> None:
    def piece(put: int, defective: int, good: int = 0, oddest: int = 0) -> dict[str, int]:
        return {"put": put, "named_defective": defective, "named_good": good, "among_oddest": oddest}

    pieces = [piece(0, 0), piece(0, 0, 1), piece(0, 0), piece(1, 1, oddest=1), piece(1, 0), piece(3, 2, 1, oddest=3)]

    lines = text_of("suspects", {"pill_half": pieces}, Plan(suspect_counts=(1, 3)))

    assert cells(lines[-3])[2:4] == ["k = 1", "k = 3"]
    assert cells(lines[-1]) == ["pill_half", "1 of 3", "1 of 2; 1 of 2", "1 of 1; 2 of 3", "4 of 5", "1"]


@pytest.mark.parametrize("table", TABLES)
def test_a_set_without_figures_is_named_with_the_reason(table: str) -> None:
    by_table: dict[str, dict[str, Any]] = {
        "promise": {"good": 100, "unseen": 56, "rejected": 0, "promised_below": 0.1},
        "suspects": {"put": 0, "named_defective": 0, "named_good": 0, "among_oddest": 0},
    }
    found = by_table.get(table, trials(views={"drift": [drift_row("none", "undisturbed")]}))

    lines = text_of(table, {"bottle": [found]}, screw_half="it is not among the data")

    assert "Not measured: screw_half (it is not among the data)." in lines


def test_pieces_of_several_commits_and_days_are_told_with_all_of_them() -> None:
    pieces = [Done({}, "bbb", "2026-01-03"), Done({}, "aaa", "2026-01-02"), Done({}, "bbb", "2026-01-03")]

    assert Measured({"bottle": pieces}, {}).lines("do it")[0] == "`do it`, commit aaa, bbb, 2026-01-02 to 2026-01-03"


# --- the page -------------------------------------------------------------------------------------------


def test_a_table_is_put_between_its_markers_and_all_else_stays() -> None:
    page = (
        f"before\n{begin_of('drift')}\nold\n{end_of('drift')}\nbetween\n{begin_of('whole')}\n{end_of('whole')}\nafter\n"
    )

    once = with_tables(page, {"drift": ["| new |"]})

    assert once == page.replace("\nold\n", "\n\n| new |\n\n")
    assert with_tables(once, {"drift": ["| new |"]}) == once


@pytest.mark.parametrize("page", ["no marker at all", f"{begin_of('drift')}\nnever closed\n"])
def test_a_page_without_a_place_for_a_table_is_refused(page: str) -> None:
    with pytest.raises(DataError, match="no place for the table 'drift'"):
        with_tables(page, {"drift": ["| new |"]})


def test_the_page_in_the_documents_has_a_place_for_every_table() -> None:
    page = (Path(__file__).parents[2] / "docs/figures.md").read_text("utf-8")

    changed = with_tables(page, {table: [f"the table {table}"] for table in TABLES})

    assert [line for line in changed.splitlines() if line.startswith("the table ")] == [
        f"the table {t}" for t in TABLES
    ]


# --- the pieces -----------------------------------------------------------------------------------------

MAKER = Maker("code", {"numpy": "1.0"}, "abc1234")
PIECE = Piece("promise", "0", {"images": 44, "draw": 0})


def test_a_piece_is_found_again_for_the_same_code_images_and_question_alone(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path, "images", MAKER)
    done = pieces.put(PIECE, {"rejected": 3})

    assert Pieces(tmp_path, "images", MAKER).get(PIECE) == done
    assert done.commit == "abc1234"
    assert Pieces(tmp_path, "other images", MAKER).get(PIECE) is None
    assert pieces.get(Piece("promise", "0", {"images": 40, "draw": 0})) is None
    assert pieces.get(Piece("promise", "1", PIECE.asked)) is None


@pytest.mark.parametrize("other", [replace(MAKER, code="other"), replace(MAKER, packages={"numpy": "2.0"})])
def test_what_other_code_measured_counts_only_where_that_is_accepted(tmp_path: Path, other: Maker) -> None:
    done = Pieces(tmp_path, "images", MAKER).put(PIECE, {"rejected": 3})

    assert Pieces(tmp_path, "images", other).get(PIECE) is None
    assert Pieces(tmp_path, "images", other, accept_older=True).get(PIECE) == done


def test_another_commit_of_the_same_code_measures_nothing_anew(tmp_path: Path) -> None:
    done = Pieces(tmp_path, "images", MAKER).put(PIECE, {"rejected": 3})

    assert Pieces(tmp_path, "images", replace(MAKER, commit="def5678")).get(PIECE) == done


def test_the_code_that_counts_is_what_measures_and_not_what_writes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    counted = {str(path.relative_to(root)) for place in _MEASURED for path in _code_in(root / place)}

    assert {
        "calibration/limits/limit.py",
        "edge_agent/inspection/scoring/judge.py",
        "tests/benchmark/figures/seen.py",
    } <= counted
    assert "tests/benchmark/figures/tables.py" not in counted
    assert len(Maker.now().code) == 12


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_file_that_is_no_piece_is_said_and_measured_anew(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "promise-0.json").write_text(content)

    assert Pieces(tmp_path, "images", MAKER).get(PIECE) is None
    assert "promise-0.json is no piece of these figures" in capsys.readouterr().err


def test_other_images_of_a_set_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.png").write_bytes(b"1")
    before = digest_of(tmp_path)
    (tmp_path / "train/a.png").write_bytes(b"12")

    assert digest_of(tmp_path) != before


# --- the command ----------------------------------------------------------------------------------------


class Measuring:
    """In place of a data set: tells which pieces were measured, and breaks off or fails where it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: dict[str, BaseException] = {}

    def __call__(self, folder: Path, *, threads: int, progress: Callable[[str, int, int], None]) -> Measuring:
        return self

    def measure(self, piece: Piece) -> dict[str, Any]:
        if piece.title in self.fails:
            raise self.fails.pop(piece.title)
        self.asked.append(piece.title)
        return {"good": 100, "unseen": 56, "rejected": 0, "promised_below": 0.1}

    def close(self) -> None:
        """Nothing was laid anywhere."""


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    measuring = Measuring()
    monkeypatch.setattr(command, "Subject", measuring)
    return measuring


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    (tmp_path / "data/bottle").mkdir(parents=True)
    (tmp_path / "page.md").write_text(f"{begin_of('promise')}\n{end_of('promise')}\n")
    arguments = [str(tmp_path / "data"), "--work", str(tmp_path / "work"), "--page", str(tmp_path / "page.md")]
    arguments += ["--tables", "promise", "--promise-draws", "4", "--sets", "bottle"]
    return lambda *more: command.main([*arguments, *more])


def test_a_run_that_was_broken_off_goes_on_where_it_stopped(
    measuring: Measuring, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring.fails["promise-2"] = KeyboardInterrupt()

    assert run() == 130
    assert measuring.asked == ["promise-0", "promise-1"]
    assert "the same command goes on" in capsys.readouterr().err
    assert "| bottle |" not in (tmp_path / "page.md").read_text()

    assert run() == 0
    assert measuring.asked == ["promise-0", "promise-1", "promise-2", "promise-3"]
    assert "| bottle | 100 | 56 | 10.0 | 0.0 | 5 | 0 | 4 of 4 (100 %) |" in (tmp_path / "page.md").read_text()


def test_what_is_done_is_measured_anew_only_where_that_is_asked(measuring: Measuring, run: Callable[..., int]) -> None:
    assert (run(), run()) == (0, 0)
    assert len(measuring.asked) == 4

    assert run("--again") == 0
    assert len(measuring.asked) == 8


def test_a_set_that_fails_costs_no_other_and_is_named_in_the_table(
    measuring: Measuring, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/pill_half").mkdir()
    measuring.fails["promise-1"] = CalibrationRefused("too few images", hint="add some")

    assert run("--sets", "pill_half,bottle,screw_half") == 65

    page = (tmp_path / "page.md").read_text()
    assert "| bottle |" in page
    assert "Not measured: pill_half (too few images)." in page
    assert "Not measured: screw_half (it is not among the data)." in page
    assert "pill_half, promise: FAILED: too few images (hint: add some)" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_costs_no_figure(
    measuring: Measuring, run: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "page.md").write_text("no place")

    assert run() == 65
    assert len(list((tmp_path / "work/bottle").glob("*.json"))) == 4
    assert json.loads((tmp_path / "work/bottle/promise-3.json").read_text())["found"]["unseen"] == 56


def test_a_table_that_there_is_none_of_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["data", "--tables", "whole,magic"])

    assert "'magic' is none of whole, draws, promise, drift, suspects" in capsys.readouterr().err
