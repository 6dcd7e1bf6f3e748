"""The paper's four quoted methods: each learns from good crops alone, and does what its publication says of it.

Networks and trainings are tiny: what they find here is obvious, and nothing here says how well they find anything else.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from calibration.baselines import BASELINES, Setting
from calibration.baselines.anogan import AnoGan
from calibration.baselines.base import Detector, squared
from calibration.baselines.ganomaly import Ganomaly
from calibration.baselines.geotrans import TRANSFORMATIONS, GeoTrans, concentrations, transformed
from calibration.baselines.networks import Plan, as_tensor, batches, decoder, encoder, torch_at_work
from calibration.baselines.vae import Vae, divergence

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

Crop = NDArray[np.float32]
SEARCH_STEPS = 40
ALL = ["vae", "anogan", "ganomaly", "geotrans"]


def crop(seed: int, *, defect: bool = False, channels: int = 1) -> Crop:
    """A crop of 48 x 64 px: stripes of slightly varying light; ``defect``: a dark spot."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64]
    image = 0.5 + 0.2 * np.sin(x / 5.0) * np.cos(y / 9.0) + rng.uniform(-0.03, 0.03)
    image = image + rng.normal(0.0, 0.01, image.shape)
    if defect:
        image[12:24, 36:50] = 0.05
    return np.repeat(np.clip(image, 0.0, 1.0).astype(np.float32)[..., None], channels, axis=2)


def no_progress(_done: int, _total: int) -> None:
    """Nobody watches."""


def untrained(
    name: str, *, seed: int = 0, steps: int | None = None, progress: Callable[[int, int], None] = no_progress
) -> Detector:
    def plan(px: int, width: int, batch: int, usual: int) -> Plan:
        return Plan(px, width, batch, epochs=1.0, least_steps=steps or usual, most_steps=steps or usual)

    if name == "vae":
        return Vae(seed=seed, threads=1, progress=progress, plan=plan(32, 8, 16, 100))
    if name == "anogan":
        small = plan(32, 8, 16, 80)
        return AnoGan(seed=seed, threads=1, progress=progress, plan=small, search_steps=SEARCH_STEPS)
    if name == "ganomaly":
        return Ganomaly(seed=seed, threads=1, progress=progress, plan=plan(32, 8, 16, 80))
    return GeoTrans(seed=seed, threads=1, progress=progress, plan=plan(16, 1, 72, 30))


def learned(detector: Detector, channels: int = 1) -> Detector:
    detector.fit(np.stack([detector.describe(crop(seed, channels=channels)) for seed in range(20)]))
    return detector


@cache
def fitted(name: str) -> Detector:
    return learned(untrained(name))


def score(detector: Detector, image: Crop) -> float:
    return detector.score(detector.describe(image))


# --- what all four have to do ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_spots_score_above_unseen_good_parts(name: str) -> None:
    good = [score(fitted(name), crop(seed)) for seed in range(100, 106)]
    bad = [score(fitted(name), crop(seed, defect=True)) for seed in range(200, 206)]

    assert np.isfinite([*good, *bad]).all()
    assert roc_auc_score([0] * 6 + [1] * 6, good + bad) > 0.9


@pytest.mark.parametrize("name", ALL)
def test_scores_depend_on_the_seed_alone(name: str) -> None:
    part = crop(100)
    first = learned(untrained(name, steps=3))
    torch.rand(7)  # what others draw meanwhile does not matter
    again, other = learned(untrained(name, steps=3)), learned(untrained(name, steps=3, seed=1))

    assert score(first, part) == score(first, part) == score(again, part)
    assert score(other, part) != score(first, part)


@pytest.mark.parametrize("name", ALL)
def test_training_and_scoring_leave_torch_as_it_was(name: str) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    score(learned(untrained(name, steps=1)), crop(100))

    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ALL)
def test_every_step_of_the_training_is_told(name: str) -> None:
    told: list[tuple[int, int]] = []
    learned(untrained(name, steps=3, progress=lambda done, total: told.append((done, total))))

    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", ALL)
