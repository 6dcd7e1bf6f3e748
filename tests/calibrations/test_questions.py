"""The coarse questions: who answers them, by what, and what becomes of a set for which registration means nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import pytest

import calibration.gathering
from calibration.backbones import DEFAULT_BACKBONE
from calibration.calibrate import calibrate
from calibration.choosing.placing import Placed, place_all
from calibration.choosing.questions import CLEARLY, PLACE, REGISTRATION, answered, ask
from calibration.choosing.rehearsal import Rehearsal, Told
from calibration.gathering import gather
from calibration.good_parts.images import list_images, read_good_images
from calibration.good_parts.known import KnownImage
from calibration.options import CalibrationOptions
from calibration.registering.registered import register_all
from calibration.registering.search import SearchWishes
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from edge_agent.inspection.bundle.reference_bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from calibration.registering.registered import RegisteredSet

    Picture = NDArray[np.uint8]

HEIGHT, WIDTH = 96, 128


def plate(rng: np.random.Generator, make: int = 0, noise: float = 4.0) -> Picture:
    """A plate that lies within a pixel or two, with marks where its make has them."""
    image = np.full((HEIGHT, WIDTH), 30, np.float32)
    image[20:76, 24:104] = 150
    marks = np.random.default_rng(make)
    for _ in range(9):
        place = (int(marks.integers(30, 98)), int(marks.integers(26, 70)))
        cv2.circle(image, place, int(marks.integers(3, 7)), float(marks.integers(50, 250)), -1, cv2.LINE_AA)
    moved = cv2.warpAffine(image, np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]]), (WIDTH, HEIGHT))
    return np.clip(moved + rng.normal(0, noise, moved.shape), 0, 255).astype(np.uint8)


def grain(rng: np.random.Generator) -> Picture:
    field_ = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2)
    return np.clip(120 + 30 * field_ / field_.std(), 0, 255).astype(np.uint8)


def anyhow(rng: np.random.Generator) -> Picture:
    """A marked disc that lies anywhere, turned at any angle."""
    height, width = 3 * HEIGHT, 3 * WIDTH
    image = np.full((height, width), 30, np.float32)
    cv2.circle(image, (192, 144), 60, 150.0, -1, cv2.LINE_AA)
    for number in range(5):
        cv2.circle(image, (162 + 15 * number, 120 + 12 * (number % 3)), 9, 230.0, -1, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((192, 144), rng.uniform(0, 360), 1.0)
    turn[:, 2] += rng.uniform(-120, 120), rng.uniform(-75, 75)
    moved = cv2.warpAffine(image, turn, (width, height), borderValue=30)
    return np.clip(moved + rng.normal(0, 3, moved.shape), 0, 255).astype(np.uint8)


def images(folder: Path, draw: Callable[[np.random.Generator, int], Picture], count: int = 22) -> list[GoodImage]:
    rng = np.random.default_rng(4)
    folder.mkdir()
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number:02}.bmp"), draw(rng, number))
    return read_good_images(list_images(folder), lambda _done, _total: None)


@dataclass
class Says:
    """A rehearsal whose outcome is known beforehand; ``asked`` is how often it was held."""

    on: Told
    off: Told
    asked: list[bool] = field(default_factory=list)

    def told_apart(self, registered: RegisteredSet, _progress: object) -> Told:
        is_off = registered.registration.settings.off
        self.asked.append(is_off)
        return self.off if is_off else self.on


def placed(good: list[GoodImage], says: Says, place: str = "auto", **wishes: object) -> Placed:
    return place_all(
        good,
        SearchWishes(**wishes),  # type: ignore[arg-type]
        "auto",
        lambda _done, _total: None,
        place=place,
        rehearse=lambda: cast("Rehearsal", says),
    )


def test_the_other_answer_has_to_be_clearly_better() -> None:
    barely, clearly = (ask(REGISTRATION, {"on": 0.9, "off": 0.9 + CLEARLY + more}) for more in (-0.001, 0.001))

    assert (barely.answer, clearly.answer) == ("on", "off")
    assert (barely.answer == REGISTRATION.default, clearly.answer == REGISTRATION.default) == (True, False)
    assert "on 0.900, off 0.921" in clearly.why
    assert clearly.to_json() == {"answer": "off", "why": clearly.why, "figures": {"on": 0.9, "off": 0.921}}
    assert "images are compared as they come" in clearly.line
    assert answered(PLACE, "free", "as asked").to_json()["figures"] == {}


def test_parts_that_register_beyond_doubt_are_not_rehearsed(tmp_path: Path) -> None:
    says = Says(Told(0.5, 0.5), Told(1.0, 1.0))

    found = placed(images(tmp_path / "good", lambda rng, _i: plate(rng)), says)

    assert says.asked == []
    assert [answer.answer for answer in found.answers] == ["on", "tied"]
    assert "registers at 0.9" in found.answers[0].why


@pytest.mark.parametrize(
    ("on", "off", "answers"),
    [
        (Told(0.9, 0.8), Told(0.91, 0.8), ["on", "tied"]),
        (Told(0.9, 0.95), Told(0.91, 0.8), ["on", "free"]),
        (Told(0.9, 0.8), Told(0.95, 0.96), ["off", "tied"]),
        (Told(0.9, 0.8), Told(0.7, 0.96), ["off", "free"]),
    ],
)
def test_what_tells_defects_apart_clearly_better_is_taken(
    tmp_path: Path, on: Told, off: Told, answers: list[str]
) -> None:
    says = Says(on, off)

    found = placed(images(tmp_path / "good", lambda rng, _i: plate(rng, noise=60.0)), says)

    assert says.asked == [False, True]
    assert [answer.answer for answer in found.answers] == answers
    assert found.registered.registration.settings.off == (answers[0] == "off")
    assert found.registered.is_tied == (answers[1] == "tied")


def test_where_the_default_tells_nearly_all_defects_nothing_else_is_tried(tmp_path: Path) -> None:
    good = images(tmp_path / "good", lambda rng, _i: plate(rng, noise=60.0))
    says, leaves_room = Says(Told(0.985, 0.5), Told(1.0, 1.0)), Says(Told(0.975, 0.5), Told(1.0, 1.0))

    settled, tried = placed(good, says), placed(good, leaves_room)

    assert says.asked == [False]
    assert [answer.answer for answer in settled.answers] == ["on", "tied"]
    assert settled.answers[0].to_json() == {
        "answer": "on",
        "why": "nothing can be clearly better (AUC of defects: on 0.985)",
        "figures": {"on": 0.985},
    }
    assert leaves_room.asked == [False, True]
    assert tried.answers[0].answer == "off"


def test_who_wants_parts_free_of_the_place_is_asked_by_that_alone(tmp_path: Path) -> None:
    says = Says(Told(1.0, 0.9), Told(1.0, 0.95))

    found = placed(images(tmp_path / "good", lambda rng, _i: plate(rng, noise=60.0)), says, "free")

    assert says.asked == [False, True]
    assert found.answers[0].answer == "off"


def cells(folder: Path) -> list[GoodImage]:
    """Plates, and three images that have nothing in common with them."""
    return images(folder, lambda rng, number: grain(rng) if number % 8 == 1 else plate(rng), 24)


def test_a_set_that_registers_in_part_is_not_refused_where_it_is_better_compared_unmoved(tmp_path: Path) -> None:
    good = cells(tmp_path / "good")
    with pytest.raises(CalibrationRefused, match="does not register"):
        placed(good, Says(Told(0.95, 0.9), Told(0.9, 0.9)))

    found = placed(good, Says(Told(0.85, 0.8), Told(0.93, 0.9)))

    assert found.answers[0].answer == "off"
    assert len(found.registered.images) == 24


def test_images_that_nothing_lays_onto_each_other_are_asked_for_their_place_alone(tmp_path: Path) -> None:
    says = Says(Told(0.0, 0.0), Told(0.8, 0.9))

    found = placed(images(tmp_path / "good", lambda rng, _i: grain(rng)), says)

    assert says.asked == [True]
    assert [answer.answer for answer in found.answers] == ["off", "free"]
    assert "lays no good image onto another" in found.answers[0].why


def test_a_persons_word_is_taken_without_a_rehearsal(tmp_path: Path) -> None:
    good = images(tmp_path / "good", lambda rng, _i: plate(rng, noise=60.0))
    says = Says(Told(0.9, 1.0), Told(1.0, 0.5))

    for registration, place in (("on", "tied"), ("off", "free")):
        found = placed(good, says, place, registration=registration)
        assert [answer.answer for answer in found.answers] == [registration, place]
        assert {answer.why for answer in found.answers} == {"as asked"}
    assert says.asked == []
    with pytest.raises(UsageError, match="place 'here'"):
        placed(good, says, "here")


def told(good: list[GoodImage], registration: str, known: tuple[KnownImage, ...] = ()) -> Told:
    rehearsal = Rehearsal(good, DEFAULT_BACKBONE.overview_onnx(), seed=0, defects=30, known=known)
    nothing = lambda _done, _total: None  # noqa: E731
    wishes = SearchWishes(registration=registration, left_out_share=1.0)
    return rehearsal.told_apart(register_all(good, wishes, "auto", nothing), nothing)


@pytest.mark.slow
def test_a_rehearsal_says_that_parts_lying_anyhow_are_compared_free_of_the_place(tmp_path: Path) -> None:
    good = images(tmp_path / "good", lambda rng, _i: anyhow(rng))

    first = told(good, "off")

    assert first.free > first.tied
    assert 0.0 <= first.tied <= 1.0


@pytest.mark.slow
def test_good_parts_that_registration_throws_out_count_as_rejected(tmp_path: Path) -> None:
    good = cells(tmp_path / "good")

    found = told(good, "on")

    assert found.tied <= 1.0 - 3 / 24 + 0.01
    assert found == told(good, "on"), "the same images and seed give the same figures"


@pytest.mark.slow
def test_a_known_defective_part_counts_as_much_as_a_synthetic_defect(tmp_path: Path) -> None:
    good = images(tmp_path / "good", lambda rng, _i: grain(rng))
    unlike, alike = [], []
    for number in range(10):
        rng = np.random.default_rng((9, number))
        for known, drawn in ((unlike, 255 - plate(rng)), (alike, grain(rng))):
            path = tmp_path / f"{len(unlike)} {len(alike)}.bmp"
            cv2.imwrite(str(path), drawn)
            known.append(KnownImage(path, hashlib.sha256(path.read_bytes()).hexdigest()))

    plain, found, missed = (told(good, "off", known) for known in ((), tuple(unlike), tuple(alike)))

    # Ten known ones beside fifteen synthetic ones: the first ten stand out, the others look as good parts do.
    assert found.tied == pytest.approx((15 * plain.tied + 10 * 1.0) / 25, abs=0.02)
    assert missed.tied < plain.tied - 0.05


@pytest.mark.slow
def test_known_defective_parts_take_part_in_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "good", lambda rng, _i: grain(rng))
    (tmp_path / "bad").mkdir()
    cv2.imwrite(str(tmp_path / "bad" / "one.bmp"), 255 - plate(np.random.default_rng(1)))
    seen: list[int] = []

    class Watched(Rehearsal):
        def __init__(self, *args: Any, **options: Any) -> None:
            seen.append(len(options["known"]))
            super().__init__(*args, **options, defects=8)

    monkeypatch.setattr(calibration.gathering, "Rehearsal", Watched)

    gather(sorted((tmp_path / "good").iterdir()), CalibrationOptions(defective=tmp_path / "bad"))

    assert seen == [1]


@pytest.mark.slow
def test_the_answers_stand_in_the_bundle(tmp_path: Path) -> None:
    images(tmp_path / "good", lambda rng, _i: grain(rng))
    options = CalibrationOptions(method="views", place="free")

    result = calibrate(tmp_path / "good", tmp_path / "bundle", options)

    manifest = Bundle.load(result.path).manifest
    assert manifest["questions"]["place"] == {"answer": "free", "why": "as asked", "figures": {}}
    assert manifest["questions"]["registration"]["answer"] == "off"
    assert {view["is_tied"] for view in manifest["method"]["views"].values()} == {False}
    for wrong in ({"answer": 3}, {"figures": {"on": 2.0}}, {"why": ""}):
        broken = {**manifest, "questions": {"place": {**manifest["questions"]["place"], **wrong}}}
        assert "questions.place" in broken_rule(broken)


def test_another_method_is_always_tied_to_the_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tied to the place"):
        calibrate(tmp_path, tmp_path / "bundle", CalibrationOptions(method="local", place="free"))
