"""A folder that something else fills with the controller's images, as a CaptureSource.

Events of the operating system are hints that a look is worth while: they overflow and die without a word. Looking is
the truth. A file is taken by moving it into the spool *before* it surfaces, so that a restart finds it in the watched
folder (not judged yet) or in the spool (never judged again), never in both.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from drivers.base import Reason
from drivers.keyence.arrivals import Arrivals
from drivers.keyence.folder_hints import FolderHints
from drivers.keyence.names import NameRule, printable
from drivers.keyence.spool import IMAGE_EXTENSIONS, Spool, capture_of, extension_of, sync_file, sync_folder
from drivers.timing import Backoff, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from drivers.base import Capture, ProveImage

__all__ = ["WatchedFolder"]

_log = structlog.get_logger()

# A file that never gets whole has to surface as well: there was a part (docs/decisions/0006).
_BROKEN_AFTER_SETTLES = 5
_BATCH_S = 0.02
"""So long are images gathered that are made durable together."""
_CROWD = 500
"""No line has so many parts between two looks: files that come in such numbers are of a time when nobody looked.

See docs/decisions/0033.
"""
_WAITING = 256
"""So many captures wait to be taken: a backlog is handed over in few steps, each of which costs a change of threads."""
_PAUSE_MAX_S = 1.0
"""A look that comes so much later than it should: this process, or the whole PC, stood still."""
_ZEROS = 512
"""So many zeros at the end of a BMP may be what its writer has still to write: it set the size first."""
# So many images speak for how much black this line's images end in (docs/decisions/0048, point 5).
_RECENT = 8
_UNWATCHED = "it lay in the folder before the agent watched it"


@dataclass(frozen=True, slots=True)
class _State:
    """What tells one writing of a file from another."""

    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(slots=True)
class _Look:
    """A file on its way to being complete."""

    state: _State
    first_seen_mono_s: float
    same_since_mono_s: float
    stale: str
    is_closed: bool = False
    proved_at_mono_s: float = 0.0


class WatchedFolder:
    """Takes image files out of ``path``, sub-folders included, into the spool; other files are left alone.

    So are images beside the judged one. Complete is a file whose size and mtime did not change for ``settle_s`` (or
    that its writer closed) and whose bytes pass the proof. One that fails it for five times ``settle_s`` surfaces as
    broken. A BMP that ends in zeros, more than the last images did, is waited for as long, unless its writer closed it:
    its size may have been set before it was written. Files that lay there before the folder was watched, that came
    while the agent stood still, or that come in a crowd surface as STALE, unproven: nothing tells whose part they
    show. ``received_mono_s`` is when a file was first seen. While nobody takes captures the files wait in the folder.
    """

    def __init__(
        self,
        *,
        path: Path,
        spool: Path,
        rescan_s: float,
        settle_s: float,
        max_bytes: int,
        prove: ProveImage,
        names: NameRule | None = None,
    ) -> None:
        self._path = path
        self._spool = Spool(spool, prove, max_bytes)
        self._rescan_s = rescan_s
        self._settle_s = settle_s
        self._names = names or NameRule.of()
        self._arrivals = Arrivals(_WAITING)
        self._hints = FolderHints(path)
        self._looks: dict[str, _Look] = {}
        self._stuck: dict[str, _State] = {}
        self._identity: tuple[int, int] | None = None
        self._spool_identity: tuple[int, int] | None = None
        self._is_bound = False
        self._is_stopping = False
        self._was_hinted = False
        self._order: deque[str] = deque()
        self._looked_mono_s = 0.0
        self._due_mono_s: float | None = None
        self._complaint = ""
        self._zeros: deque[int] = deque(maxlen=_RECENT)

    @property
    def is_bound(self) -> bool:
        """The folder is there and was looked through."""
        return self._is_bound

    async def next(self) -> Capture:
        """The next image, in order of arrival. Waits for one."""
        return await self._arrivals.take()

    async def run(self) -> None:
        """Watch until cancelled. A missing folder is said once and retried."""
        backoff = Backoff()
        self._is_stopping = False
        try:
            while True:
                try:
                    # In every round: a disk that could not be written at the start may be there by now. Once it worked
                    # it does nothing.
                    self._spool.prepare()
                    self._spool_identity = _identity_of(self._spool.root)
                    await self._turn()
                except OSError as err:
                    self._unbind(err)
                    await backoff.sleep()
                else:
                    backoff.reset()
                    pause_s = self._pause_s()
                    self._due_mono_s = monotonic_s() + pause_s
                    self._was_hinted = await self._hints.wait(pause_s)
        finally:
            self._is_bound = False
            await asyncio.to_thread(self._hints.stop)

    async def _turn(self) -> None:
        """One look through the folder."""
        # By device and inode and not by name: a folder that was deleted and made anew, or a share that was mounted over
        # it, is another one, and what lies in it came while nobody watched.
        identity = _identity_of(self._path)
        is_new = identity != self._identity
        stale = self._why_stale(is_new=is_new)
        # Hints before the look: a file that comes between the two is seen by one of them.
        if is_new or (not self._hints.is_alive and not self._is_crowded):
            await asyncio.to_thread(self._hints.restart, asyncio.get_running_loop())
        elif stale:
            await asyncio.to_thread(self._hints.pause)
        await self._in_worker(self._look_through, self._hints.take(), self._arrivals.room, stale)
        self._identity = identity
        if self._is_crowded:
            await asyncio.to_thread(self._hints.pause)
        if not self._is_bound:
            self._is_bound = True
            self._complaint = ""
            _log.info("folder_bound", folder=str(self._path))
        # A backlog is worked off as captures are taken, without looking at all of it again for every few.
        rescan_at_mono_s = self._looked_mono_s + self._rescan_s
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, rescan_at_mono_s - monotonic_s())):
                while self._order:
                    await self._arrivals.wait_roomy()
                    await self._in_worker(self._take_some, self._arrivals.room)

    @property
    def _is_crowded(self) -> bool:
        """Hints are only work: of files that are known, and of each that is taken away."""
        return len(self._looks) > _CROWD

    def _why_stale(self, *, is_new: bool) -> str:
        """Why nothing tells when files came that this look sees first; empty where something does."""
        late_s = 0.0 if self._due_mono_s is None else monotonic_s() - self._due_mono_s
        self._due_mono_s = None
        if is_new:
            return _UNWATCHED
        return f"it came while the agent stood still for {late_s:.1f} s" if late_s > _PAUSE_MAX_S else ""

    async def _in_worker(self, what: Callable[..., None], *args: object) -> None:
        """Do it in a thread; when cancelled, wait until it has let go of the file in its hands."""
        loop = asyncio.get_running_loop()

        def deliver(captures: list[Capture]) -> None:
            loop.call_soon_threadsafe(self._put, captures)

        # A thread, because a share that does not answer would hold the loop and with it the output's refresh.
        work = loop.run_in_executor(None, partial(what, *args, deliver))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._is_stopping = True
            # Half a move must not be left behind: the file would be in neither of the two folders for who looks next.
            await asyncio.wait([work])
            self._is_stopping = False
            raise

    def _put(self, captures: list[Capture]) -> None:
        for capture in captures:
            self._arrivals.put(capture)

    def _unbind(self, err: OSError) -> None:
        self._is_bound = False
        self._identity = None
        if self._complaint != (complaint := str(err)):
            self._complaint = complaint
            _log.warning("folder_not_bound", folder=str(self._path), why=complaint)

    def _pause_s(self) -> float:
        if self._order and self._arrivals.is_roomy:
            return 0.0
        # After a hint look once more soon: what was put into a new sub-folder at once gives no hint of its own.
        if self._looks or self._was_hinted:
            return min(self._rescan_s, self._settle_s / 2)
        return self._rescan_s

    # in a worker thread from here on, one look at a time

    def _look_through(
        self,
        closed: frozenset[str],
        room: int,
        stale: str,
        deliver: Callable[[list[Capture]], object],
    ) -> None:
        """Look at every image file; take those that are complete, oldest first, at most ``room``."""
        now = monotonic_s()
        seen: dict[str, _State] = dict(self._files(str(self._path)))
        self._forget(seen)
        crowd = sum(path not in self._looks and path not in self._stuck for path in seen)
        if not stale and crowd > _CROWD:
            stale = f"one of {crowd} files that came at once"
        for path, state in seen.items():
            # It was rejected once with its reason. A file that changed since then is another one and is tried again.
            if self._stuck.get(path) == state:
                continue
            look = self._looks.get(path)
            if look is None:
                self._looks[path] = _Look(state, now, now, stale, path in closed)
            elif look.state != state:
                look.state, look.same_since_mono_s, look.is_closed = state, now, path in closed
                look.proved_at_mono_s = 0.0
            elif path in closed:
                look.is_closed = True
        self._looked_mono_s = now
        # The path decides between files of one moment, so that the order does not hang on how the folder lists them.
        self._order = deque(sorted(self._looks, key=lambda path: (self._looks[path].state.mtime_ns, path)))
        self._take_some(room, deliver)

    def _take_some(self, room: int, deliver: Callable[[list[Capture]], object]) -> None:
        """Take those that were complete when they were looked at, oldest first, at most ``room``."""
        batch: list[Capture] = []
        begun_mono_s = monotonic_s()
        while self._order and room and not self._is_stopping:
            path = self._order.popleft()
            if (capture := self._try(path, self._looks[path], self._looked_mono_s)) is None:
                continue
            del self._looks[path]
            batch.append(capture)
            room -= 1
            if monotonic_s() - begun_mono_s > _BATCH_S:
                self._surface(batch, deliver)
                begun_mono_s = monotonic_s()
        self._surface(batch, deliver)

    def _surface(self, batch: list[Capture], deliver: Callable[[list[Capture]], object]) -> None:
        if batch:
            deliver(self._spool.secure(batch))
            batch.clear()

    def _forget(self, seen: dict[str, _State]) -> None:
        """Files that went away before they were taken: renamed, or deleted by somebody else."""
        for path in [path for path in self._looks if path not in seen]:
            del self._looks[path]
            _log.warning("image_vanished", image=printable(os.path.relpath(path, self._path)))
        for path in [path for path, state in self._stuck.items() if seen.get(path) != state]:
            del self._stuck[path]

    def _files(self, folder: str) -> Iterator[tuple[str, _State]]:
        """Regular image files below ``folder``; links are not followed, the spool is passed over."""
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # gone between listing and looking
                    if entry.is_dir(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        if (stat.st_dev, stat.st_ino) != self._spool_identity:
                            yield from self._files(entry.path)
                    elif extension_of(entry.name) in IMAGE_EXTENSIONS and entry.is_file(follow_symlinks=False):
                        if self._names.is_beside(entry.name):
                            continue
                        stat = entry.stat(follow_symlinks=False)
                        yield entry.path, _State(stat.st_size, stat.st_mtime_ns, stat.st_ino)

    def _try(self, path: str, look: _Look, now: float) -> Capture | None:
        """Take the file if it is complete, or broken for too long; None: look again later."""
        same_s = now - look.same_since_mono_s
        # Before it is complete: waiting would only make it larger.
        if look.state.size_bytes > self._spool.max_bytes:
            return self._take(path, look, b"")
        if not look.is_closed and same_s < self._settle_s:
            return None
        if look.stale:
            return self._take(path, look, b"")
        is_last = same_s >= _BROKEN_AFTER_SETTLES * self._settle_s
        # A proof decodes the whole image: once in this time is enough.
        if not is_last and now - look.proved_at_mono_s < self._settle_s:
            return None
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - a Path would be made for every look
                data = file.read()
        except FileNotFoundError:
            return None
        look.proved_at_mono_s = now
        refused = self._spool.check(data)
        if not is_last and (refused is not None or self._may_be_unwritten(data, look)):
            return None
        if refused is None and (look.is_closed or not self._hints.is_watching):
            self._zeros.append(_zeros_at_end(data))
        return self._take(path, look, data if refused is None else b"")

    def _may_be_unwritten(self, data: bytes, look: _Look) -> bool:
        """A BMP has no end mark: where its size was set first, what is not written yet is zeros, as black is.

        A copy from Windows to a share sets the size first. What the last images ended in is black.
        """
        return data[:2] == b"BM" and not look.is_closed and _zeros_at_end(data) > max(_ZEROS, *self._zeros, 0)

    def _take(self, path: str, look: _Look, proven: bytes) -> Capture | None:
        """Move the file into the spool, prove what was moved if it is not ``proven``, and only then let it surface."""
        virtual_path = path.removeprefix(str(self._path)).lstrip(os.sep).replace(os.sep, "/")
        blank = capture_of(virtual_path, self._names, look.first_seen_mono_s)
        # A name of our own: nothing that a peer writes ever becomes a path.
        target = self._spool.new_ready(blank.name)
        try:
            self._move(path, target)
        except FileNotFoundError:
            return None
        except OSError as err:
            self._stuck[path] = look.state
            why = f"could not be taken out of the watched folder: {err}"
            return self._spool.refuse(None, blank, Reason.DISK, why)
        if look.stale and look.state.size_bytes <= self._spool.max_bytes:
            return self._spool.put_by(target, blank, Reason.STALE, look.stale)
        return self._spool.place(target, blank, proven)

    def _move(self, path: str, target: Path) -> None:
        try:
            os.replace(path, target)  # noqa: PTH105
        except OSError as err:
            # Only "another file system" has another way; everything else is an error of this file.
            if err.errno != errno.EXDEV:
                raise
        else:
            return
        # Another file system: the copy is durable before the original goes; until then only the original counts.
        copy = self._spool.new_incoming()
        try:
            shutil.copyfile(path, copy, follow_symlinks=False)
            sync_file(copy)
            copy.replace(target)
            sync_folder(target.parent)
            os.unlink(path)  # noqa: PTH108
        except OSError:
            copy.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            raise


def _zeros_at_end(data: bytes) -> int:
    return len(data) - len(data.rstrip(b"\0"))


def _identity_of(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino
