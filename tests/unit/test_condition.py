"""The condition of an image: what is measured, what is allowed, and what a person is told."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from calibration.disturbances import DISTURBANCES, disturbances_for
from calibration.scoring.condition import allowed_from
from edge_agent.domain import Outcome, Reason, Verdict
from edge_agent.inspection.scoring.condition import (
    Allowed,
    ConditionFault,
    ConditionLimits,
    measure_condition,
    quantities_for,
)
from edge_agent.inspection.scoring.outcome import decide_outcome
from edge_agent.inspection.scoring.quantity import Quantity
from edge_agent.tools.challenge import Sample

GREY = Allowed(usual=100.0, low=98.0, high=104.0, least=88.0, most=114.0)
SHARP = Allowed(usual=0.4, low=0.35, high=0.45, least=0.3, most=None)
LIMITS = ConditionLimits({Quantity.BRIGHTNESS: GREY, Quantity.SHARPNESS: SHARP})
PLACES = np.zeros((12, 16), bool)
PLACES[3:9, 4:12] = True


def part(*, channels: int = 1, grey: float = 0.4, blur: float = 0.0) -> np.ndarray:
    """A striped part on a black ground: (480, 640, C)."""
    image = np.zeros((480, 640), np.float32)
    image[120:360, 160:480] = grey
    image[120:360, 160:480:8] = grey / 2
    image[120:360, 161:480:8] = grey / 2
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return np.repeat(image[..., None], channels, axis=2)


# --- what cannot be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"least": 99.0},
        {"most": 103.0},
        {"usual": 97.0},
        {"usual": 105.0},
        {"usual": 88.0, "low": 88.0},
        {"usual": 114.0, "high": 114.0},
        {"low": math.nan},
        {"least": -math.inf},
        {"most": math.nan},
    ],
)
def test_numbers_that_are_no_range_are_refused(change: dict[str, float]) -> None:
    content: dict[str, Any] = {"usual": 100.0, "low": 98.0, "high": 104.0, "least": 88.0, "most": 114.0, **change}

    with pytest.raises(ValueError, match="no range"):
        Allowed(**content)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"warmth": LIMITS.to_json()["brightness"]}, ValueError),
        ({"brightness": {"usual": 1.0}}, TypeError),
        ({"brightness": {**LIMITS.to_json()["brightness"], "note": 1.0}}, TypeError),
        ({"brightness": None}, TypeError),
    ],
)
def test_a_manifest_s_section_that_cannot_be_is_refused(content: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ConditionLimits.from_json(content)


def test_limits_come_back_as_they_were_written() -> None:
    assert ConditionLimits.from_json(LIMITS.to_json()) == LIMITS


def test_a_quantity_that_is_no_number_is_refused_and_not_passed() -> None:
    fault = LIMITS.judge({Quantity.BRIGHTNESS: math.nan, Quantity.SHARPNESS: 0.4})

    assert fault is not None
    assert fault.reason is Reason.LIGHT
    unsharp = LIMITS.judge({Quantity.BRIGHTNESS: 100.0, Quantity.SHARPNESS: math.nan})
    assert unsharp is not None
    assert unsharp.reason is Reason.FOCUS


# --- what is said -------------------------------------------------------------------------------------------


def test_within_the_range_nothing_is_said_and_the_share_of_the_room_is_told() -> None:
    measured = {Quantity.BRIGHTNESS: 107.0, Quantity.SHARPNESS: 0.35}

    assert LIMITS.judge(measured) is None
    assert LIMITS.shares(measured) == pytest.approx({"brightness": 0.5, "sharpness": -0.5})


def test_at_either_end_it_is_still_allowed() -> None:
    for grey in (88.0, 114.0):
        assert LIMITS.judge({Quantity.BRIGHTNESS: grey, Quantity.SHARPNESS: 0.3}) is None


def test_a_darker_image_is_rejected_for_the_light_in_words() -> None:
    fault = LIMITS.judge({Quantity.BRIGHTNESS: 82.0, Quantity.SHARPNESS: 0.4})

    assert fault is not None
    assert fault.reason is Reason.LIGHT
    assert fault.words == (
        "the image is 18% darker than the good parts' images (its brightness on the part is 82.0, theirs have 98.0 to "
        "104.0, allowed is at least 88.0): look at the lamp, the exposure and the lens"
    )


def test_an_unsharp_image_is_rejected_for_the_focus_and_a_sharper_one_is_not() -> None:
    unsharp = LIMITS.judge({Quantity.BRIGHTNESS: 100.0, Quantity.SHARPNESS: 0.2})

    assert unsharp is not None
    assert unsharp.reason is Reason.FOCUS
    assert "50% less sharp" in unsharp.words
    assert LIMITS.judge({Quantity.BRIGHTNESS: 100.0, Quantity.SHARPNESS: 5.0}) is None


def test_of_two_faults_the_one_further_out_gives_the_reason_and_both_are_said() -> None:
    fault = LIMITS.judge({Quantity.BRIGHTNESS: 87.0, Quantity.SHARPNESS: 0.1})

    assert fault is not None
    assert fault.reason is Reason.FOCUS
    assert fault.words.index("less sharp") < fault.words.index("darker")


# --- what is measured ---------------------------------------------------------------------------------------


def test_brightness_and_contrast_are_those_of_the_part_alone() -> None:
    image, other = part(), part()
    other[:120] = 1.0  # a bright thing beside the part

    on_part = measure_condition(image, PLACES)
    assert measure_condition(other, PLACES)[Quantity.BRIGHTNESS] == on_part[Quantity.BRIGHTNESS]
    assert on_part[Quantity.BRIGHTNESS] > 2 * measure_condition(image, None)[Quantity.BRIGHTNESS]


def test_a_defect_smaller_than_a_tenth_of_the_part_hardly_moves_the_brightness() -> None:
    stained = part()
    stained[200:260, 200:280] = 1.0  # 6 % of the part

    clean, found = (measure_condition(image, PLACES)[Quantity.BRIGHTNESS] for image in (part(), stained))
    assert found == pytest.approx(clean, rel=0.03)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_quantity_follows_what_it_is_named_for(channels: int) -> None:
    plain = measure_condition(part(channels=channels), PLACES)
    darker = measure_condition(part(channels=channels) * np.float32(0.8), PLACES)
    blurred = measure_condition(part(channels=channels, blur=2.0), PLACES)

    assert tuple(plain) == quantities_for(channels)
    assert darker[Quantity.BRIGHTNESS] == pytest.approx(0.8 * plain[Quantity.BRIGHTNESS], rel=1e-4)
    assert darker[Quantity.CONTRAST] == pytest.approx(0.8 * plain[Quantity.CONTRAST], rel=1e-3)
    assert darker[Quantity.SHARPNESS] == pytest.approx(plain[Quantity.SHARPNESS], rel=0.02)
    assert blurred[Quantity.SHARPNESS] < 0.9 * plain[Quantity.SHARPNESS]


def test_a_warmer_light_has_more_red_and_less_blue() -> None:
    warm = part(channels=3) * np.array([1.1, 1.0, 0.9], np.float32)

    found = measure_condition(warm, PLACES)
    assert found[Quantity.RED] == pytest.approx(1.1, rel=1e-4)
    assert found[Quantity.BLUE] == pytest.approx(0.9, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2000, 3), (700, 5, 1), (40, 40, 3)])
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_flat_black_and_tiny_crops_have_finite_numbers(shape: tuple[int, int, int], grey: float) -> None:
    for places in (None, np.ones((4, 5), bool), np.eye(90, 90, dtype=bool)):
        found = measure_condition(np.full(shape, grey, np.float32), places)
        assert all(math.isfinite(value) for value in found.values())


# --- what is allowed ----------------------------------------------------------------------------------------


def test_the_room_holds_what_the_disturbances_do_and_few_parts_get_more_of_it() -> None:
    rng = np.random.default_rng(0)
    good = list(rng.normal(100.0, 1.0, 20))
    many = list(rng.normal(100.0, 1.0, 400))

    small, large = (allowed_from(Quantity.BRIGHTNESS, values, []) for values in (good, many))
    disturbed = allowed_from(Quantity.BRIGHTNESS, many, [-10.0, 8.0, 0.5])
    assert small.low - small.least > large.low - large.least
    assert disturbed.least <= min(many) - 10.0
    assert disturbed.most is not None
    assert disturbed.most >= max(many) + 8.0


def test_fresh_good_parts_are_hardly_ever_outside_of_the_range_of_a_few_others() -> None:
    rng = np.random.default_rng(1)
    refused = total = 0
    for _ in range(100):
        allowed = allowed_from(Quantity.BRIGHTNESS, list(rng.standard_t(5, 20)), [])
        fresh = rng.standard_t(5, 100)
        refused += sum(abs(allowed.share(float(value))) > 1.0 for value in fresh)
        total += len(fresh)

    assert refused / total < 0.003


def test_good_parts_that_do_not_vary_leave_room_for_rounding() -> None:
    allowed = allowed_from(Quantity.BRIGHTNESS, [255.0] * 20, [0.0])

    assert abs(allowed.share(254.0)) < 1.0


# --- disturbances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda one: one.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_disturbance_gives_the_same_new_image_each_time(disturbance: Any, channels: int) -> None:
    pixels = np.round(part(channels=channels) * 255).astype(np.uint8)
    pixels = pixels if channels == 3 else pixels[..., 0]
    if disturbance not in disturbances_for(channels):
        return
    before = pixels.copy()

    first, second = disturbance.apply(pixels), disturbance.apply(pixels)
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    assert (first == second).all()
    assert (first != pixels).any()
    assert (pixels == before).all()


# --- the decision -------------------------------------------------------------------------------------------

GOOD = {
    "score": 1.0,
    "limit": 2.0,
    "review_from": 2.0,
    "quality": 0.97,
    "quality_min": 0.85,
    "unseen_fraction": 0.0,
    "unseen_max": 0.02,
}
DARK = ConditionFault(Reason.LIGHT, "the image is 18% darker")


def test_another_light_is_rejected_for_the_light_whatever_the_score() -> None:
    assert decide_outcome(**GOOD, condition_fault=DARK) == (Outcome.NG, Reason.LIGHT, "the image is 18% darker")
    outcome, reason, words = decide_outcome(**{**GOOD, "score": 3.0}, condition_fault=DARK)
    assert (outcome, reason) == (Outcome.NG, Reason.LIGHT)
    assert "it may be the part itself" in words


def test_a_part_that_is_not_in_its_place_says_so_and_nothing_of_the_light() -> None:
    assert decide_outcome(**{**GOOD, "quality": 0.1}, condition_fault=DARK)[1] is Reason.ALIGN
    assert decide_outcome(**{**GOOD, "score": math.nan}, condition_fault=DARK)[1] is Reason.NOT_FINITE


@pytest.mark.parametrize("reason", [Reason.LIGHT, Reason.FOCUS])
def test_a_challenge_sample_in_another_light_counts_only_where_its_score_rejects_it_too(reason: Reason) -> None:
    def sample(score: float | None) -> Sample:
        return Sample("stain.bmp", True, Verdict.REJECT, reason, score, 2.0, "bundle", "ab" * 32)

    assert sample(2.0).is_right
    assert not sample(1.9).is_right
    assert not sample(None).is_right
