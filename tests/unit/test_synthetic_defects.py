"""The defects that calibration makes itself: on the part, of known size, the same for the same seed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.choosing.synthetic_defects import DefectKind, SyntheticDefect, clearer_half, make_defects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

HEIGHT, WIDTH = 120, 200


def plate(number: int, *, is_colour: bool = False) -> Picture:
    """A grained plate on a dark ground, 120 px long."""
    rng = np.random.default_rng(number)
    image = np.full((HEIGHT, WIDTH), 25, np.float32)
    image[40:80, 40:160] = 150 + cv2.GaussianBlur(rng.normal(0, 60, (40, 120)), (0, 0), 1.5)
    grey = np.clip(image, 0, 255).astype(np.uint8)
    return np.stack([grey, grey // 2 + 20, grey], axis=2) if is_colour else grey


def defects(count: int = 60, seed: int = 0, *, is_colour: bool = False) -> list[SyntheticDefect]:
    return make_defects([partial(plate, i, is_colour=is_colour) for i in range(6)], count, seed=seed)


@pytest.mark.parametrize("is_colour", [False, True])
def test_each_kind_changes_its_part_and_nothing_but_one_place_of_it(is_colour: bool) -> None:  # noqa: FBT001
    found = defects(is_colour=is_colour)

    assert {defect.kind for defect in found} == set(DefectKind)
    for defect in found:
        good = plate(defect.base, is_colour=is_colour)
        changed = (defect.onto(good) != good).reshape(HEIGHT, WIDTH, -1).any(axis=2)
        rows, columns = np.nonzero(changed)
        assert changed.any()
        assert max(np.ptp(rows), np.ptp(columns)) <= 2 * 1.5 * np.sqrt(3) * 0.12 * 124 + 2
        assert 30 <= rows.mean() <= 90
        assert 30 <= columns.mean() <= 170
        difference = np.abs(defect.onto(good).astype(float) - good)
        assert defect.strength == pytest.approx(difference.sum() / (3 if is_colour else 1), rel=1e-4)


def test_the_donor_is_named_where_another_parts_pixels_are_shown() -> None:
    for defect in defects():
        takes = defect.kind in (DefectKind.BLENDED, DefectKind.PASTED_OTHER)
        assert (defect.donor is not None) == takes
        assert defect.donor != defect.base


def test_a_missing_piece_shows_the_ground() -> None:
    missing = [defect for defect in defects(120) if defect.kind is DefectKind.MISSING]

    for defect in missing:
        good = plate(defect.base)
        darker = defect.onto(good)[defect.onto(good) != good]
        assert np.median(darker) < 80


def test_the_same_seed_gives_the_same_defects_and_another_one_others() -> None:
    first, again, other = defects(12), defects(12), defects(12, seed=1)

    for a, b in zip(first, again, strict=True):
        assert (a.kind, a.base, a.donor, a.top, a.left) == (b.kind, b.base, b.donor, b.top, b.left)
        np.testing.assert_array_equal(a.patch, b.patch)
    assert [(d.top, d.left) for d in first] != [(d.top, d.left) for d in other]


def test_the_clearer_half_is_that_with_more_area_times_contrast() -> None:
    found = defects(31)
    half = clearer_half(found)

    assert len(half) == 16
    assert min(d.strength for d in half) >= max(d.strength for d in found if not any(d is h for h in half))


def test_a_surface_without_a_ground_has_defects_anywhere() -> None:
    rng = np.random.default_rng(0)
    grains = [
        np.clip(128 + cv2.GaussianBlur(rng.normal(0, 90, (90, 90)), (0, 0), 1.5), 0, 255).astype(np.uint8)
        for _ in range(3)
    ]
    found = make_defects([partial(np.copy, grain) for grain in grains], 60, seed=0)

    places = np.array([(d.top + d.patch.shape[0] / 2, d.left + d.patch.shape[1] / 2) for d in found])
    assert places.min() < 30
    assert places.max() > 60


def test_a_small_picture_holds_its_defects() -> None:
    tiny = [partial(np.full, (40, 40), value, np.uint8) for value in (60, 180)]

    for defect in make_defects(tiny, 20, seed=0):
        assert defect.top + defect.patch.shape[0] <= 40
        assert defect.left + defect.patch.shape[1] <= 40
