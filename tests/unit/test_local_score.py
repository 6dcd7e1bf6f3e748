"""The local score: each place against the same place of good parts, in channels that cannot blunt each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.backbones import DEFAULT_BACKBONE
from calibration.memory.channel_memory import Memory, most_different, standardising, whitening
from calibration.scoring.places import _trusted
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.networks.channels import OVERVIEW_PX, Channel, channels_for
from edge_agent.inspection.networks.embedding import Embedder, FeatureGrid
from edge_agent.inspection.networks.extractor import Extractor, Views
from edge_agent.inspection.scoring.judge import LocalJudge, PooledJudge
from edge_agent.inspection.scoring.knn import Bank
from edge_agent.inspection.scoring.local import LocalBank, Scale
from edge_agent.inspection.scoring.outcome import decide_outcome

Features = NDArray[np.float32]
IDENTITY = np.eye(5, dtype=np.float32)


def drawn(n: int, seed: int = 0, height: int = 7, width: int = 9, depth: int = 5) -> Features:
    return np.random.default_rng(seed).normal(size=(n, height, width, depth)).astype(np.float32)


def slow_distances(bank: Features, projection: Features, part: Features) -> Features:
    """The definition, place by place."""
    n, height, width, _ = bank.shape
    found = np.full((height, width), np.inf)
    for y in range(height):
        for x in range(width):
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    for i in range(n):
                        found[y, x] = min(found[y, x], np.linalg.norm((part[y, x] - bank[i, v, u]) @ projection))
    return found.astype(np.float32)


def test_a_distance_is_to_the_nearest_good_place_within_one_cell() -> None:
    good, part = drawn(4), drawn(1, seed=1)[0]
    projection = np.random.default_rng(2).normal(size=(5, 5)).astype(np.float32)

    found = LocalBank.of(good, projection).distances(part)

    np.testing.assert_allclose(found, slow_distances(good, projection, part), rtol=1e-3, atol=1e-3)


def test_a_good_part_in_the_bank_has_no_distance_and_without_itself_it_has() -> None:
    good = drawn(4)
    bank, others = LocalBank.of(good, IDENTITY), LocalBank.of(np.delete(good, 2, axis=0), IDENTITY)

    assert bank.score(good[2]) == pytest.approx(0.0, abs=2e-3)
    np.testing.assert_allclose(bank.distances(good[2], without=2), others.distances(good[2]), rtol=1e-5)


def test_a_part_that_lies_one_cell_off_is_forgiven_two_cells_are_not() -> None:
    good = drawn(3, height=12, width=12)
    bank = LocalBank.of(good, IDENTITY)
    inner = (slice(3, -3), slice(3, -3))

    assert bank.distances(np.roll(good[0], 1, axis=1))[inner].max() < 2e-3
    assert bank.distances(np.roll(good[0], 2, axis=1))[inner].max() > 0.5


@pytest.mark.parametrize("without", [None, 3])
def test_a_score_is_the_mean_of_the_nine_largest_distances_though_not_all_are_searched(without: int | None) -> None:
    bank = LocalBank.of(drawn(6, height=20, width=15), IDENTITY)
    part = drawn(1, seed=4, height=20, width=15)[0]
    part[4:6, 7:9] += 3.0

    largest = np.sort(bank.distances(part, without=without).ravel())[-9:]

    assert bank.score(part, without=without) == pytest.approx(largest.mean(), rel=1e-5)


def test_one_odd_place_raises_the_score_however_large_the_part_is() -> None:
    bank = LocalBank.of(drawn(6, height=40, width=40), IDENTITY)
    part = drawn(1, seed=9, height=40, width=40)[0]
    defective = part.copy()
    defective[20:23, 20:23] += 25.0

    assert bank.score(defective) > 3 * bank.score(part)


def test_nan_in_one_place_makes_the_score_nan() -> None:
    part = drawn(1)[0]
    part[3, 4, 2] = np.nan

    assert np.isnan(LocalBank.of(drawn(4), IDENTITY).score(part))


def test_the_same_features_give_the_same_bits() -> None:
    bank, part = LocalBank.of(drawn(5), IDENTITY), drawn(1, seed=3)[0]

    np.testing.assert_array_equal(bank.distances(part), bank.distances(part.copy()))


def test_features_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="the bank"):
        LocalBank.of(drawn(3), IDENTITY).distances(drawn(1, height=8)[0])


def test_whitening_shows_a_faint_defect_where_good_parts_hardly_differ() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(size=(30, 6, 6, 5)).astype(np.float32)
    # Two features that move together: in their difference good parts hardly differ.
    good[..., 1] = good[..., 0] + rng.normal(size=good.shape[:3]) * 0.01
    part = good[0].copy()
    part[3, 3, 1] += 3.0

    def contrast(projection: Features) -> float:
        distances = LocalBank.of(good[1:], projection).distances(part)
        return float(distances[3, 3] / np.median(distances))

    half = good.astype(np.float16)
    assert contrast(whitening(half)) > 1.3 * contrast(standardising(half))


def test_standardising_gives_every_feature_the_same_spread() -> None:
    features = (drawn(20) * np.array([1, 10, 100, 0.1, 3])).astype(np.float16)

    projected = features.astype(np.float32) @ standardising(features)

    np.testing.assert_allclose(projected.std(axis=(0, 1, 2)), 1.0, rtol=1e-2)


def test_a_feature_that_never_varies_stays_finite() -> None:
    features = drawn(6).astype(np.float16)
    features[..., 3] = 1.0

    assert np.isfinite(whitening(features)).all()
    assert np.isfinite(standardising(features)).all()


def test_held_out_scores_follow_the_law_of_new_parts() -> None:
    good, new = drawn(60, depth=4), drawn(300, seed=1, depth=4)
    memory = Memory(good.astype(np.float16), range(60), standardising)
    bank = LocalBank.of(good, memory.projection)

    held_out = memory.held_out_scores([i % 3 for i in range(60)])
    fresh = np.array([bank.score(part) for part in new])

    assert np.mean(fresh > np.quantile(held_out, 0.9)) == pytest.approx(0.1, abs=0.06)
    assert np.median(held_out) == pytest.approx(np.median(fresh), rel=0.06)


def test_a_held_out_score_does_not_know_its_own_part() -> None:
    good = drawn(9)
    good[4] *= 40.0
    kept = Memory(good.astype(np.float16), range(9), standardising).held_out_scores([i % 3 for i in range(9)])

    assert kept.argmax() == 4
    assert kept[4] > 20 * np.median(kept)  # a scale made with it would hide it


def test_a_bank_above_its_bound_keeps_the_parts_that_differ_most() -> None:
    features = np.zeros((6, 2, 2, 3), np.float16)
    features[4] += 9.0
    features[1] -= 7.0

    assert most_different(features, 3) == [0, 1, 4]
    assert most_different(features, 6) == [0, 1, 2, 3, 4, 5]


def test_a_scale_puts_the_usual_part_at_0_and_the_upper_quartile_at_1() -> None:
    scale = Scale.of(np.array([3.0, 1.0, 2.0, 5.0, 4.0]))

    assert scale(3.0) == 0.0
    assert scale(4.0) == 1.0
    assert scale.at(scale(4.5)) == pytest.approx(4.5)
    assert np.isnan(scale(float("nan")))


def test_one_odd_part_does_not_move_the_scale() -> None:
    scores = np.linspace(1.0, 2.0, 44)

    assert Scale.of(np.append(scores[:-1], 40.0)) == Scale.of(scores)


def test_a_channel_of_half_the_weight_has_to_see_a_part_twice_as_far_out() -> None:
    scores = np.linspace(1.0, 2.0, 44)

    assert Scale.of(scores, 0.5)(3.0) == pytest.approx(0.5 * Scale.of(scores)(3.0))


def test_a_scale_of_parts_that_are_all_alike_is_finite() -> None:
    scale = Scale.of(np.zeros(12))

    assert np.isfinite(scale(1.0))
    assert scale(1.0) > 1.0


def test_a_large_crop_is_seen_whole_and_finely_a_small_one_only_whole() -> None:
    assert Channel.FINE in channels_for(1200, 1600)
    assert Channel.FINE not in channels_for(OVERVIEW_PX, 300)


def views(height: int, width: int, seed: int = 0) -> Views:
    rng = np.random.default_rng(seed)
    crop = rng.random((height, width, 1), np.float32)
    repaired = rng.random((64, 64, 1), np.float32)
    return Views(crop, repaired, np.abs(crop - 0.5))


def test_features_have_a_place_for_each_sixteen_pixels_of_their_view() -> None:
    overview, fine = DEFAULT_BACKBONE.overview_onnx(), DEFAULT_BACKBONE.fine_onnx()

    found = Extractor(tuple(Channel), overview, fine, threads=1).features(views(500, 768))

    assert found[Channel.FINE].shape == (32, 48, 80)
    assert {found[c].shape for c in (Channel.IMAGE, Channel.PERCEPTUAL, Channel.MAP)} == {(16, 24, 112)}
    assert (found[Channel.PERCEPTUAL] >= 0).all()


def test_a_switched_off_channel_is_not_computed() -> None:
    overview = DEFAULT_BACKBONE.overview_onnx()

    assert list(Extractor([Channel.MAP], overview, None, threads=1).features(views(64, 80))) == [Channel.MAP]
    with pytest.raises(ValueError, match="without the network"):
        Extractor([Channel.FINE], overview, None, threads=1)


def judge_of(parts: list[Views]) -> LocalJudge:
    extractor = Extractor([Channel.IMAGE, Channel.MAP], DEFAULT_BACKBONE.overview_onnx(), None, threads=1)
    found = [extractor.features(part) for part in parts]
    banks, scales = {}, {}
    for channel in extractor.channels:
        memory = Memory(np.stack([f[channel] for f in found]).astype(np.float16), range(len(parts)), standardising)
        banks[channel] = LocalBank.of(np.stack([f[channel] for f in found]), memory.projection)
        scales[channel] = Scale.of(memory.held_out_scores([i % 3 for i in range(len(parts))]))
    return LocalJudge(extractor, banks, scales)


def test_the_score_is_the_largest_share_and_the_heat_points_at_the_defect() -> None:
    judge = judge_of([views(160, 192, seed) for seed in range(8)])
    part = views(160, 192, 99)
    part.crop[96:128, 32:64] = 1.0
    embedded = judge.embed(part)

    judged, heat = judge.score(embedded), judge.heat(embedded, 160, 192, limit=4.0)

    assert judged.score == max(judged.shares.values())
    assert judged.shares["image"] > 1.0 > judged.shares["map"]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 80 <= y < 144
    assert 16 <= x < 80
    assert heat.max() > 1.0 > heat[:64].max() > 0.0


def test_nan_in_one_channel_makes_the_score_nan() -> None:
    judge = judge_of([views(64, 64, seed) for seed in range(6)])
    embedded = judge.embed(views(64, 64, 9))
    embedded[Channel.MAP][0, 0, 0] = np.nan

    assert np.isnan(judge.score(embedded).score)


def test_a_backbone_of_the_other_score_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        FeatureGrid(DEFAULT_BACKBONE.pooled_onnx(), threads=1)
    with pytest.raises(ValueError, match="expected"):
        Embedder(DEFAULT_BACKBONE.overview_onnx(), threads=1)


def test_banks_that_do_not_fit_the_channels_or_the_backbone_are_refused() -> None:
    extractor = Extractor([Channel.MAP], DEFAULT_BACKBONE.overview_onnx(), None, threads=1)
    with pytest.raises(ValueError, match="banks of"):
        LocalJudge(extractor, {}, {Channel.MAP: Scale(0.0, 1.0)})
    embeddings = np.random.default_rng(0).random((20, 6)).astype(np.float32)
    with pytest.raises(ValueError, match="the bank has"):
        PooledJudge(Embedder(DEFAULT_BACKBONE.pooled_onnx(), threads=1), Bank.of(embeddings, 15))


def test_channels_of_an_autoencoder_that_did_not_learn_are_left_out_and_refused_where_they_were_asked_for() -> None:
    everything, doubt = tuple(Channel), "the autoencoder did not learn"

    assert _trusted(everything, "", as_asked=False) == (everything, ())
    assert _trusted((Channel.FINE,), doubt, as_asked=True) == ((Channel.FINE,), ())
    kept, notes = _trusted(everything, doubt, as_asked=False)
    assert kept == (Channel.IMAGE, Channel.FINE)
    assert "map and perceptual are left out" in notes[0]
    with pytest.raises(CalibrationRefused, match="did not learn"):
        _trusted((Channel.IMAGE, Channel.MAP), doubt, as_asked=True)


def test_the_words_name_the_channel_that_saw_the_defect() -> None:
    outcome, reason, words = decide_outcome(
        score=2.0,
        limit=1.0,
        review_from=1.0,
        quality=0.9,
        quality_min=0.5,
        unseen_fraction=0.0,
        unseen_max=0.1,
        seen_in="the channel fine",
    )

    assert (outcome, reason) == (Outcome.NG, Reason.SCORE)
    assert words == "score 2 is at or above the limit 1, seen in the channel fine"
