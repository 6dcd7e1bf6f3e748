"""A bundle's files from the server into a folder of this line, within bounds. What they are, others prove."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.errors import Unavailable
from edge_agent.fleet_line.messages import BundleFiles

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.fleet_line.server import FleetServer

__all__ = ["Fetcher"]

_MOST_BYTES = 1 << 30
_LEFT_OVER_BYTES = 2 << 30
"""A bundle must not be what makes the disk of a line full."""
_WITHIN_S = 1800.0
_KEPT = 2
_BETWEEN_S = 20.0
"""A server that offers another bundle each second does not fill the line's network."""


class Fetcher:
    """Keeps what was fetched beside the journal, the newest two. Used in one thread."""

    def __init__(self, journal: Path, server: FleetServer) -> None:
        self._folder = journal.with_name(f"{journal.name}.fleet-bundles")
        self._server = server
        self._next_mono_s = 0.0

    def fetch(self, bundle_id: str, secret: str, *, in_use: Path | None = None) -> Path:
        """The folder with the files; fetched anew unless all of them are there. Raises NotAnswered, Unavailable.

        ``in_use`` is a folder that somebody judges from: it never makes room for another one.
        """
        place = self._folder / bundle_id[:16]
        if place.is_dir():
            return place
        if monotonic_s() < self._next_mono_s:
            raise Unavailable("another bundle was fetched a moment ago: this one comes later")
        self._next_mono_s = monotonic_s() + _BETWEEN_S
        where = f"/line/bundles/{bundle_id}"
        files = self._server.get(where, BundleFiles, secret=secret).files
        size = sum(files.values())
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        if size > _MOST_BYTES or free < size + _LEFT_OVER_BYTES:
            raise Unavailable(f"the bundle has {size >> 20} MiB, and the disk has {free >> 20} MiB free: not fetched")
        self._make_room(in_use)
        part = self._folder / f".{bundle_id[:16]}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            for name, length in files.items():
                with (part / name).open("wb") as file:
                    for piece in self._server.pieces(f"{where}/{name}", length, _WITHIN_S, secret=secret):
                        file.write(piece)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return place

    def forget(self, bundle_id: str) -> None:
        """Remove what was fetched."""
        shutil.rmtree(self._folder / bundle_id[:16], ignore_errors=True)

    def _make_room(self, in_use: Path | None) -> None:
        old_ones = (one for one in self._folder.iterdir() if one.is_dir() and one.resolve() != in_use)
        found = sorted(old_ones, key=lambda one: one.stat().st_mtime)
        for old in found[: max(0, len(found) - _KEPT + 1)]:
            shutil.rmtree(old, ignore_errors=True)
