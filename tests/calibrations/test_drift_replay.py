"""A slow change laid over good images that the real inspection judges: told before good parts are lost to it."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.drift.known import MANIFEST_SECTION
from edge_agent.drift.words import changes_words
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from tests.benchmark.drift.replayed import (
    bootstrapped,
    calibrated,
    charts_of,
    judged,
    real_parts,
    rendered,
    replayed,
)
from tests.benchmark.drift.streams import CALIBRATED

if TYPE_CHECKING:
    from edge_agent.inspection.inspector import Inspector
    from edge_agent.store.rows import PartRow

pytestmark = pytest.mark.slow

OVER = 4000
WORDS = {"darker": "% darker since", "out of focus": "% less sharp since", "shifted": "px further right since"}


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return calibrated(list(islice(rendered(), CALIBRATED)), tmp_path_factory.mktemp("drift"))


@pytest.fixture(scope="module")
def usual(inspector: Inspector) -> list[PartRow]:
    return [judged(inspector, image, seq) for seq, image in enumerate(islice(rendered(seed=5), 120), start=1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": "x", "spread": 1.0, "wander": 0.0, "parts": 40}, "number"),
        ({"mean": 0.0, "spread": 0.0, "wander": 0.0, "parts": 40}, "allowed is"),
        ({"mean": 0.0, "spread": 1.0, "wander": -1.0, "parts": 40}, "allowed is"),
        ({"mean": 0.0, "spread": 1.0, "wander": 0.0, "parts": 3}, "allowed is"),
        ({"mean": 0.0, "spread": 1.0, "wander": 0.0}, "missing"),
        ({"mean": 0.0, "spread": 1.0, "wander": 0.0, "parts": 40, "more": 1}, "not known"),
    ],
)
def test_a_bundle_that_says_nothing_usual_of_its_good_parts_is_refused(
    inspector: Inspector, change: dict[str, object], words: str
) -> None:
    manifest = {**inspector.bundle.manifest, MANIFEST_SECTION: {"score": change}}

    assert words in broken_rule(manifest)


def test_a_calibration_says_how_its_good_parts_lay(inspector: Inspector) -> None:
    usual = inspector.bundle.manifest[MANIFEST_SECTION]

    assert {"score", "share_native", "brightness", "sharpness", "shift_x_px", "registration_quality"} <= set(usual)
    assert {one["parts"] for one in usual.values()} == {CALIBRATED}
    assert usual["brightness"]["spread"] < 0.2


def test_ten_thousand_parts_without_a_drift_are_one_false_alarm_at_most(
    inspector: Inspector, usual: list[PartRow]
) -> None:
    charts, alarms, before = charts_of(inspector), 0, ""
    for row in bootstrapped(usual, 10_000, 3):
        charts.take(row)
        words = changes_words(charts)
        alarms += bool(words) and not before
        before = words

    assert alarms <= 1


@pytest.mark.parametrize("overlay", sorted(WORDS))
def test_a_slow_change_is_told_before_the_second_false_reject_more_than_expected(
    inspector: Inspector, usual: list[PartRow], overlay: str
) -> None:
    told = replayed(inspector, rendered(seed=9), overlay, usual=usual, over=OVER)

    assert told.told_at is not None
    assert told.excess < 2
    assert WORDS[overlay] in told.words


@pytest.mark.real_images
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("overlay", sorted(WORDS))
def test_a_slow_change_of_real_images_is_told_before_good_parts_are_lost(tmp_path: Path, overlay: str) -> None:
    folder = Path(os.environ.get("EDGE_AGENT_MVTEC", "/nowhere")) / "bottle"
    if not folder.is_dir():
        pytest.skip(f"no images in {folder}: set EDGE_AGENT_MVTEC")
    inspector = calibrated(list(islice(real_parts(folder, 0), CALIBRATED)), tmp_path)
    parts = real_parts(folder, CALIBRATED)
    usual = [judged(inspector, next(parts), seq) for seq in range(1, 121)]

    told = replayed(inspector, parts, overlay, usual=usual, over=OVER)

    assert told.told_at is not None
    assert told.excess < 2
