"""The verdict of one part from all that is known of it. Total and reject-first: PASS is the last line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, assert_never

from edge_agent.domain import Capture, ControllerResult, Inspection, Judgement, Outcome, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Decision", "Evidence", "decide_verdict"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict may rest on. The defaults are those of a part nothing is known of: it is rejected."""

    cameras: tuple[int, ...]
    judgement_policy: Literal["agent", "both"]
    captures: Mapping[int, Capture] = field(default_factory=dict)
    inspections: Mapping[int, Inspection] = field(default_factory=dict)
    result: ControllerResult | None = None
    not_ready: str = "not ready"
    """Why the line was not READY, at the first sign or now; empty when it was."""
    program_problem: str = ""
    stale: str = ""
    repeats_count: bool = False
    unproven: str = "nothing proves that the result is of now"
    """Why the result may be older than it looks; empty once the controller told its clock after it."""
    deadline_passed: bool = True
    next_part_is_here: bool = True
    trigger_problem: str = ""
    locked: str = "nothing says that the samples were shown"
    """Why the line is locked until its samples were shown; empty where it is not, or is never locked."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict, reason, and the reason in words."""

    verdict: Verdict
    reason: Reason
    detail: str = ""


def _reject(reason: Reason, detail: str = "") -> Decision:
    return Decision(Verdict.REJECT, reason, detail)


def _fault(reason: Reason, detail: str) -> Decision:
    return Decision(Verdict.FAULT, reason, detail)


def _unstored(evidence: Evidence) -> Decision | None:
    """An image that this PC could not store: nothing of the part can be kept, so nothing of it counts."""
    for camera, capture in sorted(evidence.captures.items()):
        if capture.broken is Reason.DISK:
            return _fault(Reason.DISK, f"camera {camera}: {capture.detail}")
    return None


def _missing(evidence: Evidence) -> Decision | None:
    """What never came, or came broken."""
    # Broken comes before absent: it says what to look at.
    absent = [camera for camera in evidence.cameras if camera not in evidence.captures]
    for camera in evidence.cameras:
        capture = evidence.captures.get(camera)
        if capture is not None and capture.broken is not None:
            return _reject(capture.broken, f"camera {camera}: {capture.detail}")
        if capture is not None and capture.count is None:
            return _reject(Reason.IMAGE_BROKEN, f"camera {camera}: the name {capture.name!r} carries no count")
    if len(absent) == len(evidence.cameras) and evidence.result is None:
        return _reject(Reason.NO_ANSWER, evidence.trigger_problem or "neither image nor result came")
    if absent:
        names = ", ".join(str(camera) for camera in absent)
        return _reject(Reason.NO_IMAGE, f"no image of camera {names} by the deadline")
    # The live result line is what proves when the image was taken (docs/decisions/0011).
    if evidence.result is None:
        return _reject(Reason.NO_RESULT, "no result line by the deadline: nothing proves when the image was taken")
    return None


def _judged(evidence: Evidence) -> Decision | None:
    """What the inspection and the controller say against the part."""
    for camera in evidence.cameras:
        inspection = evidence.inspections.get(camera)
        # The image is here: it is the inspection that is late.
        if inspection is None:
            return _reject(Reason.LATE, f"camera {camera}: not inspected by the deadline")
        if inspection.outcome is not Outcome.OK:
            return _reject(inspection.reason, f"camera {camera}: {inspection.detail}" if inspection.detail else "")
    match evidence.judgement_policy:
        case "agent":
            return None
        case "both":
            judgement = evidence.result.judgement if evidence.result else None
            if judgement is Judgement.OK:
                return None
            # What was not told counts as NG: only what the controller said can let a part pass.
            return _reject(Reason.CONTROLLER_NG, f"the controller's own judgement is {judgement or 'not told'}")
        case _:
            assert_never(evidence.judgement_policy)


def _pending(evidence: Evidence) -> Decision | None:
    """What has to be known before a PASS, and is not yet."""
    if evidence.unproven:
        return _reject(Reason.STALE, evidence.unproven)
    for camera in evidence.cameras:
        if evidence.captures[camera].storing is not None:
            return _reject(Reason.LATE, f"camera {camera}: its image was not on the disk by the deadline")
    return None


def _held_back(evidence: Evidence) -> Decision | None:
    """Why a part does not pass that nothing stands against."""
    # A good part, too: nobody knows where it is by now (docs/decisions/0011).
    if evidence.deadline_passed:
        return _reject(Reason.LATE, "judged after the deadline")
    # The PASS would be taken for the next part's: a coil carries no part number (docs/decisions/0011).
    if evidence.next_part_is_here:
        return _reject(Reason.OVERRUN, "the next part came before this verdict")
    # Last of all, so that this reason says that nothing else stood against the part: so a golden part can be shown to
    # a locked line (docs/decisions/0097).
    if evidence.locked:
        return _reject(Reason.LOCKED, evidence.locked)
    return None


def decide_verdict(evidence: Evidence) -> Decision:
    """The verdict. Every way that is not proven to be PASS ends in REJECT or FAULT, with its reason."""
    # Before every other reason: an image that is kept nowhere proves nothing (docs/decisions/0067).
    unstored = _unstored(evidence)
    if unstored is not None:
        return unstored
    # The line before the part: what is wrong with the line would be wrong with any part, and is FAULT.
    if evidence.not_ready:
        return _fault(Reason.NOT_READY, evidence.not_ready)
    if evidence.program_problem:
        return _fault(Reason.PROGRAM, evidence.program_problem)
    # Before anything is said of image and score: they may be another part's.
    if evidence.stale:
        return _reject(Reason.STALE, evidence.stale)
    # Without an image there may be no part on the belt: DUPLICATE is not awaited at the chute.
    if evidence.repeats_count and not evidence.captures:
        return _reject(Reason.DUPLICATE, "a result of a count that was already judged, without a new image")
    # What the part itself shows comes before what is not proven yet: it is the reason that a person can act on.
    against = _missing(evidence) or _judged(evidence)
    if against is not None:
        return against
    pending = _pending(evidence)
    if pending is not None:
        return pending
    held_back = _held_back(evidence)
    if held_back is not None:
        return held_back
    return Decision(Verdict.PASS, Reason.OK)
