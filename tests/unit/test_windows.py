"""Which rectangles of a picture the network is shown, and that it sees in them what it sees in the whole picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.backbones import DEFAULT_BACKBONE
from calibration.choosing.sizing import size_for
from calibration.onnx_graph import OnnxGraph
from edge_agent.inspection.networks.embedding import FeatureGrid
from edge_agent.inspection.networks.windows import PLACE_PX, grid_shape, windows_of, work_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 640, 800


def diagonal() -> NDArray[np.bool_]:
    """A long thin part from one corner to the other."""
    places = np.zeros(grid_shape(HEIGHT, WIDTH), np.uint8)
    cv2.line(places, (1, 1), (places.shape[1] - 2, places.shape[0] - 2), 1, 2)
    return places.astype(bool)


def picture(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).random((height, width), np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3.0)[..., None]


def test_the_windows_of_a_diagonal_part_hold_all_of_it_and_little_else() -> None:
    places = diagonal()

    windows = windows_of(places, HEIGHT, WIDTH)

    covered = np.zeros(places.shape, int)
    for window in windows:
        top, left, bottom, right = window.places
        covered[top:bottom, left:right] += 1
    assert len(windows) > 1
    assert (covered[places] == 1).all()
    assert work_px(windows) < 0.7 * HEIGHT * WIDTH


def test_a_part_that_fills_the_picture_is_one_window_without_a_seam() -> None:
    (window,) = windows_of(np.ones(grid_shape(HEIGHT, WIDTH), bool), HEIGHT, WIDTH)

    assert window.px == (0, 0, HEIGHT, WIDTH)
    assert window.places == (0, 0, *grid_shape(HEIGHT, WIDTH))


def test_windows_of_no_place_or_of_another_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        windows_of(np.zeros(grid_shape(HEIGHT, WIDTH), bool), HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="a picture of 640 x 900"):
        windows_of(diagonal(), HEIGHT, 900)


def test_the_network_sees_in_windows_nearly_what_it_sees_in_the_whole_picture() -> None:
    grid, image, places = FeatureGrid(DEFAULT_BACKBONE.overview_onnx(), threads=1), picture(), diagonal()

    whole, some = grid.features(image), grid.features(image, places)

    assert some.shape == whole.shape
    apart = np.linalg.norm((some - whole)[places], axis=1) / np.linalg.norm(whole[places], axis=1)
    assert np.median(apart) < 0.1
    np.testing.assert_array_equal(grid.features(image, np.ones(places.shape, bool)), whole)


def test_what_lies_beyond_the_halo_changes_nothing() -> None:
    grid, image = FeatureGrid(DEFAULT_BACKBONE.overview_onnx(), threads=1), picture()
    places = np.zeros(grid_shape(HEIGHT, WIDTH), bool)
    places[4:10, 4:10] = True
    other = image.copy()
    other[:, 20 * PLACE_PX :] = 1.0

    found, beside = grid.features(image, places), grid.features(other, places)

    np.testing.assert_array_equal(found[places], beside[places])


def test_a_network_with_places_of_another_size_sees_the_whole_picture() -> None:
    grid, image = FeatureGrid(DEFAULT_BACKBONE.overview_onnx(), threads=1), picture(96, 96)

    np.testing.assert_array_equal(grid.features(image, np.ones((3, 3), bool)), grid.features(image))


def test_a_network_whose_places_lie_otherwise_in_a_window_sees_the_whole_picture() -> None:
    graph = OnnxGraph("every 12 px", "image", [1, 3, "h", "w"])  # 6 places on 96 px, as every 16 px would be
    pooled = graph.add("AveragePool", "image", kernel_shape=[32, 32], strides=[12, 12])
    grid, image = FeatureGrid(graph.finish(pooled, "features", [1, 3, "y", "x"]), threads=1), picture(96, 96)
    places = np.zeros((6, 6), bool)
    places[5, 5] = True

    np.testing.assert_array_equal(grid.features(image, places), grid.features(image))


def test_a_part_is_seen_as_large_as_the_pixels_allow_that_the_network_is_shown() -> None:
    mask = np.zeros((128, 160), bool)
    mask[:, 70:90] = True  # an eighth of the width

    assert size_for(HEIGHT, WIDTH, HEIGHT * WIDTH) == (HEIGHT, WIDTH)
    height, width = size_for(HEIGHT, WIDTH, 200_000)
    assert height * width == pytest.approx(200_000, rel=0.01)
    assert width / height == pytest.approx(WIDTH / HEIGHT, rel=0.01)
    thin = size_for(HEIGHT, WIDTH, 200_000, mask)
    assert thin == (HEIGHT, WIDTH)
    assert size_for(HEIGHT, WIDTH, 100_000, mask)[0] > size_for(HEIGHT, WIDTH, 100_000)[0]
