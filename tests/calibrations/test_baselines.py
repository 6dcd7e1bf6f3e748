"""The detectors to compare with: each learns from good crops alone, and each finds what it is known to find."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.backbones.efficientnet_lite0 import backbone_onnx, feature_grid_onnx
from calibration.baselines.autoencoders import L2Autoencoder, SsimAutoencoder, _similarity
from calibration.baselines.base import Detector, shrunk
from calibration.baselines.deep import DeepFeature, Dfm, PatchCore, _k_centres
from calibration.baselines.pixels import NearestImage, Variation
from calibration.baselines.published import published_for, published_note
from calibration.training.crossfit import Learned
from edge_agent.inspection.networks.patches import PatchGrid

pytestmark = pytest.mark.slow

Crop = NDArray[np.float32]
GRID = PatchGrid(64, 64, 32, 16)


def crop(seed: int, *, defect: bool = False) -> Crop:
    """Stripes of slightly varying light; ``defect``: a dark spot."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    image = 0.5 + 0.2 * np.sin(x / 5.0) * np.cos(y / 9.0) + rng.uniform(-0.03, 0.03)
    image = image + rng.normal(0.0, 0.01, image.shape)
    if defect:
        image[24:36, 24:36] = 0.05
    return np.clip(image, 0.0, 1.0).astype(np.float32)[..., None]


GOOD = [crop(seed) for seed in range(20)]


def mean_network() -> bytes:
    """An autoencoder that makes the mean of its patch of everything: enough to have an error."""
    from calibration.onnx_graph import OnnxGraph

    size = [GRID.count, 1, 32, 32]
    graph = OnnxGraph("mean", "patches", size)
    mean = graph.add("GlobalAveragePool", "patches")
    zeros = graph.constant(np.zeros(size, np.float32))
    return graph.finish(graph.add("Add", mean, zeros), "reconstruction", size)


def learned() -> Learned:
    model = mean_network()
    nan = float("nan")
    return Learned(model, (model, model), tuple(i % 2 for i in range(20)), (), nan, nan, nan)


def no_progress(_done: int, _total: int) -> None:
    """Nobody watches."""


@cache
def fitted(name: str) -> Detector:
    detector: Detector = {
        "ae": lambda: L2Autoencoder(learned(), GRID, 1, threads=1),
        "ae-ssim": lambda: SsimAutoencoder(GRID, seed=0, threads=1, progress=no_progress),
        "nn": lambda: NearestImage(GRID),
        "variation": lambda: Variation(GRID),
        "deep-feature": lambda: DeepFeature(backbone_onnx(), threads=1),
        "dfm": lambda: Dfm(backbone_onnx(), threads=1),
        "patchcore": lambda: PatchCore(feature_grid_onnx(), seed=0, threads=1),
    }[name]()
    detector.fit(np.stack([detector.describe(c) for c in GOOD]))
    return detector


ALL = ["ae", "ae-ssim", "nn", "variation", "deep-feature", "dfm", "patchcore"]


@pytest.mark.parametrize("name", ALL)
def test_a_spot_scores_above_every_unseen_good_part(name: str) -> None:
    detector = fitted(name)
    good = [detector.score(detector.describe(crop(seed))) for seed in range(100, 106)]

    assert detector.score(detector.describe(crop(200, defect=True))) > max(good)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"ae-ssim"}))
def test_held_out_scores_are_like_those_of_unseen_good_parts(name: str) -> None:
    detector = fitted(name)
    held_out = detector.held_out_scores()
    unseen = [detector.score(detector.describe(crop(seed))) for seed in range(100, 110)]

    assert held_out is not None
    assert held_out.shape == (len(GOOD),)
    assert 0.5 < np.median(held_out) / np.median(unseen) < 2.0


def test_an_autoencoder_that_would_need_more_trainings_gives_no_held_out_scores() -> None:
    assert fitted("ae-ssim").held_out_scores() is None


@pytest.mark.parametrize("name", ["ae", "ae-ssim", "variation", "patchcore"])
def test_a_heat_map_is_hottest_on_the_spot(name: str) -> None:
    detector = fitted(name)
    heat = detector.heat_map(detector.describe(crop(200, defect=True)))

    assert heat is not None
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    scale = 64 / heat.shape[0]
    assert 16 <= (y + 0.5) * scale <= 44
    assert 16 <= (x + 0.5) * scale <= 44


