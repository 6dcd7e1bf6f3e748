"""What is looked at of a part: cut out, turned back and made smaller in one step, to the right place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge_agent.domain import Alignment
from edge_agent.inspection.registration.register import Registration, RegistrationSettings
from edge_agent.inspection.registration.seen_area import SeenArea

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 240, 320
TURNED = Alignment(1.0, 3.25, -5.5, 4.0, 1.0, 0.0)
BOX = (60, 40, 200, 150)


def registration(channels: int = 1) -> Registration:
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return Registration(np.zeros(shape, np.uint8), RegistrationSettings(off=True))


def ramp() -> NDArray[np.uint8]:
    """Grey that rises evenly to the right and down: its value says where a pixel is from."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (0.4 * x + 0.3 * y + 20).astype(np.uint8)


@pytest.mark.parametrize("size", [(150, 200), (105, 140), (75, 100), (50, 67), (33, 44)])
def test_a_pixel_shows_its_own_place_at_any_size(size: tuple[int, int]) -> None:
    area, image = SeenArea(BOX, *size), ramp()

    found = area.of(registration(), image, TURNED)[..., 0] * 255.0

    x, y, width, height = BOX
    whole = registration().warp(image, TURNED)[y : y + height, x : x + width] * 255.0
    expected = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
    inner = np.s_[2:-2, 2:-2]
    assert found.shape == size
    np.testing.assert_allclose(found[inner].mean(), expected[inner].mean(), atol=0.6)  # both round to whole greys
    np.testing.assert_allclose(found[inner], expected[inner], atol=2.0)
    assert (
        abs(
            np.polyfit(np.arange(size[1]), found.mean(axis=0), 1)[0]
            - np.polyfit(np.arange(size[1]), expected.mean(axis=0), 1)[0]
        )
        < 0.01
    )


def test_at_its_own_size_it_is_the_registered_crop_in_8_bits() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 2.0)
    x, y, width, height = BOX

    found = SeenArea.whole(BOX).of(registration(3), image, TURNED)

    expected = registration(3).warp(image, TURNED)[y : y + height, x : x + width]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.51 / 255)


@pytest.mark.parametrize("smaller", [1.1, 1.28, 1.49, 1.6, 1.8, 1.95, 2.1, 2.5, 2.95])
def test_a_line_of_one_pixel_goes_unseen_at_no_size(smaller: float) -> None:
    area = SeenArea(BOX, round(BOX[3] / smaller), round(BOX[2] / smaller))
    still = Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    shown = []
    for column in range(120, 140):
        image = np.full((HEIGHT, WIDTH), 50, np.uint8)
        image[:, column] = 250
        shown.append(float(area.of(registration(), image, still).max()) * 255.0 - 50.0)

    assert min(shown) > 0.2 * 200 / max(1.0, smaller / 2)


def test_at_half_the_size_every_pixel_counts() -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[::2, ::2] = 200  # single pixels, a quarter of them
    still = Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    found = SeenArea((40, 40, 200, 160), 80, 100).of(registration(), image, still)

    np.testing.assert_allclose(found, 50 / 255, atol=0.5 / 255)


@pytest.mark.parametrize("times", [2, 3, 5])
def test_the_last_pixels_of_an_image_count_though_no_whole_step_ends_there(times: int) -> None:
    height, width = 24 * times + times - 1, 30 * times + times - 1
    image = np.zeros((height, width), np.uint8)
    image[-1, :] = image[:, -1] = 200  # a scratch along the border
    still = Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    whole = Registration(np.zeros((height, width), np.uint8), RegistrationSettings(off=True))

    found = SeenArea((0, 0, width, height), 24, 30).of(whole, image, still)[..., 0] * 255.0

    least = 0.5 * 200 / times
    assert found[12, -1] > least
    assert found[-1, 15] > least


@pytest.mark.parametrize("size", [(150, 20), (15, 200), (100, 100), (75, 102), (0, 0)])
def test_a_size_that_squeezes_one_side_more_than_the_other_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[1]} x {size[0]} px"):
        SeenArea(BOX, *size)


@pytest.mark.parametrize("size", [(1250, 12), (500, 5), (77, 1), (1, 1)])
def test_a_narrow_crop_may_be_rounded_at_its_narrow_side(size: tuple[int, int]) -> None:
    assert SeenArea((0, 0, 12, 1250), *size).width == size[1]
