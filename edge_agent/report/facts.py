"""What a report says, as frozen values. Whoever ran the calibration, the replay or the line fills them in.

Pictures are arrays of shape (H, W) grey or (H, W, 3) in RGB order, uint8 in 0..255 or float32 in 0..1.
Anomaly maps are (H, W) float32 in map units, all of one report in the same unit: they share one colour scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.domain import Published, Reason
    from edge_agent.report.head import Head

    Picture = NDArray[np.uint8] | NDArray[np.float32]
    AnomalyMap = NDArray[np.floating[Any]]

__all__ = [
    "AnswerRow",
    "CalibrationFacts",
    "DefectiveFacts",
    "GoodPartScore",
    "LeftOutPart",
    "LightAndLens",
    "LimitOffer",
    "MoreParts",
    "OddPart",
    "PartFact",
    "PartPictures",
    "RegistrationRow",
    "RunFacts",
    "TimeFacts",
    "TradeOffPoint",
    "TrainingStep",
]


@dataclass(frozen=True, slots=True)
class PartPictures:
    """One image and what the inspection saw in it.

    ``heat_map`` (H, W) is the judge's, over the image, 1.0 at the limit: the picture that decided. Where the score
    knows no places it is None, and ``reconstruction`` and ``anomaly_map`` are what such a score looks at. ``image`` is
    None where it cannot be shown; ``problem`` says why, or why there is no heat map. ``is_wrong``: the verdict was.
    """

    label: str
    caption: str
    image: Picture | None
    reconstruction: Picture | None = None
    anomaly_map: AnomalyMap | None = None
    heat_map: AnomalyMap | None = None
    problem: str = ""
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A yes/no question that calibration asked: what was chosen, each way's figure (AUC, none: not tried), and why."""

    question: str
    chosen: str
    figures: tuple[tuple[str, float], ...]
    why: str


@dataclass(frozen=True, slots=True)
class OddPart:
    """A good part that is less like the others than most: ``oddity`` 0 is usual, ``heat`` (H, W) is where it differs.

    ``score`` is that of an inspection that had not seen it. ``leave_out`` is what is typed to leave it out;
    ``is_kept``: a person confirmed it by name.
    """

    file: str
    oddity: float
    score: float
    image: Picture
    heat: AnomalyMap
    leave_out: str
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class MoreParts:
    """Whether more good parts would pay, in words; ``rows``: good parts learned from, the share they tell apart."""

    statement: str
    rows: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LightAndLens:
    """What disturbances do to a good part's score, in words; ``rows``: which, how far to the limit, if it passes."""

    statement: str
    rows: tuple[tuple[str, float, bool], ...]


@dataclass(frozen=True, slots=True)
class TimeFacts:
    """How long an inspection took where the bundle was made, in words, and what being that quick costs; or empty."""

    statement: str
    cost: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """Where a good part lay against the reference: pixels, counter-clockwise degrees, correlation (1.0: identical)."""

    file: str
    shift_x_px: float
    shift_y_px: float
    angle_deg: float
    quality: float


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Reconstruction errors (mean squares, in the training's own unit) after that many steps."""

    step: int
    train_error: float
    held_out_error: float | None = None


@dataclass(frozen=True, slots=True)
class GoodPartScore:
    """The score of one good part by an inspection that had not seen it."""

    file: str
    score: float


@dataclass(frozen=True, slots=True)
class LeftOutPart:
    """A part that a person took out of the good ones."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LimitOffer:
    """A limit to choose from: the good parts it is expected to reject, the share it stays below with 95 % confidence.

    ``ask`` is the target that sets it, ``missed`` the known-defective parts it would pass, None where none are known.
    ``note`` marks the one that was chosen.
    """

    limit: float
    expected: float
    bound_95: float
    ask: str
    missed: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TradeOffPoint:
    """Two shares at one limit: good parts expected to be rejected, and known-defective parts that pass."""

    false_rejects: float
    missed: float


@dataclass(frozen=True, slots=True)
class DefectiveFacts:
    """What known-defective parts say. ``missed`` are those that would pass, with their scores.

    ``scores`` are of all that have one. ``curve`` goes from the highest limit to the lowest; ``chosen`` lies on it.
    """

    statement: str
    count: int
    missed: tuple[tuple[str, float], ...]
    scores: tuple[float, ...]
    curve: tuple[TradeOffPoint, ...]
    chosen: TradeOffPoint
    pictures: tuple[PartPictures, ...] = ()


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """All that a calibration report says. ``limit_statement`` is the promise in words, with its confidence.

    ``crop_px`` is x, y, width, height on ``reference``. ``mean_image_error`` is what showing the mean image as the
    reconstruction would cost, ``own_variance`` the variance of the good images themselves: an autoencoder that
    learned lies below both. ``oddest`` are the good parts that are least like the others, for a person to confirm.
    ``review_from`` is where the review band below the limit begins, None without one. ``answers`` say why the score
    looks at the part as it does; ``more_parts`` whether more of them would pay, ``light_and_lens`` what light and lens
    may do to a good part's score, ``time`` how long an inspection takes, None where nobody asked.
    """

    head: Head
    part: str
    program: int
    camera: int
    bundle_id: str
    created_utc: str
    versions: Mapping[str, str]
    image_count: int
    image_width_px: int
    image_height_px: int
    reference: Picture
    crop_px: tuple[int, int, int, int] | None
    registrations: tuple[RegistrationRow, ...]
    training: tuple[TrainingStep, ...]
    scores: tuple[GoodPartScore, ...]
    limit: float
    limit_statement: str
    seed: int
    review_from: float | None = None
    offers: tuple[LimitOffer, ...] = ()
    left_out: tuple[LeftOutPart, ...] = ()
    defective: DefectiveFacts | None = None
    own_variance: float | None = None
    mean_image_error: float | None = None
    oddest: tuple[OddPart, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    answers: tuple[AnswerRow, ...] = ()
    more_parts: MoreParts | None = None
    light_and_lens: LightAndLens | None = None
    time: TimeFacts | None = None


@dataclass(frozen=True, slots=True)
class PartFact:
    """One part of a run. ``is_defective`` and ``truth`` are what the part really was, None and empty where unknown.

    ``part_seq`` is None for an image that no journal knows. ``label`` is the file or the part's name. ``gate`` is
    what happened to the part behind the output (``passed``, ``rejected``), empty where nobody watched.
    """

    part_seq: int | None
    verdict: Verdict
    reason: Reason
    label: str = ""
    count: int | None = None
    detail: str = ""
    score: float | None = None
    limit: float | None = None
    latency_ms: float | None = None
    is_defective: bool | None = None
    truth: str = ""
    gate: str = ""
    published: Published | None = None

    @property
    def is_let_through(self) -> bool:
        """What became of the part: what the gate did where somebody watched it, else what the verdict asked for."""
        return self.gate == "passed" if self.gate else self.verdict is Verdict.PASS


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that a run or replay report says.

    ``differences`` say what is not as it was recorded. ``deadline_ms`` draws a line into the latency histogram;
    ``latency_words`` says from what to what was timed, empty: from first sign to verdict.
    """

    head: Head
    simulated: bool
    versions: Mapping[str, str]
    parts: tuple[PartFact, ...]
    pictures: tuple[PartPictures, ...] = ()
    deadline_ms: float | None = None
    latency_words: str = ""
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
