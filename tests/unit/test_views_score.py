"""The mean of views on the part: each piece of its arithmetic against its definition, written out in plain loops."""

from __future__ import annotations

import math
import statistics

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.backbones import DEFAULT_BACKBONE
from calibration.memory.view_memory import ViewMemory
from calibration.memory.whitened import Whitening, folds_of
from calibration.registering.part_mask import counting_places, part_mask
from edge_agent.inspection.networks.channels import OVERVIEW_PX, View, Voice, views_for
from edge_agent.inspection.networks.extractor import Extractor, Views
from edge_agent.inspection.networks.tone import Tone
from edge_agent.inspection.scoring.judge import ViewsJudge
from edge_agent.inspection.scoring.local import Scale
from edge_agent.inspection.scoring.nearest import PlaceBank, around
from edge_agent.inspection.scoring.typical_distances import TypicalDistances, top_mean
from edge_agent.inspection.scoring.view_bank import ViewBank

Floats = NDArray[np.float32]
Places = NDArray[np.bool_]
IDENTITY = np.eye(5, dtype=np.float32)


def drawn(n: int, seed: int = 0, height: int = 6, width: int = 7, depth: int = 5) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, height, width, depth)).astype(np.float32)


def some_places(height: int = 6, width: int = 7) -> Places:
    """Two patches apart from each other, one at the grid's edge."""
    places = np.zeros((height, width), bool)
    places[0:2, 0:3] = True
    places[4, 4:6] = True
    return places


def at(places: Places, features: Floats) -> Floats:
    """What a bank holds of whole grids (n, h, w, d)."""
    return features[:, around(places)]


# --- where it looks -------------------------------------------------------------------------------------


def test_around_are_the_places_that_touch_one_that_counts() -> None:
    places = some_places()
    expected = [
        [any(places[v, u] for v in range(max(0, y - 1), min(6, y + 2)) for u in range(max(0, x - 1), min(7, x + 2)))
         for x in range(7)]
        for y in range(6)
    ]  # fmt: skip

    assert around(places).tolist() == expected


def plate(background: float = 0.1, part: float = 0.6) -> Floats:
    mean = np.full((100, 200, 1), background, np.float32)
    mean[30:70, 40:140] = part
    return mean


def test_the_part_is_what_stands_out_from_the_border_a_little_wider_with_its_holes() -> None:
    mean = plate()
    mean[45:55, 80:90] = 0.1

    mask = part_mask(mean)

    assert mask is not None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (29, 70, 39, 140)  # 1.5 % of 100 px
    assert mask[50, 85]


@pytest.mark.parametrize("dark", [True, False])
def test_a_part_is_found_whether_it_is_lighter_than_what_is_around_or_darker(dark: bool) -> None:  # noqa: FBT001
    mask = part_mask(plate(0.7, 0.2) if dark else plate(0.2, 0.7))

    assert mask is not None
    assert 0.15 < mask.mean() < 0.3


def test_a_part_that_touches_the_border_is_still_one() -> None:
    mean = plate()
    mean[40:60, 140:] = 0.6  # a handle that leaves the picture

    mask = part_mask(mean)

    assert mask is not None
    assert mask[50, 199]


def test_where_more_than_a_quarter_of_the_border_is_no_background_the_whole_crop_counts() -> None:
    mean = plate()
    mean[:40] = 0.6

    assert part_mask(mean) is None


def test_a_surface_whose_light_falls_off_is_not_taken_for_a_part() -> None:
    y, x = np.mgrid[-1:1:100j, -1:1:200j]

    assert part_mask((0.5 - 0.06 * (x**2 + y**2))[..., None].astype(np.float32)) is None
    assert part_mask(np.full((40, 60, 3), 0.5, np.float32)) is None


def test_a_place_counts_that_is_half_on_the_part_and_half_in_what_a_person_painted() -> None:
    mask, asked = np.zeros((40, 80), bool), np.ones((40, 80), bool)
    mask[:, 20:] = True
    asked[:, 44:] = False

    assert counting_places((4, 8), mask, None)[0].tolist() == [False, False, True, True, True, True, True, True]
    assert counting_places((4, 8), mask, asked)[0].tolist() == [False, False, True, True, False, False, False, False]
    assert counting_places((4, 8), None, None).all()


