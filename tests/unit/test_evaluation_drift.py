"""The drift table of an evaluation: verdicts under another light, lens and camera."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.disturbances import disturbances_for
from calibration.evaluation import EvaluationOptions, evaluate, write_results
from calibration.evaluation.drift import DriftRow, _Count, drift_cells
from calibration.evaluation.result import Evaluation
from calibration.method import METHODS
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_part(path: Path, seed: int, *, is_broken: bool = False) -> None:
    rng = np.random.default_rng(seed)
    image = np.full((96, 128), 30.0, np.float32)
    x, y = 24 + rng.integers(-2, 3), 20 + rng.integers(-2, 3)
    image[y : y + 56, x : x + 80] = 150 + rng.uniform(-3, 3)
    cv2.circle(image, (x + 22, y + 20), 9, 70, -1, cv2.LINE_AA)
    cv2.circle(image, (x + 60, y + 38), 12, 90, -1, cv2.LINE_AA)
    if is_broken:
        cv2.circle(image, (x + 44, y + 26), 8, 240, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    noisy = cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape)
    assert cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def _brief() -> Iterator[None]:
    recipe = replace(METHODS["views"].recipe, min_steps=10, max_steps=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "views", replace(METHODS["views"], recipe=recipe))
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, _brief: None) -> Evaluation:
    root = tmp_path_factory.mktemp("data") / "plates"
    for seed in range(24):
        write_part(root / "train" / "good" / f"{seed:03}.png", seed)
    for seed in range(2):
        write_part(root / "test" / "good" / f"{seed:03}.png", 100 + seed)
        write_part(root / "test" / "stain" / f"{seed:03}.png", 200 + seed, is_broken=True)
    result = evaluate(root, EvaluationOptions(methods=("views", "dfm"), with_drift=True))
    assert isinstance(result, Evaluation)
    return result


def test_a_drift_needs_a_method_of_this_tool() -> None:
    with pytest.raises(UsageError, match="drift without a method of this tool"):
        EvaluationOptions(methods=("patchcore",), with_drift=True).check()


@pytest.mark.slow
def test_each_disturbance_has_a_row_and_what_has_to_be_borne_is(found: Evaluation) -> None:
    (trial,) = found.method("views").trials

    assert [row.disturbance for row in trial.drift] == ["none", *(one.name for one in disturbances_for(1))]
    for row in trial.drift:
        assert (row.good, row.defective) == (2, 2)
        assert row.good_by_condition == 0
        assert row.defective_found == 2, row
    assert found.method("dfm").trials[0].drift == ()


@pytest.mark.slow
def test_the_table_is_in_the_summary_the_json_the_report_and_a_file_of_its_own(
    found: Evaluation, tmp_path: Path
) -> None:
    written = write_results(tmp_path, found)

    summary = "\n".join(found.summary())
    assert "10 % darker" in summary
    assert "JPEG, quality 75" in summary
    method, *_ = found.to_json()["methods"]  # type: ignore[misc]
    assert method["seeds"][0]["drift"][0]["disturbance"] == "none"
    assert "Under another light, lens and camera" in (tmp_path / "report.html").read_text()
    assert tmp_path / "drift.csv" in written
    rows = list(csv.DictReader((tmp_path / "drift.csv").read_text().splitlines()))
    assert [row["disturbance"] for row in rows][:2] == ["none", "darker"]
    assert {row["method"] for row in rows} == {"views"}


@pytest.mark.slow
def test_without_a_drift_there_is_no_file_of_it(found: Evaluation, tmp_path: Path) -> None:
    plain = tuple(replace(m, trials=tuple(replace(t, drift=()) for t in m.trials)) for m in found.methods)

    written = write_results(tmp_path, replace(found, methods=plain))

    assert not (tmp_path / "drift.csv").exists()
    assert [path.name for path in written] == ["report.html", "results.csv", "results.json", "images.csv"]
    assert "Under another light" not in (tmp_path / "report.html").read_text()


# --- when it holds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rejected", "found_now", "holds"),
    [(0, 40, True), (4, 40, True), (5, 40, False), (0, 39, True), (0, 38, False), (0, 37, False)],
)
def test_it_holds_to_twice_the_promise_and_to_less_than_five_points(
    rejected: int, found_now: int, *, holds: bool
) -> None:
    undisturbed = _Count(good=40, defective=40, defective_found=40)
    now = _Count(good=40, good_rejected=rejected, defective=40, defective_found=found_now)

    assert now.holds(undisturbed, 0.05) is holds


def test_a_row_says_which_parts_were_rejected_for_light_and_focus() -> None:
    count = _Count()
    for outcome, reason in ((Outcome.OK, Reason.OK), (Outcome.NG, Reason.LIGHT), (Outcome.REVIEW, Reason.SCORE)):
        count.add(Inspection(outcome, reason, 0.5, 1.0, "b", "s"), is_defective=False)
    count.add(Inspection(Outcome.NG, Reason.FOCUS, 0.5, 1.0, "b", "s"), is_defective=True)

    row = DriftRow("darker", "10 % darker", 3, 2, 1, 1, 1, 1, 0.05, holds=False)
    assert (count.good, count.good_rejected, count.good_by_condition) == (3, 2, 1)
    assert (count.defective_found, count.defective_by_condition) == (1, 1)
    assert drift_cells(row) == ("10 % darker", "2 of 3", "1", "5.0", "1 of 1", "1", "NO")
