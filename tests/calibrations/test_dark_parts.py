"""Black at the end of a BMP: believed where good parts are black, and nowhere else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from calibration.calibrate import calibrate
from calibration.good_parts.images import GoodImage, examine_image
from calibration.options import CalibrationOptions
from calibration.registering.reference import medoid
from calibration.registering.tails import dark_ground, filled_with_zeros
from calibration.writer import png_bytes, write_bundle
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.decode import read_image
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.registration.register import Registration
from edge_agent.inspection.registration.tail import DarkGround, shown_in

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.domain import Alignment

WIDTH, HEIGHT = 160, 120
RADIUS = 40


def bmp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")
    return out.getvalue()


def part(seed: int, *, ground: float = -10.0, noise: float = 3.0, spread_px: float = 3.0) -> bytes:
    """A disc with a bar on a dark ground; a camera's black level below 0 is cut off at 0."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dx, dy = rng.normal(0, spread_px, 2)
    image = np.clip((RADIUS - np.hypot(x - WIDTH / 2 - dx, y - HEIGHT / 2 - dy)) * 40, 0, 150)
    image *= 1 - 0.4 * ((abs(x - WIDTH / 2 - dx + 8) < 5) & (abs(y - HEIGHT / 2 - dy) < 20))
    return bmp((image + rng.normal(ground, noise, image.shape)).clip(0, 255).astype(np.uint8))


def filled(data: bytes, rows: int) -> bytes:
    """The same file with zeros instead of its last rows, which are the top of the picture."""
    return data[: -rows * WIDTH] + bytes(rows * WIDTH)


class Line:
    """What a calibration makes of good parts, as far as black ends go."""

    def __init__(self, folder: Path, files: list[bytes]) -> None:
        self.good: list[GoodImage] = []
        for number, data in enumerate(files):
            path = folder / f"{number:02}.bmp"
            path.write_bytes(data)
            self.good.append(examine_image(path, data))
        reference = read_image(files[medoid(self.good)]).pixels
        self.registration = Registration(reference)
        self.alignments: list[Alignment] = [self.registration.register(read_image(data).pixels) for data in files]
        self.dark, self.most = dark_ground(self.good, self.registration, self.alignments)
        self.rows = max(image.zero_tail.rows for image in self.good)

    def believes(self, data: bytes) -> bool:
        """What the inspector asks."""
        file = read_image(data)
        alignment = self.registration.register(file.pixels)
        most = max(self.rows, self.dark.most_rows(file, self.registration, alignment))
        return file.zero_tail.rows <= most

    def cut(self) -> dict[str, str]:
        return filled_with_zeros(self.good, self.registration, self.alignments, self.most)


@pytest.mark.slow
def test_good_dark_parts_are_not_broken_and_parts_that_lost_their_end_are(tmp_path: Path) -> None:
    line = Line(tmp_path, [part(seed) for seed in range(20)])
    longer, lost = 0, 0
    for seed in range(100, 180):
        data = part(seed)
        longer += read_image(data).zero_tail.rows > line.rows

        assert line.believes(data)

        first = int((read_image(data).pixels > 60).any(axis=1).argmax())
        for rows in range(max(first + 3, line.rows + 1), HEIGHT, 7):
            lost += 1
            assert not line.believes(filled(data, rows)), f"part {seed} with {rows} rows of zeros, black in {first}"

    assert line.cut() == {}
    assert longer > 1, "the old rule would have refused none of them"
    assert lost > 500


@pytest.mark.parametrize(
    ("ground", "noise", "believed"),
    [(4.0, 1.0, 0), (40.0, 2.0, 0), (-3.0, 2.0, 4)],
    ids=["dark", "grey", "a few stray pixels a row"],
)
def test_on_a_ground_that_is_never_all_black_no_rows_of_zeros_are_believed(
    tmp_path: Path, ground: float, noise: float, believed: int
) -> None:
    line = Line(tmp_path, [part(seed, ground=ground, noise=noise) for seed in range(20)])

    for rows in range(max(line.rows, believed) + 1, HEIGHT, 5):
        assert not line.believes(filled(part(100, ground=ground, noise=noise), rows))


def test_a_pin_that_reaches_into_the_dark_ends_it_and_a_speck_on_one_part_does_not(tmp_path: Path) -> None:
    def changed(seed: int, where: tuple[slice, slice]) -> bytes:
        pixels = read_image(part(seed, spread_px=0.5, noise=0.0)).pixels
        pixels[where] = 90
        return bmp(pixels)

    pin = (slice(10, 40), slice(80, 82))
    with_pin = Line(tmp_path, [changed(seed, pin) for seed in range(20)])
    good = changed(100, pin)

    assert with_pin.believes(good)
    assert not with_pin.believes(filled(good, 18))

    speck = (slice(5, 8), slice(100, 104))
    files = [changed(seed, speck if seed % 7 == 0 else (slice(0), slice(0))) for seed in range(20)]
    with_speck = Line(tmp_path, files)

    assert (with_speck.dark.shown[:10] == 0).all()
    assert with_speck.believes(part(101, spread_px=0.5, noise=0.0))


