"""Measures of raw scores and heat maps, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from calibration.evaluation.measures import PixelMeasure, auc_and_ap, good_passed_at_zero_misses

DEFECTIVE = np.array([False, False, False, False, True, True])


def test_scores_far_above_one_are_measured_as_they_are() -> None:
    scores = np.array([1.0, 2.0, 30.0, 4.0, 500.0, 60.0])

    assert auc_and_ap(DEFECTIVE, scores) == (100.0, 100.0)
    assert auc_and_ap(DEFECTIVE, -scores)[0] == 0.0


def test_good_parts_pass_only_below_the_lowest_defective_one() -> None:
    assert good_passed_at_zero_misses(DEFECTIVE, np.array([1.0, 2.0, 3.0, 4.0, 3.0, 9.0])) == 50.0  # a tie is no pass
    assert good_passed_at_zero_misses(DEFECTIVE, np.array([1.0, 2.0, 3.0, 4.0, 0.5, 9.0])) == 0.0


def two_defects() -> np.ndarray:
    marked = np.zeros((40, 50), bool)
    marked[5:15, 5:15] = marked[30:34, 30:40] = True
    return marked


def test_a_map_that_marks_exactly_the_defects_is_perfect() -> None:
    measure = PixelMeasure()
    measure.add(two_defects().astype(np.float32) * 7.0, two_defects())

    assert measure.auroc == pytest.approx(100.0)
    assert measure.pro == pytest.approx(100.0)


def test_each_defect_counts_alike_whatever_its_size() -> None:
    only_the_large_one = np.zeros((40, 50), np.float32)
    only_the_large_one[5:15, 5:15] = 1.0
    measure = PixelMeasure()
    measure.add(only_the_large_one, two_defects())
    share_of_pixels = 100 / 140

    assert measure.pro == pytest.approx(100.0 * (0.5 + 0.5 * 0.15), abs=0.1)  # then one straight line up to 1
    assert measure.auroc == pytest.approx(100.0 * (share_of_pixels + (1 - share_of_pixels) / 2), abs=0.1)


def test_a_map_of_chance_has_half_the_area() -> None:
    rng = np.random.default_rng(0)
    measure = PixelMeasure()
    for _ in range(20):
        measure.add(rng.normal(size=(40, 50)).astype(np.float32), two_defects())

    assert measure.auroc == pytest.approx(50.0, abs=2.0)
    assert measure.pro == pytest.approx(15.0, abs=2.0)  # the mean of y = x up to 0.3


def test_bins_lose_nothing_that_counts() -> None:
    rng = np.random.default_rng(1)
    heat = rng.normal(size=(3, 40, 50)).astype(np.float32) + two_defects() * np.float32(0.8)
    measure = PixelMeasure()
    for image in heat:
        measure.add(image, two_defects())

    exact = 100.0 * roc_auc_score(np.concatenate([two_defects().ravel()] * 3), heat.ravel())
    assert measure.auroc == pytest.approx(exact, abs=0.02)


def test_good_images_count_as_clear_pixels() -> None:
    measure, alone = PixelMeasure(), PixelMeasure()
    for m in (measure, alone):
        m.add(two_defects().astype(np.float32), two_defects())
    measure.add(np.ones((40, 50), np.float32), np.zeros((40, 50), bool))

    assert alone.auroc == pytest.approx(100.0)
    assert measure.auroc is not None
    assert measure.auroc < 80.0


def test_without_a_mask_there_is_no_measure() -> None:
    measure = PixelMeasure()
    assert (measure.auroc, measure.pro) == (None, None)

    measure.add(np.ones((4, 5), np.float32), np.zeros((4, 5), bool))

    assert (measure.auroc, measure.pro) == (None, None)


@pytest.mark.parametrize("heat", [np.ones((5, 4), np.float32), np.full((4, 5), np.nan, np.float32)])
def test_a_map_that_does_not_fit_or_is_not_finite_is_refused(heat: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite values expected"):
        PixelMeasure().add(heat, np.ones((4, 5), bool))
