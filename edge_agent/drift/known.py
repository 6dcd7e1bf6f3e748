"""What a bundle says of its good parts: how their quantities lay, and from where on parts are rejected for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge_agent.drift.quantities import LATENCY, QUALITY, SCORE, SHARE
from edge_agent.drift.usual import Usual
from edge_agent.inspection.scoring.quantity import Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MANIFEST_SECTION", "MATTERS", "SCORE_MOST", "Known", "known_from"]

MANIFEST_SECTION: Final = "usual"
"""Score and shares stand there on the scale of the score: a person may move the limit."""
MATTERS: Final = 0.05
"""Of the way from what is usual to where parts are rejected: a smaller move is none that a person has to hear of."""
SCORE_MOST: Final = 2.25
"""Spreads of good parts: of the score no more is waited for, for parts are rejected by it (docs/decisions/0094)."""


@dataclass(frozen=True, slots=True)
class Known:
    """``usual`` by quantity, as the calibration found it. ``ends``: from where to where no part is rejected for it.

    ``raw`` maps a quantity of light and focus to its usual value and the values at the ends of its room (None where
    more is never wrong): the journal has it as a share of that room.
    """

    usual: Mapping[str, Usual] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    raw: Mapping[str, tuple[float, float, float | None]] = field(default_factory=dict)

    def floor(self, name: str, mean: float) -> float:
        """The least move of a quantity that matters, in its unit; 0 where nothing is rejected for it."""
        low, high = self.ends.get(name, (-math.inf, math.inf))
        rooms = [abs(end - mean) for end in (low, high) if math.isfinite(end)]
        return MATTERS * min(rooms, default=0.0)

    def most(self, name: str) -> float:
        """Where the EWMA's limit lies at most, in spreads."""
        return SCORE_MOST if name == SCORE else math.inf

    def room_used(self, name: str, mean: float, now: float) -> float | None:
        """The share of the way from ``mean`` to where parts are rejected; None where they are not to that side."""
        low, high = self.ends.get(name, (-math.inf, math.inf))
        end = low if now < mean else high
        return (now - mean) / (end - mean) if math.isfinite(end) and end != mean else None

    def raw_value(self, name: str, share: float) -> float | None:
        """A quantity of light and focus as it was measured, from its share of the room; None where it is not known."""
        if name not in self.raw:
            return None
        usual, least, most = self.raw[name]
        if share < 0:
            return usual + share * (usual - least)
        return usual if most is None else usual + share * (most - usual)


def known_from(manifest: Mapping[str, Any] | None, deadline_ms: float) -> Known:
    """What a proven manifest says; of a bundle that is gone (None) what every bundle has. Raises nothing.

    A bundle of an older version says nothing of what is usual: that is learned on the line.
    """
    manifest = manifest or {}
    ends = {SCORE: (-math.inf, 1.0), LATENCY: (-math.inf, deadline_ms)}
    align = manifest.get("align", {})
    ends |= {
        name: (float(span["least"]), float(span["most"]))
        for name, span in align.get("pose", {}).items()
        if name not in ("gain", "offset")
    }
    if "quality_min" in align:
        ends[QUALITY] = (float(align["quality_min"]), math.inf)
    ends |= {str(quantity): (-1.0, 1.0) for quantity in Quantity}
    raw = {}
    for name, one in manifest.get("condition", {}).items():
        raw[name] = (float(one["usual"]), float(one["least"]), None if one["most"] is None else float(one["most"]))
        if one["most"] is None:
            ends[name] = (-1.0, math.inf)
    limit = float(manifest.get("limit", {}).get("value", 0.0)) or 1.0
    usual = {
        name: found.over(limit) if name == SCORE or name.startswith(SHARE) else found
        for name, found in ((n, Usual.from_json(one)) for n, one in manifest.get(MANIFEST_SECTION, {}).items())
    }
    ends |= {name: (-math.inf, 1.0) for name in usual if name.startswith(SHARE)}
    return Known(usual, ends, raw)
