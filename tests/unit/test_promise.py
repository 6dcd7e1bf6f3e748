"""What a bundle says of the time that an inspection took where it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_agent.inspection.bundle import promise
from edge_agent.inspection.bundle.promise import Promise, cpu_name

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ASKED = Promise(58.2, 71.0, "AMD EPYC", 2, within_ms=60.0, pixels=250_000)


def test_it_comes_back_from_a_manifest() -> None:
    assert Promise.of({"time": ASKED.to_json()}) == ASKED
    unasked = replace(ASKED, within_ms=None, pixels=None)
    assert Promise.of({"time": unasked.to_json()}) == unasked


def test_a_bundle_of_an_older_version_promises_nothing() -> None:
    assert Promise.of({}) is None


def test_it_is_said_what_it_was_made_to_take_and_where() -> None:
    assert ASKED.made == "was made to take 60 ms on AMD EPYC"
    assert replace(ASKED, within_ms=None).made == "took 58 ms on AMD EPYC, where it was made"
    assert "at worst 71 ms" in ASKED.words
    assert "within 60 ms" in ASKED.words


def test_a_processor_has_a_name_that_a_manifest_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= len(cpu_name()) <= 200
    assert cpu_name().isprintable()
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(promise, "_CPUINFO", cpuinfo)
    cpuinfo.write_text("processor\t: 0\nmodel name\t:  Intel(R)\x1b[31m  Xeon(R) \nmodel name\t: another\n")
    assert cpu_name() == "Intel(R) [31m Xeon(R)"
    cpuinfo.write_text(f"model name\t: {'x' * 500}\n")
    assert len(cpu_name()) == 200
    cpuinfo.write_text("processor\t: 0\nBogoMIPS\t: 108.00\n")
    assert cpu_name(), "an ARM's kernel names no model"
    cpuinfo.unlink()
    assert cpu_name()
