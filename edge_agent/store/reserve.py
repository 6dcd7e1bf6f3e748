"""Disk space held back for the journal: freed when the disk is full, so that the last words can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from edge_agent.store.fs import FileSystem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Reserve"]

log = structlog.get_logger(__name__)

# At 0.7 kB a part this is room for tens of thousands of rows: hours of a line, to free the disk.
_BYTES = 64 * 2**20
# A reserve must not be what makes the disk full.
_ONLY_WITH_FREE_BYTES = 4 * _BYTES


class Reserve:
    """A file of 64 MiB beside the journal. No method raises: a line does not stand still for lack of a reserve."""

    def __init__(self, path: Path, fs: FileSystem | None = None) -> None:
        self._path = path
        self._fs = fs or FileSystem()

    def hold(self) -> None:
        """Hold the space if it is not held and there is plenty."""
        try:
            if self._fs.exists(self._path) or self._fs.disk_bytes(self._path.parent)[1] < _ONLY_WITH_FREE_BYTES:
                return
            self._fs.allocate(self._path, _BYTES)
        except OSError as err:
            log.warning("reserve_not_held", error=str(err))
            self.release()

    def release(self) -> None:
        """Give the space to the journal."""
        try:
            if self._fs.exists(self._path):
                self._fs.unlink(self._path)
                log.warning("reserve_released", bytes=_BYTES, hint="the disk is full or failing: free space")
        except OSError as err:
            log.warning("reserve_not_released", error=str(err))
