"""Which parts somebody wants to see, as a condition for SQLite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from drivers.base import Reason, Verdict

__all__ = ["PartQuery"]

_DECIDED_BY = (
    "EXISTS (SELECT 1 FROM camera AS one WHERE one.part_seq = part.part_seq AND one.camera = ? "
    "AND (one.score = part.score OR (part.verdict <> 'PASS' AND one.reason = part.reason)))"
)
_HAS_IMAGE = (
    "EXISTS (SELECT 1 FROM camera AS one WHERE one.part_seq = part.part_seq "
    "AND '/' || replace(one.image_name, '\\', '/') GLOB ?)"
)


@dataclass(frozen=True, slots=True)
class PartQuery:
    """Which parts; None or empty is any. Times are UTC as the journal writes them, ``until_utc`` not included.

    ``before_seq`` goes on below a part, ``after_seq`` above one; the answer has ``most`` parts at most.
    """

    since_utc: str | None = None
    until_utc: str | None = None
    verdict: Verdict | None = None
    program: int | None = None
    score_min: float | None = None
    score_max: float | None = None
    before_seq: int | None = None
    after_seq: int | None = None
    most: int = 50
    reasons: tuple[Reason, ...] = ()
    camera: int | None = None
    """The camera that decided: it has the part's score, or its reason."""
    is_bypassed: bool | None = None
    """A person answered for the part."""
    count: int | None = None
    image: str | None = None
    """Name of an image without its folders; a ``*`` stands for anything."""
    among: Collection[int] | None = None
    """Only parts of these numbers."""
    without: Collection[int] = ()
    """No part of these numbers."""

    def conditions(self) -> tuple[str, list[Any]]:
        """The conditions beside the span of time, each with AND before it, and their values."""
        asked: list[tuple[str, Any]] = [
            ("verdict = ?", None if self.verdict is None else str(self.verdict)),
            ("program = ?", self.program),
            ("score >= ?", self.score_min),
            ("score <= ?", self.score_max),
            ("controller_count = ?", self.count),
            ("reason IN (SELECT value FROM json_each(?))", json.dumps(self.reasons) if self.reasons else None),
            ("(reason = 'BYPASS') = ?", self.is_bypassed),
            (_DECIDED_BY, self.camera),
            (_HAS_IMAGE, None if self.image is None else _pattern(self.image)),
            # A list of any length as one value: the number of question marks in a query is limited.
            ("part_seq IN (SELECT value FROM json_each(?))", None if self.among is None else _numbers(self.among)),
            ("part_seq NOT IN (SELECT value FROM json_each(?))", _numbers(self.without) if self.without else None),
        ]
        given = [(words, value) for words, value in asked if value is not None]
        return "".join(f" AND {words}" for words, _ in given), [value for _, value in given]


def _numbers(seqs: Collection[int]) -> str:
    return json.dumps(sorted(seqs))


def _pattern(image: str) -> str:
    """Folders do not count: the controller makes those by the day."""
    name = image.replace("\\", "/").rsplit("/", 1)[-1]
    return "*/" + "".join(f"[{letter}]" if letter in "?[" else letter for letter in name)
