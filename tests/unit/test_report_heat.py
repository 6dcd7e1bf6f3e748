"""The picture that decided: the page's heat map with a line at the limit, a ring, and the hottest place from near."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_agent.report.heat import heat_colours, outline, peaks, spotlight


def part_with(heat_at: tuple[int, int], value: float, *, size: tuple[int, int] = (300, 400)) -> tuple[Any, Any]:
    """A grey part with edges that shine, and heat at one small place (row, column)."""
    image = np.full(size, 90, np.uint8)
    image[:, 200:204] = 250
    heat = np.full(size, 0.2, np.float32)
    row, column = heat_at
    image[row - 3 : row + 4, column - 3 : column + 4] = 20
    heat[row - 6 : row + 7, column - 6 : column + 7] = value
    heat[row, column] = value + 0.1
    return image, heat


def test_the_ring_stands_around_the_hottest_place_and_hides_nothing_of_it() -> None:
    image, heat = part_with((60, 320), 1.7)
    found = spotlight(image, heat)
    ringed = np.asarray(found.ringed)
    ring = np.argwhere((ringed == (0, 229, 255)).all(axis=2))

    assert found.at_px == (320, 60)
    assert found.peak == pytest.approx(1.8)
    assert np.abs(ring.mean(axis=0) - (60, 320)).max() < 1.5
    assert (ringed[57:64, 317:324] == 20).all()


def test_a_line_runs_along_the_limit_and_edges_of_the_part_stay_as_they_are() -> None:
    image, heat = part_with((60, 320), 1.7)
    heated = np.asarray(spotlight(image, heat).heated).astype(int)
    without = np.asarray(spotlight(image, np.where(heat >= 1.0, 0.99, heat)).heated).astype(int)

    assert (heated[53, 320] == 255).all(), "white on the edge of what is above the limit"
    assert (heated[150, 202] == 250).all(), "no glow on an edge that is as usual"
    assert not (without == 255).all(axis=2).any(), "no line where nothing is above the limit"


def test_the_place_from_near_is_the_image_itself_enlarged() -> None:
    image, heat = part_with((60, 320), 1.7)
    near = np.asarray(spotlight(image, heat).near)

    assert near.shape == (420, 420, 3)
    assert (near[210, 210] == 20).all(), "the hottest place lies in the middle, without colour"
    cornered = spotlight(*part_with((6, 393), 1.7))
    assert cornered.near.size == (420, 420), "also at the image's border"


def test_a_small_hot_place_survives_shrinking() -> None:
    image, heat = np.full((1200, 1600), 90, np.uint8), np.zeros((1200, 1600), np.float32)
    heat[400:403, 801:804] = 3.0
    heated = np.asarray(spotlight(image, heat).heated)

    assert max(heated.shape) == 560
    assert (heated == 255).all(axis=2).any()


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_and_colour_of_both_types(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    found = spotlight(np.full(shape, 255 if dtype is np.uint8 else 1.0, dtype), np.zeros((40, 50), np.float32))

    assert found.ringed.getpixel((40, 30)) == (255, 255, 255)


def test_heat_that_is_no_number_has_a_colour_of_its_own_and_no_ring_leads_to_it() -> None:
    image, heat = part_with((60, 320), 0.7)
    heat[10:20, 10:20] = np.nan
    found = spotlight(image, heat)

    assert found.at_px == (320, 60)
    assert heat_colours(heat)[15, 15].tolist() == [0, 200, 0, 200]
    assert np.isnan(spotlight(image, np.full(image.shape, np.nan, np.float32)).peak)


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="height and width"):
        spotlight(np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.float32))


def test_blocks_keep_their_highest_value() -> None:
    values = np.zeros((9, 10), np.float32)
    values[8, 9] = 5.0

    assert peaks(values, 5).shape == (5, 5)
    assert peaks(values, 5)[4, 4] == 5.0
    assert peaks(values, 20) is values


def test_the_outline_alone_has_the_line_and_the_ring_and_hides_nothing_else() -> None:
    _, heat = part_with((60, 320), 1.7)
    drawn = outline(heat, has_ring=True)
    line = np.argwhere((drawn == (255, 255, 255, 255)).all(axis=2))
    ring = np.argwhere((drawn == (0, 229, 255, 255)).all(axis=2))

    assert drawn.shape == (750, 1000, 4), "as fine on a thumbnail as on a large image"
    assert np.abs(line.mean(axis=0) - (151, 801)).max() < 2
    assert np.abs(ring.mean(axis=0) - (151, 801)).max() < 2
    assert drawn[151, 801, 3] == 0, "what is there is seen"
    assert (drawn[..., 3] > 0).mean() < 0.02


def test_a_part_within_the_limit_has_no_line_and_no_ring() -> None:
    _, heat = part_with((60, 320), 0.8)
    heat[10:20, 10:20] = np.nan

    assert not outline(heat, has_ring=False).any()
    assert outline(np.full((6, 8), np.nan, np.float32), has_ring=True).shape == (750, 1000, 4)
