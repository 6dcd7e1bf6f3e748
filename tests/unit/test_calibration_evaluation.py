"""An evaluation judges a labelled data set by the product's own road, and refuses what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.evaluation import Evaluation, evaluate
from edge_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write_part(path: Path, seed: int, *, is_broken: bool = False) -> None:
    rng = np.random.default_rng(seed)
    image = np.full((48, 64), 30.0, np.float32)
    centre = (32 + rng.uniform(-1, 1), 24 + rng.uniform(-1, 1))
    box = cv2.boxPoints((centre, (40, 26), rng.uniform(-2, 2)))
    cv2.fillConvexPoly(image, (box * 16).astype(np.int32), 150 + rng.uniform(-5, 5), cv2.LINE_AA, 4)
    if is_broken:
        cv2.circle(image, (round(centre[0]), round(centre[1])), 9, 20, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "plates"
    for seed in range(20):
        write_part(root / "train" / "good" / f"{seed:03}.png", seed)
    for seed in range(4):
        write_part(root / "test" / "good" / f"{seed:03}.png", 100 + seed)
        write_part(root / "test" / "hole" / f"{seed:03}.png", 200 + seed, is_broken=True)
    return root


def test_a_labelled_data_set_is_measured_and_told_as_one_json_object(dataset: Path) -> None:
    stages: list[str] = []

    found: Evaluation = evaluate(
        dataset, method="paper", seeds=1, threads=2, progress=lambda stage, _done, _total: stages.append(stage)
    )

    content = json.loads(json.dumps(found.to_json()))
    assert content["schema_version"] == 1
    assert (content["dataset"], content["method"]) == ("plates", "paper")
    assert content["chance_ap"] == 50.0
    assert content["auc"] == content["seeds"][0]["auc"] > 80.0
    assert content["ap"] > 80.0
    assert (content["seeds"][0]["good"], content["seeds"][0]["defective"]) == (4, 4)
    assert {"read", "train", "embed", "test"} <= set(stages)
    assert any("AUC" in line for line in found.summary())
    assert not list(dataset.parent.glob("*bundle*"))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder") as caught:
        evaluate(tmp_path / "nothing", method="paper", seeds=1, threads=1)
    assert "train/good/" in caught.value.hint


@pytest.mark.parametrize("folder", ["train/good", "test/good"])
def test_a_data_set_without_good_images(dataset: Path, folder: str) -> None:
    for path in (dataset / folder).iterdir():
        path.unlink()

    with pytest.raises(DataError, match=f"{folder} holds no images"):
        evaluate(dataset, method="paper", seeds=1, threads=1)


def test_a_data_set_of_one_class(dataset: Path) -> None:
    for path in (dataset / "test" / "hole").iterdir():
        path.unlink()

    with pytest.raises(DataError, match="good images only"):
        evaluate(dataset, method="paper", seeds=1, threads=1)


def test_a_training_image_that_cannot_be_read_is_named(dataset: Path) -> None:
    (dataset / "train" / "good" / "004.png").write_bytes(b"\x89PNG broken")

    with pytest.raises(DataError, match=r"004\.png"):
        evaluate(dataset, method="paper", seeds=1, threads=1)


def test_a_test_image_that_cannot_be_read_is_named_before_any_training(dataset: Path) -> None:
    path = dataset / "test" / "hole" / "002.png"
    path.write_bytes(path.read_bytes()[:200])
    stages: list[str] = []

    with pytest.raises(DataError, match=r"002\.png"):
        evaluate(dataset, method="paper", seeds=1, threads=1, progress=lambda stage, *_: stages.append(stage))
    assert "train" not in stages


@pytest.mark.parametrize(("method", "seeds"), [("magic", 1), ("paper", 0), ("paper", [])])
def test_a_method_or_a_number_of_seeds_that_cannot_be(dataset: Path, method: str, seeds: int | list[int]) -> None:
    with pytest.raises(UsageError):
        evaluate(dataset, method=method, seeds=seeds, threads=1)
