"""Parts left out as not good, and known-defective parts: what cannot be taken at its word is refused first."""

from __future__ import annotations

import math
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.gathering import gather
from calibration.good_parts.images import list_images
from calibration.good_parts.known import KnownImage
from calibration.limits.defects import Defect, Findings
from calibration.limits.limit import LimitWishes, choose_limit, wishes_of
from calibration.options import CalibrationOptions
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import CalibrationRefused, UsageError

pytestmark = pytest.mark.slow

GOOD = np.arange(1.0, 45.0)


def write(folder: Path, name: str, seed: int, *, width: int = 64) -> Path:
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, width)).astype(np.uint8)
    assert cv2.imwrite(str(folder / name), pixels)
    return folder / name


@pytest.fixture
def good(tmp_path: Path) -> Path:
    for seed in range(22):
        write(tmp_path / "good", f"{seed:02}.bmp", seed)
    return tmp_path / "good"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    write(tmp_path / "bad", "scratch.bmp", 100)
    return tmp_path / "bad"


def refused(good: Path, **options: object) -> CalibrationRefused:
    with pytest.raises(CalibrationRefused) as caught:
        gather(list_images(good), CalibrationOptions(**options))  # type: ignore[arg-type]

    assert caught.value.hint
    return caught.value


def findings(*scores: float | None, good: np.ndarray = GOOD, wishes: LimitWishes = LimitWishes()) -> Findings:  # noqa: B008
    """Defective parts with these scores; None is a part that was stopped because it did not register."""
    limit = choose_limit(good, wishes)
    defects = []
    for number, score in enumerate(scores):
        outcome = Outcome.NG if score is None or score >= limit.value else Outcome.OK
        if score is not None and limit.review_from <= score < limit.value:
            outcome = Outcome.REVIEW
        reason = Reason.ALIGN if score is None else Reason.OK if outcome is Outcome.OK else Reason.SCORE
        defects.append(
            Defect(KnownImage(Path(f"{number}.bmp"), "0" * 64), outcome, reason, 0.5 if score is None else score)
        )
    return Findings(tuple(defects), limit, good)


# --- left out -------------------------------------------------------------------------------------------


def test_a_name_to_leave_out_that_is_not_there_is_refused_with_the_nearest(good: Path) -> None:
    error = refused(good, leave_out=("03.bmp", "07.bmpp"))

    assert "there is no image 07.bmpp among the 22 good ones" in str(error)
    assert "07.bmp?" in error.hint


def test_a_path_to_leave_out_is_asked_for_as_a_name(good: Path) -> None:
    assert "without its folder" in refused(good, leave_out=("somewhere/else/entirely",)).hint


def test_leaving_all_parts_out_is_refused(good: Path) -> None:
    names = tuple(path.name for path in list_images(good))

    assert "all 22 images are left out" in str(refused(good, leave_out=names))


def test_leaving_too_many_out_is_refused(good: Path) -> None:
    assert "19 good images are too few" in str(refused(good, leave_out=("00.bmp", "01.bmp", "02.bmp")))


def test_a_part_that_is_left_out_under_one_name_only_is_refused(good: Path) -> None:
    (good / "copy.bmp").write_bytes((good / "03.bmp").read_bytes())

    assert "copy.bmp is the same image as 03.bmp" in str(refused(good, leave_out=("03.bmp",)))


# --- defective parts ------------------------------------------------------------------------------------


def test_a_defective_folder_that_is_not_there_or_empty_is_refused(good: Path, tmp_path: Path) -> None:
    assert "not a folder" in str(refused(good, defective=tmp_path / "nothing"))

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("none yet")
    assert "holds no images of defective parts" in str(refused(good, defective=tmp_path / "empty"))


@pytest.mark.parametrize("content", [b"", b"not an image", b"BM"])
def test_a_defective_image_that_cannot_be_read_is_named(good: Path, bad: Path, content: bytes) -> None:
    (bad / "broken.bmp").write_bytes(content)

    assert "broken.bmp" in str(refused(good, defective=bad))


def test_a_defective_image_of_another_size_is_named(good: Path, bad: Path) -> None:
    write(bad, "wide.bmp", 101, width=80)

    assert "wide.bmp: it has the shape (48, 80), the good images have (48, 64)" in str(refused(good, defective=bad))


