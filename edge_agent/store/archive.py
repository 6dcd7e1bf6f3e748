"""Received images for a year later: as they came, or so that their bytes come back. All after the verdict has left.

Oldest goes by part number, never by a clock that someone may set. PASS goes before REJECT and FAULT. The journal's
rows are not touched: a row whose image was pruned still has its hash. Which images are the oldest is read from their
folders when some have to go: the memory that this takes does not grow with their number.
"""

from __future__ import annotations

import errno
import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import structlog

from drivers.base import Verdict
from drivers.timing import monotonic_s
from edge_agent.store.days import DaysOfParts
from edge_agent.store.filing import STUMP, Filing, Received
from edge_agent.store.fs import FileSystem
from edge_agent.store.held import Held, HeldKind
from edge_agent.store.room import archive_reserve_bytes
from edge_agent.store.stock import BYPASS, NAME, OTHERS, PASSES, Image, Stock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Archive", "ArchiveStatus"]

log = structlog.get_logger(__name__)

_WARN_FREE_SHARE = 0.1
_AT_ONCE = 20
"""Images that one filing removes for their age, or for a limit that was lowered: a whole day at once, or half of a
million images, would keep the disk busy for up to a minute."""


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """What became of images since the start, and the share of the disk that is free (0 to 1, None before the first)."""

    lost: int
    pruned: int
    free_share: float | None

    @property
    def is_short(self) -> bool:
        """Less than a tenth of the disk is free: somebody should look before images go."""
        return self.free_share is not None and self.free_share < _WARN_FREE_SHARE


