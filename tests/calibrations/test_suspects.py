"""A calibration stops where parts stand apart among the good ones, shows them, and goes on as a person decides."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.choosing import learning_curve
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from calibration.report_pages import write_doubt_report, write_report
from calibration.reporting import calibration_json, calibration_lines, doubts_json
from calibration.suspects.stand_apart import PartsInDoubt
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.bundle.comparison import compare
from edge_agent.inspection.bundle.provenance import provenance
from edge_agent.inspection.bundle.reference_bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 180, 240
OPTIONS = CalibrationOptions(method="views", crop="full", threads=1)


def render(seed: int, spots: tuple[tuple[int, int], ...] = ()) -> NDArray[np.uint8]:
    """A plate with a bore on a bench; ``spots`` (x, y) are stains."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH), 30.0, np.float32)
    cv2.rectangle(image, (50, 40), (190, 140), 150 + rng.uniform(-4, 4), -1)
    cv2.circle(image, (100, 90), 20, 70 + rng.uniform(-4, 4), -1)
    for x, y in spots:
        cv2.circle(image, (x, y), 9, 240.0, -1)
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """Nothing is said here of what an autoencoder learns, or more parts would bring: little time for both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_curve, "_DEFECTS", 4)
        for name in ("views", "local"):
            brief = replace(METHODS[name].recipe, min_steps=10, max_steps=10)
            patch.setitem(METHODS, name, replace(METHODS[name], recipe=brief))
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("contamination") / "good"
    folder.mkdir()
    for seed in range(32):
        assert cv2.imwrite(str(folder / f"{seed:02}.bmp"), render(seed))
    return folder


@pytest.fixture(scope="module")
def clean(good: Path) -> Path:
    """The bundle of the good parts."""
    return calibrate(good, good.parent / "clean", OPTIONS).path


def with_stained(good: Path, where: Path, *spots: tuple[int, int]) -> Path:
    """The same parts, and one more for each stain."""
    shutil.copytree(good, where)
    for number, spot in enumerate(spots):
        assert cv2.imwrite(str(where / f"stained {number}.bmp"), render(500 + number, (spot,)))
    return where


def stopped(folder: Path, options: CalibrationOptions = OPTIONS) -> PartsInDoubt:
    out = folder.parent / "bundle"
    with pytest.raises(PartsInDoubt) as caught:
        calibrate(folder, out, options)
    assert not out.exists()
    return caught.value


def names(error: PartsInDoubt) -> list[str]:
    return sorted(error.suspicion.name(part) for part in error.suspicion.suspects)


@pytest.mark.parametrize(
    "spots",
    [[(150, 70)], [(150, 70), (70, 120)], [(150, 70)] * 2, [(150, 70)] * 4],
    ids=["one", "two", "a pair with the same defect", "four with the same defect"],
)
def test_stained_parts_are_found_also_where_they_vouch_for_each_other(
    good: Path, tmp_path: Path, spots: list[tuple[int, int]]
) -> None:
    found = stopped(with_stained(good, tmp_path / "parts", *spots))

    assert names(found) == [f"stained {number}.bmp" for number in range(len(spots))]
    assert found.exit_code == CalibrationRefused.exit_code
    assert all(f"stained {number}.bmp" in str(found) for number in range(len(spots)))
    assert "--leave-out" in found.hint
    assert "--keep" in found.hint


def test_the_report_of_a_stop_shows_each_beside_a_usual_part_with_what_to_type(good: Path, tmp_path: Path) -> None:
    folder = with_stained(good, tmp_path / "parts", (150, 70))
    suspicion = stopped(folder, replace(OPTIONS, method="local")).suspicion  # whatever the method

    write_doubt_report(tmp_path / "report.html", suspicion, folder)

    page = (tmp_path / "report.html").read_text()
    assert page.count("<img ") == 4
    assert "--leave-out &#39;stained 0.bmp&#39;" in page
    assert "--keep &#39;stained 0.bmp&#39;" in page
    assert "nothing was written" in page
    heat = suspicion.oddity.heat(suspicion.suspects[0], HEIGHT, WIDTH)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(x - 150) < 25
    assert abs(y - 70) < 25
    told = doubts_json(suspicion)
    assert told["bundle"] is None
    assert [row["file"] for row in told["suspects"]] == ["stained 0.bmp"]  # type: ignore[attr-defined]


def test_whoever_leaves_out_or_keeps_each_by_name_gets_a_bundle_that_says_so(
    good: Path, clean: Path, tmp_path: Path
) -> None:
    folder = with_stained(good, tmp_path / "parts", (150, 70), (70, 120))
    one = replace(OPTIONS, keep=("stained 0.bmp",))
    assert names(stopped(folder, one)) == ["stained 1.bmp"]

    kept = calibrate(folder, tmp_path / "kept", replace(one, leave_out=("stained 1.bmp",)))

    assert [image.path.name for image in kept.kept] == ["stained 0.bmp"]
    assert any("stained 0.bmp" in note and "kept as good by a person" in note for note in kept.notes)
    assert kept.images == 33
    assert kept.limit < kept.scores[0][1]  # it had no say in the limit, as decided for views
    bundle = Bundle.load(kept.path)
    assert provenance(bundle)["kept"] == [f"stained 0.bmp {kept.kept[0].sha256}"]
    assert any(d.topic == "kept by a person" for d in compare(bundle, Bundle.load(clean)))


def test_a_finished_calibration_shows_the_oddest_of_its_parts_by_the_measure_that_stops_it(
    good: Path, tmp_path: Path
) -> None:
    folder = with_stained(good, tmp_path / "parts", (150, 70))
    result = calibrate(folder, tmp_path / "bundle", replace(OPTIONS, keep=("stained 0.bmp",)))

    write_report(tmp_path / "report.html", result)

    told: Any = calibration_json(result)["oddest"]
    assert len(told) == 6
    assert [row["oddity"] for row in told] == sorted((row["oddity"] for row in told), reverse=True)
    assert told[0] == {
        "file": "stained 0.bmp",
        "oddity": result.suspicion.oddity_of(32) if result.suspicion else None,
        "score": dict(result.scores)["stained 0.bmp"],
    }
    assert any(line.startswith("oddest good parts: stained 0.bmp ") for line in calibration_lines(result))
    page = (tmp_path / "report.html").read_text()
    at = [page.index(f'alt="where {row["file"]} differs"') for row in told]
    assert at == sorted(at)
    assert page.count('alt="where ') == 6
    assert page.count("kept as good: a person confirmed it by name") == 1
    assert "--leave-out &#39;stained 0.bmp&#39;" in page


def test_a_bundle_that_was_there_stands_where_a_calibration_stops(good: Path, clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean, tmp_path / "bundle")
    folder = with_stained(good, tmp_path / "parts", (150, 70))

    with pytest.raises(PartsInDoubt):
        calibrate(folder, tmp_path / "bundle", replace(OPTIONS, overwrite=True))

    assert Bundle.load(tmp_path / "bundle").id == Bundle.load(clean).id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "parts"]


def test_the_command_line_stops_with_the_report_and_says_what_to_do(good: Path, tmp_path: Path) -> None:
    with_stained(good, tmp_path / "parts", (150, 70))
    command = [sys.executable, "-m", "edge_agent", "calibrate-reference", "parts", "--out", "b", "--crop", "full"]

    ran = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)

    assert ran.returncode == CalibrationRefused.exit_code
    assert "error: 1 of 33 good images stands apart from all others: stained 0.bmp" in ran.stderr
    assert "hint: look at them in b-report.html, then give the same command again with --leave-out" in ran.stderr
    told = json.loads(ran.stdout)
    assert told["report"] == "b-report.html"
    assert told["suspects"][0]["file"] == "stained 0.bmp"
    assert (tmp_path / "b-report.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b-report.html", "parts"]


def test_names_that_cannot_be_kept_are_refused(good: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match=r"to keep: there is no image 03\.bmpp") as caught:
        calibrate(good, tmp_path / "b", replace(OPTIONS, keep=("03.bmpp",)))
    assert "03.bmp" in caught.value.hint
    with pytest.raises(UsageError, match=r"03\.bmp is both"):
        calibrate(good, tmp_path / "b", replace(OPTIONS, keep=("03.bmp",), leave_out=("03.bmp",)))
