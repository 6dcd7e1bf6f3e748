"""The filtered view: the calmest plane of parts with coloured marks, beside all colours; none for any other part."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.backbones import DEFAULT_BACKBONE
from calibration.calibrate import calibrate
from calibration.choosing import learning_curve
from calibration.choosing.calm_plane import calmest_plane
from calibration.gathering import gather
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from calibration.scoring.fusion import beside_the_mean
from calibration.scoring.view_scoring import DEFAULT_VOICES
from edge_agent.domain import Outcome
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.manifest import Section
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.image_files import read_file
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.channels import Plane, View, Voice, views_for
from edge_agent.inspection.networks.extractor import Extractor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

COLOURS = {Plane.RED: (230, 60, 60), Plane.GREEN: (60, 230, 60), Plane.BLUE: (60, 60, 230)}
PLAIN = (200, 200, 200)


def speckled(rng: np.random.Generator, colour: tuple[int, int, int], side: int = 96, ground: Any = PLAIN) -> Any:
    """RGB uint8: a plate on black, with thirty specks of a colour anywhere on it."""
    image = np.zeros((side, side, 3), np.float32)
    cv2.rectangle(image, (side // 8, side // 8), (side - side // 8, side - side // 8), ground, -1)
    for _ in range(30):
        place = tuple(int(v) for v in rng.integers(side // 5, side - side // 5, 2))
        cv2.circle(image, place, side // 40, colour, -1)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def crops(colour: tuple[int, int, int], ground: Any = PLAIN) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return np.stack([speckled(rng, colour, ground=ground) for _ in range(12)]).astype(np.float32) / 255.0


def written(folder: Path, side: int, make: Callable[[np.random.Generator], Any]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(5)
    for index in range(20):
        image = make(rng)
        cv2.imwrite(str(folder / f"{index:02}.png"), image if image.ndim == 2 else image[..., ::-1])
    return folder


PLATE = np.zeros((96, 96), bool)
PLATE[14:82, 14:82] = True
NOT_CLIPPED = np.zeros((12, 96, 96, 3), np.float32)


@pytest.mark.parametrize("plane", list(COLOURS))
def test_marks_on_a_white_part_pale_in_the_plane_of_their_colour(plane: Plane) -> None:
    found, share = calmest_plane(crops(COLOURS[plane]), NOT_CLIPPED, PLATE)

    assert found is plane
    assert share < 0.5


@pytest.mark.parametrize(
    ("marks", "ground"), [((90, 90, 90), PLAIN), ((230, 40, 40), (220, 120, 60)), ((40, 40, 20), (60, 90, 200))]
)
def test_grey_marks_and_parts_with_a_colour_of_their_own_are_seen_in_all_colours(marks: Any, ground: Any) -> None:
    assert calmest_plane(crops(marks, ground), NOT_CLIPPED, PLATE) == (Plane.ALL, 1.0)


@pytest.mark.parametrize("value", [0.0, 0.6, 1.0])
def test_parts_that_do_not_differ_at_all_are_seen_in_all_colours(value: float) -> None:
    same = np.full((12, 96, 96, 3), value, np.float32)

    assert calmest_plane(same, NOT_CLIPPED, PLATE) == (Plane.ALL, 1.0)
    assert calmest_plane(same, NOT_CLIPPED, ~PLATE & PLATE) == (Plane.ALL, 1.0)


def test_a_plane_that_is_saturated_is_not_calm_but_blind() -> None:
    rng = np.random.default_rng(3)
    bright = np.array([1.03, 0.93, 0.92], np.float32) * rng.normal(1.0, 0.05, (12, 96, 96, 1)).astype(np.float32)
    seen = np.clip(bright, 0.0, 1.0)
    clipped = (seen >= 250 / 255).astype(np.float32)

    assert calmest_plane(seen, NOT_CLIPPED, PLATE)[0] is Plane.RED
    assert calmest_plane(seen, clipped, PLATE) == (Plane.ALL, 1.0)


def test_a_few_odd_parts_do_not_choose_the_plane() -> None:
    parts = crops((110, 110, 110))
    stained = parts.copy()
    stained[:3, 30:60, 30:60, 1:] *= 0.3  # three of twelve have a large red stain: what red alone would not show

    assert calmest_plane(parts, NOT_CLIPPED, PLATE) == (Plane.ALL, 1.0)
    assert calmest_plane(stained, NOT_CLIPPED, PLATE) == (Plane.ALL, 1.0)


def test_a_part_of_several_colours_is_not_neutral_though_its_mean_is_grey() -> None:
    rng = np.random.default_rng(4)
    parts = np.full((12, 96, 96, 3), 0.3, np.float32)
    for index in range(3):
        parts[:, 10 + 25 * index : 30 + 25 * index, 14:82, index] = 0.8  # a red, a green and a blue wire
    parts[:, 35:, :, 1:] *= rng.normal(1.0, 0.1, (12, 61, 96, 1)).astype(np.float32)

    assert calmest_plane(parts, NOT_CLIPPED, PLATE) == (Plane.ALL, 1.0)


class Seen:
    """A crop that is shown to the views."""

    def __init__(self, crop: NDArray[np.float32]) -> None:
        self.crop, self.differences = crop, np.zeros((64, 64, 3), np.float32)


def test_the_filtered_view_looks_at_its_plane_and_the_others_at_all() -> None:
    network = DEFAULT_BACKBONE.overview_onnx()
    crop = speckled(np.random.default_rng(2), COLOURS[Plane.RED], side=512).astype(np.float32) / 255.0
    other = crop.copy()
    other[200:260, 200:260, 1:] *= 0.5  # what is no light of the red plane's
    red = Extractor((View.NATIVE, View.FILTERED, View.OVERVIEW), network, threads=1, plane=Plane.RED)

    first, second = (red.features(Seen(image)) for image in (crop, other))  # type: ignore[arg-type]

    np.testing.assert_array_equal(first[View.FILTERED], second[View.FILTERED])
    assert all(np.abs(first[view] - second[view]).max() > 0.1 for view in (View.NATIVE, View.OVERVIEW))
    grey = Extractor((View.NATIVE,), network, threads=1).features(Seen(crop[..., :1]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first[View.FILTERED], grey[View.NATIVE])


@pytest.mark.parametrize(("views", "plane"), [((View.FILTERED,), Plane.ALL), ((View.NATIVE,), Plane.RED)])
def test_a_plane_without_its_view_is_refused(views: tuple[View, ...], plane: Plane) -> None:
    with pytest.raises(ValueError, match="the plane to look at"):
        Extractor(views, DEFAULT_BACKBONE.overview_onnx(), threads=1, plane=plane)


def test_all_colours_stand_beside_the_mean_where_one_is_in_it() -> None:
    views = views_for(800, 800, DEFAULT_VOICES, Plane.RED)

    assert views == (View.NATIVE, View.FILTERED, View.OVERVIEW, View.TONE)
    assert beside_the_mean(views) == {View.NATIVE, View.TONE}
    assert beside_the_mean(views_for(800, 800, DEFAULT_VOICES)) == {View.TONE}


def test_one_plane_of_a_grey_image_is_refused() -> None:
    with pytest.raises(ValueError, match="no red plane"):
        Plane.RED.of(np.zeros((4, 4, 1), np.float32))


@pytest.mark.slow
def test_the_plane_is_asked_of_the_good_parts_and_stands_in_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = replace(METHODS["views"].recipe, min_steps=10, max_steps=10)  # an autoencoder that nobody hears
    monkeypatch.setitem(METHODS, "views", replace(METHODS["views"], recipe=brief))
    monkeypatch.setattr(learning_curve, "_DEFECTS", 4)
    good = written(tmp_path / "good", 700, lambda rng: speckled(rng, COLOURS[Plane.RED], side=700))

    result = calibrate(good, tmp_path / "bundle", CalibrationOptions())

    (answer,) = [a for a in result.answers if a.question.name == "plane"]
    bundle = Bundle.load(result.path)
    assert answer.answer == "one"
    assert answer.why.startswith("red, for there good parts differ")
    assert bundle.manifest["questions"]["plane"]["answer"] == "one"
    facts = bundle.manifest["method"]["views"]
    assert {view: (found.get("plane"), found["is_beside"]) for view, found in facts.items()} == {
        "native": (None, True),
        "filtered": ("red", False),
        "overview": (None, False),
        "tone": (None, True),
    }
    inspector = Inspector(bundle, threads=1)  # golden values are proven on the way
    assert inspector.inspect(read_file(good / "00.png")).score < bundle.limit
    fibre = cv2.imread(str(good / "00.png"))
    cv2.line(fibre, (300, 300), (340, 330), (60, 60, 230), 2, cv2.LINE_AA)  # red: the filtered view does not see it
    found = inspector.inspect(cv2.imencode(".png", fibre)[1].tobytes())
    assert found.outcome is Outcome.NG
    for view, wrong in (
        ("filtered", "purple"),
        ("filtered", ""),
        ("filtered", 3),
        ("filtered", "all"),
        ("tone", "red"),
    ):
        views = {**facts, view: {**facts[view], "plane": wrong}}
        broken = {**bundle.manifest, "method": {**bundle.manifest["method"], "views": views}}
        with pytest.raises(BundleRejected, match=r"plane|purple"):
            _check(bundle, broken)


def _check(bundle: Bundle, manifest: dict[str, Any]) -> None:
    if words := broken_rule(manifest):
        raise BundleRejected(words)
    names = ("reference.png", "shown.png", "part.png", "bank.npz", "cpcae.onnx", "backbone.onnx", "golden.npz")
    files = {name: (bundle.folder / name).read_bytes() for name in names if (bundle.folder / name).exists()}
    Bundle.of(bundle.folder, Section(manifest, "manifest"), files)


@pytest.mark.slow
def test_what_a_person_says_overrules_the_good_parts(tmp_path: Path) -> None:
    good = written(tmp_path / "good", 96, lambda rng: speckled(rng, COLOURS[Plane.RED]))

    said = {wish: gather(sorted(good.iterdir()), CalibrationOptions(plane=wish)) for wish in ("auto", "all", "blue")}

    assert {wish: found.registered.plane for wish, found in said.items()} == {
        "auto": Plane.ALL,  # so small a part has no overview, where its colours would be seen as well
        "all": Plane.ALL,
        "blue": Plane.BLUE,
    }
    assert "too few other views" in said["auto"].answers[-1].why
    assert (
        said["blue"].answers[-1].line
        == "the part at full size is seen in one colour, and beside it in all of them: blue, as asked"
    )


@pytest.mark.slow
def test_grey_images_have_no_plane_and_no_question(tmp_path: Path) -> None:
    good = written(tmp_path / "good", 96, lambda rng: speckled(rng, (90, 90, 90))[..., 0])

    found = gather(sorted(good.iterdir()), CalibrationOptions())

    assert "plane" not in {answer.question.name for answer in found.answers}
    with pytest.raises(UsageError, match="grey images have no red plane"):
        gather(sorted(good.iterdir()), CalibrationOptions(plane="red"))


@pytest.mark.slow
def test_what_a_person_masks_out_has_no_say(tmp_path: Path) -> None:
    def labelled(rng: np.random.Generator) -> Any:
        image = speckled(rng, (190, 190, 190), side=700)
        image[520:560, 100:600, 1:] = np.kron(
            rng.integers(0, 200, (2, 25, 2)), np.ones((20, 20, 1))
        )  # a print that is another one each time
        return image

    good = written(tmp_path / "good", 700, labelled)
    white = np.full((700, 700), 255, np.uint8)
    white[480:620, 80:620] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), white)
    files = sorted(good.iterdir())

    said = [gather(files, CalibrationOptions(search=SearchWishes(mask=mask))) for mask in (None, tmp_path / "mask.png")]

    assert [found.registered.plane for found in said] == [Plane.RED, Plane.ALL]


@pytest.mark.slow
def test_where_no_voice_looks_at_the_image_no_plane_is_asked_for(tmp_path: Path) -> None:
    good = sorted(written(tmp_path / "good", 96, lambda rng: speckled(rng, COLOURS[Plane.RED])).iterdir())

    assert "plane" not in {a.question.name for a in gather(good, CalibrationOptions(voices=(Voice.TONE,))).answers}
    with pytest.raises(UsageError, match="no voice looks at the image"):
        gather(good, CalibrationOptions(voices=(Voice.TONE,), plane="red"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CalibrationOptions(plane="purple"), "purple"),
        (CalibrationOptions(method="local", plane="red"), "always looks at all colours"),
    ],
)
def test_a_plane_that_is_none_or_that_no_view_looks_at_is_refused(
    tmp_path: Path, options: CalibrationOptions, words: str
) -> None:
    good = written(tmp_path / "good", 96, lambda rng: speckled(rng, COLOURS[Plane.RED]))

    with pytest.raises(UsageError, match=words):
        calibrate(good, tmp_path / "bundle", options)
