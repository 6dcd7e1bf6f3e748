"""Hints that a folder is worth a look, from the operating system by way of watchdog. They may be lost: no harm."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from drivers.keyence.library_log import adopt_library_log
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

__all__ = ["FolderHints", "network_filesystem"]

_log = structlog.get_logger()

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK_TYPES = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "vboxsf",
    "fuse.sshfs",
    "fuse.rclone",
)
# A bound on memory alone: a name that is not kept costs its file the wait for ``settle_s``.
_CLOSED_MAX = 4096
# Where inotify's limits are reached they are reached for a while; looking goes on meanwhile.
_RETRY_S = 10.0
# A thread that does not end is left behind: it is a daemon, and only hints are lost.
_JOIN_TIMEOUT_S = 5.0
# What the operating system is asked for. Opening, reading and taking files away is what we do ourselves.
_ASKED_FOR: list[type[FileSystemEvent]] = [
    *(FileClosedEvent, FileMovedEvent, FileCreatedEvent),
    *(DirMovedEvent, DirCreatedEvent),
]
_WRITTEN = frozenset({"closed", "moved"})
_WORTH_A_LOOK = _WRITTEN | {"created"}


def network_filesystem(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the network file system that a folder lies on; empty for a disk of this machine, or where unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        path = folder.resolve()
    except OSError:
        return ""
    found, depth = "", -1
    for line in lines:
        # proc_pid_mountinfo(5): id parent device root mount-point options [tags] - type source options
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(" "), behind.split(" ", 1)[0]
        if len(fields) < 5:
            continue
        # The kernel writes blanks and backslashes in a mount point as three octal digits.
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # The deepest mount point is the one that counts; of two at one place the later line lies on top.
        if len(point.parts) >= depth and path.is_relative_to(point):
            found, depth = kind, len(point.parts)
    return found if found.startswith(_NETWORK_TYPES) else ""


class _Handler(FileSystemEventHandler):
    """Hands over and nothing else: an exception in here would end the observer's thread for good."""

    def __init__(self, hints: FolderHints, loop: asyncio.AbstractEventLoop) -> None:
        self._hints = hints
        self._loop = loop

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type in _WORTH_A_LOOK:
            path = event.dest_path if event.event_type == "moved" else event.src_path
            written = path if event.event_type in _WRITTEN and not event.is_directory else ""
            with suppress(RuntimeError):  # the loop was closed under us
                self._loop.call_soon_threadsafe(self._hints.put, written if isinstance(written, str) else "")


class FolderHints:
    """What happened in a folder since it was asked last. Without an observer there is only the passing of time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._observer: BaseObserver | None = None
        self._tried_mono_s = -_RETRY_S
        self._polled = ""
        self._closed: set[str] = set()
        self._arrived = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Every thread of the observer lives, or it is too early to try again."""
        if self._observer is None:
            return monotonic_s() - self._tried_mono_s < _RETRY_S
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    @property
    def is_watching(self) -> bool:
        """It would be heard if a file was closed by its writer."""
        return self._observer is not None

    def restart(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch anew. Without success the folder is only looked through from time to time. Blocks."""
        # watchdog calls its own stopping an error, and warns when two of its threads add the same sub-folder.
        adopt_library_log("watchdog", logging.DEBUG)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        self.stop()
        self._tried_mono_s = monotonic_s()
        if kind := network_filesystem(self._path):
            # What another machine writes raises no event here: an observer would only look as if it worked.
            if self._polled != kind:
                _log.warning("folder_polled", folder=str(self._path), filesystem=kind, hint="keep rescan_ms short")
            self._polled = kind
            return
        self._polled = ""
        observer = Observer()
        try:
            observer.schedule(_Handler(self, loop), str(self._path), recursive=True, event_filter=_ASKED_FOR)
            observer.start()
        except OSError as err:
            _log.warning("folder_hints_unavailable", folder=str(self._path), why=str(err), hint="inotify limits?")
            _end(observer)
        else:
            self._observer = observer

    def stop(self) -> None:
        """End the observer's threads. Blocks. Idempotent."""
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)

    def pause(self) -> None:
        """Stop, until somebody asks for a restart. Blocks."""
        self.stop()
        self._tried_mono_s = -math.inf

    def put(self, closed: str) -> None:
        """Called on the event loop: something happened; ``closed`` names a file that was written to its end."""
        if closed and len(self._closed) < _CLOSED_MAX:
            self._closed.add(closed)
        self._arrived.set()

    def take(self) -> frozenset[str]:
        """The files written to their end since the last call."""
        closed = frozenset(self._closed)
        self._closed.clear()
        self._arrived.clear()
        return closed

    async def wait(self, seconds: float) -> bool:
        """Wait for a hint, at most ``seconds``; whether one came."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True


def _end(observer: BaseObserver) -> None:
    observer.stop()
    with suppress(RuntimeError):  # it was never started
        observer.join(_JOIN_TIMEOUT_S)
