"""Data sets as people have them: what is not used is told, and masks are read however they are named and written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from calibration.evaluation.dataset import read_dataset
from calibration.evaluation.masks import read_mask
from calibration.evaluation.sizes import Frame, usual_shape
from edge_agent.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
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
    return read_dataset(dataset, lambda _done, _of: None, dataset.with_name(f"{dataset.name}-spare"))


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


def noisy(path: Path, target: Path) -> None:
    """The same picture once more, as another shot of the same part would show it."""
    pixels = np.asarray(Image.open(path)).astype(np.int16)
    pixels[::7, ::7] ^= 1
    Image.fromarray(pixels.astype(np.uint8)).save(target)


def copied(source: Path, target: Path) -> None:
    """The same picture, as another file."""
    Image.open(source).save(target)


def names(found: DataSet) -> set[str]:
    return {path.name for path in found.train} | {f"{test.kind}/{test.path.name}" for test in found.tests}


@pytest.mark.parametrize(
    ("source", "copy", "again", "why"),
    [
        ("train/good/003.png", "train/good/x.png", copied, "it shows the same picture as train/good/003.png"),
        ("train/good/003.png", "train/good/x.png", noisy, "it shows the same picture as train/good/003.png"),
        ("train/good/003.png", "train/good/x.bmp", copied, "it shows the same picture as train/good/003.png"),
        ("train/good/003.png", "test/good/x.png", copied, "as train/good/003.png, which is learned from"),
        ("train/good/003.png", "test/good/x.png", noisy, "as train/good/003.png, which is learned from"),
        ("test/good/001.png", "test/good/x.png", copied, "it shows the same picture as test/good/001.png"),
        ("test/scratch/001.png", "test/scratch/x.png", copied, "it shows the same picture as test/scratch/001.png"),
    ],
)
def test_a_copy_is_named_and_counts_once(
    dataset: Path, source: str, copy: str, again: Callable[[Path, Path], None], why: str
) -> None:
    before = names(read(dataset))
    again(dataset / source, dataset / copy)

    found = read(dataset)

    assert names(found) == before
    assert [note for note in found.notes if copy in note and why in note and note.startswith("skipped: ")]


@pytest.mark.parametrize(("source", "lost"), [("train/good/003.png", set()), ("test/good/001.png", {"good/001.png"})])
def test_no_test_counts_on_a_picture_that_stands_as_good_and_as_defective(
    dataset: Path, source: str, lost: set[str]
) -> None:
    before = names(read(dataset))
    copied(dataset / source, dataset / "test/scratch/x.png")

    found = read(dataset)

    assert before - names(found) == lost
    assert names(found) <= before
    skipped = [note for note in found.notes if "stands as good and as defective" in note]
    assert [source in note and "test/scratch/x.png" in note for note in skipped] == [True] * (1 + len(lost))


def test_a_defect_of_a_few_pixels_on_the_picture_of_a_good_part_is_no_copy(dataset: Path) -> None:
    pixels = np.array(Image.open(dataset / "train/good/003.png"))
    pixels[10, 10:12] ^= 8
    Image.fromarray(pixels).save(dataset / "test/scratch/x.png")

    found = read(dataset)

    assert "scratch/x.png" in names(found)
    assert not any("skipped" in note for note in found.notes)


def test_too_few_images_without_the_copies_are_refused_with_each_of_them(dataset: Path) -> None:
    for number in (3, 4):
        copied(dataset / "train/good/001.png", dataset / f"train/good/{number:03}.png")

    words = refused(dataset)

    assert "18 training images are left, at least 20 are needed" in words
    assert "train/good/003.png" in words
    assert "train/good/004.png" in words


# --- images of slightly different size ----------------------------------------------------------------------


def part(rows: int = 0, *, taller: int = 0, seed: int = 0) -> Image.Image:
    """A bright plate with a bar, 64 x 48 px; the image begins ``rows`` lower and is ``taller`` px higher."""
    pixels = np.random.default_rng(seed).normal(40, 2, (80, 64))
    pixels[28:52, 12:52] += 120
    pixels[34:40, 18:30] -= 60
    return Image.fromarray(np.clip(pixels[16 + rows : 64 + rows + taller], 0, 255).astype(np.uint8))


@pytest.fixture
def parts(dataset: Path) -> Path:
    """The same data set of parts that lie alike."""
    for number, path in enumerate(sorted(dataset.rglob("*.png"))):
        part(seed=number).save(path)
    return dataset


@pytest.mark.parametrize("where", ["train/good/004.png", "test/good/001.png", "test/scratch/001.png"])
@pytest.mark.parametrize(("rows", "taller"), [(0, -2), (2, -2), (-2, 2), (0, 2)])
def test_an_image_of_slightly_different_height_is_laid_where_registration_puts_it(
    parts: Path, where: str, rows: int, taller: int
) -> None:
    part(rows, taller=taller, seed=99).save(parts / where)

    found = read(parts)

    paths = {path for path in (*found.train, *(test.path for test in found.tests)) if not path.is_relative_to(parts)}
    assert [str(path)[-len(where) :] for path in paths] == [where]
    laid = np.asarray(Image.open(paths.pop())).astype(float)
    whole = np.asarray(part(seed=99)).astype(float)
    assert laid.shape == SIZE
    assert np.abs(laid - whole)[4:-4].max() < 1.0  # the part lies where it lies in the others
    assert [note for note in found.notes if f"{where} (64 x {48 + taller})" in note and "IMAGE_SIZE" in note]


def test_nothing_is_written_where_all_are_of_one_size(dataset: Path) -> None:
    read(dataset)

    assert not dataset.with_name(f"{dataset.name}-spare").exists()


def test_a_mask_goes_with_its_image(parts: Path) -> None:
    part(2, taller=-2, seed=99).save(parts / "test/scratch/001.png")
    Image.fromarray(mask()[2:]).save(parts / "ground_truth/scratch/001_mask.png")

    found = next(test for test in read(parts).tests if test.masks)

    np.testing.assert_array_equal(read_mask(found.masks, SIZE), mask() > 0)


def test_a_defect_outside_the_frame_of_the_others_is_named_and_not_used(parts: Path) -> None:
    part(-2, taller=2, seed=99).save(parts / "test/scratch/001.png")
    edge = np.zeros((50, 64), np.uint8)
    edge[:2] = 255
    Image.fromarray(edge).save(parts / "ground_truth/scratch/001_mask.png")

    found = read(parts)

    assert "scratch/001.png" not in names(found)
    assert [note for note in found.notes if note.startswith("skipped: test/scratch/001.png: it is larger")]


def test_images_of_quite_another_size_are_named_all_at_once(parts: Path) -> None:
    part(taller=-2).save(parts / "train/good/001.png")
    part(taller=-6).save(parts / "train/good/002.png")
    part(taller=6).save(parts / "test/good/002.png")
    part(taller=-2).convert("RGB").save(parts / "test/scratch/002.png")

    words = refused(parts)

    assert "3 of 26 files cannot be used" in words
    for name, size in (("002.png", "64 x 42 px grey"), ("002.png", "64 x 54 px grey"), ("002.png", "46 px colour")):
        assert name in words
        assert size in words
    assert "001.png" not in words


def test_an_image_that_registers_nowhere_stays_in_the_middle() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (44, 66), dtype=np.uint8)
    frame = Frame(np.asarray(part()))

    assert frame.place(noise) == (2, -1)
    laid = frame.lay(noise, (2, -1))
    np.testing.assert_array_equal(laid[2:46], noise[:, 1:65])
    np.testing.assert_array_equal(laid[:2], np.repeat(laid[2:3], 2, axis=0))
    assert Frame(np.full((48, 64), 9, np.uint8)).place(noise) == (2, -1)


def test_the_usual_size_is_the_most_frequent_or_else_the_middle_one() -> None:
    assert usual_shape([(48, 64), (50, 64), (50, 64)]) == (50, 64)
    assert usual_shape([(46, 64), (48, 64), (52, 64)]) == (48, 64)


def test_a_folder_of_another_name_is_named(dataset: Path) -> None:
    shutil.move(dataset / "test" / "good", dataset / "test" / "OK")

    assert "holds OK, scratch" in refused(dataset)
