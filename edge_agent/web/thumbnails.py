"""Small pictures of archived images for a list: made one at a time, and the newest kept in memory."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.base import ImageRefused
from edge_agent.errors import DataError
from edge_agent.report.heat import shown
from edge_agent.store.archived import read_archived
from edge_agent.web.pictures import Busy

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["THUMBNAIL_PX", "Thumbnails"]

THUMBNAIL_PX = 192
_KEPT_BYTES = 8 << 20
_WAITING_MAX = 24
"""Browsers ask six at a time; what is refused here is asked for again a moment later."""


@dataclass(slots=True)
class Thumbnails:
    """JPEG pictures of at most THUMBNAIL_PX. The process is last in line for the processor, and this is one thread."""

    archive: Path
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="thumbnails"))
    _kept: OrderedDict[tuple[int, int], bytes] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _waiting: int = 0

    async def of(self, row: PartRow, camera: CameraRow) -> bytes:
        """The picture. Raises DataError where the archive has none or it cannot be shown, Busy."""
        key = row.part_seq, camera.camera
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if self._waiting >= _WAITING_MAX:
            raise Busy("too many small pictures are asked for at once", hint="try again in a moment")
        self._waiting += 1
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._thread, self._make, row, camera)
        finally:
            self._waiting -= 1
        if key not in self._kept:
            self._keep(key, made)
        return made

    def close(self) -> None:
        """Cancel what is being worked on, and take no more; does not wait for its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _keep(self, key: tuple[int, int], made: bytes) -> None:
        self._kept[key] = made
        self._kept_bytes += len(made)
        while self._kept_bytes > _KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    def _make(self, row: PartRow, camera: CameraRow) -> bytes:
        from edge_agent.inspection.containers.decode import decode  # noqa: PLC0415 - the page starts without the inspection

        try:
            image = shown(decode(read_archived(self.archive, row, camera)))
        except ImageRefused as err:
            raise DataError(f"this image cannot be shown: {err}") from err
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        return out.getvalue()
