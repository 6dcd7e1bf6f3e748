"""Whether the disk takes what a part leaves behind. The archive gives way first; then the line is FAULT, in words.

Nothing here waits for a disk in the event loop, and a disk that does not answer is said as well.
"""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from drivers.timing import monotonic_s
from edge_agent.runtime.worker import Worker
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import JournalError
from edge_agent.store.room import existing, in_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from edge_agent.runtime.interlock import Health
    from edge_agent.store.archive import Archive
    from edge_agent.store.room import Place

__all__ = ["DISK", "DiskWatch"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

DISK = "disk"
"""The condition's name."""
# An image that cannot be stored says so at once by itself; this look is for the end of it, and for a disk that gets
# full slowly (docs/decisions/0067).
_LOOK_EVERY_S = 1.0
_ANSWERS_WITHIN_S = 5.0
_ENDS_AT = 1.5
"""The condition ends with so many times the room at which it began: not with every image that is moved away."""
_SAYS_FOR_S = 600.0
"""So long it is said that images went for lack of room: on a line that runs they go every few seconds, or minutes."""
_PROOF = ".disk-proof"
_PROOF_BYTES = 64 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskWatch:
    """Keeps the condition ``disk``: room where images and rows are written first, and a disk that takes them.

    Each second the archive gives way where its own disk is short, and then the room of every place is looked at. While
    the condition fails it takes a write as well to end it: a disk may refuse for another reason than its room. Whoever
    finds out in between (the engine, by an image that could not be stored) may let the condition fail himself.
    ``note(kind, detail)`` writes an event into the journal or raises JournalError; then it is tried again.
    """

    def __init__(
        self,
        places: Sequence[Place],
        archive: Archive,
        health: Health,
        note: Callable[[str, str], Awaitable[None]],
        *,
        fs: FileSystem | None = None,
    ) -> None:
        self._places = tuple(places)
        self._archive = archive
        self._health = health
        self._note = note
        self._fs = fs or FileSystem()
        # A thread each: an archive that is slow to give way must not hold up the word that the disk is full.
        self._give_way = _Asked("disk-room", archive.make_room)
        self._look = _Asked("disk", self._looked)
        self._is_first = True
        self._noted = ""

    def degraded(self) -> dict[str, str]:
        """The reasons for DEGRADED by name; empty where there is none."""
        gave_way = self._archive.gave_way_mono_s
        if gave_way is None or monotonic_s() - gave_way > _SAYS_FOR_S:
            return {}
        return {
            DISK: "the archive's disk is nearly full: its oldest images go before it has reached its limit "
            "(free space there, or lower store.archive_max_gib)"
        }

    async def run(self) -> None:
        """Look once a second until cancelled."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            self._give_way.close()
            self._look.close()

    async def _turn(self) -> None:
        # Before the first look it fails for not having been looked at, which is no beginning to note.
        was = "" if self._is_first else self._health.reasons.get(DISK, "")
        self._is_first = False
        # Somebody else may have let it fail since the last look: an image that could not be stored
        # (docs/decisions/0067).
        await self._tell(was)
        await self._let_archive_give_way()
        why = await self._why(is_failing=bool(was))
        if why and not was:  # since the archive was asked: it gives way again before the line stands still
            await self._let_archive_give_way()
            why = await self._why(is_failing=False)
        if why:
            self._health.fails(DISK, why)
        else:
            self._health.holds(DISK)
        await self._tell(why)

    async def _let_archive_give_way(self) -> None:
        try:
            await self._give_way.answer()
        except OSError as err:  # whether there is room all the same is looked at next
            log.warning("archive_not_pruned", error=str(err))

    async def _why(self, *, is_failing: bool) -> str:
        found = await self._look.answer(is_failing)
        return f"the disk has not answered for {_ANSWERS_WITHIN_S:.0f} s" if found is None else found

    async def _tell(self, why: str) -> None:
        """Journal and log learn of a beginning and of an end, not of every word in between."""
        if bool(why) == bool(self._noted):
            return
        try:
            await self._note("DISK", f"begins: {why}" if why else "ends: there is room again, and a write was taken")
        except JournalError as err:
            self._health.fails("journal", str(err))
            return
        self._noted = why
        if why:
            log.error("disk_fault", why=why)
        else:
            log.info("disk_has_room_again")

    # --- in the thread "disk" ---------------------------------------------------------------------------

    def _looked(self, is_failing: bool) -> str:  # noqa: FBT001 - handed on by the executor
        """Why a part could not leave its bytes; empty where it can."""
        for place in self._places:
            needed_bytes = int(place.needed_bytes * (_ENDS_AT if is_failing else 1))
            try:
                folder = existing(place.folder)
                free_bytes = self._fs.disk_bytes(folder)[1]
                if free_bytes < needed_bytes:
                    return (
                        f"{in_words(free_bytes)} are free on the disk of the {place.name} ({folder}), "
                        f"{in_words(needed_bytes)} are needed; the archive has given what it can: free space there"
                    )
                if is_failing:
                    self._prove(folder)
            except OSError as err:
                if err.errno in _NO_ROOM:  # by a quota, say, of which the disk's free bytes tell nothing
                    self._let_archive_give_way_to(place.folder)
                return f"the disk of the {place.name} ({place.folder}) takes no file: {err.strerror or err}"
        return ""

    def _let_archive_give_way_to(self, folder: Path) -> None:
        try:
            self._archive.give_way_to(existing(folder))
        except OSError as err:  # the condition stands, and says why
            log.warning("archive_not_pruned", error=str(err))

    def _prove(self, folder: Path) -> None:
        proof = folder / _PROOF
        try:
            self._fs.write(proof, bytes(_PROOF_BYTES))
        finally:
            self._fs.unlink(proof)


class _Asked(Generic[T]):
    """A call in a thread of its own that is waited for, but not for ever."""

    def __init__(self, name: str, call: Callable[..., T]) -> None:
        self._worker = Worker(name)
        self._call = call
        self._pending: asyncio.Future[T] | None = None

    async def answer(self, *args: object) -> T | None:
        """What the call gives or raises; None while this one, or one before it, has not come back."""
        if self._pending is not None:  # what it says now is old
            if not self._pending.done() and not await self._is_done(self._pending):
                return None
            # Fetched, or asyncio would report an error that nobody asks for any more.
            self._pending.exception()
        self._pending = asyncio.get_running_loop().run_in_executor(self._worker, partial(self._call, *args))
        if not await self._is_done(self._pending):
            return None
        done, self._pending = self._pending, None
        return done.result()

    @staticmethod
    async def _is_done(pending: asyncio.Future[T]) -> bool:
        return bool((await asyncio.wait({pending}, timeout=_ANSWERS_WITHIN_S))[0])

    def close(self) -> None:
        """Take no more calls; one that does not come back ends with the process."""
        self._worker.shutdown(wait=False)
