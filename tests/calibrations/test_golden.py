"""A machine that computes something else than the one that calibrated is caught before the line is READY."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.golden import Golden, middle_of
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


ODD = ("17.bmp",)
"""The one part whose circle is as small as that."""


def part(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.full((72, 96), 40.0, np.float32)
    cv2.rectangle(image, (20, 16), (76, 56), 150.0 + rng.uniform(-5, 5), -1)
    cv2.circle(image, (38, 36), round(rng.uniform(8, 11)), 80.0, -1)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=["local", "views", "paper"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One of grey images and one of colour images."""
    folder: Path = tmp_path_factory.mktemp("golden")
    (folder / "good").mkdir()
    for seed in range(20):
        image = part(seed)
        if request.param == "paper":
            image = np.dstack([image // 2, image, 255 - image])
        assert cv2.imwrite(str(folder / "good" / f"{seed:02}.bmp"), image)
    return Bundle.load(
        calibrate(folder / "good", folder / "b", CalibrationOptions(method=request.param, keep=ODD)).path
    )


def test_the_machine_that_calibrated_passes_on_any_number_of_threads(bundle: Bundle) -> None:
    for threads in (1, 2, 3):
        assert Inspector(bundle, threads=threads).warm_up() > 0


def test_the_manifest_says_how_far_the_files_are_from_their_originals(bundle: Bundle) -> None:
    parity = bundle.manifest["parity"]

    assert 0.0 < parity["cpcae"] < 1e-5
    assert 0.0 < parity["backbone"] < 1e-5


def test_the_golden_score_is_that_of_no_good_part(bundle: Bundle) -> None:
    assert Golden.from_bytes(bundle.golden_npz).score > bundle.limit


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda g: replace(g, reconstruction=g.reconstruction + np.float32(2e-4)), "reconstruction differs by 0.0002"),
        (lambda g: replace(g, features=g.features * np.float32(1.001)), "features by 0.001 of the largest"),
        (lambda g: replace(g, score=g.score * 1.02), "the score is .* instead of"),
        (lambda g: replace(g, features=g.features[..., :-1]), "features by inf"),
        (lambda g: replace(g, reconstruction=g.reconstruction[:-1]), "differs by inf"),
    ],
)
def test_another_result_rejects_the_bundle_with_the_figures(
    bundle: Bundle, change: Callable[[Golden], Golden], complaint: str
) -> None:
    other = replace(bundle, golden_npz=change(Golden.from_bytes(bundle.golden_npz)).to_bytes())

    with pytest.raises(BundleRejected, match=complaint) as caught:
        Inspector(other).warm_up()
    assert "edge-agent version" in caught.value.hint


def test_what_one_view_says_is_proven_also_where_another_makes_the_score(bundle: Bundle) -> None:
    golden = Golden.from_bytes(bundle.golden_npz)
    before = replace(golden, shares=np.empty(0))
    assert Inspector(replace(bundle, golden_npz=before.to_bytes())).warm_up() > 0  # a bundle of before has none
    if bundle.manifest["method"]["score"] == "paper":
        assert golden.shares.size == 0
        return
    for place in range(len(golden.shares)):
        other = golden.shares.copy()
        other[place] = other[place] * 1.02 + 0.02
        spoilt = replace(bundle, golden_npz=replace(golden, shares=other).to_bytes())

        with pytest.raises(BundleRejected, match="one channel or view of it differs by"):
            Inspector(spoilt).warm_up()
    fewer = replace(bundle, golden_npz=replace(golden, shares=golden.shares[:-1]).to_bytes())
    with pytest.raises(BundleRejected, match="differs by inf"):
        Inspector(fewer).warm_up()


@pytest.mark.parametrize("spoilt", [{"score": float("nan")}, {"features": np.full((1, 2), np.nan, np.float32)}])
def test_golden_values_that_are_not_finite_reject_the_bundle(bundle: Bundle, spoilt: dict[str, Any]) -> None:
    golden = replace(Golden.from_bytes(bundle.golden_npz), **spoilt)

    with pytest.raises(BundleRejected, match="not finite"):
        Inspector(replace(bundle, golden_npz=golden.to_bytes())).warm_up()


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY"])
def test_golden_values_that_cannot_be_read_reject_the_bundle(bundle: Bundle, data: bytes) -> None:
    with pytest.raises(BundleRejected, match=r"golden\.npz"):
        Inspector(replace(bundle, golden_npz=data)).warm_up()


def test_sums_in_half_precision_are_not_let_through(bundle: Bundle) -> None:
    golden = Golden.from_bytes(bundle.golden_npz)
    halved = replace(golden, features=golden.features.astype(np.float16).astype(np.float32))

    with pytest.raises(BundleRejected, match="something else"):
        Inspector(replace(bundle, golden_npz=halved.to_bytes())).warm_up()


@pytest.mark.parametrize(
    ("crop", "expected"),
    [((40, 60, 1), (40, 60)), ((128, 160, 3), (128, 160)), ((400, 100, 1), (128, 100)), ((1000, 1500, 3), (128, 160))],
)
def test_the_middle_of_a_crop(crop: tuple[int, int, int], expected: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(crop, dtype=np.float32)

    found = middle_of(image)

    assert found.shape == (*expected, crop[2])
    assert found[0, 0, 0] == image[max(0, (crop[0] - 128) // 2), max(0, (crop[1] - 160) // 2), 0]
