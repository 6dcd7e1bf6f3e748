"""A bank that is free of the place: each place of a part against all places of good parts."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from calibration.memory.view_memory import MOST_ANYWHERE, ViewMemory, seen_places
from calibration.memory.whitened import Whitening, folds_of
from calibration.writer import view_bank_bytes
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.bank_file import read_bank
from edge_agent.inspection.bundle.manifest import Section
from edge_agent.inspection.networks.channels import View
from edge_agent.inspection.scoring.anywhere import AnywhereBank
from edge_agent.inspection.scoring.nearest import around
from edge_agent.inspection.scoring.typical_distances import TypicalDistances, top_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def drawn(n: int, seed: int = 0, height: int = 6, width: int = 7, depth: int = 5) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, height, width, depth)).astype(np.float32)


PLACES = np.random.default_rng(3).random((6, 7)) > 0.3


def test_a_distance_is_to_the_nearest_feature_of_each_good_part_wherever_it_is() -> None:
    good, part = drawn(4)[:, PLACES], drawn(1, 1)[0]
    projection = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)

    bank = AnywhereBank.of(good, PLACES, projection)

    expected = [
        [min(np.linalg.norm((place - other) @ projection) for other in one) for one in good] for place in part[PLACES]
    ]
    np.testing.assert_allclose(bank.to_each(part), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(bank.distances(part), np.min(expected, axis=1), rtol=1e-3, atol=1e-3)
    assert bank.parts == 4


def test_a_bank_without_a_part_is_the_bank_of_the_others() -> None:
    good, part = drawn(4)[:, PLACES], drawn(1, 1)[0]

    found = AnywhereBank.of(good, PLACES, np.eye(5, dtype=np.float32)).without(2)

    others = AnywhereBank.of(good[[0, 1, 3]], PLACES, np.eye(5, dtype=np.float32))
    assert found.parts == 3
    np.testing.assert_allclose(found.to_each(part), others.to_each(part), rtol=1e-6)


def test_the_places_furthest_out_are_those_of_all() -> None:
    bank = AnywhereBank.of(drawn(4)[:, PLACES], PLACES, np.eye(5, dtype=np.float32))
    usual = TypicalDistances.common(1.0, 0.5, int(PLACES.sum()))
    part = drawn(1, 1)[0]

    np.testing.assert_array_equal(bank.furthest_out(part, usual, 9), np.sort(usual(bank.distances(part)))[-9:])


def test_more_places_than_are_compared_at_a_time_are_all_compared() -> None:
    places = np.ones((40, 50), bool)
    bank = AnywhereBank.of(drawn(3)[:, PLACES], places, np.eye(5, dtype=np.float32))
    part = drawn(1, 1, 40, 50)[0]

    whole = bank.distances(part)

    alone = AnywhereBank.of(drawn(3)[:, PLACES], np.arange(2000).reshape(40, 50) >= 1990, bank.projection)
    np.testing.assert_allclose(whole[1990:], alone.distances(part), rtol=1e-4, atol=1e-4)


def test_what_is_not_finite_makes_every_distance_so_and_what_does_not_fit_is_refused() -> None:
    bank, part = AnywhereBank.of(drawn(4)[:, PLACES], PLACES, np.eye(5, dtype=np.float32)), drawn(1, 1)[0]
    part[~PLACES] = np.nan

    assert np.isnan(bank.distances(part)).all()
    with pytest.raises(ValueError, match="the bank"):
        bank.distances(part[1:])
    with pytest.raises(ValueError, match="projection"):
        AnywhereBank.of(drawn(4)[:, PLACES], PLACES, np.eye(4, dtype=np.float32))


def test_whitening_free_of_the_place_is_by_how_any_places_differ() -> None:
    features = drawn(9).reshape(9, 42, 5).astype(np.float16)
    features += np.arange(42, dtype=np.float16)[:, None] / 10  # places differ much more than parts do

    found = Whitening(features, folds_of(9), is_tied=False).projection().astype(np.float64)

    rows = features.astype(np.float64).reshape(-1, 5)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    shrunk = 0.9 * np.cov(rows.T) + 0.1 * np.eye(5)
    scale = np.diag(1 / features.astype(np.float64).reshape(-1, 5).std(axis=0, ddof=1))
    expected = scale @ np.linalg.inv(shrunk) @ scale
    np.testing.assert_allclose(found @ found.T, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_distances_free_of_the_place_are_held_to_one_usual_figure() -> None:
    distances = np.random.default_rng(0).gamma(4.0, size=(12, 9)).astype(np.float32)

    found = TypicalDistances.anywhere(distances)

    expected = (distances[0] - distances.mean()) / (1.5 * distances.std())
    np.testing.assert_allclose(found(distances[0]), expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(TypicalDistances.anywhere(np.ones((4, 3), np.float32))(np.arange(3, dtype=np.float32))).all()


def test_a_held_out_score_free_of_the_place_comes_from_nothing_that_has_seen_the_part() -> None:
    n = 14
    good = drawn(n)[:, PLACES].astype(np.float16)
    memory = ViewMemory(good, PLACES, range(n), is_tied=False)

    found = memory.held_out()

    def distances_of(part: int, without: set[int]) -> Floats:
        kept = folds_of(n) != folds_of(n)[part]
        projection = Whitening(good[kept], folds_of(n)[: kept.sum()], is_tied=False).projection()
        rest = good[[i for i in range(n) if i not in {part, *without}]].astype(np.float32).reshape(-1, 5)
        far = np.linalg.norm((good[part].astype(np.float32)[:, None] - rest) @ projection, axis=2)
        return np.asarray(far.min(axis=1), np.float32)

    for part in (0, 5, 13):
        others = np.stack([distances_of(i, {part}) for i in range(n) if i != part])
        expected = top_mean(TypicalDistances.anywhere(others)(distances_of(part, set())))
        assert found.scores[part] == pytest.approx(expected, rel=2e-3)


def test_a_large_memory_is_a_share_of_each_part_the_same_every_time() -> None:
    places = np.ones((20, 20), bool)
    good = drawn(40, height=20, width=20).reshape(40, 400, 5).astype(np.float16)

    stored = [ViewMemory(good, places, range(40), is_tied=False).stored for _ in range(2)]

    assert stored[0].shape == (40, MOST_ANYWHERE // 40, 5)
    np.testing.assert_array_equal(*stored)
    assert seen_places(PLACES, is_tied=False).sum() == PLACES.sum() < around(PLACES).sum()


def written() -> tuple[bytes, dict[str, Any]]:
    memory = ViewMemory(drawn(8)[:, PLACES].astype(np.float16), PLACES, range(8), is_tied=False)
    usual = memory.held_out().usual
    facts = {
        "usual": 1.0,
        "odd": 2.0,
        "usual_anywhere": usual.usual_anywhere,
        "spread_anywhere": usual.spread_anywhere,
        "is_tied": False,
    }
    return view_bank_bytes({"native": (memory, usual)}), {"score": "views", "views": {"native": facts}}


def test_a_memory_that_is_free_of_the_place_comes_back_from_its_file() -> None:
    data, method = written()
    bank = read_bank(data, Section(json.loads(json.dumps(method)), "method"))

    assert isinstance(bank, dict)
    assert isinstance(bank[View.NATIVE].bank, AnywhereBank)
    part = drawn(1, 1)[0]
    memory = ViewMemory(drawn(8)[:, PLACES].astype(np.float16), PLACES, range(8), is_tied=False)
    expected = memory.held_out().usual(memory.bank().distances(part))
    np.testing.assert_allclose(bank[View.NATIVE].outness(part), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update(native_features=np.zeros((70, 1000, 5), np.float16)), "more than"),
        (lambda a: a.update(native_features=a["native_features"][0]), "features"),
        (lambda a: a.update(native_places=np.zeros((6, 7), np.float16)), "no places"),
        (lambda a: a.update(native_projection=np.zeros((4, 4), np.float32)), "projection"),
        (lambda a: a.update(native_features=a["native_features"].astype(np.float32)), "features"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    data, method = written()
    with np.load(io.BytesIO(data)) as arrays:
        content = dict(arrays)
    change(content)
    buffer = io.BytesIO()
    np.savez(buffer, **content)

    with pytest.raises(BundleRejected, match=words):
        read_bank(buffer.getvalue(), Section(method, "method"))


def test_a_memory_of_an_older_version_is_tied_to_the_place() -> None:
    memory = ViewMemory(drawn(8)[:, around(PLACES)].astype(np.float16), PLACES, range(8))
    usual = memory.held_out().usual
    facts = {"usual": 1.0, "odd": 2.0, "usual_anywhere": 1.0, "spread_anywhere": 1.0, "place_share": 0.5}
    method = {"score": "views", "views": {"native": facts}}

    bank = read_bank(view_bank_bytes({"native": (memory, usual)}), Section(method, "method"))

    assert isinstance(bank, dict)
    assert not isinstance(bank[View.NATIVE].bank, AnywhereBank)