def test_colour_images_of_any_shape_are_seen_as_squares(name: str) -> None:
    detector = learned(untrained(name, steps=1), channels=3)
    described = detector.describe(crop(100, channels=3))

    assert described.shape[0] == described.shape[1]
    assert described.shape[2] == 3
    assert math.isfinite(detector.score(described))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_scored_before_it_is_trained_and_no_limit_is_set(name: str) -> None:
    detector = untrained(name)

    with pytest.raises(ValueError, match="fit comes before score"):
        score(detector, crop(100))
    assert fitted(name).held_out_scores() is None


@pytest.mark.parametrize("name", ["vae", "anogan"])
def test_a_heat_map_is_hottest_on_the_spot(name: str) -> None:
    detector = fitted(name)
    heat = detector.heat_map(detector.describe(crop(200, defect=True)))

    assert heat is not None
    on = np.zeros(heat.shape, bool)
    on[8:16, 18:25] = True  # of 32 x 32
    assert heat.min() >= 0.0  # outside the crop a map is 0, and nothing may be cooler than that
    assert heat[on].mean() > 1.5 * heat[~on].mean()


@pytest.mark.parametrize("name", ["ganomaly", "geotrans"])
def test_what_compares_codes_or_answers_has_no_heat_map(name: str) -> None:
    detector = fitted(name)

    assert detector.heat_map(detector.describe(crop(200))) is None


@pytest.mark.parametrize("name", ALL)
def test_the_table_of_methods_makes_it_with_seed_and_a_note(name: str) -> None:
    setting = Setting(registered=None, learned=None, seed=3, threads=1, progress=lambda *_: None)  # type: ignore[arg-type]
    baseline = BASELINES[name]

    assert type(baseline.make(setting)) is type(untrained(name))
    assert baseline.is_seeded
    assert not baseline.needs_autoencoder
    assert baseline.title in baseline.note
    assert "docs/decisions/0054" in baseline.note


# --- the variational autoencoder ------------------------------------------------------------------------


def test_the_divergence_of_a_standard_normal_code_is_nothing() -> None:
    assert torch.equal(divergence(torch.zeros(2, 5), torch.zeros(2, 5)), torch.zeros(2))


def test_the_divergence_is_that_of_two_gaussians() -> None:
    mean, log_variance = torch.tensor([[0.5, -2.0]]), torch.tensor([[0.3, -1.5]])
    code = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(torch.zeros(1, 2), torch.ones(1, 2))
    expected = torch.distributions.kl_divergence(code, standard).sum(dim=1)

    assert divergence(mean, log_variance).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_the_score_of_a_vae_is_the_mean_of_its_map() -> None:
    vae = fitted("vae")
    described = vae.describe(crop(100))
    heat = vae.heat_map(described)

    assert heat is not None
    assert heat.shape == (32, 32)
    assert vae.score(described) == pytest.approx(float(heat.mean()), rel=1e-5)


# --- AnoGAN ---------------------------------------------------------------------------------------------


def anogan() -> AnoGan:
    detector = fitted("anogan")
    assert isinstance(detector, AnoGan)
    return detector


def test_the_search_for_a_code_lowers_its_loss() -> None:
    found = anogan().search(anogan().describe(crop(100)))

    assert len(found.losses) == SEARCH_STEPS + 1
    assert found.losses[-1] < 0.9 * found.losses[0]
    assert anogan().score(anogan().describe(crop(100))) == found.losses[-1]


def test_a_loss_is_nine_parts_residual_and_one_part_discrimination() -> None:
    detector = anogan()
    described = detector.describe(crop(200, defect=True))
    found = detector.search(described)
    assert detector._networks is not None
    _, critic = detector._networks
    image = as_tensor(described, low=-1.0)
    residual = float((image - found.image).abs().sum())
    with torch.no_grad():
        seen, made = critic.features(torch.stack([image, found.image]))
    discrimination = float((seen - made).abs().sum())

    assert discrimination > 0.0
    assert found.losses[-1] == pytest.approx(0.9 * residual + 0.1 * discrimination, rel=1e-4)


def test_an_image_is_searched_once_for_its_score_and_its_map() -> None:
    detector = anogan()
    first, other = (detector.describe(crop(seed)) for seed in (100, 101))

    assert detector.search(first) is detector.search(first)
    assert detector.search(other) is not detector.search(first)


# --- GANomaly -------------------------------------------------------------------------------------------


