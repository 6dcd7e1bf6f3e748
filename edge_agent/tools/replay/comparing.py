"""The verdict of an image judged again, and what differs from the one that was recorded."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from edge_agent.domain import Capture, ControllerResult, Inspection, Judgement, Outcome, Reason, Verdict
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from edge_agent.tools.replay.image import Recorded, ReplayedImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.store.journal import PartRow
    from edge_agent.tools.replay.image import Judged
    from edge_agent.tools.replay.records import Record, Records

    Others = Callable[[str], Inspection | None]

__all__ = ["compared"]

_OF_THE_LINE = frozenset(
    {
        Reason.LATE,
        Reason.OVERRUN,
        Reason.STALE,
        Reason.DUPLICATE,
        Reason.PROGRAM,
        Reason.NOT_READY,
        Reason.NO_IMAGE,
        Reason.NO_RESULT,
        Reason.NO_ANSWER,
        Reason.OUTPUT,
        Reason.JOURNAL,
        Reason.DISK,
        Reason.BYPASS,
        Reason.LOCKED,
    }
)
"""Reasons that no image can tell: such a verdict is taken from the record, the image's score is still compared."""


def compared(judged: Judged, records: Records, others: Others) -> ReplayedImage:
    """The image with its verdict. ``others`` gives the inspection of another camera's image, by its sha256, or None."""
    if judged.inspection is not None and not judged.sha256:  # nobody could even read it to the end
        return _compared(judged, judged.inspection, records.named(judged.path.name), others)
    record, why_altered = records.find(judged.path.name, judged.sha256)
    if why_altered or judged.inspection is None:
        return _altered(judged, record, why_altered)
    return _compared(judged, judged.inspection, record, others)


def _altered(judged: Judged, record: Record | None, why: str) -> ReplayedImage:
    """A file that is not what it should be tells nothing of its part."""
    nan = math.nan
    refused = Inspection(Outcome.NG, Reason.IMAGE_BROKEN, nan, nan, "", judged.sha256, detail=why)
    row = None if record is None else Recorded.of(record[0])
    return ReplayedImage(judged.path, refused, Verdict.REJECT, Reason.IMAGE_BROKEN, row, why, is_altered=True)


def _compared(judged: Judged, inspection: Inspection, record: Record | None, others: Others) -> ReplayedImage:
    if record is None:
        is_ok = inspection.outcome is Outcome.OK
        verdict = Verdict.PASS if is_ok else Verdict.REJECT
        return ReplayedImage(judged.path, inspection, verdict, Reason.OK if is_ok else inspection.reason, None, "")
    row, camera = record
    decision = _decide_again(row, inspection, others)
    differences = []
    if (decision.verdict, decision.reason) != (row.verdict, row.reason):
        differences.append(f"recorded {row.verdict} {row.reason}, now {decision.verdict} {decision.reason}")
    if camera.score is not None and _bits(camera.score) != _bits(inspection.score):
        differences.append(f"recorded score {camera.score!r}, now {inspection.score!r}")
    if camera.condition and camera.condition != inspection.condition:
        differences.append(f"recorded light and focus {camera.condition}, now {inspection.condition}")
    if camera.bundle_id and camera.bundle_id != inspection.bundle_id:
        differences.append(f"recorded with bundle {camera.bundle_id[:12]}, now {inspection.bundle_id[:12]}")
    difference = "; ".join(differences)
    return ReplayedImage(judged.path, inspection, decision.verdict, decision.reason, Recorded.of(row), difference)


def _decide_again(row: PartRow, inspection: Inspection, others: Others) -> Decision:
    """The verdict of the part from its images judged now and from what was recorded of the line."""
    inspections = {}
    for camera in row.cameras:
        own = inspection.image_sha256 == camera.image_sha256
        found = inspection if own else others(camera.image_sha256)
        if found is not None:
            inspections[camera.camera] = found
    if row.reason in _OF_THE_LINE or len(inspections) < len(row.cameras):
        return Decision(row.verdict, row.reason, row.detail)
    captures = {
        camera.camera: Capture(
            count=row.count,
            camera=camera.camera,
            session=row.session,
            name=camera.image_name,
            path=None,
            sha256=camera.image_sha256,
            received_mono_s=row.first_sign_mono_s,
            broken=camera.reason if camera.outcome is None else None,
            detail=camera.detail,
        )
        for camera in row.cameras
    }
    # A recorded PASS against the controller's NG tells that the line was set to the agent's judgement alone.
    agent_alone = row.verdict is Verdict.PASS and row.controller_judgement is not Judgement.OK
    return decide_verdict(
        Evidence(
            cameras=tuple(camera.camera for camera in row.cameras),
            judgement_policy="agent" if agent_alone else "both",
            captures=captures,
            inspections=inspections,
            result=ControllerResult(row.count, row.program, row.controller_judgement, (), row.first_sign_mono_s),
            not_ready="",
            unproven="",
            deadline_passed=False,
            next_part_is_here=False,
            locked="",
        )
    )


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)
