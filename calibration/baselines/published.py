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
    """One published row of one data set, in percent; ``ap`` is None where only the AUC was published."""

    method: str
    source: str
    auc: float
    ap: float | None


def published_for(dataset: str) -> tuple[Published, ...]:
    """The rows for a data set by its folder's name; a size at its end (``transistor_400``) does not matter.

    Empty for a name that is none of the eight.
    """
    content = _content()
    name = re.sub(r"_\d+$", "", dataset.lower().replace("-", "_").replace(" ", "_"))
    if name not in content["sets"]:
        return ()
    at = content["sets"].index(name)
    return tuple(
        Published(row["name"], row["source"], float(row["auc"][at]), float(row["ap"][at]) if "ap" in row else None)
        for row in content["method"]
    )


def published_note() -> str:
    """What a reader of the rows has to know."""
    return str(_content()["note"])


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text("utf-8"))
