"""Data sets as people have them: what is not used is told, and masks are read however they are named and written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from calibration.evaluation.dataset import read_dataset
from calibration.evaluation.masks import read_mask
from edge_agent.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.evaluation.dataset import DataSet

SIZE = (48, 64)
MARKED = (slice(30, 40), slice(20, 30))


def image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, SIZE, dtype=np.uint8))


def mask(value: int = 255) -> np.ndarray:
    marked = np.zeros(SIZE, np.uint8)
    marked[MARKED] = value
    return marked


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    seed = 0
    for where, count in (("train/good", 20), ("test/good", 3), ("test/scratch", 3)):
        (tmp_path / where).mkdir(parents=True)
        for number in range(count):
            seed += 1
            image(seed).save(tmp_path / where / f"{number:03}.png")
    (tmp_path / "ground_truth" / "scratch").mkdir(parents=True)
    return tmp_path


def read(dataset: Path) -> DataSet:
    return read_dataset(dataset, lambda _done, _of: None)


def refused(dataset: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(dataset)

    assert caught.value.hint
    return str(caught.value)


PALETTE = Image.fromarray(mask(1)).convert("P")
PALETTE.putpalette([0, 0, 0, 255, 0, 0])


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("000_mask.png", Image.fromarray(mask())),
        ("000_mask.png", Image.fromarray(mask(1))),
        ("000_mask.png", Image.fromarray(mask() > 0)),
        ("000_mask.png", PALETTE),
        ("000_mask.png", Image.fromarray(mask().astype(np.uint16) * 257)),
        ("000_mask.png", Image.fromarray(np.dstack([mask()] * 3))),
        ("000_mask.png", Image.fromarray(np.dstack([mask(), np.full(SIZE, 255, np.uint8)]))),
        ("000_mask.tif", Image.fromarray(mask())),
        ("000_mask.jpg", Image.fromarray(mask())),
        ("000_mask.PNG", Image.fromarray(mask())),
        ("000_MASK.bmp", Image.fromarray(mask())),
        ("000.png", Image.fromarray(mask())),
        ("000_GT.png", Image.fromarray(mask())),
        ("000/000.png", Image.fromarray(mask())),
    ],
)
def test_a_mask_is_found_and_read(dataset: Path, name: str, picture: Image.Image) -> None:
    path = dataset / "ground_truth" / "scratch" / name
    path.parent.mkdir(exist_ok=True)
    picture.save(path, format="PNG" if path.suffix == ".PNG" else None)

    found = {test.path.name: test for test in read(dataset).tests if test.kind == "scratch"}
    marked = read_mask(found["000.png"].masks, SIZE)

    assert not found["001.png"].masks
    if path.suffix == ".jpg":  # its edges ring
        assert (marked == (mask() > 0)).mean() > 0.99
    else:
        np.testing.assert_array_equal(marked, mask() > 0)


def test_several_masks_of_an_image_count_together(dataset: Path) -> None:
    folder = dataset / "ground_truth" / "scratch" / "001"
    folder.mkdir()
    other = np.zeros(SIZE, np.uint8)
    other[:5] = 3
    Image.fromarray(mask()).save(folder / "000.png")
    Image.fromarray(other).save(folder / "001.png")

    found = next(test for test in read(dataset).tests if test.kind == "scratch" and test.masks)

    assert found.path.name == "001.png"
    assert read_mask(found.masks, SIZE).sum() == 100 + 5 * SIZE[1]


def test_masks_that_belong_to_no_image_are_named(dataset: Path) -> None:
    for name in ("000_mask.png", "scratch-7.png", "9.png"):
        Image.fromarray(mask()).save(dataset / "ground_truth" / "scratch" / name)

    words = refused(dataset)

    assert "2 masks belong to no test image" in words
    assert "scratch-7.png" in words
    assert "9.png" in words
    assert "000_mask.png" not in words


def test_every_mask_that_cannot_be_used_is_named_at_once(dataset: Path) -> None:
    folder = dataset / "ground_truth" / "scratch"
    Image.fromarray(mask(0)).save(folder / "000_mask.png")
    Image.fromarray(mask()[:40]).save(folder / "001_mask.png")
    (folder / "002_mask.png").write_bytes(b"no picture")

    words = refused(dataset)

    assert "000_mask.png marks nothing" in words
    assert "001_mask.png is 64 x 40 px, its image 64 x 48 px" in words
    assert "002_mask.png cannot be read" in words


def test_every_image_that_cannot_be_used_is_named_at_once(dataset: Path) -> None:
    (dataset / "train/good/003.png").write_bytes(b"")
    (dataset / "test/scratch/001.png").write_bytes(b"II*\0 a TIFF under another name")
    (dataset / "test/good/002.png").unlink()
    (dataset / "test/good/002.png").symlink_to(dataset / "nowhere.png")

    words = refused(dataset)

    assert "3 of 26 files cannot be used" in words
    assert "003.png: the file is empty" in words
    assert "001.png: a TIFF file" in words
    assert "002.png: a link that leads nowhere" in words


def test_what_is_not_used_is_told(dataset: Path) -> None:
    image(90).save(dataset / "test" / "scratch" / "._000.png", format="PNG")
    (dataset / "test" / ".ipynb_checkpoints").mkdir()
    image(91).save(dataset / "test" / ".ipynb_checkpoints" / "000-checkpoint.png")
    (dataset / "test" / "hole").mkdir()
    image(92).save(dataset / "test" / "hole" / "000.tif")
    (dataset / "validation" / "good").mkdir(parents=True)
    image(93).save(dataset / "validation" / "good" / "000.png")
    (dataset / "ground_truth" / "dent").mkdir()
    Image.fromarray(mask()).save(dataset / "ground_truth" / "dent" / "000_mask.png")
    Image.fromarray(mask()).save(dataset / "ground_truth" / "scratch" / "000_mask.png")

    found = read(dataset)

    assert {test.kind for test in found.tests} == {"good", "scratch"}
    for words in (
        "._000.png, left there",
        ".ipynb_checkpoints, left there",
        "hole holds no images: 000.tif",
        "not used: validation",
        "masks of no kind that is tested: dent/000_mask.png",
        "2 defective test images have no mask",
    ):
        assert any(words in note for note in found.notes), (words, found.notes)


def test_a_folder_of_another_name_is_named(dataset: Path) -> None:
    shutil.move(dataset / "test" / "good", dataset / "test" / "OK")

    assert "holds OK, scratch" in refused(dataset)
