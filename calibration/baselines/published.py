"""What others published on the data sets of the paper. Shown beside what is measured, and marked as published."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Published", "published_for", "published_note"]


@dataclass(frozen=True, slots=True)
class Published:
    """One published row of one data set, in percent; ``ap`` is None where only the AUC was published.

    ``ours`` is this tool's name of a method of the paper's comparison, None for all other rows. ``measure`` is what
    ``auc`` really is: the paper took some of its column from a table of per-region overlap (PRO).
    """

    method: str
    source: str
    auc: float
    ap: float | None
    ours: str | None = None
    measure: str = "AUC"


def published_for(dataset: str) -> tuple[Published, ...]:
    """The rows for a data set by its folder's name; ``transistor_400`` and ``pill_half`` are those of the whole set.

    Empty for a name that is none of the eight.
    """
    content = _content()
    name = re.sub(r"_(\d+|half)$", "", dataset.lower().replace("-", "_").replace(" ", "_"))
    if name not in content["sets"]:
        return ()
    at = content["sets"].index(name)
    return tuple(
        Published(
            method=row["name"],
            source=row["source"],
            auc=float(row["auc"][at]),
            ap=float(row["ap"][at]) if "ap" in row else None,
            ours=row.get("ours"),
            measure=row.get("measure", "AUC"),
        )
        for row in content["method"]
    )


def published_note() -> str:
    """What a reader of the rows has to know."""
    return str(_content()["note"])


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text("utf-8"))
