"""Long runs in shards: each adds a line to .shards/<state>.jsonl; a row of RESULTS.md tells the sum of its state.

The state is of the code under test alone: a commit to tests or documents does not begin anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROOT = Path(__file__).parents[1]
_UNDER_TEST = ("edge_agent", "drivers")
FOLDER = _ROOT / ".shards"


def add_shard(kind: str, facts: Mapping[str, float]) -> dict[str, float]:
    """Note what a shard gave; the sums of all shards of this kind and code, of ``*_max`` the largest.

    A shard that failed is never added: it is no figure, it is a bug.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{code_under_test()}.jsonl"
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


def code_under_test(*places: str) -> str:
    """A name for the code in these folders and files as it stands in the working tree; none: what runs on the line."""
    digest = hashlib.sha256()
    for path in sorted(file for place in places or _UNDER_TEST for file in _code_in(_ROOT / place)):
        digest.update(f"{path.relative_to(_ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _code_in(place: Path) -> Iterable[Path]:
    return [place] if place.is_file() else place.rglob("*.py")
