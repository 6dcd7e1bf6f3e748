"""The small-defect benchmark changes nothing but the defect from cell to cell, and counts what it says it counts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.gathering import gather
from calibration.options import CalibrationOptions
from drivers.simulated.camera import Defect, DefectSpec, encode_bmp
from tests.benchmark.small_defects import (
    KINDS,
    TRIALS,
    DefectCamera,
    Found,
    Plan,
    good_parts,
    judge,
    main,
    paste_of,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def camera() -> DefectCamera:
    return DefectCamera(width=400, height=300, seed=0)


def seen(change: np.ndarray) -> np.ndarray:
    """Through the mean optics of the simulated camera."""
    return np.abs(cv2.GaussianBlur(change, (0, 0), 0.85))


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("size_px", [3.0, 10.5, 64.0])
def test_a_defect_has_the_asked_contrast_in_the_image_and_ends_inside_its_window(kind: Defect, size_px: float) -> None:
    change = paste_of(DefectSpec(kind, size_px, 0.2), np.random.default_rng(5))

    assert change.shape[0] == change.shape[1]
    assert change.shape[0] % 2 == 1
    assert seen(change).max() == pytest.approx(0.2, rel=1e-4)
    assert np.abs(np.concatenate([change[0], change[-1], change[:, 0], change[:, -1]])).max() < 0.2 / 20


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("size_px", [6.0, 24.0])
def test_a_defect_is_as_large_as_asked(kind: Defect, size_px: float) -> None:
    changes = [paste_of(DefectSpec(kind, size_px, 0.2), np.random.default_rng(seed)) for seed in range(8)]
    extents = [np.ptp(np.argwhere(np.abs(change) > 0.1 * np.abs(change).max()), axis=0).max() for change in changes]

    widest_share = 2.4 if kind is Defect.HALO else 1.5  # a bell at a tenth of its height
    assert 0.6 * size_px <= np.median(extents) <= widest_share * size_px + 2


def test_a_defect_lies_between_pixels() -> None:
    middles = []
    for seed in range(12):
        change = np.abs(paste_of(DefectSpec(Defect.HALO, 6.0, 0.2), np.random.default_rng(seed)))
        axis = np.arange(change.shape[0])
        middles.append(float((change.sum(axis=0) * axis).sum() / change.sum()) - change.shape[0] // 2)

    assert np.ptp(middles) > 0.4
    assert len({round(middle, 2) for middle in middles}) >= 3


def test_a_part_differs_from_itself_by_its_defect_alone(camera: DefectCamera) -> None:
    good = camera.render(np.random.default_rng(3))
    bad = camera.render(np.random.default_rng(3), DefectSpec(Defect.HALO, 16.0, 0.3))
    difference = np.abs(bad.image.astype(int) - good.image)
    around = cv2.dilate(bad.defect_mask.astype(np.uint8), np.ones((49, 49), np.uint8)).astype(bool)

    assert (bad.shift_px, bad.angle_deg) == (good.shift_px, good.angle_deg)
    assert difference[~around].max() == 0
    assert 0.27 * 255 < difference.max() < 0.33 * 255


def test_every_part_is_judged_and_the_same_seed_shows_the_same_parts(camera: DefectCamera) -> None:
    plan = Plan(sizes_px=(4.0, 12.0), contrasts=(0.1, 0.4), repeats=2, fresh=3, seed=1)
    runs: list[list[bytes]] = [[], []]

    def rejects_bright(data: bytes, seen: list[bytes]) -> bool:
        seen.append(data)
        return len(seen) > 3  # the first three are the fresh good ones

    found = [judge(camera, plan, lambda data, run=run: rejects_bright(data, run), lambda _line: None) for run in runs]

    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0]) == 3 + 4 * 2 + 4 * 2 * 2 * 2
    assert found[0].found.shape == (4, 2, 2, 2)
    assert found[0].found.all()
    assert found[0].without.all()
    assert not found[0].fresh.any()


def test_the_table_has_rates_over_size_and_contrast() -> None:
    plan = Plan(sizes_px=(4.0, 12.0), contrasts=(0.1, 0.4), repeats=2)
    found = np.zeros((4, 2, 2, 2), bool)
    found[:, 1, 1] = True
    found[0, 1, 0] = True

    lines = table(plan, Found(found, np.zeros((4, 2), bool), np.array([True, False, False])))

    assert lines[0].startswith("good parts rejected: 1 of 3 fresh ones; of the 8 parts below")
    assert lines[2].split() == ["10%", "40%"]
    assert lines[3].split() == ["4", "px", "0", "0"]
    assert lines[4].split() == ["12", "px", "25", "100"]
    assert lines[7].split() == ["scratch", "0", "100"]
    assert lines[8].split() == ["residue", "0", "50"]


def test_a_method_that_there_is_none_of_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["small_defects", "--methods", "local,magic"])

    with pytest.raises(SystemExit):
        main()
    assert "no method magic; methods: local, paper, patchcore" in capsys.readouterr().err


@pytest.mark.slow
def test_patchcore_is_judged_at_a_limit_from_its_held_out_scores(tmp_path: Path) -> None:
    camera, plan, options = DefectCamera(width=160, height=120, seed=0), Plan(good=20), CalibrationOptions(threads=1)
    paths = good_parts(camera, plan, tmp_path)
    flawed = camera.render(np.random.default_rng(9), DefectSpec(Defect.BUBBLE, 48.0, 0.4))

    trial = TRIALS["patchcore"](gather(paths, options))

    assert trial.promise == "expected 4.8%, below 13.9% with 95 %"
    assert trial.rejects(encode_bmp(flawed.image))
    assert sum(trial.rejects(path.read_bytes()) for path in paths) <= 1
