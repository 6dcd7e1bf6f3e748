"""What agent and page say to each other: one JSON object a line, over the pipes of the page's process.

Agent to page: first the settings, then ``{"state": ...}`` when something changed and once a second, and the answer
to each request. Page to agent: reviews, limits that a person moves, that a user changes the own password, and nothing
else.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_agent.feed.state import Line
from edge_agent.people.roles import Role  # noqa: TC001 - pydantic reads it at run time
from edge_agent.reviews.review import Name, Review  # noqa: TC001 - as well

__all__ = [
    "Answer",
    "LimitRequest",
    "MovedLimit",
    "OwnPassword",
    "PasswordRequest",
    "Request",
    "ReviewRequest",
]

Why = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]


class ReviewRequest(Line):
    """The page asks the agent to write a review into the journal."""

    ask: Annotated[int, Field(ge=1)]
    review: Review


class MovedLimit(Line):
    """A person makes ``to`` the limit of a program's bundle, which is the one that the person looked at."""

    program: Annotated[int, Field(ge=0, le=999)]
    camera: Annotated[int, Field(ge=1, le=4)]
    bundle_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    to: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    by: Name
    why: Why
    although_known_defects_pass: bool = False
    told: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LimitRequest(Line):
    """The page asks the agent to make and activate the bundle with that limit."""

    ask: Annotated[int, Field(ge=1)]
    limit: MovedLimit


class OwnPassword(Line):
    """A user who is signed in is about to have another password. The password is not told to anybody."""

    user: Name
    role: Role


class PasswordRequest(Line):
    """The page asks the agent to write into the journal that a user changes the own password."""

    ask: Annotated[int, Field(ge=1)]
    password_of: OwnPassword


Request = ReviewRequest | LimitRequest | PasswordRequest


class Answer(Line):
    """What became of it; ``error`` is empty when it is on the disk. ``bundle_id``: of a bundle that was made."""

    answer: int
    error: str
    bundle_id: str = ""
