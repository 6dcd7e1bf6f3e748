"""What the publishing process tells the agent, one JSON object a line: a result was set aside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["ASIDE", "Told"]

ASIDE = "RESULT_ASIDE"
"""The kind of its event in the journal; the detail is a ``Told`` as JSON."""


class Told(BaseModel):
    """Which result a receiver will not take. ``number`` is its part_seq or event_id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    receiver: str
    kind: str
    number: int | None
    why: str
