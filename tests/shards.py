"""Long runs in shards: each adds a line to .shards/<commit>.jsonl; a row of RESULTS.md tells the sum of its commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.results import commit

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[1] / ".shards"


def add_shard(kind: str, facts: Mapping[str, float]) -> dict[str, float]:
    """Note what a shard gave; the sums of all shards of this kind and commit, of ``*_max`` the largest.

    A shard that failed is never added: it is no figure, it is a bug.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{commit()}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps({"kind": kind, **facts}) + "\n")
    total: dict[str, float] = {"shards": 0}
    for line in path.read_text().splitlines():
        shard = json.loads(line)
        if shard.pop("kind") != kind:
            continue
        total["shards"] += 1
        for name, value in shard.items():
            both = total.get(name, 0), value
            total[name] = max(both) if name.endswith("_max") else sum(both)
    return total
