"""What a worker does of a calibration: some items of a ``Work`` that came as a parcel, which it opens once.

One thread computes: the processes are as many as the cores, and more threads than cores would only wait.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edge_agent.tools.plant.proof import arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from calibration.workers import Work

__all__ = ["Parcel", "do_items", "listed", "packed"]

_one_at_a_time = threading.Lock()
"""A worker that was started with several threads does one task at a time all the same."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A work, pickled once for all its items; its ``name`` is the sha256 of that."""

    name: str
    data: bytes = field(compare=False, repr=False)


def packed(work: Work[Any]) -> Parcel:
    """The parcel of a work."""
    data = pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)
    return Parcel(hashlib.sha256(data).hexdigest(), data)


def do_items(parcel: Parcel, items: list[Any]) -> tuple[str, list[Any]]:
    """What this process computes of fixed numbers, as a hash, and what came of each item. Raises as the work does."""
    with _one_at_a_time:
        do = _opened(parcel)
        return arithmetic(), [do(item) for item in items]


@lru_cache(1)  # as large as all good parts, and the next one comes before a third could be needed
def _opened(parcel: Parcel) -> Callable[[Any], Any]:
    cv2.setNumThreads(1)
    work: Work[Any] = pickle.loads(parcel.data)  # noqa: S301 - from the client, which can have a worker do anything
    return work.begin()


def listed(folders: tuple[str, ...]) -> str:
    """The names and sizes of the files in these folders, as a hash; "" where one of them is not there."""
    found = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            return ""
        found += sorted(f"{path.name} {path.stat().st_size}" for path in folder.iterdir() if path.is_file())
    return hashlib.sha256("\n".join(found).encode("utf-8", "surrogateescape")).hexdigest()
