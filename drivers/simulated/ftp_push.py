"""How the controller hands image files out: as an FTP client that creates its folders, or into a folder."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "FolderDrop",
    "FtpPusher",
    "FtpTarget",
    "ImageFile",
    "ImageOutlet",
    "ImageSink",
    "NotDelivered",
    "make_outlet",
]

_TIMEOUT_S = 5.0
_TRIES = 3
_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class FtpTarget:
    """The FTP server that the controller is set to. Active transfers unless ``passive``.

    ``bytes_per_s`` is what the cable carries; None sends as fast as this machine takes it.
    """

    host: str
    port: int
    user: str
    password: str
    passive: bool = False
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file on its way out. ``cut_after`` bytes the connection breaks, None for never."""

    folders: tuple[str, ...]
    name: str
    data: bytes
    cut_after: int | None = None


class NotDelivered(Exception):
    """The file is lost; the controller does not send it again."""


class ImageSink(Protocol):
    """Takes files, in a thread of its own; ``abort`` may be called from another one and ends what is under way."""

    def push(self, file: ImageFile) -> None:
        """Hand the file over. Raises NotDelivered."""
        ...

    def abort(self) -> None:
        """Break the connection, as a loss of power does. The next push connects anew."""
        ...


class FolderDrop:
    """Writes under the final name, growing in place as the controller's files do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def push(self, file: ImageFile) -> None:
        """Write the file. Raises NotDelivered."""
        try:
            place = self._folder.joinpath(*file.folders)
            place.mkdir(parents=True, exist_ok=True)
            with (place / file.name).open("wb") as out:
                data = file.data[: file.cut_after]
                for at in range(0, len(data), _CHUNK_BYTES):
                    out.write(data[at : at + _CHUNK_BYTES])
        except OSError as err:
            raise NotDelivered(f"{file.name} could not be written below {self._folder}: {err}") from err

    def abort(self) -> None:
        """Do nothing: between two images nothing is kept open."""


class _Client(ftplib.FTP):
    """ftplib, but for an active transfer's listener: closed when PORT fails, and known to who wants to break it."""

    listener: socket.socket | None = None

    def makeport(self) -> socket.socket:
        control = self.sock
        if control is None:
            raise OSError("not connected")
        listener = socket.create_server((control.getsockname()[0], 0), backlog=1)
        self.listener = listener
        try:
            self.sendport(*listener.getsockname()[:2])
        except BaseException:
            listener.close()
            raise
        listener.settimeout(self.timeout)
        return listener


