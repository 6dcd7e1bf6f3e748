"""The words of the agent as frozen values. No I/O, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from drivers.base import Capture, ControllerResult, Judgement, Published, Reason, Verdict

__all__ = [
    "Alignment",
    "Capture",
    "ControllerResult",
    "Inspection",
    "Judgement",
    "Outcome",
    "Published",
    "Reason",
    "Verdict",
]


class Outcome(StrEnum):
    """What the inspection of one image says. On the line REVIEW is a reject."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"


@dataclass(frozen=True, slots=True)
class Alignment:
    """What registration found: the part lies shifted and turned like this against the reference image.

    ``shift_x_px`` and ``shift_y_px`` are full-resolution pixels of the image centre, ``angle_deg`` is
    counter-clockwise degrees, ``gain`` and ``offset`` map reference grey values (0 to 255) to this image's,
    ``quality`` is the correlation after alignment, taken within the cells of a grid (1.0 is identical);
    ``scale`` above 1 is a part that looks larger than the reference.
    """

    quality: float
    shift_x_px: float
    shift_y_px: float
    angle_deg: float
    gain: float
    offset: float
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """The judgement of one image by one bundle. ``score`` is NaN where it could not be computed.

    ``timings_ms`` holds the stages in their order: decode, register, gate (how the part lies, light and focus),
    reconstruct (with the anomaly map, where the score takes it), embed, score. ``shares`` is what each channel or view
    said, on the scale of the score. ``condition`` is how far each quantity of light and focus is from the good parts'
    images: 0 is as usual, beyond -1 and 1 the image is refused.
    """

    outcome: Outcome
    reason: Reason
    score: float
    limit: float
    bundle_id: str
    image_sha256: str
    alignment: Alignment | None = None
    detail: str = ""
    timings_ms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    condition: dict[str, float] = field(default_factory=dict)
