"""The line's state: what the table does not name is FAULT, and READY needs every condition."""

from __future__ import annotations

import pytest

from edge_agent.runtime.interlock import Health, LineEvent, LineState, step


@pytest.mark.parametrize("state", LineState)
def test_unhealthy_leads_to_fault_from_anywhere(state: LineState) -> None:
    assert step(state, LineEvent.UNHEALTHY) is LineState.FAULT


@pytest.mark.parametrize("event", [LineEvent.FIRST_SIGN, LineEvent.ALL_DECIDED])
def test_only_health_leads_out_of_fault(event: LineEvent) -> None:
    assert step(LineState.FAULT, event) is LineState.FAULT
    assert step(LineState.FAULT, LineEvent.HEALTHY) is LineState.READY


def test_a_part_takes_the_line_from_ready_to_busy_and_back() -> None:
    busy = step(LineState.READY, LineEvent.FIRST_SIGN)

    assert busy is LineState.BUSY
    assert step(busy, LineEvent.HEALTHY) is LineState.BUSY
    assert step(busy, LineEvent.FIRST_SIGN) is LineState.BUSY
    assert step(busy, LineEvent.ALL_DECIDED) is LineState.READY


def test_nothing_is_healthy_before_each_condition_was_shown() -> None:
    health = Health.waiting_for("controller", "output")
    health.holds("controller")
    half = health.is_healthy
    health.holds("output")

    assert not half
    assert health.is_healthy
    assert str(health) == "healthy"


def test_a_failing_condition_says_why() -> None:
    health = Health.waiting_for("output")
    health.fails("output", "not read back")

    assert health.reasons == {"output": "not read back"}
    assert str(health) == "output: not read back"
