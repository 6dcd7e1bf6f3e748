"""edge-agent demo: its times are a line's before anything is calibrated, and terminal and report count the same."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from drivers.simulated.camera import Defect, DefectSpec
from drivers.simulated.line import TruePart
from edge_agent.domain import Reason, Verdict
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.tally import Latency
from edge_agent.tools.demo.plan import DemoPlan
from edge_agent.tools.demo.report import write_demo_report
from edge_agent.tools.demo.result import DemoPart, DemoResult
from edge_agent.tools.demo.run import _write_settings
from edge_agent.wiring.shown_parts import render_good, render_line, words
from tests.simulated.line import bad_image, good_image
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path


def plan(out: Path, **changes: Any) -> DemoPlan:
    return replace(DemoPlan(out, parts=3, defective=1, good=20, width=160, spacing_s=1.5, seed=7), **changes)


def true_part(index: int, *, is_defective: bool, is_let_through: bool) -> TruePart:
    defect = DefectSpec(Defect.BUBBLE, 80.0, 0.2) if is_defective else None
    return TruePart(index, f"part {index}", index, defect, frozenset(), 0.0, 1.0, is_let_through)


@pytest.mark.parametrize("spacing_ms", [200, 250, 400, 700, 1000, 1500, 60_000])
def test_every_spacing_that_the_command_takes_is_a_line_that_can_be(tmp_path: Path, spacing_ms: int) -> None:
    ports = {"controller": 20001, "ftp": 20002, "output": 20003}

    assert _write_settings(plan(tmp_path, spacing_s=spacing_ms / 1000), ports, "a password").exists()


def test_no_part_of_the_line_is_one_that_was_learned_from(tmp_path: Path) -> None:
    render_good(tmp_path / "good", 12, width=160, seed=7, progress=lambda *_: None)
    learned = {path.read_bytes() for path in (tmp_path / "good").iterdir()}
    line = {part.image for part in render_line(12, 0, width=160, seed=7, progress=lambda *_: None)}

    assert len(learned) == len(line) == 12
    assert not learned & line


def test_a_defects_size_is_in_px_of_the_image_that_is_shown() -> None:
    part = true_part(1, is_defective=True, is_let_through=False)

    assert words(part) == words(part, 1600) == "BUBBLE 80 px 20%"
    assert words(part, 400) == "BUBBLE 20 px 20%"
    assert words(true_part(1, is_defective=False, is_let_through=True), 400) == "good"


def test_terminal_and_report_tell_the_same_times(tmp_path: Path) -> None:
    truth = true_part(1, is_defective=False, is_let_through=True)
    rows = [replace(part_row(n), first_sign_mono_s=1.0, decided_mono_s=1.0 + n / 8) for n in range(1, 13)]
    parts = tuple(DemoPart(truth, b"", row, None, "good") for row in rows)

    told, counted = DemoResult(parts, tmp_path, "", 0).latency(), Latency.of([part.latency_ms for part in parts])

    assert counted is not None
    assert told == {"p50": 750.0, "p95": 1500.0, "max": 1500.0}
    assert list(told.values()) == [counted.p50_ms, counted.p95_ms, counted.max_ms]


def test_terminal_and_report_count_what_the_gate_did(tmp_path: Path, thumbnail_bundle: Path) -> None:
    passed = part_row(1, score=0.4, limit=1.5)
    rejected = replace(part_row(3), verdict=Verdict.REJECT, reason=Reason.SCORE, score=9.0, limit=1.5)
    late = replace(part_row(2), score=0.5, limit=1.5)  # a PASS that the gate did not carry out
    parts = [
        DemoPart(true_part(1, is_defective=False, is_let_through=True), good_image(1), passed, None, "good"),
        DemoPart(true_part(2, is_defective=False, is_let_through=False), good_image(2), late, None, "good"),
        DemoPart(true_part(3, is_defective=True, is_let_through=False), bad_image(1), rejected, None, "BUBBLE"),
    ]
    inspector = Inspector(Bundle.load(thumbnail_bundle))
    result = DemoResult(tuple(parts), tmp_path / "report.html", inspector.bundle.id, 0)
    write_demo_report(result.report, plan(tmp_path), parts, inspector)
    text = re.sub(r"(<[^>]+>|\s)+", " ", result.report.read_text("utf-8"))

    assert "counted is what the gate did with each part; with 1 of them something else" in "\n".join(result.summary())
    assert (result.to_json()["good_passed"], result.to_json()["good_rejected"]) == (1, 1)
    assert "The gate held back 1 of 1 defective parts and let through 1 of 2 good ones" in text
    assert "Counted is what the gate did with each part: with 1 of them something else" in text
    assert "good 1 1 2" in text
    assert "demo (simulated)" in text
    assert "SIMULATED." in text
