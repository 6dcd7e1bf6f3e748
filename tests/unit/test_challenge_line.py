"""Which row of the journal proves a named sample: of its own program and camera, and not while a person answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.desk.requests import LINE_MAX_BYTES, VERSION, request_of
from edge_agent.domain import Outcome, Published, Reason, Verdict
from edge_agent.golden.known import odd_words
from edge_agent.golden.usual import Odd, control_of
from edge_agent.settings import SampleSettings
from edge_agent.settings.challenge import MOST_SAMPLES
from edge_agent.tools.challenge import Challenge, Sample
from edge_agent.tools.challenge_line import _came, _of
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from edge_agent.store.rows import PartRow

REJECT = SampleSettings(name="R1", kind="reject", program=3)
GOLDEN = SampleSettings(name="G1", kind="good", program=3)


def row(verdict: Verdict = Verdict.REJECT, reason: Reason = Reason.SCORE, **more: Any) -> PartRow:
    return replace(part_row(7), **{"program": 3, "verdict": verdict, "reason": reason, "detail": "", **more})


def of(wanted: SampleSettings, found: PartRow) -> Sample:
    return _of(wanted, found, Published.PUBLISHED)


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        (row(), True),
        (row(reason=Reason.ALIGN), True),
        (row(reason=Reason.CONTROLLER_NG), True),
        (row(reason=Reason.LOCKED), False),
        (row(reason=Reason.NO_IMAGE), False),
        (row(reason=Reason.LATE), False),
        (row(Verdict.FAULT), False),
        (row(Verdict.FAULT, Reason.NOT_READY), False),
        (row(Verdict.PASS, Reason.OK), False),
        (row(Verdict.PASS, Reason.BYPASS), False),
        (row(detail="BYPASS by A. Rossi, which changes nothing here: REJECT SCORE"), False),
        (row(program=4), False),
        (row(program=None), False),
    ],
)
def test_a_reject_sample_is_right_when_somebody_looked_at_it_and_rejected_it(found: PartRow, *, is_right: bool) -> None:
    assert of(REJECT, found).is_right is is_right


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        (row(Verdict.PASS, Reason.OK), True),
        (row(reason=Reason.LOCKED), True),
        (row(), False),
        (row(Verdict.FAULT, Reason.LOCKED), False),
        (row(Verdict.PASS, Reason.BYPASS), False),
        (row(Verdict.PASS, Reason.OK, detail="BYPASS by A. Rossi; without it REJECT SCORE"), False),
        (row(reason=Reason.LOCKED, program=4), False),
        (row(reason=Reason.OVERRUN), False),
    ],
)
def test_a_golden_sample_is_right_when_nothing_but_the_lock_held_it_back(found: PartRow, *, is_right: bool) -> None:
    assert of(GOLDEN, found).is_right is is_right


def test_a_sample_of_a_camera_is_judged_by_that_camera_alone() -> None:
    """Camera 2 is blind; a scratch that camera 1 sees must not speak for it."""
    one = part_row(7).cameras[0]
    sees = replace(one, camera=1, outcome=Outcome.NG, reason=Reason.SCORE, score=9.0, limit=1.0, bundle_id="a" * 64)
    blind = replace(one, camera=2, outcome=Outcome.OK, reason=Reason.OK, score=0.2, limit=1.5, bundle_id="b" * 64)
    both = row(score=9.0, limit=1.0, cameras=(sees, blind))

    first, second = (of(REJECT.model_copy(update={"camera": camera}), both) for camera in (1, 2))

    assert (first.is_right, first.score, (first.bundle_id or "")[0]) == (True, 9.0, "a")
    assert (second.is_right, second.score, (second.bundle_id or "")[0]) == (False, 0.2, "b")
    missing = of(REJECT.model_copy(update={"camera": 3}), both)
    assert (missing.is_right, missing.score, missing.wrong) == (False, None, "camera 3 has no image of it")


def test_a_sample_of_a_camera_that_judged_nothing_is_not_right_by_the_word_of_another_one() -> None:
    """Camera 1 rejects it; the inspection of camera 2 was not done by the deadline."""
    one = part_row(7).cameras[0]
    sees = replace(one, camera=1, outcome=Outcome.NG, reason=Reason.SCORE, score=9.0, limit=1.0, bundle_id="a" * 64)
    silent = replace(one, camera=2, outcome=None, reason=None, score=None, limit=None, bundle_id=None)

    found = of(REJECT.model_copy(update={"camera": 2}), row(score=9.0, limit=1.0, cameras=(sees, silent)))

    assert (found.is_right, found.score, found.wrong) == (False, None, "camera 2 did not judge it")


def test_the_name_of_a_bypass_at_the_terminal_is_not_needed_to_see_one() -> None:
    found = _came(row(detail="BYPASS by x, which changes nothing here: REJECT SCORE"), Published.PUBLISHED)

    assert found.wrong == "a person answered for it (bypass)"
    assert "a person answered for it" in str(found)


@pytest.mark.parametrize(
    ("kind", "odd", "is_passed"),
    [
        ("reject", "low", False),
        ("reject", "high", False),
        ("reject", "band", False),
        ("reject", "creep-low", True),
        ("good", "high", True),
        ("good", "creep-high", True),
        ("reject", "", True),
    ],
)
def test_a_reject_sample_that_may_be_another_one_keeps_it_from_being_passed(
    kind: str, odd: str, *, is_passed: bool
) -> None:
    right, odd_one = of(REJECT, row()), of(REJECT if kind == "reject" else GOLDEN, row(Verdict.PASS, Reason.OK))
    odd_one = replace(right if kind == "reject" else odd_one, odd=odd, odd_words=odd and "it is odd")

    challenge = Challenge("line", "Ada", "t", (right, odd_one))

    assert challenge.is_passed is is_passed
    assert (challenge.to_json().get("odd") == ["it is odd"]) is bool(odd)


def test_samples_that_did_not_come_keep_it_from_being_passed() -> None:
    right = of(REJECT, row())

    assert Challenge("line", "Ada", "t", (right,)).is_passed
    assert not Challenge("line", "Ada", "t", (right,), why_not="1 of 2 samples came").is_passed
    assert not Challenge("line", "Ada", "t", ()).is_passed
    assert not Challenge("line", "Ada", "t", (of(GOLDEN, row(Verdict.PASS, Reason.OK)),)).is_passed


@pytest.mark.parametrize("letter", ["x", "キ", '"'])
def test_the_desk_takes_the_record_of_as_many_samples_as_there_can_be(letter: str) -> None:
    """One that it refused would be lost, and with it that the samples were wrong."""
    usual = control_of([3.12345, 3.23456, 3.34567, 3.4, 3.5] * 3, 1.0)
    assert usual is not None
    samples = []
    for number in range(MOST_SAMPLES):
        wanted = REJECT.model_copy(update={"name": f"{letter * 30}{number:02d}"})
        words = odd_words(wanted, 1.23456789, usual, Odd.LOW, f"{letter * 30}99")
        came = of(wanted, row(part_seq=10**9 + number, score=1.23456789, limit=1.0123456, bundle_id="ab" * 32))
        samples.append(replace(came, odd="creep-high", odd_words=words))
    detail = json.dumps(Challenge("line", "N" * 64, "t" * 32, tuple(samples)).to_json(), ensure_ascii=False)

    asked = json.dumps({"v": VERSION, "ask": "note", "kind": "CHALLENGE", "detail": detail}).encode()

    assert len(asked) < LINE_MAX_BYTES
    assert request_of(asked)["detail"] == detail
