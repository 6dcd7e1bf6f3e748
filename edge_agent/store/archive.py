"""Received images, unchanged, for a year later. Everything here happens after the verdict has left.

Oldest goes by part number, never by a clock that someone may set. PASS goes before REJECT and FAULT. The journal's
rows are not touched: a row whose image was pruned still has its hash.
"""

from __future__ import annotations

import errno
import heapq
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from drivers.base import Verdict
from edge_agent.store.fs import FileSystem

__all__ = ["Archive"]

log = structlog.get_logger(__name__)

_NAME = re.compile(r"part_(\d{12,})_CAM\d+_(PASS|REJECT|FAULT)_[0-9a-f]{8}\.[a-z0-9]{1,8}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_STUMP = ".part"
_FREE_BYTES_MOST = 2 * 2**30
_FREE_SHARE = 0.05


@dataclass(slots=True)
class _Kept:
    """Files of one kind, oldest part first, and what they weigh."""

    heap: list[tuple[int, str, int]] = field(default_factory=list)
    total_bytes: int = 0

    def add(self, part_seq: int, path: str, size_bytes: int) -> None:
        heapq.heappush(self.heap, (part_seq, path, size_bytes))
        self.total_bytes += size_bytes


class Archive:
    """A folder of images by day. Safe to call from several threads; each call may take as long as the disk does.

    ``keep`` is ``all``, ``rejects`` (REJECT and FAULT) or ``none``. Above ``max_bytes``, or when the disk has less
    than ``min_free_bytes`` left (by default the smaller of 2 GiB and 5 %, which leaves room to the journal), the
    oldest images go. ``lost`` counts images that were to be kept and could not be.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        keep: Literal["all", "rejects", "none"] = "all",
        min_free_bytes: int | None = None,
        fs: FileSystem | None = None,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._keep = keep
        self._min_free_bytes = min_free_bytes
        self._fs = fs or FileSystem()
        self._lock = threading.Lock()
        self._passed = _Kept()
        self._others = _Kept()
        self._is_scanned = False
        self._is_failing = False
        self.lost = 0
        self.pruned = 0

    def sweep(self) -> int:
        """Take stock of what is there and remove half-written files; how many were removed.

        Raises OSError if the archive's folder cannot be made or read.
        """
        with self._lock:
            return self._scan()

    def file(self, part_seq: int, camera: int, verdict: Verdict, spooled: Path, sha256: str) -> Path | None:
        """Move a received image into the archive; None if it is not to be kept or could not be.

        Either way it is gone from the spool afterwards: a spool that fills up would stop the line.
        """
        with self._lock:
            kept = None
            if self._keep == "all" or (self._keep == "rejects" and verdict is not Verdict.PASS):
                kept = self._try_to_keep(part_seq, camera, verdict, spooled, sha256)
            if kept is None:
                self._drop(spooled)
            return kept

    # --- inside -----------------------------------------------------------------------------------------

    def _scan(self) -> int:
        self._passed, self._others = _Kept(), _Kept()
        swept = 0
        self._fs.make_folder(self._root)
        for path, size_bytes in list(self._fs.files(self._root)):
            # Anything that does not bear our names is not ours to count or to delete.
            if path.name.endswith(_STUMP) and _NAME.fullmatch(path.name.removesuffix(_STUMP)):
                self._fs.unlink(path)
                swept += 1
            elif found := _NAME.fullmatch(path.name):
                self._kind(Verdict(found[2])).add(int(found[1]), str(path), size_bytes)
        self._is_scanned = True
        return swept

    def _try_to_keep(self, part_seq: int, camera: int, verdict: Verdict, spooled: Path, sha256: str) -> Path | None:
        try:
            if not self._is_scanned:
                self._scan()
            size_bytes = self._fs.size_bytes(spooled)
            self._make_room(size_bytes)
            target = self._target(part_seq, camera, verdict, spooled, sha256)
            is_new = not self._fs.exists(target)
            self._move(spooled, target)
        except OSError as err:
            self.lost += 1
            if not self._is_failing:
                log.warning("archive_failed", part_seq=part_seq, error=str(err))
            self._is_failing = True
            return None
        if is_new:
            self._kind(verdict).add(part_seq, str(target), size_bytes)
        if self._is_failing:
            log.info("archive_recovered", part_seq=part_seq, lost=self.lost)
        self._is_failing = False
        return target

    def _make_room(self, size_bytes: int) -> None:
        """Prune until a file of that size fits; raises ENOSPC if it does not even when nothing is left."""
        while (why := self._why_short(size_bytes)) and self._prune_one():
            pass
        if why:
            raise OSError(errno.ENOSPC, why)

    def _why_short(self, size_bytes: int) -> str:
        if self._passed.total_bytes + self._others.total_bytes + size_bytes > self._max_bytes:
            return "the image is larger than the archive may grow"
        total, free = self._fs.disk_bytes(self._root)
        reserve = self._min_free_bytes
        if reserve is None:
            reserve = min(_FREE_BYTES_MOST, int(total * _FREE_SHARE))
        return "" if free - size_bytes >= reserve else "the disk is short, and there is nothing left to prune"

    def _prune_one(self) -> bool:
        for kind in (self._passed, self._others):
            if kind.heap:
                _, name, size_bytes = kind.heap[0]
                path = Path(name)
                self._fs.unlink(path)
                heapq.heappop(kind.heap)
                kind.total_bytes -= size_bytes
                self.pruned += 1
                self._drop_folder_if_empty(path.parent)
                return True
        return False

    def _drop_folder_if_empty(self, folder: Path) -> None:
        try:
            self._fs.remove_folder(folder)
        except OSError:  # not empty, or in use: it stays
            return

    def _target(self, part_seq: int, camera: int, verdict: Verdict, spooled: Path, sha256: str) -> Path:
        suffix = spooled.suffix.lower()
        if not _SUFFIX.fullmatch(suffix):
            suffix = ".bin"
        folder = self._root / datetime.now(UTC).date().isoformat()
        self._fs.make_folder(folder)
        return folder / f"part_{part_seq:012d}_CAM{camera}_{verdict}_{sha256[:8].lower()}{suffix}"

    def _move(self, spooled: Path, target: Path) -> None:
        try:
            self._fs.fsync(spooled)
            self._fs.replace(spooled, target)
        except OSError as err:
            if err.errno != errno.EXDEV:
                raise
            self._move_to_other_disk(spooled, target)
        self._fs.fsync(target.parent)

    def _move_to_other_disk(self, spooled: Path, target: Path) -> None:
        stump = target.with_name(target.name + _STUMP)
        try:
            self._fs.unlink(stump)
            self._fs.copy(spooled, stump)
            self._fs.replace(stump, target)
        except OSError:
            self._drop(stump)
            raise
        self._drop(spooled)

    def _drop(self, path: Path) -> None:
        try:
            self._fs.unlink(path)
        except OSError as err:
            log.warning("file_not_removed", name=path.name, error=str(err))

    def _kind(self, verdict: Verdict) -> _Kept:
        return self._passed if verdict is Verdict.PASS else self._others