def test_the_score_is_the_distance_of_the_two_codes() -> None:
    detector = fitted("ganomaly")
    assert isinstance(detector, Ganomaly)
    described = detector.describe(crop(200, defect=True))
    code, code_of_made = detector.codes(described)

    assert code.shape == code_of_made.shape == (100,)
    assert detector.score(described) == pytest.approx(float(torch.dist(code, code_of_made, p=1)), rel=1e-5)


# --- GeoTrans -------------------------------------------------------------------------------------------


def test_there_are_72_ways_to_move_an_image_and_no_two_are_alike() -> None:
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 16, 16), np.float32))
    found = [transformed(image, way) for way in range(len(TRANSFORMATIONS))]

    assert len(found) == 72
    assert torch.equal(found[0], image)
    assert not any(torch.equal(a, b) for a, b in combinations(found, 2))


def test_they_are_two_mirrorings_by_nine_shifts_of_a_quarter_by_four_turns() -> None:
    assert len(set(TRANSFORMATIONS)) == 72
    assert [sorted(set(values)) for values in zip(*TRANSFORMATIONS, strict=True)] == [
        [0, 1],
        [-1, 0, 1],
        [-1, 0, 1],
        [0, 1, 2, 3],
    ]


@pytest.mark.parametrize(
    ("way", "row", "column"),
    [
        ((0, 0, 0, 0), 6, 7),
        ((1, 0, 0, 0), 6, 8),  # mirrored: column 15 - 7
        ((0, 1, 0, 0), 6, 11),  # across by 16 / 4
        ((0, 0, -1, 0), 2, 7),  # up by 16 / 4
        ((0, 0, 0, 1), 8, 6),  # a quarter turn against the clock: row 15 - 7, column 6
        ((1, 1, 1, 2), 5, 3),  # to (6, 8), then (10, 12), then half round
    ],
)
def test_a_point_goes_where_its_transformation_sends_it(way: tuple[int, int, int, int], row: int, column: int) -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 6, 7] = 1.0
    found = transformed(image, TRANSFORMATIONS.index(way))

    assert found[0, 0, row, column] == 1.0


def test_what_comes_in_at_the_border_is_mirrored() -> None:
    image = torch.arange(16.0).expand(1, 1, 16, 16)
    found = transformed(image, TRANSFORMATIONS.index((0, 1, 0, 0)))

    assert found[0, 0, 0, :6].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0, 1.0]


def test_the_most_likely_dirichlet_distribution_is_found_again() -> None:
    true = np.array([8.0, 2.0, 0.5])
    shares = np.random.default_rng(0).dirichlet(true, 20_000)

    assert concentrations(torch.from_numpy(np.log(shares))).numpy() == pytest.approx(true, rel=0.05)


# --- what they share ------------------------------------------------------------------------------------


def test_a_plan_bounds_its_steps() -> None:
    plan = Plan(px=64, width=8, batch=32, epochs=10.0, least_steps=50, most_steps=100)

    assert [plan.steps(images) for images in (20, 256, 5000)] == [50, 80, 100]


def test_batches_hold_images_of_the_set() -> None:
    good = torch.arange(5.0)[:, None]
    plan = Plan(px=4, width=1, batch=64, epochs=1.0, least_steps=1, most_steps=1)
    with torch_at_work(1, 0):
        (drawn,) = batches(good, plan, no_progress)

    assert set(drawn[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("is_normalised", [True, False])
def test_the_two_halves_of_a_network_fit(is_normalised: bool) -> None:  # noqa: FBT001 - a case
    down, flat = encoder(32, 3, 8, is_normalised=is_normalised)
    up = decoder(10, 32, 3, 8, is_normalised=is_normalised)

    assert down(torch.zeros(2, 3, 32, 32)).shape == (2, flat)
    assert up(torch.zeros(2, 10)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("px", [4, 30, 48])
def test_a_size_that_cannot_be_halved_down_to_four_is_refused(px: int) -> None:
    with pytest.raises(ValueError, match=f"{px} px is not 4 px times a power of two"):
        encoder(px, 1, 8)


def test_a_square_keeps_the_mean_and_the_channels() -> None:
    image = crop(0, channels=3)

    assert squared(image, 16).shape == (16, 16, 3)
    assert float(squared(image, 16).mean()) == pytest.approx(float(image.mean()), abs=1e-3)
    assert squared(crop(0), 32).shape == (32, 32, 1)