class FtpPusher:
    """One control connection for many files. Connects up to three times, waits 5 s for anything, then gives up.

    A file that the server refuses (4xx, 5xx) is lost, not sent again.
    """

    def __init__(self, target: FtpTarget, *, timeout_s: float = _TIMEOUT_S, retry_wait_s: float = 0.5) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._retry_wait_s = retry_wait_s
        self._ftp: _Client | None = None
        self._data: socket.socket | None = None
        self._folders: tuple[str, ...] | None = None
        self._aborted = threading.Event()
        self.last_byte_mono_s = 0.0
        """When the last file's last byte had been handed to the network: what a benchmark counts from."""

    def push(self, file: ImageFile) -> None:
        """Send the file. Raises NotDelivered."""
        self._aborted.clear()
        problem: Exception | None = None
        for attempt in range(_TRIES):
            if attempt and self._aborted.wait(self._retry_wait_s):
                break
            try:
                self._store(self._connected(), file)
            except ftplib.Error as err:
                if isinstance(err, ftplib.error_temp) and str(err).startswith("421"):
                    problem = err
                    self._disconnect()
                    continue
                raise NotDelivered(f"{file.name} was refused: {err}") from err
            except (OSError, EOFError) as err:
                problem = err
                self._disconnect()
                if self._aborted.is_set():
                    break
            else:
                return
        where = f"{self._target.host}:{self._target.port}"
        raise NotDelivered(f"{file.name} did not reach the FTP server at {where}: {problem!r}")

    def abort(self) -> None:
        """Break the connections from outside."""
        self._aborted.set()
        ftp = self._ftp
        for sock in (self._data, *(() if ftp is None else (ftp.listener, ftp.sock))):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session, if there is one, and leave no connection open."""
        self._disconnect()

    def _connected(self) -> _Client:
        if self._ftp is None:
            ftp = _Client(timeout=self._timeout_s)
            self._ftp = ftp
            ftp.connect(self._target.host, self._target.port)
            ftp.login(self._target.user, self._target.password)
            ftp.set_pasv(self._target.passive)
            ftp.voidcmd("TYPE I")
            self._folders = None
        return self._ftp

    def _store(self, ftp: ftplib.FTP, file: ImageFile) -> None:
        if self._folders != file.folders:
            self._folders = None
            ftp.cwd("/")
            for folder in file.folders:
                with contextlib.suppress(ftplib.error_perm):  # it exists already
                    ftp.mkd(folder)
                ftp.cwd(folder)
            self._folders = file.folders
        self._data, _ = ftp.ntransfercmd(f"STOR {file.name}")
        try:
            data, begun_s = memoryview(file.data)[: file.cut_after], monotonic_s()
            for at in range(0, len(data), _CHUNK_BYTES):
                if self._target.bytes_per_s is not None:
                    time.sleep(max(0.0, begun_s + at / self._target.bytes_per_s - monotonic_s()))
                self._data.sendall(data[at : at + _CHUNK_BYTES])
            self.last_byte_mono_s = monotonic_s()
        finally:
            self._data.close()
            self._data = None
        if file.cut_after is not None:
            # Only the data connection breaks at first: a server whose control connection ends at once may not even
            # look at what had come, and then there would be no stump to find.
            with contextlib.suppress(ftplib.Error, OSError, EOFError):
                ftp.voidresp()
            self._disconnect()
            raise NotDelivered(f"{file.name} was cut after {file.cut_after} bytes")
        ftp.voidresp()

    def _disconnect(self) -> None:
        if self._ftp is not None:
            self._ftp.close()
        self._ftp, self._folders = None, None


class ImageOutlet:
    """A bounded queue before a sink: what does not fit is lost, and nothing lost is sent again."""

    def __init__(self, sink: ImageSink, *, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"the queue holds at least one image (got {depth})")
        self._sink = sink
        self._depth = depth
        self._waiting: deque[ImageFile] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self.sent: list[str] = []
        self.lost: list[str] = []
        self.is_busy = False

    @property
    def is_full(self) -> bool:
        """The next image would be lost."""
        return len(self._waiting) >= self._depth

    @property
    def is_idle(self) -> bool:
        """Nothing waits, nothing is under way."""
        return not self._waiting and not self.is_busy

    def offer(self, file: ImageFile) -> None:
        """Queue the file, or lose it."""
        if self.is_full:
            self.lost.append(f"{file.name}: the queue of {self._depth} is full")
            return
        self._waiting.append(file)
        self._changed.set()

    async def wait_room(self) -> None:
        """Return when one more fits."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def clear(self) -> None:
        """Drop what waits; what is under way goes on."""
        self._waiting.clear()
        self._room.set()

    def abort(self) -> None:
        """Drop what waits and break what is under way."""
        self.clear()
        self._sink.abort()

    async def run(self) -> None:
        """Send until cancelled, from a thread of its own."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="simulated-image-output")
        try:
            while True:
                while not self._waiting:
                    self._changed.clear()
                    await self._changed.wait()
                file = self._waiting.popleft()
                self._room.set()
                self.is_busy = True
                try:
                    await loop.run_in_executor(thread, self._sink.push, file)
                except NotDelivered as err:
                    self.lost.append(str(err))
                else:
                    self.sent.append(file.name)
                finally:
                    self.is_busy = False
        finally:
            self._sink.abort()
            thread.shutdown(wait=True)
            if isinstance(self._sink, FtpPusher):
                self._sink.close()


def make_outlet(ftp: FtpTarget | None, image_to: Literal["ftp"] | Path, depth: int) -> ImageOutlet | None:
    """The way out that a controller is set to: a folder, an FTP server, or none."""
    if image_to != "ftp":
        return ImageOutlet(FolderDrop(image_to), depth=depth)
    return None if ftp is None else ImageOutlet(FtpPusher(ftp), depth=depth)