def test_a_part_thinner_than_a_place_is_looked_at_where_it_touches_one() -> None:
    mask, asked = np.zeros((40, 80), bool), np.ones((40, 80), bool)
    mask[14:16] = True
    asked[:, 40:] = False

    places = counting_places((4, 8), mask, asked)

    assert np.flatnonzero(places.any(axis=1)).tolist() == [1]
    assert np.flatnonzero(places.any(axis=0)).tolist() == [0, 1, 2, 3]


# --- distances ------------------------------------------------------------------------------------------


def slow_distances(bank: Floats, places: Places, projection: Floats, part: Floats) -> Floats:
    """To each good part (P, n), place by place."""
    rows = []
    for y, x in np.argwhere(places):
        to_each = []
        for good in bank:
            cells = [
                np.linalg.norm((part[y, x] - good[v, u]) @ projection)
                for v in range(max(0, y - 1), min(places.shape[0], y + 2))
                for u in range(max(0, x - 1), min(places.shape[1], x + 2))
            ]
            to_each.append(min(cells))
        rows.append(to_each)
    return np.array(rows, np.float32)


@pytest.mark.parametrize("shape", [(6, 7), (20, 15)])  # the larger one takes more than one pass
def test_a_distance_is_to_the_nearest_place_within_one_cell_of_each_good_part(shape: tuple[int, int]) -> None:
    good, part = drawn(4, 0, *shape), drawn(1, 1, *shape)[0]
    places = np.random.default_rng(3).random(shape) > 0.4
    projection = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)

    bank = PlaceBank.of(at(places, good), places, projection)

    expected = slow_distances(good, places, projection, part)
    np.testing.assert_allclose(bank.to_each(part), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(bank.distances(part), expected.min(axis=1), rtol=1e-3, atol=1e-3)
    assert bank.parts == 4


@pytest.mark.parametrize(("shape", "count"), [((24, 30), 9), ((24, 30), 500), ((2, 3), 9)])
@pytest.mark.parametrize("defect", [0.0, 3.0])
def test_the_places_furthest_out_are_found_though_not_all_are_searched(
    shape: tuple[int, int], count: int, defect: float
) -> None:
    n = 5
    places = np.random.default_rng(3).random(shape) > 0.3
    good, part = drawn(n, 0, *shape), drawn(1, 1, *shape)[0]
    part[shape[0] // 2, : shape[1] // 2] += defect
    bank = PlaceBank.of(at(places, good), places, np.random.default_rng(2).normal(size=(5, 5)).astype(np.float32))
    usual = TypicalDistances.of(np.random.default_rng(4).uniform(1.0, 3.0, (n, int(places.sum()))).astype(np.float32))

    found = bank.furthest_out(part, usual, count)

    expected = np.sort(usual(bank.distances(part)))[-count:]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_of_a_part_that_is_not_finite_nothing_is_furthest_out() -> None:
    places, part = some_places(), drawn(1, 1)[0]
    bank = PlaceBank.of(at(places, drawn(4)), places, IDENTITY)
    usual = TypicalDistances.common(1.0, 1.0, int(places.sum()))
    part[0, 0, 0] = np.inf

    assert np.isnan(bank.furthest_out(part, usual, 9)).all()
    with pytest.raises(ValueError, match="the bank"):
        bank.furthest_out(part[1:], usual, 9)


def test_a_bank_without_a_part_is_the_bank_of_the_others() -> None:
    places, good, part = some_places(), drawn(4), drawn(1, 1)[0]
    bank = PlaceBank.of(at(places, good), places, IDENTITY)

    found = bank.without(2)

    others = PlaceBank.of(at(places, good[[0, 1, 3]]), places, IDENTITY)
    assert found.parts == 3
    np.testing.assert_array_equal(found.to_each(part), others.to_each(part))
    usual = TypicalDistances.common(1.0, 1.0, int(places.sum()))
    np.testing.assert_array_equal(found.furthest_out(part, usual, 9), others.furthest_out(part, usual, 9))


def test_a_memory_leaves_out_the_part_that_is_judged() -> None:
    places, good = some_places(), drawn(4)
    usual = TypicalDistances.common(1.0, 1.0, int(places.sum()))
    memory = ViewBank(PlaceBank.of(at(places, good), places, IDENTITY), usual, Scale(0.0, 1.0))

    found = memory.without(good[1])

    expected = PlaceBank.of(at(places, good[[0, 2, 3]]), places, IDENTITY)
    np.testing.assert_array_equal(found.outness(good[1]), usual(expected.distances(good[1])))
    assert found.score(good[1]) > memory.score(good[1])


def test_the_same_features_give_the_same_bits() -> None:
    places, part = some_places(), drawn(1, 1)[0]
    banks = [PlaceBank.of(at(places, drawn(4)).astype(np.float16), places, IDENTITY) for _ in range(2)]

    np.testing.assert_array_equal(banks[0].distances(part), banks[1].distances(part.copy()))


def test_what_is_not_around_a_place_that_counts_makes_no_difference_unless_it_is_not_finite() -> None:
    places, part = some_places(), drawn(1, 1)[0]
    bank = PlaceBank.of(at(places, drawn(4)), places, IDENTITY)
    elsewhere = part.copy()
    elsewhere[~places] += 50.0

    np.testing.assert_array_equal(bank.distances(part), bank.distances(elsewhere))
    elsewhere[5, 0, 0] = np.nan
    assert np.isnan(bank.distances(elsewhere)).all()


def test_features_that_do_not_fit_are_refused() -> None:
    places = some_places()
    with pytest.raises(ValueError, match="the bank"):
        PlaceBank.of(at(places, drawn(4)), places, IDENTITY).distances(drawn(1, height=8)[0])
    with pytest.raises(ValueError, match="places"):
        PlaceBank.of(at(places, drawn(4))[:, 1:], places, IDENTITY)
    with pytest.raises(ValueError, match="places"):
        PlaceBank.of(np.zeros((4, 0, 5), np.float32), np.zeros((6, 7), bool), IDENTITY)


def slow_projection(features: NDArray[np.float16]) -> NDArray[np.float64]:
    """The shrunk covariance of what is left of standardised features; of its inverse the projection is a root."""
    values = features.astype(np.float64)
    left = values - values.mean(axis=0)
    n, places, depth = left.shape
    spread = np.array([math.sqrt((left[..., i] ** 2).sum() / (places * (n - 1))) for i in range(depth)])
    spread = np.maximum(spread, 0.1 * math.sqrt((spread**2).mean()))
    rows = (left / spread).reshape(-1, depth)
    covariance = sum(np.outer(row, row) for row in rows) / (places * (n - 1))
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / depth * np.eye(depth)
    return np.asarray(np.diag(1 / spread) @ np.linalg.inv(shrunk) @ np.diag(1 / spread))


def correlated(n: int, seed: int = 0, depth: int = 5) -> NDArray[np.float16]:
    mixing = np.random.default_rng(9).normal(size=(depth, depth)) + 0.3
    return (drawn(n, seed, 3, 4, depth).reshape(n, 12, depth) @ mixing).astype(np.float16)


@pytest.mark.parametrize("without", [None, 2])
def test_distances_are_whitened_by_how_good_parts_differ_at_their_places(without: int | None) -> None:
    features = correlated(17)
    features[:, :, 3] = 1.0  # a feature that never varies
    folds = folds_of(17)

    found = Whitening(features, folds).projection(without).astype(np.float64)

    expected = slow_projection(features if without is None else features[folds != without])
    np.testing.assert_allclose(found @ found.T, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_what_disturbances_add_makes_less_of_a_distance_and_a_defect_as_much_as_before() -> None:
    features = correlated(24)
    features[:, :, 0] *= np.float16(0.05)  # in which good parts hardly differ, and a little noise moves every place
    noise, defect = np.eye(5)[0], np.eye(5)[3]
    nuisance = 4.0 * np.outer(noise, noise)

    plain = Whitening(features, folds_of(24)).projection()
    projection = Whitening(features, folds_of(24), nuisance=nuisance).projection()

    assert np.linalg.norm(noise @ projection) < 0.5 * np.linalg.norm(noise @ plain)
    assert np.linalg.norm(defect @ projection) > 0.8 * np.linalg.norm(defect @ plain)


def test_where_good_parts_never_differ_one_grey_value_is_no_defect() -> None:
    saturated = np.zeros((24, 12, 5), np.float16)
    nuisance = np.diag([4.0, 4.0, 1.0, 1.0, 1.0])
    whitening = Whitening(saturated, folds_of(24), nuisance=nuisance)

    projection = whitening.projection()
    least = whitening.least_spread(projection)

    assert least == pytest.approx(np.sqrt(np.trace(projection.T @ nuisance @ projection)) / 12, rel=1e-5)
    none_of_their_own = np.zeros((24, 9), np.float32)
    small = np.full(9, least / 2, np.float32)
    assert TypicalDistances.of(none_of_their_own, least)(small).max() == pytest.approx(0.5)
    assert TypicalDistances.of(none_of_their_own)(small).max() > 1000


def test_every_fold_is_small_and_a_few_parts_have_one_each() -> None:
    assert np.bincount(folds_of(44)).tolist() == [4] * 8 + [3] * 4
    assert folds_of(7).tolist() == list(range(7))


def test_of_many_features_those_directions_are_kept_in_which_good_parts_differ() -> None:
    features = correlated(9, depth=150)
    projection = Whitening(features, folds_of(9)).projection()

    assert projection.shape == (150, 128)
    kept = (features.astype(np.float32) - features.astype(np.float32).mean(axis=0)) @ projection
    whole = np.linalg.cholesky(slow_projection(features))
    left = (features.astype(np.float64) - features.astype(np.float64).mean(axis=0)) @ whole
    assert (kept**2).sum() > 0.99 * (left**2).sum()


# --- what is usual --------------------------------------------------------------------------------------


def slow_outness(good: NDArray[np.floating], part: NDArray[np.floating]) -> list[float]:
    """Distances (n, P) of good parts and (P) of a part: how far out the part is at each place."""
    n, count = good.shape
    usual = [sum(good[:, p]) / n for p in range(count)]
    variance = [sum((good[i, p] - usual[p]) ** 2 for i in range(n)) / (n - 1) for p in range(count)]
    common = statistics.median(variance)
    anywhere = sum(usual) / count
    between = sum((u - anywhere) ** 2 for u in usual) / count
    found = []
    for p in range(count):
        spread = math.sqrt((variance[p] * (n - 1) + common * 30) / (n - 1 + 30)) + 0.5 * math.sqrt(common)
        by_place = (part[p] - usual[p]) / spread
        by_all = (part[p] - anywhere) / (1.5 * math.sqrt(common + between))
        found.append((n * by_place + 30 * by_all) / (n + 30))
    return found


def test_a_distance_is_measured_by_its_own_place_and_by_all() -> None:
    good = np.random.default_rng(0).gamma(4.0, size=(12, 9)).astype(np.float32)
    part = np.linspace(0.0, 20.0, 9, dtype=np.float32)

    np.testing.assert_allclose(TypicalDistances.of(good)(part), slow_outness(good, part), rtol=1e-4)


def test_the_fewer_the_parts_the_more_their_places_share_one_spread() -> None:
    def ratio(n: int) -> float:
        good = np.random.default_rng(0).normal(10.0, 1.0, size=(n, 9)).astype(np.float32)
        good[:, 4] = 10.0 + 5.0 * (good[:, 4] - 10.0)
        spread = TypicalDistances.of(good).spread
        return float(spread[4] / np.median(spread))

    assert 1.0 < ratio(20) < ratio(60) < ratio(400) < 5.0


def test_good_parts_that_are_all_the_same_leave_finite_figures() -> None:
    same = TypicalDistances.of(np.full((12, 4), 2.0, np.float32))

    assert np.isfinite(same(np.array([2.0, 3.0, 0.0, 9.0], np.float32))).all()


def test_a_views_score_is_the_mean_of_the_nine_places_furthest_out() -> None:
    values = np.random.default_rng(0).permutation(np.arange(30)).astype(np.float32)

    assert top_mean(values) == pytest.approx(sum(range(21, 30)) / 9)
    assert top_mean(values[:4]) == pytest.approx(values[:4].mean())
    values[5] = np.nan
    assert math.isnan(top_mean(values))


# --- held-out scores ------------------------------------------------------------------------------------


def test_a_held_out_score_comes_from_nothing_that_has_seen_the_part() -> None:
    n, places = 14, some_places()
    good = drawn(n).astype(np.float16)
    folds = folds_of(n)
    memory = ViewMemory(at(places, good), places, range(n))

    found = memory.held_out()

    def distances_of(part: int, without: set[int]) -> Floats:
        scaled = Whitening(at(places, good)[folds != folds[part]], folds_of(n)[: (folds != folds[part]).sum()])
        bank = good[[i for i in range(n) if i not in {part, *without}]].astype(np.float32)
        return slow_distances(bank, places, scaled.projection(), good[part].astype(np.float32)).min(axis=1)

    for part in (0, 5, 13):
        others = np.stack([distances_of(i, {part}) for i in range(n) if i != part])
        outness = np.array(slow_outness(others, distances_of(part, set())))
        assert found.scores[part] == pytest.approx(np.sort(outness)[-9:].mean(), rel=1e-3)
    everyone = np.stack([distances_of(i, set()) for i in range(n)])
    np.testing.assert_allclose(found.usual.usual, everyone.mean(axis=0), rtol=1e-3)


def test_parts_that_the_bank_has_no_room_for_are_scored_as_well() -> None:
    places, good = some_places(), drawn(10).astype(np.float16)
    memory = ViewMemory(at(places, good), places, [1, 4, 7, 9])

    scores = memory.held_out().scores

    assert memory.stored.shape == (4, int(around(places).sum()), 5)
    assert np.isfinite(scores).all()


def test_held_out_scores_follow_the_law_of_new_parts() -> None:
    places, good, new = np.ones((6, 7), bool), drawn(60, depth=4), drawn(300, seed=1, depth=4)
    memory = ViewMemory(at(places, good).astype(np.float16), places, range(60))
    held_out = memory.held_out()
    bank = PlaceBank.of(memory.stored, places, memory.projection)

    fresh = np.array([top_mean(held_out.usual(bank.distances(part))) for part in new])

    assert np.mean(fresh > np.quantile(held_out.scores, 0.9)) == pytest.approx(0.1, abs=0.06)
    assert np.median(held_out.scores) == pytest.approx(np.median(fresh), abs=0.3 * np.std(fresh))


# --- views and their mean -------------------------------------------------------------------------------


def test_a_large_crop_is_seen_at_its_own_size_and_small_a_small_one_once() -> None:
    assert views_for(1200, 1600, [Voice.IMAGE]) == (View.NATIVE, View.OVERVIEW)
    assert views_for(OVERVIEW_PX, 300, [Voice.IMAGE]) == (View.NATIVE,)
    assert views_for(1200, 1600, list(Voice)) == (View.NATIVE, View.OVERVIEW, View.TONE, View.AUTOENCODER)
    assert views_for(1200, 1600, [Voice.AUTOENCODER]) == (View.AUTOENCODER,)


def seen(height: int, width: int, seed: int = 0) -> Views:
    rng = np.random.default_rng(seed)
    crop = cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), 4.0)[..., None]
    return Views(crop, np.zeros((64, 64, 1), np.float32), np.abs(crop - 0.5))


def test_features_have_a_place_for_each_sixteen_pixels_of_their_view() -> None:
    tone = Tone(np.ones((32, 48), bool), is_tied=True)
    views = tuple(view for view in View if view is not View.FILTERED)  # this crop is grey
    extractor = Extractor(views, DEFAULT_BACKBONE.overview_onnx(), threads=1, tone=tone)

    found = extractor.features(seen(500, 768))

    assert {view: features.shape for view, features in found.items()} == {
        View.NATIVE: (32, 48, 112),
        View.OVERVIEW: (16, 24, 112),
        View.TONE: (32, 48, 2),
        View.AUTOENCODER: (16, 24, 112),
    }


@pytest.mark.slow
def test_a_large_crop_is_seen_at_the_size_of_the_native_view() -> None:
    extractor = Extractor((View.NATIVE,), DEFAULT_BACKBONE.overview_onnx(), threads=1, native=(600, 800))

    assert extractor.features(seen(1200, 1600))[View.NATIVE].shape == (38, 50, 112)


def test_what_is_cheap_is_looked_at_first() -> None:
    views, tone = (View.NATIVE, View.OVERVIEW, View.TONE), Tone(np.ones((32, 48), bool), is_tied=True)
    extractor = Extractor(views, DEFAULT_BACKBONE.overview_onnx(), threads=1, tone=tone)

    assert [view for view, _ in extractor.looks(seen(500, 768))] == [View.TONE, View.OVERVIEW, View.NATIVE]
    assert tuple(extractor.features(seen(500, 768))) == views


def test_the_part_at_full_size_is_seen_by_a_network_of_its_own() -> None:
    shallow, deep = DEFAULT_BACKBONE.native_onnx(grey=True), DEFAULT_BACKBONE.overview_onnx(grey=True)
    views = (View.NATIVE, View.OVERVIEW)
    both = Extractor(views, deep, threads=1, fine=shallow)

    found, one = both.features(seen(500, 768)), Extractor(views, deep, threads=1).features(seen(500, 768))

    np.testing.assert_array_equal(found[View.OVERVIEW], one[View.OVERVIEW])
    assert np.abs(found[View.NATIVE] - one[View.NATIVE]).max() > 0.1


def judge_of(parts: list[Views], views: tuple[View, ...]) -> ViewsJudge:
    extractor = Extractor(views, DEFAULT_BACKBONE.overview_onnx(), threads=1)
    found = [extractor.features(part) for part in parts]
    banks = {}
    for view in views:
        features = np.stack([f[view] for f in found]).astype(np.float16)
        places = np.ones(features.shape[1:3], bool)
        places[:2] = False  # the upper 32 px are not part
        memory = ViewMemory(features[:, around(places)], places, range(len(parts)))
        held_out = memory.held_out()
        banks[view] = ViewBank(
            PlaceBank.of(memory.stored, places, memory.projection),
            held_out.usual,
            Scale.to_upper_tenth(held_out.scores),
        )
    return ViewsJudge(extractor, banks)


@pytest.fixture(scope="module")
def judge() -> ViewsJudge:
    return judge_of([seen(160, 192, seed) for seed in range(12)], (View.NATIVE, View.AUTOENCODER))


def test_the_score_is_the_mean_of_the_views_and_the_heat_points_at_the_defect(judge: ViewsJudge) -> None:
    part = seen(160, 192, 99)
    part.crop[96:128, 32:64] = 1.0
    embedded = judge.embed(part)

    judged, heat = judge.score(embedded), judge.heat(embedded, 160, 192, limit=4.0)

    assert judged.score == pytest.approx((judged.shares["native"] + judged.shares["autoencoder"]) / 2)
    assert judged.shares["native"] > 4.0 > judged.shares["autoencoder"]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 80 <= y < 144
    assert 16 <= x < 80
    assert heat[:16].max() == 0.0  # no part there


def test_heat_is_one_where_every_view_is_at_the_limit() -> None:
    places = np.ones((1, 1), bool)
    bank = PlaceBank.of(np.zeros((3, 1, 2), np.float32), places, np.eye(2, dtype=np.float32))
    usual = TypicalDistances(np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 1.0, 0.5)
    view = ViewBank(bank, usual, Scale(2.0, 3.0))

    assert view.score(np.full((1, 1, 2), 5 / math.sqrt(2), np.float32)) == pytest.approx(3.0)
    assert view.heat(np.full((1, 1, 2), 5 / math.sqrt(2), np.float32), 3.0)[0, 0] == pytest.approx(1.0)
    assert view.heat(np.zeros((1, 1, 2), np.float32), 3.0)[0, 0] == 0.0


def test_a_defect_off_the_part_makes_no_difference(judge: ViewsJudge) -> None:
    embedded = dict(judge.embed(seen(160, 192, 99)))
    elsewhere = {view: features.copy() for view, features in embedded.items()}
    for features in elsewhere.values():
        features[0] += 100.0

    assert judge.score(elsewhere) == judge.score(embedded)


def test_no_score_is_less_than_what_it_is_said_to_be_at_least() -> None:
    views = (View.NATIVE, View.AUTOENCODER)
    judge = judge_of([seen(160, 192, number) for number in range(8)], views)
    rng = np.random.default_rng(0)

    for number in range(40, 60):
        embedded = judge.embed(seen(160, 192, number))
        spoilt = {view: features + rng.normal(0.0, 2.0, features.shape) for view, features in embedded.items()}
        shares = {view: judge.share(view, features.astype(np.float32)) for view, features in spoilt.items()}
        least = [judge.at_least({view: shares[view] for view in some}) for some in ((), ("native",), shares)]

        assert least[0] <= least[1] <= least[2] == judge.judged(shares).score


def test_what_a_part_scores_at_least_is_what_a_good_part_scores_that_is_remembered() -> None:
    part = seen(160, 192, 3)
    judge = judge_of([seen(160, 192, number) for number in range(8)], (View.NATIVE,))

    assert judge.at_least({}) <= judge.score(judge.embed(part)).score == pytest.approx(judge.at_least({}), abs=0.3)


def test_nan_in_one_view_makes_the_score_nan(judge: ViewsJudge) -> None:
    embedded = {view: features.copy() for view, features in judge.embed(seen(160, 192, 9)).items()}
    embedded["native"][0, 0, 0] = np.nan

    assert math.isnan(judge.score(embedded).score)


def test_views_without_a_bank_or_of_another_network_are_refused(judge: ViewsJudge) -> None:
    extractor = Extractor((View.NATIVE,), DEFAULT_BACKBONE.overview_onnx(), threads=1)
    bank = PlaceBank.of(np.zeros((3, 1, 2), np.float32), np.ones((1, 1), bool), np.eye(2, dtype=np.float32))
    usual = TypicalDistances(np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 1.0, 0.5)

    with pytest.raises(ValueError, match="banks of"):
        ViewsJudge(extractor, {})
    with pytest.raises(ValueError, match="banks of"):  # nothing is in the mean
        ViewsJudge(extractor, {View.NATIVE: ViewBank(bank, usual, Scale(0.0, 1.0), is_beside=True)})
    with pytest.raises(ValueError, match="brightness and colour"):
        Extractor((View.TONE,), DEFAULT_BACKBONE.overview_onnx(), threads=1)
    with pytest.raises(ValueError, match="112 features"):
        ViewsJudge(extractor, {View.NATIVE: ViewBank(bank, usual, Scale(0.0, 1.0))})


def test_a_scale_ends_where_nine_in_ten_good_parts_stay_below() -> None:
    scores = np.linspace(1.0, 2.0, 41)
    scale = Scale.to_upper_tenth(scores)

    assert scale(1.5) == 0.0
    assert scale(1.9) == pytest.approx(1.0)
    assert Scale.to_upper_tenth(np.append(scores[:-1], 40.0)) == scale
    assert math.isfinite(Scale.to_upper_tenth(np.zeros(12))(1.0))
