"""What is watched of each part: numbers that its row in the journal has anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_agent.domain import Outcome, Reason
from edge_agent.inspection.scoring.quantity import Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.domain import Alignment
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = [
    "ANGLE",
    "LATENCY",
    "POSE",
    "QUALITY",
    "SCALE",
    "SCORE",
    "SHARE",
    "is_cause",
    "of_condition",
    "pose_of",
    "resolution",
    "watched",
]

SCORE: Final = "score"
"""Of the limit: 1 is rejected."""
SHARE: Final = "share_"
"""Before the name of a channel or view: what it says, of the limit."""
QUALITY: Final = "registration_quality"
ANGLE: Final = "angle_deg"
SCALE: Final = "scale"
POSE: Final = ("shift_x_px", "shift_y_px", ANGLE, SCALE)
LATENCY: Final = "latency_ms"
"""Of the part, from its first sign to its verdict; told with its first camera."""

_RESOLUTION: Final[Mapping[str, float]] = {
    "shift_x_px": 0.05,
    "shift_y_px": 0.05,
    ANGLE: 0.01,
    SCALE: 0.0005,
    QUALITY: 0.001,
    LATENCY: 1.0,
}
_LEAST: Final = 0.01
"""Of the limit, and of the room that light and focus have."""
_IN_NO_CONDITION: Final = frozenset({Reason.LIGHT, Reason.FOCUS})
_BY_THE_PART: Final = _IN_NO_CONDITION | {Reason.SCORE, Reason.ALIGN, Reason.CONTROLLER_NG, Reason.NOT_FINITE}


def watched(row: PartRow, camera: CameraRow) -> dict[str, float]:
    """The quantities of one camera's image of a part; empty where the part says nothing of good ones.

    A part that was rejected for itself says nothing: a defect is no drift. One that was rejected for its light or focus
    says how the light is, or a drift would be forgotten as soon as it rejects.
    """
    if camera.reason in _IN_NO_CONDITION:
        return dict(camera.condition)
    if camera.outcome is not Outcome.OK or row.reason in _BY_THE_PART:
        return {}
    found = dict(camera.condition)
    if camera.limit and camera.score is not None:
        found[SCORE] = camera.score / camera.limit
        found |= {f"{SHARE}{name}": share / camera.limit for name, share in camera.shares.items()}
    if camera.alignment is not None:
        found |= pose_of(camera.alignment)
    if camera.camera == min(one.camera for one in row.cameras):
        found[LATENCY] = (row.decided_mono_s - row.first_sign_mono_s) * 1000
    return found


def pose_of(alignment: Alignment) -> dict[str, float]:
    """How a part lay, and how well it was found."""
    return {name: getattr(alignment, name) for name in POSE} | {QUALITY: alignment.quality}


def of_condition(name: str) -> Quantity | None:
    """The quantity of light or focus of that name; None for any other."""
    return Quantity(name) if name in set(Quantity) else None


def is_cause(name: str) -> bool:
    """Whether it tells of light, focus or pose, from which the others follow."""
    return name in POSE or name in set(Quantity)


def resolution(name: str) -> float:
    """The least spread that is believed of a quantity: rounding and a still fixture are no measure of drift."""
    return _RESOLUTION.get(name, _LEAST)