@pytest.mark.parametrize("name", ["nn", "deep-feature", "dfm"])
def test_what_is_pooled_or_compared_as_a_whole_has_no_heat_map(name: str) -> None:
    detector = fitted(name)

    assert detector.heat_map(detector.describe(crop(0))) is None


@pytest.mark.parametrize("name", ["nn", "variation", "deep-feature", "dfm"])
def test_leaving_one_out_is_fitting_without_it(name: str) -> None:
    detector = fitted(name)
    held_out = detector.held_out_scores()
    described = np.stack([detector.describe(c) for c in GOOD])
    others = {"nn": NearestImage(GRID), "variation": Variation(GRID)}.get(name) or type(detector)(  # type: ignore[call-arg]
        backbone_onnx(), threads=1
    )
    others.fit(np.delete(described, 3, axis=0))

    assert held_out is not None
    assert held_out[3] == pytest.approx(others.score(described[3]), rel=1e-3)


def test_patchcore_holds_a_tenth_of_the_places_and_depends_on_its_seed_alone() -> None:
    first, again, other = (PatchCore(feature_grid_onnx(), seed=s, threads=1) for s in (0, 0, 1))
    described = np.stack([first.describe(c) for c in GOOD])
    for detector in (first, again, other):
        detector.fit(described)

    assert len(first._bank) == round(0.1 * described.shape[0] * described.shape[1] * described.shape[2])
    assert np.array_equal(first._bank, again._bank)
    assert not np.array_equal(first._bank, other._bank)


def test_a_coreset_covers_what_is_far_from_everything_else() -> None:
    points = np.zeros((50, 2), np.float32)
    points[17], points[33] = (9.0, 0.0), (0.0, -7.0)

    assert {0, 17, 33} <= set(_k_centres(points, 3).tolist())


def test_structural_similarity_is_one_for_the_same_image_and_falls_with_a_difference() -> None:
    import torch

    image = torch.from_numpy(np.moveaxis(crop(0), 2, 0)[None].copy())

    assert float(_similarity(image, image).min()) == pytest.approx(1.0, abs=1e-4)
    assert float(_similarity(image, 1.0 - image).mean()) < 0.5


def test_the_ssim_autoencoder_learns_the_part() -> None:
    untrained = SsimAutoencoder(GRID, seed=0, threads=1, progress=no_progress)
    part = crop(100)
    with pytest.raises(ValueError, match="fit comes before"):
        untrained.score(part)

    assert fitted("ae-ssim").score(part) < 0.6


def test_a_working_size_keeps_the_aspect_and_never_enlarges() -> None:
    assert shrunk(np.zeros((600, 1024, 3), np.float32), 512).shape == (300, 512, 3)
    assert shrunk(np.zeros((30, 40, 1), np.float32), 512).shape == (30, 40, 1)


def test_published_rows_are_those_of_the_named_set_whatever_size_its_images_have() -> None:
    bottle = {row.method: row for row in published_for("bottle")}

    assert (bottle["proposed (CPCAE, Xception)"].auc, bottle["proposed (CPCAE, Xception)"].ap) == (99.71, 99.90)
    assert bottle["GANomaly"].ap is None
    assert {row.method for row in bottle.values() if row.measure == "PRO"} == {"VAE", "AnoGAN", "AE (SSIM)"}
    assert published_for("transistor_400") == published_for("transistor")
    assert published_for("pill_half") == published_for("pill") != ()
    assert published_for("Metal Nut") == published_for("metal_nut")
    assert published_for("zipper") == ()


def test_the_papers_proposal_has_the_mean_that_the_paper_prints() -> None:
    sets = ["bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "toothbrush", "transistor"]
    means = {
        row.method: np.mean([next(r.auc for r in published_for(s) if r.method == row.method) for s in sets])
        for row in published_for("bottle")
    }

    assert means["proposed (CPCAE, Xception)"] == pytest.approx(91.09, abs=0.02)
    assert means["PatchCore (WideResNet-50)"] == pytest.approx(99.26, abs=0.01)
    assert means["DFM (ResNet-18)"] == pytest.approx(96.06, abs=0.01)
    assert means["AE (L2)"] == pytest.approx(76.86, abs=0.01)  # the paper prints 75.31
    assert "76.86" in published_note()
