"""calibrate-reference with a limit that a person asked for, a part left out and known defects; what stands after it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge_agent.commands.main import main
from edge_agent.domain import Capture, ControllerResult, Judgement, Outcome, Verdict
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.runtime.verdict import Evidence, decide_verdict

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 72, 96


def plate(seed: int, *, scratch: float = 0.0) -> np.ndarray:
    """A plate with a bore; ``scratch`` grey values of a scratch on it."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH), 30.0, np.float32)
    centre = np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-2, 2, 2)
    box = cv2.boxPoints((centre.tolist(), (62, 42), rng.uniform(-1, 1)))
    cv2.fillConvexPoly(image, (box * 16).astype(np.int32), 150, cv2.LINE_AA, 4)
    cv2.circle(image, ((centre - (14, 6)) * 16).astype(int).tolist(), 7 * 16, 60, -1, cv2.LINE_AA, 4)
    at = (centre + np.array([10, 4])).astype(int)
    image[at[1] : at[1] + 2, at[0] : at[0] + 12] += scratch
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image)


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


def edge_agent(*args: str, cwd: Path) -> Ran:
    """The command in this process: what it imports, torch above all, is imported once."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["edge-agent", *args])
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("limit")
    for seed in range(25):
        write(root / "good" / f"{seed:02}.bmp", plate(seed, scratch=60.0 if seed == 7 else 0.0))
    for number, grey in enumerate((90.0, 60.0, 0.5)):
        write(root / "bad" / f"bad{number}.bmp", plate(100 + number, scratch=grey))
    return root


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, Any]:
    wishes = ("--false-rejects", "8%", "--review-share", "10%", "--leave-out", "07.bmp", "--defective", "bad")
    ran = edge_agent("calibrate-reference", "good", "--out", "b", "--method", "paper", "--json", *wishes, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    facts: dict[str, Any] = json.loads(ran.stdout)
    return {**facts, "people": ran.stderr}


# --- refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "code", "words"),
    [
        (("--false-rejects", "0"), 64, "write 1% or 0.01"),
        (("--extrapolate",), 64, "--false-rejects"),
        (("--false-rejects", "1%"), 65, "99 good images to expect it, 299 to promise it"),
        (("--defective", "good"), 65, "the same image as 00.bmp among the good ones"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_with_a_hint_and_writes_nothing(
    folder: Path, wishes: tuple[str, ...], code: int, words: str
) -> None:
    ran = edge_agent("calibrate-reference", "good", "--out", "refused", *wishes, cwd=folder)

    assert ran.returncode == code
    assert words in ran.stderr
    assert "hint:" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (folder / "refused").exists()


# --- recorded -------------------------------------------------------------------------------------------


def test_the_wish_is_met_and_said(said: dict[str, Any]) -> None:
    choice = said["choice"]

    assert (choice["n"], choice["rank"], choice["review"]["rank"]) == (24, 2, 4)
    assert (choice["target"], said["limit"]) == (0.08, choice["value"])
    assert choice["expected"] == said["expected_false_rejects"] == 2 / 25
    assert "2nd largest score of 24 good parts" in said["people"]
    assert "A score from" in said["people"]
    assert "--leave-out" in said["people"]


def test_the_auditor_finds_who_was_left_out_and_what_was_judged_with_the_hashes(
    folder: Path, said: dict[str, Any]
) -> None:
    manifest = json.loads((folder / "b" / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "good" / "07.bmp").read_bytes()).hexdigest()

    assert manifest["left_out_images"] == [{"name": "07.bmp", "sha256": digest}]
    assert "07.bmp" not in {image["name"] for image in manifest["training_images"]}
    scores = sorted((image["heldout_score"] for image in manifest["training_images"]), reverse=True)
    assert scores[1] < manifest["limit"]["value"] <= scores[0]
    assert said["left_out"] == [{"file": "07.bmp", "sha256": digest}]
    assert manifest["limit"] == said["choice"]
    assert manifest["defective"] == said["defective"]
    assert [image["name"] for image in manifest["defective"]["images"]] == ["bad0.bmp", "bad1.bmp", "bad2.bmp"]


def test_the_defective_parts_are_judged_as_the_line_will_judge_them(folder: Path, said: dict[str, Any]) -> None:
    inspector = Inspector(Bundle.load(folder / "b"))

    for judged in said["defective"]["images"]:
        found = inspector.inspect((folder / "bad" / judged["name"]).read_bytes())

        assert (found.outcome, found.reason, found.score) == (judged["outcome"], judged["reason"], judged["score"])
    assert said["defective"]["images"][0]["outcome"] == "NG"
    assert said["defective"]["images"][2]["outcome"] == "OK"
    assert "1 of 3 known-defective parts would pass: bad2.bmp." in said["defective"]["statement"]


@pytest.mark.usefixtures("said")
def test_a_part_in_the_band_is_to_be_reviewed_and_does_not_pass(folder: Path) -> None:
    bundle, image = Bundle.load(folder / "b"), (folder / "good" / "03.bmp").read_bytes()
    without = Inspector(bundle).inspect(image)

    inspection = Inspector(replace(bundle, review_from=without.score)).inspect(image)

    assert (without.outcome, inspection.outcome) == (Outcome.OK, Outcome.REVIEW)
    assert bundle.review_from < bundle.limit == inspection.limit
    evidence = Evidence(
        cameras=(1,),
        judgement_policy="both",
        captures={1: Capture(1, 1, "s", "03.bmp", None, "", 0.0)},
        inspections={1: inspection},
        result=ControllerResult(1, 0, Judgement.OK, (), 0.0),
        not_ready="",
        deadline_passed=False,
        next_part_is_here=False,
    )
    verdict = decide_verdict(evidence)
    assert verdict.verdict is Verdict.REJECT
    assert "to be reviewed" in verdict.detail


def test_showing_the_bundle_says_how_its_limit_came_about(folder: Path, said: dict[str, Any]) -> None:
    shown = json.loads(edge_agent("bundle", "show", "b", "--json", cwd=folder).stdout)

    assert shown["limit_statement"] == said["choice"]["statement"]
    assert shown["review_from"] == said["choice"]["review_from"]
    assert shown["left_out"] == [f"07.bmp {said['left_out'][0]['sha256']}"]
    assert shown["defective"] == said["defective"]["statement"]


def test_the_report_holds_the_trade_off_and_the_missed_part(folder: Path, said: dict[str, Any]) -> None:
    html = (folder / "b-report.html").read_text()

    assert said["report"] == "b-report.html"
    assert "What known-defective parts say" in html
    assert "Good parts rejected against defective parts passed" in html
    assert "defective, passes with score" in html
    assert "as set, with REVIEW" in html
