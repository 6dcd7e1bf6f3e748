"""What every report begins with: what came out, what to do, and which line, PC, part, program and bundle it is of."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.wording import tr

__all__ = ["SHORT_ID", "BundleName", "Head", "Paper"]

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
