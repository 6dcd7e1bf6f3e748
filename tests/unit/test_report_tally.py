"""Counting: rates come with how sure they are, percentiles are values that were measured."""

from __future__ import annotations

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.report.facts import PartFact
from edge_agent.report.tally import Confusion, Latency, rate_upper_bound, reason_counts


@pytest.mark.parametrize(
    ("seen", "of", "bound"),
    [
        (0, 59, 0.0495),  # none of 59: at most 5 % with 95 % confidence
        (0, 299, 0.00997),
        (0, 28, 0.1015),
        (1, 10, 0.3942),
        (5, 5, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_upper_bound_is_clopper_and_pearsons(seen: int, of: int, bound: float) -> None:
    assert rate_upper_bound(seen, of) == pytest.approx(bound, abs=2e-4)


def test_everything_but_pass_counts_as_stopped() -> None:
    parts = [
        PartFact(1, Verdict.PASS, Reason.OK, is_defective=False),
        PartFact(2, Verdict.FAULT, Reason.PROGRAM, is_defective=False),
        PartFact(3, Verdict.FAULT, Reason.PROGRAM, is_defective=True),
        PartFact(4, Verdict.REJECT, Reason.LATE, is_defective=True),
        PartFact(5, Verdict.PASS, Reason.OK, is_defective=True),
        PartFact(6, Verdict.PASS, Reason.OK),
    ]

    assert Confusion.of(parts) == Confusion(1, 1, 1, 2)
    assert Confusion.of(parts[-1:]) is None


def test_latencies_are_measured_values() -> None:
    assert Latency.of([float(value) for value in range(100, 0, -1)]) == Latency(100, 50.0, 95.0, 100.0)
    assert Latency.of([7.0]) == Latency(1, 7.0, 7.0, 7.0)
    assert Latency.of([]) is None


def test_the_tally_orders_by_verdict_then_by_number() -> None:
    parts = [
        PartFact(1, Verdict.REJECT, Reason.LATE),
        PartFact(2, Verdict.REJECT, Reason.SCORE),
        PartFact(3, Verdict.REJECT, Reason.SCORE),
        PartFact(4, Verdict.FAULT, Reason.OUTPUT),
        PartFact(5, Verdict.PASS, Reason.OK),
    ]

    assert [(row.verdict, row.reason, row.parts) for row in reason_counts(parts)] == [
        (Verdict.PASS, "OK", 1),
        (Verdict.REJECT, "SCORE", 2),
        (Verdict.REJECT, "LATE", 1),
        (Verdict.FAULT, "OUTPUT", 1),
    ]