def test_a_good_image_among_the_defective_ones_is_named(good: Path, bad: Path) -> None:
    (bad / "moved.bmp").write_bytes((good / "05.bmp").read_bytes())

    assert "moved.bmp: it is the same image as 05.bmp among the good ones" in str(refused(good, defective=bad))


def test_the_good_folder_itself_is_refused_as_the_defective_one(good: Path) -> None:
    assert "among the good ones" in str(refused(good, defective=good))


def test_a_defective_part_counted_twice_is_named(good: Path, bad: Path) -> None:
    (bad / "twice.bmp").write_bytes((bad / "scratch.bmp").read_bytes())

    assert "twice.bmp: it is the same image as" in str(refused(good, defective=bad))


@pytest.mark.parametrize("wishes", [LimitWishes(false_rejects=0.01), LimitWishes(review_share=0.01)])
def test_a_wish_that_the_images_cannot_carry_is_refused_before_the_training(good: Path, wishes: LimitWishes) -> None:
    # These images do not even register: the wish is looked at first.
    assert "22" in str(refused(good, limit=wishes))


def test_a_share_that_is_none_is_a_usage_error_before_the_training(good: Path) -> None:
    with pytest.raises(UsageError):
        gather(list_images(good), CalibrationOptions(limit=LimitWishes(false_rejects=1.0)))


def test_a_defective_image_that_changes_after_it_was_read_is_named(bad: Path) -> None:
    (image,) = (KnownImage(path, sha256(path.read_bytes()).hexdigest()) for path in list_images(bad))
    assert image.read() == (bad / "scratch.bmp").read_bytes()
    write(bad, "scratch.bmp", 101)

    with pytest.raises(CalibrationRefused, match=r"scratch\.bmp changed"):
        image.read()


# --- what defective parts say ---------------------------------------------------------------------------


def test_none_missed_of_59_says_below_5_percent() -> None:
    found = findings(*np.linspace(100.0, 200.0, 59))

    assert found.missed == []
    assert 0.0495 < found.miss_bound_95 < 0.05
    assert "0 of 59 known-defective parts would pass." in found.statement
    assert "fewer than 5.0 % of defects like these" in found.statement
    assert "0.bmp, scores 2.33 times" in found.statement


def test_missed_parts_are_named_the_least_conspicuous_first_with_what_it_costs_to_catch_them() -> None:
    found = findings(100.0, 42.5, 40.5, None)

    assert [defect.name for defect in found.missed] == ["2.bmp", "1.bmp"]
    assert "2 of 4 known-defective parts would pass: 2.bmp, 1.bmp." in found.statement
    assert found.catching_all is not None
    # Four good parts score 41 and more: the limit has to lie above the fifth.
    assert (found.catching_all.rank, found.missed_at(found.catching_all.value)) == (5, 0)
    assert found.missed_at(choose_limit(GOOD, LimitWishes(false_rejects=4 / 45)).value) > 0
    assert "A limit of 40 would let none of them pass. Expect it to reject 11.1 % of good parts" in found.statement


def test_the_limit_that_catches_all_is_the_one_that_the_named_target_sets() -> None:
    found = findings(100.0, 40.5)
    asked = found.statement.partition("--false-rejects ")[2].split(".  ")[0].split(" ")[0].removesuffix(".")

    chosen = choose_limit(GOOD, wishes_of(asked, None, extrapolate=False))

    assert findings(100.0, 40.5, wishes=LimitWishes(false_rejects=chosen.target)).missed == []
    assert found.catching_all is not None
    assert chosen.value == found.catching_all.value


def test_a_defect_below_every_good_part_is_caught_by_no_limit() -> None:
    found = findings(100.0, 0.5)

    assert found.catching_all is None
    assert "No limit catches all of them" in found.statement


def test_a_part_in_the_review_band_does_not_pass() -> None:
    wishes = LimitWishes(review_share=0.1)

    assert [d.name for d in findings(43.0, 10.0).missed] == ["1.bmp", "0.bmp"]
    assert [d.name for d in findings(43.0, 10.0, wishes=wishes).missed] == ["1.bmp"]


def test_parts_that_no_score_stopped_do_not_speak_for_the_limit() -> None:
    found = findings(None, None)

    assert found.missed_at(math.inf) == 0
    assert "None of them was stopped by its score" in found.statement


def test_ties_with_a_good_part_are_caught_too() -> None:
    found = findings(42.0)

    assert found.catching_all is not None
    assert found.missed_at(found.catching_all.value) == 0
