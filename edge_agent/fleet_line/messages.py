"""What a line and its fleet say to each other, within bounds on both sides. A key that is not known is an error.

Nothing here is a command, a setting or a verdict: what the server says names bundles, and whoever asks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BODY_MAX_BYTES",
    "NAME_PATTERN",
    "Answer",
    "BundleFiles",
    "Enrolled",
    "Enrolment",
    "JudgingBundle",
    "Known",
    "KnownParts",
    "Offer",
    "OfferTaken",
    "ShadowCounts",
    "State",
    "words",
]

BODY_MAX_BYTES = 1 << 20
"""Of one request: a hundred rows take about 120 kB."""
NAME_PATTERN = r"^[^\x00-\x1f\x7f]{1,64}$"
_BundleId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Short = Annotated[str, Field(max_length=120)]
_Words = Annotated[str, Field(max_length=400)]
_Count = Annotated[int, Field(ge=0, le=10**12)]
_Program = Annotated[int, Field(ge=0, le=9999)]
_Camera = Annotated[int, Field(ge=1, le=4)]


def words(text: str, most: int = 400) -> str:
    """A text as a message holds it."""
    return text if len(text) <= most else text[: most - 1] + "…"


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Enrolment(_Said):
    """A line asks to be taken in, with the token of an invitation."""

    schema_version: Literal[1] = 1
    invitation: Annotated[str, Field(min_length=16, max_length=200, repr=False)]


class Enrolled(_Said):
    """The name that the server knows this line by, and its secret from now on."""

    schema_version: Literal[1] = 1
    line: Annotated[str, Field(pattern=NAME_PATTERN)]
    secret: Annotated[str, Field(min_length=32, max_length=200, repr=False)]


class Known(_Said):
    """The name that the server knows a line by, and the server's clock."""

    schema_version: Literal[1] = 1
    line: Annotated[str, Field(pattern=NAME_PATTERN)]
    at_utc: _Short


class JudgingBundle(_Said):
    """A place in line.toml: the bundle that judges there now, and the one that does from the next start on."""

    program: _Program
    camera: _Camera
    bundle_id: Annotated[str, Field(max_length=64)]
    chosen_id: Annotated[str, Field(max_length=64)]


class KnownParts(_Said):
    """Parts that people reviewed: how many, and of how many the candidate, or the bundle in use, is wrong."""

    of: _Count
    wrong: _Count
    wrong_before: _Count


class ShadowCounts(_Said):
    """What a candidate found beside the line so far. ``ended`` is true once it is watched no longer."""

    bundle_id: _BundleId
    program: _Program
    camera: _Camera
    parts: _Count
    to_reject: _Count
    to_pass: _Count
    not_comparable: _Count
    good: KnownParts
    bad: KnownParts
    problem: _Words = ""
    ended: bool = False


class OfferTaken(_Said):
    """What became of an offer on this line."""

    promotion_id: _Count
    stage: Literal["shadow", "activate", "withdrawn"]
    how: Literal["done", "refused", "waits"]
    why: _Words = ""


class State(_Said):
    """How a line stands. ``at_utc`` is the line's own clock; ``state`` is empty where the agent's loop is silent."""

    schema_version: Literal[1] = 1
    version: _Short
    at_utc: _Short
    state: _Short
    follow: Literal["none", "shadow", "activate"]
    simulated: bool = False
    dry_run: bool = False
    why_not: Annotated[dict[_Short, _Words], Field(max_length=32)] = {}
    degraded: Annotated[dict[_Short, _Words], Field(max_length=32)] = {}
    bypass: _Words = ""
    behind: _Count = 0
    aside: _Count = 0
    bundles: Annotated[tuple[JudgingBundle, ...], Field(max_length=200)] = ()
    drift: Annotated[str, Field(max_length=2000)] = ""
    shadow: ShadowCounts | None = None
    offers: Annotated[tuple[OfferTaken, ...], Field(max_length=40)] = ()


class Offer(_Said):
    """A bundle that this line may take, if its line.toml says so; or one that it is asked to go back from."""

    promotion_id: _Count
    stage: Literal["shadow", "activate", "withdrawn"]
    bundle_id: _BundleId
    program: _Program
    camera: _Camera
    by: _Short
    why: _Words = ""


class Answer(_Said):
    """All that a server ever tells a line."""

    schema_version: Literal[1] = 1
    offers: Annotated[tuple[Offer, ...], Field(max_length=20)] = ()


class BundleFiles(_Said):
    """The files of a bundle and their sizes in bytes."""

    schema_version: Literal[1] = 1
    files: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")], Annotated[int, Field(ge=0)]],
        Field(min_length=1, max_length=64),
    ]
