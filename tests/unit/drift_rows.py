"""Rows of parts whose quantities drift, and what a bundle says of its good parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.domain import Alignment, Outcome, Reason, Verdict
from edge_agent.drift.known import Known, known_from
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.store.rows import PartRow

BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
MANIFEST: dict[str, Any] = {
    "limit": {"value": 1.5},
    "align": {"quality_min": 0.8, "pose": {"shift_x_px": {"low": -2.0, "high": 2.0, "least": -10.0, "most": 10.0}}},
    "condition": {
        "brightness": {"usual": 120.0, "low": 115.0, "high": 125.0, "least": 80.0, "most": 160.0},
        "sharpness": {"usual": 0.5, "low": 0.4, "high": 0.6, "least": 0.2, "most": None},
    },
    "usual": {
        "score": {"mean": 0.6, "spread": 0.15, "wander": 0.0, "parts": 40},
        "share_native": {"mean": 0.6, "spread": 0.15, "wander": 0.0, "parts": 40},
        "brightness": {"mean": 0.0, "spread": 0.05, "wander": 0.0, "parts": 40},
        "sharpness": {"mean": -0.05, "spread": 0.05, "wander": 0.0, "parts": 40},
        "shift_x_px": {"mean": 0.0, "spread": 0.5, "wander": 0.0, "parts": 40},
        "registration_quality": {"mean": 0.98, "spread": 0.005, "wander": 0.0, "parts": 40},
    },
}


def known(_camera: int = 1, _bundle_id: str = "bundle") -> Known:
    """What that manifest says."""
    return known_from(MANIFEST, 700.0)


def drifting(
    number: int, *, first: int = 1, seed: int = 0, every_s: float = 2.0, begin: datetime = BEGIN, **moved: float
) -> Iterator[PartRow]:
    """Good parts one after the other; ``moved`` adds to a quantity: score, brightness, sharpness, shift_x, latency."""
    rng = np.random.default_rng((seed, first))
    for seq in range(first, first + number):
        score = 0.6 + rng.normal(0, 0.15) + moved.get("score", 0.0)
        condition = {
            "brightness": rng.normal(0, 0.05) + moved.get("brightness", 0.0),
            "sharpness": rng.normal(-0.05, 0.05) + moved.get("sharpness", 0.0),
        }
        latency_s = 0.12 + rng.normal(0, 0.01) + moved.get("latency", 0.0)
        at_s = every_s * seq
        shift = rng.normal(0, 0.5) + moved.get("shift_x", 0.0)
        row = part_row(seq)
        camera = replace(
            row.cameras[0],
            score=score,
            shares={"native": score},
            condition=condition,
            alignment=Alignment(0.98 + rng.normal(0, 0.004), shift, rng.normal(0, 0.5), rng.normal(0, 0.1), 1.0, 0.0),
        )
        yield replace(
            row,
            cameras=(camera,),
            score=score,
            first_sign_mono_s=at_s - latency_s,
            decided_mono_s=at_s,
            decided_utc=(begin + timedelta(seconds=at_s)).isoformat(timespec="milliseconds"),
        )


def rejected(row: PartRow, reason: Reason) -> PartRow:
    """The same part, rejected by its image."""
    camera = replace(row.cameras[0], outcome=Outcome.NG, reason=reason)
    return replace(row, cameras=(camera,), verdict=Verdict.REJECT, reason=reason)
