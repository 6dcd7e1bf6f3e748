"""What is done apart in a calibration can be carried to another process, and back, and changes no bit of the bundle."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.calibrate import _cost, calibrate
from calibration.choosing import learning_curve
from calibration.choosing.within import TimeWish
from calibration.gathering import gather
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from edge_agent.tools.plant.kept import Kept
from edge_agent.tools.plant.plain import from_bytes, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from calibration.workers import Work

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Carrier:
    """Carries every work and item as if to another process, and what comes of it as if kept on a disk meanwhile."""

    kept: Kept
    done: dict[str, int] = field(default_factory=dict)

    def each(self, work: Work[Any], items: Iterable[Any]) -> Iterator[Any]:
        there: Work[Any] = pickle.loads(pickle.dumps(work))  # noqa: S301 - our own
        do = there.begin()
        # An item has one name, whether its work has been carried or not.
        assert self.kept.name(there) == self.kept.name(work)
        for item in items:
            carried = pickle.loads(pickle.dumps(item))  # noqa: S301 - our own
            assert self.kept.path(b"", carried) == self.kept.path(b"", item)
            name = work.function.__name__
            self.done[name] = self.done.get(name, 0) + 1
            yield from_bytes(to_bytes(do(carried)))


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, method in METHODS.items():
        monkeypatch.setitem(METHODS, name, replace(method, recipe=replace(method.recipe, min_steps=10, max_steps=10)))
    monkeypatch.setattr(learning_curve, "_DEFECTS", 8)


def plate(seed: int, *, spot: bool = False) -> np.ndarray:
    """A grey plate with two bores, a little this way or that."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 320), 30.0, np.float32)
    x, y = (np.array([60, 70]) + rng.uniform(-3, 3, 2)).round().astype(int).tolist()
    cv2.rectangle(image, (x, y), (x + 190, y + 100), 150 + rng.uniform(-4, 4), -1)
    for dx, dy, radius in ((45, 45, 18), (140, 60, 25)):
        cv2.circle(image, (x + dx, y + dy), radius, 70 + rng.uniform(-4, 4), -1, cv2.LINE_AA)
    if spot:
        cv2.circle(image, (x + 95, y + 40), 12, 240.0, -1)
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def surface(seed: int) -> np.ndarray:
    """A coloured texture without any fixed feature."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0.0, 1.0, (440, 600)).astype(np.float32), (0, 0), 2.0)
    grey = 120.0 + 60.0 * noise / noise.std() / 3.0
    return np.clip(np.dstack([grey, grey + 4.0, grey - 4.0]), 0, 255).astype(np.uint8)


def written(folder: Path, draw: Callable[[int], np.ndarray], number: int, first: int = 0) -> Path:
    folder.mkdir()
    for seed in range(first, first + number):
        assert cv2.imwrite(str(folder / f"{seed:02}.png"), draw(seed))
    return folder


def both(tmp_path: Path, good: Path, options: CalibrationOptions) -> tuple[dict[str, int], dict[str, Any]]:
    """What was carried, and the manifest: by two threads and by the carrier the same bundle."""
    carrier = Carrier(Kept(tmp_path / "kept"))
    here = calibrate(good, tmp_path / "here", replace(options, threads=2))
    carried = calibrate(good, tmp_path / "carried", replace(options, threads=1, hired=carrier))

    manifest: dict[str, Any] = json.loads((tmp_path / "carried" / "manifest.json").read_text())
    assert carried.bundle_id == here.bundle_id
    assert carried.parts_curve == here.parts_curve
    assert carried.tolerance == here.tolerance
    return carrier.done, manifest


def test_the_mean_of_views_with_known_defective_parts(tmp_path: Path) -> None:
    good = written(tmp_path / "good", plate, 22)
    bad = written(tmp_path / "bad", lambda seed: plate(seed, spot=True), 3, first=50)

    done, manifest = both(tmp_path, good, CalibrationOptions(defective=bad))

    assert len(manifest["defective"]["images"]) == 3
    assert {"_laid", "_wrong", "_look", "_to_others", "_make", "_scores", "_looked", "_nearest_in_fold"} <= {*done}
    assert done["_judged"] == 3


def test_images_that_nothing_lays_on_each_other_are_rehearsed_both_ways(tmp_path: Path) -> None:
    good = written(tmp_path / "good", surface, 21)

    done, manifest = both(tmp_path, good, CalibrationOptions(crop="full"))

    assert done["_told"] == 2
    assert manifest["questions"]["place"]["figures"].keys() == {"tied", "free"}
    assert {"_seen", "_planes"} <= {*done}


@pytest.mark.parametrize("method", ["local", "paper"])
def test_folds_are_trained_apart(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.training.crossfit.Learned.doubt", "")  # ten steps teach no network anything
    good = written(tmp_path / "good", plate, 21)

    done, _ = both(tmp_path, good, CalibrationOptions(method=method))

    assert done["_looks"] == 4, "three folds, and the network of all"


def test_candidates_of_a_size_are_compared_apart(tmp_path: Path) -> None:
    good = written(tmp_path / "good", lambda seed: cv2.resize(plate(seed), (1280, 960)), 20)
    carrier = Carrier(Kept(tmp_path / "kept"))
    options = CalibrationOptions(crop="full", within=TimeWish(60_000.0, is_asked=True), hired=carrier)
    gathered = gather(sorted(good.iterdir()), options)
    assert gathered.sized is not None
    height, width = gathered.sized.largest.native
    smaller = replace(gathered.sized.largest, native=(height // 2, width // 2))
    sized = replace(gathered.sized, chosen=smaller)
    here = _cost(gathered.registered, sized, replace(options, hired=None), lambda *_: None)

    assert here is not None
    assert here.problem == ""
    assert _cost(gathered.registered, sized, options, lambda *_: None) == here
    assert carrier.done["_told_apart"] == 2