class Archive:
    """A folder of images by day. Safe to call from several threads; each call may take as long as the disk does.

    ``keep`` is ``all``, ``rejects`` (REJECT and FAULT) or ``none``. Above ``max_bytes``, or when the disk has less
    than ``min_free_bytes`` left (by default the smaller of 2 GiB and 5 %, or ``wanted_bytes`` if that is more: room
    for images that come, and for the journal), the oldest images go; what a lowered limit left above it goes a few at
    each filing. ``lost`` counts images that were to be kept and could not be.

    Of PASS every ``pass_every``-th part is kept (by its number, so that a replay can tell which). ``keep_pass_days``
    and ``keep_reject_days`` say on how many days with parts (``DaysOfParts``) images of a kind stay. What is no PASS
    has to make room only where no PASS is left.

    One filing in some thousands reads a day's folder, to find the next images to go; one that cannot be read loses the
    image that was to be filed.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        keep: Literal["all", "rejects", "none"] = "all",
        pass_every: int = 1,
        keep_pass_days: int | None = None,
        keep_reject_days: int | None = None,
        min_free_bytes: int | None = None,
        wanted_bytes: int = 0,
        compresses: bool = False,
        fs: FileSystem | None = None,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._keep = keep
        self._pass_every = pass_every
        self._keep_pass_days = keep_pass_days
        self._keep_reject_days = keep_reject_days
        self._min_free_bytes = min_free_bytes
        self._wanted_bytes = wanted_bytes
        self._compresses = compresses
        self._fs = fs or FileSystem()
        self._filing = Filing(root, self._fs)
        self._lock = threading.Lock()
        self._passed, self._others = self._no_stock()
        self._is_scanned = False
        self._is_failing = False
        self._days = DaysOfParts()
        self._free_share: float | None = None
        self._given_up = 0
        self.lost = 0
        self.pruned = 0
        self.held = Held()
        self.gave_way_mono_s: float | None = None
        """When an image last went because the disk was short, in monotonic seconds; None before the first."""

    @property
    def status(self) -> ArchiveStatus:
        """What was lost and pruned since the start, and how much of the disk is free."""
        return ArchiveStatus(self.lost + self._given_up, self.pruned, self._free_share)

    def sweep(self) -> int:
        """Take stock of what is there and remove half-written files; how many were removed.

        Raises OSError if the archive's folder cannot be made or read.
        """
        with self._lock:
            swept = self._scan()
            self._note_held()
            return swept

    def file(
        self,
        part_seq: int,
        camera: int,
        verdict: Verdict,
        spooled: Path,
        sha256: str,
        *,
        always: bool = False,
        in_haste: bool = False,
    ) -> Path | None:
        """Move a received image into the archive; None if it is not to be kept or could not be.

        ``always`` keeps it as a reject is kept: of a part that passed in bypass somebody will want to see the image.
        ``in_haste``: as it came, others wait. Either way it is gone from the spool afterwards: a spool that fills up
        would stop the line.
        """
        is_kept = self._is_to_be_kept(part_seq, Verdict.REJECT if always else verdict)
        became = BYPASS if always and verdict is Verdict.PASS else str(verdict)
        # Outside the lock: it takes tens of milliseconds, and nobody who asks for the status waits for it
        # (docs/decisions/0068).
        small = self._filing.shrunk(spooled, sha256) if is_kept and self._compresses and not in_haste else None
        with self._lock:
            kept = self._try_to_keep(Received(part_seq, camera, became, spooled, sha256, small)) if is_kept else None
            self._note_held()
            if kept is None:
                self.drop(spooled)
            return kept

    def make_room(self) -> None:
        """Remove the oldest images while the disk is short, whether or not another image comes; raises OSError.

        Where nothing is left to remove, the disk stays short.
        """
        with self._lock:
            if not self._is_scanned:
                self._scan()
            try:
                self._give_way(0)
            finally:
                self._note_held()

    def give_way_to(self, folder: Path) -> None:
        """Remove a few of the oldest images for a folder on the same disk that takes no file; raises OSError."""
        with self._lock:
            if not self._is_scanned:
                self._scan()
            if self._fs.is_same_disk(self._root, folder):
                # A few and no more: a quota tells nothing of how much is missing, and the next look comes in a second.
                for _ in range(_AT_ONCE):
                    self._prune_for_room()

    def why_altered(self, kept: Path, sha256: str) -> str:
        """Why a file that is kept is not the image of that hash, in words; empty if it is."""
        return self._filing.why_altered(kept, sha256)

    def give_up(self, part_seq: int, verdict: Verdict) -> None:
        """Count an image as lost, if it was to be kept, that cannot wait for the disk any longer.

        Never blocks; from one thread only.
        """
        if not self._is_to_be_kept(part_seq, verdict):
            return
        if not self._given_up:
            log.warning("archive_overrun", part_seq=part_seq, hint="the archive's disk is slower than the line")
        self._given_up += 1

    def drop(self, path: Path) -> None:
        """Remove a received file without keeping it; one that cannot be removed is logged."""
        self._filing.drop(path)

    # --- inside -----------------------------------------------------------------------------------------

    def _is_to_be_kept(self, part_seq: int, verdict: Verdict) -> bool:
        if verdict is not Verdict.PASS:
            return self._keep != "none"
        # By the number and not by a counter: a restart keeps the same ones, and a replay can tell which.
        return self._keep == "all" and part_seq % self._pass_every == 0

    def _no_stock(self) -> tuple[Stock, Stock]:
        return Stock(self._fs, PASSES), Stock(self._fs, OTHERS)

    def _note_held(self) -> None:
        """For who must not wait for the disk: what is held, as one value that is replaced."""
        passed, others = (HeldKind(stock.total_bytes, stock.oldest_seq) for stock in (self._passed, self._others))
        self.held = Held(passed, others)

    def _scan(self) -> int:
        self._passed, self._others = self._no_stock()
        self._days.clear()
        stumps = []
        self._fs.make_folder(self._root)
        for path, size_bytes in self._fs.files(self._root):
            # Anything that does not bear our names is not ours to count or to delete.
            if path.name.endswith(STUMP) and NAME.fullmatch(path.name.removesuffix(STUMP)):
                # Removed behind the walk: a folder that changes while it is read may leave files out.
                stumps.append(path)
            elif found := NAME.fullmatch(path.name):
                self._add(found["verdict"], Image(int(found["seq"]), path.parent, path.name, size_bytes))
        for path in stumps:
            self._fs.unlink(path)
        self._is_scanned = True
        return len(stumps)

    def _add(self, became: str, image: Image) -> None:
        (self._passed if became in PASSES else self._others).add(image)
        self._days.note(image.folder, image.part_seq)

    def _try_to_keep(self, image: Received) -> Path | None:
        try:
            if not self._is_scanned:
                self._scan()
            size_bytes = self._filing.size_bytes(image)
            # Age first: what goes for its age makes room as well.
            self._prune_overdue()
            self._prune_surplus(size_bytes)
            self._make_room(size_bytes)
            target = self._filing.target(image)
            is_new = not self._fs.exists(target)
            self._filing.put(image, target)
        except OSError as err:
            if image.small is not None:  # a move needs no room on the same disk
                return self._try_to_keep(replace(image, small=None))
            self.lost += 1
            if not self._is_failing:
                log.warning("archive_failed", part_seq=image.part_seq, error=str(err))
            self._is_failing = True
            return None
        if is_new:
            self._add(image.became, Image(image.part_seq, target.parent, target.name, size_bytes))
        if self._is_failing:
            log.info("archive_recovered", part_seq=image.part_seq, lost=self.lost)
        self._is_failing = False
        return target

    def _prune_surplus(self, size_bytes: int) -> None:
        """Prune what is above the limit with a file of that size: as much as comes, and then a few."""
        pruned, begin_bytes = 0, self._total_bytes
        while self._total_bytes + size_bytes > self._max_bytes:
            # At least as much as comes: a limit that was lowered is never exceeded any further.
            if pruned >= _AT_ONCE and begin_bytes - self._total_bytes >= size_bytes:
                return
            if not self._prune_one():
                raise OSError(errno.ENOSPC, "the image is larger than the archive may grow")
            pruned += 1

    def _make_room(self, size_bytes: int) -> None:
        """Prune until the disk has room for that size; raises ENOSPC if it has not even when nothing is left."""
        if not self._give_way(size_bytes):
            raise OSError(errno.ENOSPC, "the disk is short, and there is nothing left to prune")

    def _give_way(self, size_bytes: int) -> bool:
        """Prune while the disk lacks room for that size; whether it has it now."""
        while self._is_disk_short(size_bytes):
            if not self._prune_for_room():
                return False
        return True

    def _prune_for_room(self) -> bool:
        is_pruned = self._prune_one()
        if is_pruned:
            self.gave_way_mono_s = monotonic_s()
        return is_pruned

    def _is_disk_short(self, size_bytes: int) -> bool:
        total, free = self._fs.disk_bytes(self._root)
        self._note_free_share(free / total if total else 0.0)
        reserve = self._min_free_bytes
        if reserve is None:
            reserve = archive_reserve_bytes(total, self._wanted_bytes)
        return free - size_bytes < reserve

    def _note_free_share(self, share: float) -> None:
        was_short, self._free_share = self.status.is_short, share
        if self.status.is_short and not was_short:
            log.warning("disk_short", free_percent=round(share * 100, 1), hint="images go when it falls to 5 %")
        elif was_short and not self.status.is_short:
            log.info("disk_no_longer_short", free_percent=round(share * 100, 1))

    def _prune_overdue(self) -> None:
        """A few images that are older than their kind is kept."""
        kinds = (self._passed, self._keep_pass_days), (self._others, self._keep_reject_days)
        overdue = [(stock, 0 if days is None else self._days.overdue_seq(days)) for stock, days in kinds]
        left = _AT_ONCE
        for stock, seq in overdue:
            while left and stock.reaches(seq):
                self._prune(stock)
                left -= 1
        if (gone := min(seq for _, seq in overdue)) > 0:
            self._days.forget(gone)

    @property
    def _total_bytes(self) -> int:
        return self._passed.total_bytes + self._others.total_bytes

    def _prune_one(self) -> bool:
        """The oldest PASS; the oldest of the others only where there is no PASS."""
        stock = next((stock for stock in (self._passed, self._others) if stock.reaches(math.inf)), None)
        if stock is None:
            return False
        self._prune(stock)
        return True

    def _prune(self, stock: Stock) -> None:
        """Remove the oldest image of a kind, or only find it: what turns out to be there may be less than was known."""
        image = stock.oldest
        if image is None:
            stock.read()
            return
        # The file before the count: where it cannot be removed, the stock still knows it.
        self._fs.unlink(image.folder / image.name)
        stock.drop_oldest()
        self.pruned += 1
        self._drop_folder_if_empty(image.folder)

    def _drop_folder_if_empty(self, folder: Path) -> None:
        try:
            self._fs.remove_folder(folder)
        except OSError:  # not empty, or in use: it stays
            return
