"""The exported networks compute what torch computes, at any size, and carry nothing of the machine they came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from calibration.backbones.efficientnet_lite0 import INPUT_OFFSET, INPUT_SCALE, backbone_onnx, load_backbone
from calibration.training.corruption import Corruption
from calibration.training.crossfit import learn
from calibration.training.export import cpcae_onnx
from calibration.training.train import Recipe, Training, steps_for
from edge_agent.inspection.networks.anomaly_map import Reconstructor, anomaly_map, to_working, upsize
from edge_agent.inspection.networks.embedding import Embedder
from edge_agent.inspection.networks.patches import PatchGrid
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

GRID = PatchGrid(48, 64, 32, 16)
QUICK = Recipe(min_steps=10, max_steps=10)


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    """As in a calibration: torch's threads wait by spinning."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parts(n: int = 12, channels: int = 1) -> np.ndarray:
    """Discs of varying size and brightness: something that can be learned."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: GRID.height, : GRID.width]
    discs = [
        0.2 + rng.uniform(0.3, 0.6) / (1 + np.exp(np.hypot(y - 24, x - 32) - rng.uniform(8, 16))) for _ in range(n)
    ]
    return np.repeat(np.stack(discs)[..., None], channels, axis=3).astype(np.float32)


@pytest.mark.parametrize("size", [(48, 64), (97, 131), (224, 224)])
def test_the_backbone_computes_what_torch_computes(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((*size, 3), dtype=np.float32)
    planes = torch.from_numpy(np.moveaxis(image, 2, 0)[None].copy())
    with torch.no_grad():
        features = load_backbone().extract_features(planes * INPUT_SCALE + INPUT_OFFSET)

    embedding = Embedder(backbone_onnx(), threads=1).embed(image)

    assert embedding.shape == (3840,)
    np.testing.assert_allclose(embedding[:1280], features.amax((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(embedding[1280:2560], features.mean((0, 2, 3)), atol=1e-4)
    assert (embedding[2560:] <= embedding[:1280] + 1e-6).all()


def test_a_grey_image_is_seen_as_three_equal_planes() -> None:
    grey = np.random.default_rng(1).random((64, 80, 1), dtype=np.float32)
    embedder = Embedder(backbone_onnx(), threads=1)

    np.testing.assert_array_equal(embedder.embed(grey), embedder.embed(np.repeat(grey, 3, axis=2)))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_exported_autoencoder_computes_what_torch_computes(channels: int) -> None:
    training = Training(parts(channels=channels), GRID, range(8), range(8, 12), QUICK, seed=0)
    training.run(lambda _step: None)
    trained = training.result()
    patches = GRID.cut(parts(channels=channels)[3])
    condition = torch.arange(GRID.count)[:, None] / GRID.count
    with torch.no_grad():
        expected = trained.network(
            torch.from_numpy((patches - trained.mean_patches) / np.float32(trained.deviation)), condition
        )[0]

    found = Network(cpcae_onnx(trained), 1).run(patches)

    np.testing.assert_allclose(found, expected.numpy() * trained.deviation + trained.mean_patches, atol=1e-4)


def test_training_is_repeatable_and_lowers_the_error_on_unseen_parts() -> None:
    recipe = Recipe(min_steps=50, max_steps=50)
    models = []
    for _ in range(2):
        training = Training(parts(24), GRID, range(16), range(16, 24), recipe, seed=3)
        training.run(lambda _step: None)
        models.append(training.result())

    assert cpcae_onnx(models[0]) == cpcae_onnx(models[1])
    assert models[0].heldout_error < 0.5 * models[0].mean_image_error


def test_a_network_that_no_score_hears_is_the_fold_that_is_watched_and_hangs_on_no_number_of_threads() -> None:
    recipe = Recipe(min_steps=50, max_steps=50, corruption=Corruption())

    one, two = (
        learn(parts(24), GRID, recipe, seed=3, threads=threads, progress=lambda _done, _total: None, folds=1)
        for threads in (1, 2)
    )

    assert one.full == one.folds[0] == two.full
    assert len(one.folds) == 1
    assert one.curve == two.curve
    assert [point.step for point in one.curve] == [10, 20, 30, 40, 50]
    assert not one.doubt
    assert one.heldout_error < one.mean_image_error


def test_a_network_for_pictures_never_trains_longer_than_asked() -> None:
    short, long = Recipe(min_steps=1, max_steps=1, batch=1), Recipe()

    assert steps_for(short.for_pictures(), 10_000) == 1
    assert short.for_pictures().shares == 1
    assert steps_for(long.for_pictures(), 100_000) < steps_for(long, 100_000)
    assert long.for_pictures().batch % long.for_pictures().shares == 0


def test_of_pictures_without_anything_in_common_nothing_is_learned_and_it_is_said() -> None:
    noise = np.random.default_rng(0).random((24, GRID.height, GRID.width, 1), dtype=np.float32)

    learned = learn(noise, GRID, QUICK, seed=0, threads=1, progress=lambda _done, _total: None)

    assert "did not learn" in learned.doubt
    assert not replace(learned, heldout_error=0.1 * learned.mean_image_error).doubt
    assert replace(learned, heldout_error=float("nan")).doubt


@pytest.mark.parametrize("model", ["backbone", "cpcae"])
def test_no_path_of_this_machine_is_in_a_network_file(model: str) -> None:
    training = Training(parts(), GRID, range(12), (), QUICK, seed=0)
    training.run(lambda _step: None)
    data = backbone_onnx() if model == "backbone" else cpcae_onnx(training.result())

    for trace in (str(Path.home()), str(Path.cwd()), "site-packages", ".py"):
        assert trace.encode() not in data


def test_a_network_that_does_not_fit_the_patches_is_refused() -> None:
    training = Training(parts(), GRID, range(12), (), QUICK, seed=0)
    training.run(lambda _step: None)
    model = cpcae_onnx(training.result())

    with pytest.raises(ValueError, match="patches are"):
        Reconstructor(model, PatchGrid(64, 64, 32, 16), 1, threads=1)
    with pytest.raises(ValueError, match="backbone"):
        Embedder(model, threads=1)


def test_the_map_is_the_difference_to_the_full_resolution_input() -> None:
    crop = np.full((96, 128, 1), 0.25, np.float32)
    crop[40, 70] = 1.0  # one pixel: gone after downsizing, present in the map
    flat = np.full((48, 64, 1), 0.25, np.float32)

    found = anomaly_map(crop, upsize(flat, 96, 128))

    assert to_working(crop, GRID).shape == (48, 64, 1)
    assert found.shape == crop.shape
    assert found[40, 70, 0] == pytest.approx(0.75)
    assert np.count_nonzero(found > 1e-6) == 1


def test_the_map_of_a_colour_image_is_the_distance_over_its_channels() -> None:
    crop, other = np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.float32)
    crop[1, 2] = (0.3, 0.0, 0.4)
    other[3, 3] = (1.0, 1.0, 1.0)

    found = anomaly_map(crop, other)

    assert found.shape == (4, 4, 1)
    assert found[1, 2, 0] == pytest.approx(0.5)
    assert found[3, 3, 0] == 1.0
