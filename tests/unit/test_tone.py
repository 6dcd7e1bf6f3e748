"""Brightness and colour of each place, and views that stand beside the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration.limits.limit import choose_limit
from calibration.limits.tail import top_excess
from calibration.scoring.fusion import Fusion, beside_the_mean
from edge_agent.inspection.networks.channels import CHANNELS, View
from edge_agent.inspection.networks.tone import CELL_PX, Tone, tone_shape
from edge_agent.inspection.scoring.judge import ViewsJudge
from edge_agent.inspection.scoring.local import Scale
from edge_agent.inspection.scoring.nearest import PlaceBank
from edge_agent.inspection.scoring.typical_distances import TypicalDistances
from edge_agent.inspection.scoring.view_bank import ViewBank

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 160, 240


def part(channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """A part with slow changes of brightness and colour on a dark ground, in [0.2, 0.7]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / WIDTH
    waves = [np.sin(7 * x + k) * np.cos(5 * y - k) for k in range(channels)]
    found = 0.45 + 0.2 * np.dstack(waves) + 0.01 * rng.standard_normal((HEIGHT, WIDTH, channels))
    found[:, : WIDTH // 4] = 0.02
    return np.asarray(found, np.float32)


def tone(*, is_tied: bool = True) -> Tone:
    places = np.ones(tone_shape(HEIGHT, WIDTH), bool)
    places[:, : WIDTH // 4 // CELL_PX + 1] = False
    return Tone(places, is_tied)


def moved(changed: NDArray[np.float32], image: NDArray[np.float32], *, is_tied: bool = True) -> float:
    """How much the tone of the part differs, at the place where it differs most."""
    looked = tone(is_tied=is_tied)
    differences = looked.features(changed) - looked.features(image)
    return float(np.abs(differences[looked.on_part]).max())


def test_each_place_has_its_own_tone_and_that_of_the_places_around() -> None:
    assert tone_shape(1200, 1600) == (75, 100)
    assert tone().features(part()).shape == (10, 15, 6)
    assert tone().features(part(1)).shape == (10, 15, 2)
    assert tone().features(part()).dtype == np.float32


def test_light_that_is_weaker_or_of_another_colour_or_leans_to_one_side_moves_little_and_a_stain_much() -> None:
    image = part()
    lean = np.linspace(0.9, 1.1, WIDTH, dtype=np.float32)[None, :, None]
    stained = image.copy()
    stained[60:110, 120:170] *= np.float32([1.0, 0.93, 0.93])

    by_light = max(
        moved(image * np.float32(0.9), image),
        moved(image * np.float32([1.05, 1.0, 0.95]), image),
        moved(image * lean, image),
    )

    assert moved(stained, image) > 0.05
    assert by_light < 0.02


def test_where_a_part_lies_anywhere_no_slope_is_taken_away() -> None:
    image = part()
    lean = np.linspace(0.9, 1.1, WIDTH, dtype=np.float32)[None, :, None]

    assert moved(image * np.float32(0.9), image, is_tied=False) < 0.02
    assert moved(image * lean, image, is_tied=False) > 0.05


def test_every_view_has_words_for_a_person() -> None:
    assert len({CHANNELS[view].view for view in View}) == len(View)


def test_of_a_part_with_few_places_no_slope_is_taken_away_that_would_follow_a_stain() -> None:
    few = np.zeros(tone_shape(HEIGHT, WIDTH), bool)
    few[4:6, 8:10] = True
    image = part()
    stained = image.copy()
    stained[64:80, 128:144] *= np.float32(0.7)

    differences = Tone(few, is_tied=True).features(stained) - Tone(few, is_tied=True).features(image)

    assert np.abs(differences[few]).max() > 0.1


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="has places"):
        tone().features(part()[:, :100])


def test_a_value_that_is_none_makes_the_tone_none() -> None:
    image = part()
    image[80, 160] = np.nan

    assert np.isnan(tone().features(image)).any()


# --- beside the mean --------------------------------------------------------------------------------


def test_what_is_not_the_networks_of_the_image_stands_beside_where_the_image_has_a_voice() -> None:
    views = (View.NATIVE, View.OVERVIEW, View.TONE, View.AUTOENCODER)

    assert beside_the_mean(views) == {View.TONE, View.AUTOENCODER}
    assert beside_the_mean((View.TONE, View.AUTOENCODER)) == frozenset()


def held_out(n: int, seed: int) -> NDArray[np.float64]:
    return 5.0 + np.random.default_rng(seed).exponential(2.0, n)


def test_a_view_beside_the_mean_takes_few_of_the_good_parts_that_may_be_rejected() -> None:
    own = {View.NATIVE: held_out(2000, 1), View.TONE: held_out(2000, 2) * 40.0}
    alone = Fusion.of({View.NATIVE: own[View.NATIVE]}, frozenset())
    both = Fusion.of(own, frozenset({View.TONE}))
    limit = np.quantile(alone.scores, 0.97)

    assert both.scales[View.NATIVE] == alone.scales[View.NATIVE]
    by_tone = np.mean(both.scales[View.TONE](own[View.TONE]) >= limit)
    assert by_tone == pytest.approx(0.03 * np.exp(-2.0), abs=0.003)
    assert np.mean(both.scores >= limit) == pytest.approx(0.03 + by_tone, abs=0.002)
    np.testing.assert_array_less(alone.scores - 1e-12, both.scores)


def test_one_odd_part_in_a_view_does_not_carry_its_scale_away() -> None:
    tones = held_out(40, 2)
    odd = np.append(tones[:-1], 500.0)

    plain, with_odd = (
        Fusion.of({View.NATIVE: held_out(40, 1), View.TONE: own}, frozenset({View.TONE})) for own in (tones, odd)
    )

    scale, other = plain.scales[View.TONE], with_odd.scales[View.TONE]
    assert other.at(2.0) == pytest.approx(scale.at(2.0), rel=0.2)
    assert with_odd.scores[-1] > 50.0


def test_two_parts_that_are_odd_in_one_view_do_not_lift_the_limit_of_all() -> None:
    rng = np.random.default_rng(0)
    native, tones = 3.0 + rng.gamma(4.0, 0.3, 60), 3.0 + rng.gamma(4.0, 0.3, 60)
    tones[:2] = 9.0, 8.5
    alone = Fusion.of({View.NATIVE: native}, frozenset())

    fused = Fusion.of({View.NATIVE: native, View.TONE: tones}, frozenset({View.TONE}))

    limits = [choose_limit(found.scores, by_tail=True).value for found in (alone, fused)]
    assert limits[1] < limits[0] + 0.5
    assert fused.scores[0] == fused.scales[View.TONE](9.0)  # what the bundle would say of it


def test_views_in_which_good_parts_do_not_differ_have_a_scale_all_the_same() -> None:
    found = Fusion.of({View.NATIVE: np.zeros(6), View.TONE: np.zeros(6)}, frozenset({View.TONE}))

    assert np.isfinite(found.scores).all()
    assert all(scale.odd > scale.usual for scale in found.scales.values())


def test_the_top_excess_is_of_the_top_quarter_and_without_an_odd_largest() -> None:
    scores = np.arange(40.0)

    assert top_excess(scores) == (29.0, 5.5)
    assert top_excess(np.append(scores[:-1], 1e6))[1] < 10.0
    assert top_excess(np.array([1.0, 2.0, 4.0])) == (2.0, 2.0)


def test_heat_is_one_at_the_limit_also_where_the_limit_is_below_what_is_usual() -> None:
    bank = PlaceBank.of(np.zeros((3, 1, 2), np.float32), np.ones((1, 1), bool), np.eye(2, dtype=np.float32))
    usual = TypicalDistances(np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 1.0, 0.5)
    view = ViewBank(bank, usual, Scale(-3.0, -2.0))

    assert view.heat(one(0.0), 3.0)[0, 0] == pytest.approx(1.0)
    assert view.heat(one(5.0), 3.0)[0, 0] == pytest.approx(6.0)
    assert view.heat(one(5.0), -3.0)[0, 0] == pytest.approx(12.0)


class _Seen:
    """Views of one place each: what the judge is given is what the view measured."""

    channels = (View.NATIVE, View.OVERVIEW, View.TONE)

    @staticmethod
    def dimensions(view: View) -> tuple[int, ...]:
        del view
        return (2,)


def judge() -> ViewsJudge:
    bank = PlaceBank.of(np.zeros((3, 1, 2), np.float32), np.ones((1, 1), bool), np.eye(2, dtype=np.float32))
    usual = TypicalDistances(np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 1.0, 0.5)
    banks = {view: ViewBank(bank, usual, Scale(0.0, 1.0), is_beside=view is View.TONE) for view in _Seen.channels}
    return ViewsJudge(_Seen(), banks)  # type: ignore[arg-type]


def one(value: float) -> NDArray[np.float32]:
    return np.array([[[value, 0.0]]], np.float32)


@pytest.mark.parametrize(
    ("tone_says", "score", "seen_in"),
    [
        (2.9, 3.0, "the part as a whole"),
        (3.5, 3.5, "brightness and colour"),
        (np.nan, np.nan, "brightness and colour"),
    ],
)
def test_the_score_is_the_mean_or_what_stands_beside_it_where_that_is_more(
    tone_says: float, score: float, seen_in: str
) -> None:
    embedded = {"native": one(2.0), "overview": one(4.0), "tone": one(tone_says)}

    found = judge().score(embedded)

    assert found.score == pytest.approx(score, nan_ok=True)
    assert found.seen_in == seen_in
    if np.isfinite(score):
        assert judge().heat(embedded, 1, 1, limit=3.0)[0, 0] == pytest.approx(max(1.0, tone_says / 3.0))
