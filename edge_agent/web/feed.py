"""What agent and page say to each other: one JSON object a line, over the pipes of the page's process.

Agent to page: first the settings, then ``{"state": ...}`` when something changed and once a second, and the answer
to each request. Page to agent: reviews and limits that a person moves, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AgentState",
    "Answer",
    "ArchivedKind",
    "Condition",
    "LimitRequest",
    "MovedLimit",
    "Request",
    "Review",
    "ReviewRequest",
]

Name = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]
Note = Annotated[str, Field(max_length=500)]
Why = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Condition(_Line):
    """One thing that must hold before parts may pass. ``why_not`` is empty while it holds."""

    why_not: str
    since_mono_s: float


class ArchivedKind(_Line):
    """Images of a kind that the archive holds: bytes, and the part number of the oldest, None where there is none."""

    size_bytes: int = 0
    oldest_seq: int | None = None


class AgentState(_Line):
    """How the agent stands. Times are of this PC's monotonic clock, which both processes share."""

    state: str
    since_mono_s: float
    is_simulated: bool
    is_dry_run: bool = False
    degraded: dict[str, str] = Field(default_factory=dict)
    conditions: dict[str, Condition]
    archive_lost: int
    archive_pruned: int
    archive_passes: ArchivedKind = ArchivedKind()
    archive_others: ArchivedKind = ArchivedKind()
    bypass: str = ""
    """Who answers for the parts at the moment instead of the inspection; empty: nobody."""


class Review(_Line):
    """What a person says of a part. It changes no verdict: that one is sent.

    Of a REJECT: CONFIRMED (rightly rejected) or OVERTURNED (was a good part). Of a PASS: PASS_CONFIRMED (rightly
    passed) or ESCAPE (was a defective part).
    """

    part_seq: Annotated[int, Field(ge=1, le=2**63 - 1)]
    says: Literal["CONFIRMED", "OVERTURNED", "PASS_CONFIRMED", "ESCAPE"]
    by: Name
    note: Note = ""


class ReviewRequest(_Line):
    """The page asks the agent to write a review into the journal."""

    ask: Annotated[int, Field(ge=1)]
    review: Review


class MovedLimit(_Line):
    """A person makes ``to`` the limit of a program's bundle, which is the one that the person looked at."""

    program: Annotated[int, Field(ge=0, le=999)]
    camera: Annotated[int, Field(ge=1, le=4)]
    bundle_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    to: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    by: Name
    why: Why
    although_known_defects_pass: bool = False
    told: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LimitRequest(_Line):
    """The page asks the agent to make and activate the bundle with that limit."""

    ask: Annotated[int, Field(ge=1)]
    limit: MovedLimit


Request = ReviewRequest | LimitRequest


class Answer(_Line):
    """What became of it; ``error`` is empty when it is on the disk. ``bundle_id``: of a bundle that was made."""

    answer: int
    error: str
    bundle_id: str = ""
