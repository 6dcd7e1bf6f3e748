"""A line is READY only with an inspection that is quick enough for it."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from edge_agent.bundles import line_bundles as bundles
from edge_agent.bundles.line_bundles import load_inspectors
from edge_agent.errors import Unavailable
from edge_agent.inspection.tuning import Tuned

if TYPE_CHECKING:
    from collections.abc import Iterable

TIME = {"took_ms": 58.2, "worst_ms": 71.0, "cpu": "Xeon 7", "threads": 2, "within_ms": 60.0, "pixels": 250_000}
BUNDLE = SimpleNamespace(folder=Path("bundles/zipper"), program=1, camera=1, id="b", manifest={"time": TIME})
SETTINGS: Any = SimpleNamespace(
    bundle=[SimpleNamespace(path=Path("bundles/zipper"), program=1, camera=1)],
    inference=SimpleNamespace(threads=2),
    trusted_keys=(),
)


def takes(monkeypatch: pytest.MonkeyPatch, times_ms: Iterable[float]) -> None:
    """Every bundle loads, and its inspections take so long, one after the other."""
    each = iter(times_ms)
    monkeypatch.setattr(bundles.Bundle, "load", lambda _path, **_: BUNDLE)
    monkeypatch.setattr(
        bundles, "Inspector", lambda bundle, **_: SimpleNamespace(bundle=bundle, warm_up=lambda: next(each))
    )


def test_an_inspection_that_takes_longer_than_a_part_may_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, itertools.chain([900.0, 700.0], itertools.repeat(800.0)))
    with pytest.raises(Unavailable, match=r"takes 700 ms at least here, line\.deadline_ms allows 600") as refused:
        load_inspectors(SETTINGS, within_ms=600)

    assert refused.value.exit_code == 69, "systemd tries again: what else ran may be over"
    assert refused.value.hint
    assert "this bundle was made to take 60 ms on Xeon 7" in str(refused.value)
    assert "calibrate on this PC with --within" in refused.value.hint


def test_a_pc_that_has_just_started_may_be_slow_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, [900.0, 700.0, 500.0])

    assert list(load_inspectors(SETTINGS, within_ms=600)) == [(1, 1)]


def test_the_number_of_threads_is_tried_out_where_line_toml_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, [100.0, 100.0])
    quickest = bundles.Inspector(BUNDLE, threads=1)
    asked: list[Any] = []

    def measured(bundle: Any) -> tuple[Any, Tuned]:
        asked.append(bundle)
        return quickest, Tuned(1, {1: 100.0, 2: 140.0})

    monkeypatch.setattr(bundles, "tuned", measured)
    with capture_logs() as logged:
        found = load_inspectors(SimpleNamespace(**{**vars(SETTINGS), "inference": SimpleNamespace(threads=None)}))

    assert found[1, 1] is quickest
    said = next(entry for entry in logged if entry["event"] == "threads_measured")
    assert said["chosen"] == 1
    assert "100 ms with 1, 140 ms with 2" in said["why"]
    assert load_inspectors(SETTINGS)
    assert asked == [BUNDLE], "a number in line.toml overrules"


def test_a_replay_may_take_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, [9000.0])

    assert list(load_inspectors(SETTINGS)) == [(1, 1)]
