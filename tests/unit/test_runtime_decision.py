"""The verdict: PASS needs every proof, and each missing one has its own reason."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain import Capture, ControllerResult, Inspection, Judgement, Outcome, Reason, Verdict
from edge_agent.runtime.verdict import Evidence, decide_verdict

CAPTURE = Capture(count=7, camera=1, session="s", name="n.bmp", path=None, sha256="", received_mono_s=0.0)
RESULT = ControllerResult(7, 1, Judgement.OK, ("7", "0"), 0.0)
OK = Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, "b", "s")
NG = Inspection(Outcome.NG, Reason.SCORE, 3.0, 2.0, "b", "s", detail="above the limit")
PROVEN = Evidence(
    cameras=(1,),
    judgement_policy="both",
    captures={1: CAPTURE},
    inspections={1: OK},
    result=RESULT,
    not_ready="",
    unproven="",
    deadline_passed=False,
    next_part_is_here=False,
    locked="",
)


def test_a_part_with_every_proof_passes() -> None:
    assert decide_verdict(PROVEN).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"not_ready": "output: gone"}, Verdict.FAULT, Reason.NOT_READY),
        ({"program_problem": "program 9 has no [[bundle]]"}, Verdict.FAULT, Reason.PROGRAM),
        ({"stale": "link gap"}, Verdict.REJECT, Reason.STALE),
        ({"captures": {}, "inspections": {}}, Verdict.REJECT, Reason.NO_IMAGE),
        ({"captures": {}, "inspections": {}, "result": None}, Verdict.REJECT, Reason.NO_ANSWER),
        ({"captures": {}, "inspections": {}, "repeats_count": True}, Verdict.REJECT, Reason.DUPLICATE),
        ({"result": None}, Verdict.REJECT, Reason.NO_RESULT),
        ({"captures": {1: replace(CAPTURE, broken=Reason.IMAGE_BROKEN)}}, Verdict.REJECT, Reason.IMAGE_BROKEN),
        ({"captures": {1: replace(CAPTURE, broken=Reason.IMAGE_SIZE)}}, Verdict.REJECT, Reason.IMAGE_SIZE),
        ({"captures": {1: replace(CAPTURE, broken=Reason.DISK)}}, Verdict.FAULT, Reason.DISK),
        ({"captures": {1: replace(CAPTURE, broken=Reason.DISK)}, "not_ready": "x"}, Verdict.FAULT, Reason.DISK),
        ({"captures": {1: replace(CAPTURE, count=None)}}, Verdict.REJECT, Reason.IMAGE_BROKEN),
        ({"inspections": {}}, Verdict.REJECT, Reason.LATE),
        ({"inspections": {1: NG}}, Verdict.REJECT, Reason.SCORE),
        ({"inspections": {1: replace(NG, outcome=Outcome.REVIEW)}}, Verdict.REJECT, Reason.SCORE),
        ({"result": replace(RESULT, judgement=Judgement.NG)}, Verdict.REJECT, Reason.CONTROLLER_NG),
        ({"result": replace(RESULT, judgement=None)}, Verdict.REJECT, Reason.CONTROLLER_NG),
        ({"unproven": "its clock was not told since"}, Verdict.REJECT, Reason.STALE),
        ({"captures": {1: replace(CAPTURE, storing=Future())}}, Verdict.REJECT, Reason.LATE),
        ({"deadline_passed": True}, Verdict.REJECT, Reason.LATE),
        ({"next_part_is_here": True}, Verdict.REJECT, Reason.OVERRUN),
        ({"locked": "no challenge was passed yet"}, Verdict.REJECT, Reason.LOCKED),
        ({"locked": "x", "inspections": {1: NG}}, Verdict.REJECT, Reason.SCORE),
        ({"locked": "x", "deadline_passed": True}, Verdict.REJECT, Reason.LATE),
        ({"cameras": (1, 2)}, Verdict.REJECT, Reason.NO_IMAGE),
    ],
)
def test_each_missing_proof_has_its_reason(change: dict[str, object], verdict: Verdict, reason: Reason) -> None:
    decision = decide_verdict(replace(PROVEN, **change))

    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_a_policy_that_nobody_knows_lets_nothing_pass() -> None:
    with pytest.raises(AssertionError):
        decide_verdict(replace(PROVEN, judgement_policy="neither"))  # type: ignore[arg-type]


@given(
    policy=st.sampled_from(["agent", "both"]),
    reason=st.sampled_from(list(Reason)),
    score=st.floats(),
    other=st.sampled_from([OK, NG]),
)
def test_a_part_that_one_camera_wants_reviewed_never_passes(
    policy: str, reason: Reason, score: float, other: Inspection
) -> None:
    review = Inspection(Outcome.REVIEW, reason, score, 2.0, "b", "s", detail="to be reviewed")
    evidence = replace(
        PROVEN,
        cameras=(1, 2),
        judgement_policy=policy,
        captures={1: CAPTURE, 2: replace(CAPTURE, camera=2)},
    )

    for inspections_seen in ({1: review, 2: other}, {1: other, 2: review}):
        assert decide_verdict(replace(evidence, inspections=inspections_seen)).verdict is Verdict.REJECT
    assert decide_verdict(replace(evidence, inspections={1: OK, 2: OK})).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"inspections": {1: NG}}, "camera 1: above the limit"),
        ({"inspections": {1: replace(NG, detail="")}}, ""),
        ({"captures": {}, "inspections": {}, "result": None}, "neither image nor result came"),
        ({"captures": {}, "inspections": {}, "result": None, "trigger_problem": "refused: 03"}, "refused: 03"),
        ({"result": replace(RESULT, judgement=Judgement.NG)}, "the controller's own judgement is NG"),
        ({"result": replace(RESULT, judgement=None)}, "the controller's own judgement is not told"),
    ],
)
def test_the_detail_says_what_was_there(change: dict[str, object], detail: str) -> None:
    assert decide_verdict(replace(PROVEN, **change)).detail == detail


def test_the_agent_alone_decides_when_the_line_says_so() -> None:
    ng_of_controller = replace(RESULT, judgement=Judgement.NG)

    assert decide_verdict(replace(PROVEN, result=ng_of_controller, judgement_policy="agent")).verdict is Verdict.PASS


def test_a_part_that_nothing_is_known_of_is_no_pass() -> None:
    assert decide_verdict(Evidence(cameras=(1,), judgement_policy="agent")).verdict is Verdict.FAULT


inspections = st.sampled_from([OK, NG, replace(OK, outcome=Outcome.REVIEW), replace(NG, score=math.nan), None])


@given(
    st.builds(
        Evidence,
        cameras=st.sampled_from([(1,), (1, 2)]),
        judgement_policy=st.sampled_from(["agent", "both"]),
        captures=st.dictionaries(
            st.integers(1, 2),
            st.sampled_from([CAPTURE, *(replace(CAPTURE, broken=why) for why in (Reason.IMAGE_BROKEN, Reason.DISK))]),
        ),
        inspections=st.dictionaries(st.integers(1, 2), inspections.filter(lambda i: i is not None)),
        result=st.sampled_from([None, RESULT, replace(RESULT, judgement=Judgement.NG)]),
        not_ready=st.sampled_from(["", "x"]),
        program_problem=st.sampled_from(["", "x"]),
        stale=st.sampled_from(["", "x"]),
        repeats_count=st.booleans(),
        deadline_passed=st.booleans(),
        next_part_is_here=st.booleans(),
        locked=st.sampled_from(["", "x"]),
    )
)
def test_pass_implies_every_proof(evidence: Evidence) -> None:
    if decide_verdict(evidence).verdict is not Verdict.PASS:
        return

    assert not any((evidence.not_ready, evidence.program_problem, evidence.stale))
    assert not any((evidence.deadline_passed, evidence.next_part_is_here, evidence.locked))
    assert evidence.result is not None
    for camera in evidence.cameras:
        assert evidence.captures[camera].broken is None
        assert evidence.inspections[camera].outcome is Outcome.OK
    if evidence.judgement_policy == "both":
        assert evidence.result.judgement is Judgement.OK