def test_good_images_that_lost_their_end_are_named_all_of_them(tmp_path: Path) -> None:
    files = [part(seed) for seed in range(20)]
    files[3], files[8] = filled(files[3], 55), filled(files[8], 70)

    assert sorted(Line(tmp_path, files).cut()) == ["03.bmp", "08.bmp"]


def test_zeros_that_are_another_colour_than_black_are_never_believed_for_being_dark() -> None:
    pixels = read_image(part(1)).pixels
    data = bytearray(bmp(255 - pixels))
    ramp = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 4, axis=1)
    data[54 : 54 + 1024] = ramp.tobytes()  # index 0 is white
    white = np.full(HEIGHT * WIDTH, 0, np.uint8).tobytes()
    data[-len(white) :] = white
    file = read_image(bytes(data))
    registration = Registration(pixels)

    assert file.zero_tail.rows == HEIGHT
    assert file.pixels.min() == 255
    assert DarkGround.of(pixels).most_rows(file, registration, registration.register(pixels)) == 0


def test_groups_are_shown_and_single_pixels_are_not() -> None:
    image = np.zeros((30, 40), np.uint8)
    image[3, 3] = image[9, 9] = image[10, 10] = 200
    assert not shown_in(image).any()

    image[20, 5:9] = 1
    assert (np.flatnonzero(shown_in(image).any(axis=1)) == [20]).all()
    assert (shown_in(np.dstack([image] * 3)) == shown_in(image)).all()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("dark")
    (root / "good").mkdir()
    for seed in range(20):
        (root / "good" / f"{seed:02}.bmp").write_bytes(part(seed))
    return calibrate(root / "good", root / "bundle", CalibrationOptions()).path


def _older(bundle: Path, folder: Path, **image: int) -> Path:
    """The same bundle as a version wrote it that did not ask where good parts are black."""
    manifest = dict(read_manifest(bundle).content)
    files = {name: (bundle / name).read_bytes() for name in manifest["files"] if name != "shown.png"}
    manifest["image"] = {key: value for key, value in manifest["image"].items() if key != "stray_share"} | image
    write_bundle(folder / "older", files, {key: value for key, value in manifest.items() if key not in {"id", "files"}})
    return folder / "older"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["new", "older"])
def test_the_inspector_judges_dark_parts_and_refuses_what_lost_its_end(
    bundle: Path, tmp_path: Path, version: str
) -> None:
    inspector = Inspector(Bundle.load(bundle if version == "new" else _older(bundle, tmp_path)))
    limit = inspector.bundle.zero_tail_rows
    dark = [data for data in map(part, range(100, 180)) if read_image(data).zero_tail.rows > limit]

    assert len(dark) > 1
    for data in dark:
        assert inspector.inspect(data).reason is not Reason.IMAGE_BROKEN
        found = inspector.inspect(filled(data, limit + 15))
        assert found.outcome is Outcome.NG
        assert found.reason is Reason.IMAGE_BROKEN
        assert "rows of zeros" in found.detail


@pytest.mark.slow
def test_what_is_odd_about_a_file_stands_in_the_detail(bundle: Path) -> None:
    inspector = Inspector(Bundle.load(bundle))
    data = (bundle.parent / "good" / "00.bmp").read_bytes()

    plain, odd = inspector.inspect(data), inspector.inspect(data + b"\0\0")

    assert (odd.outcome, odd.score) == (plain.outcome, plain.score)
    assert plain.detail == ""
    assert "header says" in odd.detail


@pytest.mark.slow
def test_a_dark_reference_warms_up_where_good_images_were_no_bmp_files(bundle: Path, tmp_path: Path) -> None:
    older = _older(bundle, tmp_path, zero_tail_rows=0)
    manifest = dict(read_manifest(older).content)
    files = {name: (older / name).read_bytes() for name in manifest["files"]}
    files["shown.png"] = png_bytes(np.full((HEIGHT, WIDTH), 255, np.uint8))  # nothing is believed to be black
    manifest["image"] = {**manifest["image"], "stray_share": 0.0}
    write_bundle(tmp_path / "png", files, {key: value for key, value in manifest.items() if key not in {"id", "files"}})

    loaded = Bundle.load(tmp_path / "png")

    assert read_image(bmp(loaded.reference)).zero_tail.rows > loaded.zero_tail_rows
    assert Inspector(loaded).warm_up() > 0


@pytest.mark.slow
def test_a_calibration_names_good_images_that_lost_their_end(bundle: Path, tmp_path: Path) -> None:
    for seed in range(20):
        (tmp_path / f"{seed:02}.bmp").write_bytes(filled(part(seed), 30) if seed in {4, 11} else part(seed))

    with pytest.raises(CalibrationRefused) as refused:
        calibrate(tmp_path, tmp_path / "bundle", CalibrationOptions())

    assert "04.bmp" in str(refused.value)
    assert "11.bmp" in str(refused.value)
