"""A bundle that is made to be quick enough: what stands in it, what that costs, and when nothing is written."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import calibration.choosing.within
import calibration.gathering
from calibration.calibrate import calibrate, finish, train
from calibration.choosing import learning_curve
from calibration.choosing.timing import inspection_ms
from calibration.choosing.within import TimeWish
from calibration.gathering import gather
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from calibration.report_pages import write_report
from calibration.reporting import calibration_json, calibration_lines
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection import side_by_side
from edge_agent.inspection.bundle.comparison import compare
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from edge_agent.inspection.bundle.promise import Promise
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.channels import Voice
from edge_agent.inspection.networks.sessions import Network
from edge_agent.inspection.tuning import tuned
from edge_agent.report.phrases import is_known
from tests.calibrations.test_views_bundle import ON_PART, encode, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from calibration.gathered import Prepared
    from calibration.result import CalibrationResult

pytestmark = pytest.mark.slow

MENU = (40_000, 25_000, 20_000)
WITHIN_MS = 20_000.0
"""What the real inspection is far below, on the busiest machine."""
OPTIONS = CalibrationOptions(method="views", crop="full", threads=1, within=TimeWish(WITHIN_MS, is_asked=True))


@pytest.fixture(scope="module", autouse=True)
def _small_and_brief() -> Iterator[None]:
    """Sizes that a small part has, and no time for what is of no interest here."""
    brief = replace(METHODS["views"].recipe, min_steps=10, max_steps=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "views", replace(METHODS["views"], recipe=brief))
        patch.setattr(learning_curve, "_DEFECTS", 4)
        patch.setattr(calibration.choosing.within, "MENU", MENU)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("within") / "good"
    folder.mkdir()
    for seed in range(24):
        (folder / f"{seed:02}.bmp").write_bytes(encode(render(seed)))
    return folder


@pytest.fixture(scope="module")
def prepared(good: Path) -> Prepared:
    """As on a machine on which the largest size takes too long."""

    def took(registered: Any, *_: Any, **__: Any) -> tuple[float, float]:
        height, width = registered.native
        return (30_000.0, 10.0) if height * width > largest else (40.0, 10.0)

    with pytest.MonkeyPatch.context() as patch:
        largest = 0
        patch.setattr(calibration.gathering, "inspection_ms", lambda *_a, **_k: (40.0, 10.0))
        sized = gather(sorted(good.glob("*.bmp")), OPTIONS).sized
        assert sized is not None
        largest = sized.largest.native[0] * sized.largest.native[1] - 1
        patch.setattr(calibration.gathering, "inspection_ms", took)
        gathered = gather(sorted(good.glob("*.bmp")), OPTIONS)
    return train(gathered, METHODS["views"].recipe, folds=1)


@pytest.fixture(scope="module")
def result(prepared: Prepared, good: Path) -> CalibrationResult:
    return finish(prepared, "views", good.parent / "quick", is_timed=True)


@pytest.fixture(scope="module")
def bundle(result: CalibrationResult) -> Bundle:
    return Bundle.load(result.path)


def test_the_bundle_is_of_the_size_that_was_quick_enough_and_says_what_it_took(
    result: CalibrationResult, bundle: Bundle, prepared: Prepared
) -> None:
    sized = prepared.gathered.sized
    assert sized is not None
    assert sized.chosen.pixels == MENU[1]
    assert bundle.manifest["method"]["native"] == list(sized.chosen.native)
    promise = Promise.of(bundle.manifest)
    assert promise is not None
    assert promise.within_ms == WITHIN_MS
    assert promise.pixels == MENU[1]
    assert 0.0 < promise.took_ms <= promise.worst_ms < WITHIN_MS
    assert calibration_json(result)["time"] == promise.to_json()
    assert result.time is not None
    assert f"time: {result.time.words}" in calibration_lines(result)
    assert sized.note in result.notes
    assert is_known(sized.note)


def test_what_the_smaller_size_costs_is_said_in_one_sentence(result: CalibrationResult, bundle: Bundle) -> None:
    cost = result.cost
    assert cost is not None
    assert cost.defects == 24
    assert cost.at_chosen is not None
    assert cost.at_largest is not None
    assert 0.5 < cost.at_chosen <= 1.0, "synthetic defects stand out, or the sizes were shown something else"
    assert 0.5 < cost.at_largest <= 1.0
    assert bundle.manifest["time"]["cost"] == cost.to_json()
    assert any(cost.words in line for line in calibration_lines(result))


def test_the_report_says_both(result: CalibrationResult, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", result)

    page = (tmp_path / "report.html").read_text()
    assert "How long an inspection takes" in page
    assert "synthetic defects stood out" in page


def test_a_bundle_that_is_slower_than_promised_is_not_written(prepared: Prepared, good: Path) -> None:
    sized = prepared.gathered.sized
    assert sized is not None
    hasty = replace(sized, wish=TimeWish(0.001, is_asked=True))
    out = good.parent / "late"

    with pytest.raises(CalibrationRefused, match="slower than its size promised") as refused:
        finish(replace(prepared, gathered=replace(prepared.gathered, sized=hasty)), "views", out, is_timed=True)

    assert "--within" in refused.value.hint
    assert not out.exists()


def test_where_no_size_is_quick_enough_nothing_is_written(good: Path) -> None:
    out = good.parent / "never"

    with pytest.raises(CalibrationRefused, match="no inspection here is done within 0 ms"):
        calibrate(good, out, replace(OPTIONS, within=TimeWish(0.001, is_asked=True)))

    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (replace(OPTIONS, method="local"), "knows one size only"),
        (replace(OPTIONS, voices=(Voice.IMAGE, Voice.AUTOENCODER)), "before it is trained"),
    ],
)
def test_a_time_that_nothing_can_be_chosen_for_is_refused(good: Path, options: CalibrationOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        calibrate(good, good.parent / "none", options)


def test_what_is_timed_beforehand_is_what_the_bundle_does(
    prepared: Prepared, bundle: Bundle, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, ...]] = []
    run = Network.run

    def counted(self: Network, array: NDArray[np.float32]) -> NDArray[np.float32]:
        shown.append(array.shape)
        return run(self, array)

    registered = prepared.gathered.registered
    image = (good / "03.bmp").read_bytes()
    inspector = Inspector(bundle, threads=1)
    monkeypatch.setattr(Network, "run", counted)
    inspector.inspect(image)
    by_bundle = list(shown)
    shown.clear()

    took_ms, before_ms = inspection_ms(
        registered,
        backbone=OPTIONS.backbone,
        voices=(),
        threads=1,
    )

    assert took_ms > before_ms > 0.0
    assert by_bundle
    assert shown[-len(by_bundle) :] == by_bundle


def test_the_number_of_threads_changes_no_bit_of_what_is_said(bundle: Bundle, good: Path) -> None:
    inspectors = [Inspector(bundle, threads=threads) for threads in (1, 2, 3, 4)]
    for data in ((good / "05.bmp").read_bytes(), encode(render(300)), encode(render(301, spot=ON_PART))):
        said = [replace(inspector.inspect(data), timings_ms={}) for inspector in inspectors]
        assert said.count(said[0]) == len(said)
        assert math.isfinite(said[0].score)


def test_every_number_of_threads_is_tried_and_the_inspector_is_warm(bundle: Bundle) -> None:
    inspector, found = tuned(bundle, cores=3)

    assert list(found.times_ms) == [1, 2, 3]
    assert found.threads in found.times_ms
    assert inspector.bundle is bundle
    assert list(tuned(bundle, cores=1)[1].times_ms) == [1]


@pytest.mark.parametrize(
    ("times", "workers"), [({1: 100.0, 2: 60.0}, 2), ({1: 100.0, 2: 97.0}, 1), ({1: 60.0, 2: 100.0}, 1)]
)
def test_two_cameras_are_judged_side_by_side_where_that_is_quicker(
    bundle: Bundle, good: Path, monkeypatch: pytest.MonkeyPatch, times: dict[int, float], workers: int
) -> None:
    one_by_one = {(0, camera): Inspector(bundle, threads=2) for camera in (1, 2)}
    inspectors = {**one_by_one, (7, 1): Inspector(bundle, threads=2)}
    timed: list[tuple[int, int]] = []

    def took(some: list[Inspector], *, workers: int) -> float:
        timed.append((len(some), workers))
        return times[workers]

    monkeypatch.setattr(side_by_side, "_part_ms", took)
    found = side_by_side.arranged(inspectors, cores=2)

    assert found is not None
    assert timed == [(2, 1), (2, 2)], "the program with two cameras, each way"
    assert found.workers == workers
    assert found.part_ms == times[workers]
    assert found.inspectors[7, 1] is inspectors[7, 1], "one camera has its threads to itself"
    assert (found.inspectors[0, 2] is inspectors[0, 2]) == (workers == 1)
    image = (good / "07.bmp").read_bytes()
    said = [replace(which[0, 2].inspect(image), timings_ms={}) for which in (inspectors, found.inspectors)]
    assert said[0] == said[1]


def test_both_ways_are_timed_with_the_real_inspection(bundle: Bundle) -> None:
    inspectors = {(0, camera): Inspector(bundle, threads=1) for camera in (1, 2)}
    found = side_by_side.arranged(inspectors)

    assert found is not None
    assert min(found.after_ms, found.beside_ms) > 0.0
    assert found.workers in (1, 2)
    assert side_by_side.arranged({(0, 1): inspectors[0, 1], (1, 1): inspectors[0, 2]}) is None


def test_two_bundles_differ_in_what_they_were_made_to_take_and_not_in_a_millisecond(bundle: Bundle) -> None:
    time = bundle.manifest["time"]

    def differing(**other: object) -> list[str]:
        changed = replace(bundle, manifest={**bundle.manifest, "time": {**time, **other}})
        return [one.topic for one in compare(bundle, changed)]

    assert differing(took_ms=time["took_ms"] + 1.0) == []
    assert differing(within_ms=50.0) == ["time of an inspection where it was made"]
    assert differing(cpu="another") == ["time of an inspection where it was made"]


@pytest.mark.parametrize(
    ("key", "value"), [("took_ms", -1.0), ("worst_ms", "soon"), ("cpu", ""), ("threads", 0), ("within_ms", 1e9)]
)
def test_a_time_that_cannot_be_is_refused(bundle: Bundle, key: str, value: object) -> None:
    assert not broken_rule({**bundle.manifest, "id": "0" * 64})
    broken = broken_rule({**bundle.manifest, "id": "0" * 64, "time": {**bundle.manifest["time"], key: value}})

    assert broken.startswith(f"time.{key} ")
