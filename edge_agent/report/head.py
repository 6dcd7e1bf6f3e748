"""What every report begins with: what came out, what to do, and which line, PC, part, program and bundle it is of."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from edge_agent.wording import tr

__all__ = ["BundleName", "Head", "Paper", "in_local_time", "in_utc"]

Paper = Literal["A4", "letter"]
SHORT_ID = 12
"""So many digits of a bundle's id tell it from all others; the same number as in ``bundle list``."""


@dataclass(frozen=True, slots=True)
class BundleName:
    """A bundle as a person knows it. ``by`` and ``at_utc``: who activated it, and when; empty where nobody wrote it.

    ``made_with`` is the version of edge-agent that calibrated it.
    """

    bundle_id: str
    by: str = ""
    at_utc: str = ""
    made_with: str = ""

    @property
    def short_id(self) -> str:
        """The first digits of its id."""
        return self.bundle_id[:SHORT_ID]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a report. What is empty is not known, or there is none, and is not shown.

    ``result`` is one sentence, ``tone`` how it is coloured, ``to_do`` what follows from it. ``warnings`` are what must
    not be overlooked, each with what to do. ``from_utc`` to ``to_utc`` is the time that the report is about, ``paper``
    what it is printed on.
    """

    title: str
    result: str
    made_utc: str
    tone: Literal["good", "bad", "note"] = "note"
    to_do: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    line: str = ""
    pc: str = field(default_factory=platform.node)
    part: str = ""
    program: str = ""
    cameras: str = ""
    bundles: tuple[BundleName, ...] = ()
    version: str = ""
    from_utc: str = ""
    to_utc: str = ""
    paper: Paper = "A4"

    @property
    def foot(self) -> str:
        """What stands at the foot of every page: the line, and the bundle."""
        ids = ", ".join(bundle.short_id for bundle in self.bundles[:3])
        return " · ".join(filter(None, (self.line or self.part or self.title, ids and tr("bundle {ids}", ids=ids))))


def in_local_time(from_utc: str, to_utc: str = "") -> str:
    """A time, or a span, by the clock of this PC, with its distance from UTC. A text that is no time stays as it is."""
    return _span(from_utc, to_utc, is_local=True)


def in_utc(from_utc: str, to_utc: str = "") -> str:
    """The same in UTC, for who compares it with the journal."""
    return _span(from_utc, to_utc, is_local=False)


def _span(from_utc: str, to_utc: str, *, is_local: bool) -> str:
    try:
        begin, *rest = (datetime.fromisoformat(text) for text in (from_utc, to_utc) if text)
    except ValueError:
        return tr("{begin} to {end}", begin=from_utc, end=to_utc) if from_utc and to_utc else from_utc or to_utc
    begin = begin.astimezone() if is_local else begin.astimezone(UTC)
    words = f"{begin:%Y-%m-%d %H:%M:%S}"
    for at in rest:
        end = at.astimezone() if is_local else at.astimezone(UTC)
        until = f"{end:%H:%M:%S}" if end.date() == begin.date() else f"{end:%Y-%m-%d %H:%M:%S}"
        words = tr("{begin} to {end}", begin=words, end=until)
    if not is_local:
        return f"{words} UTC"
    offset = f"{begin:%z}"
    return f"{words} (UTC{offset[:3]}:{offset[3:5]})"
