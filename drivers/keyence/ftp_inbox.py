"""The FTP server that the controller pushes its images to, as a CaptureSource."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from pyftpdlib.ioloop import IOLoop

from drivers.keyence.arrivals import Arrivals
from drivers.keyence.ftp_peers import AllowedPeers
from drivers.keyence.ftp_server import FtpRules, make_server
from drivers.keyence.library_log import adopt_library_log
from drivers.keyence.names import NameRule
from drivers.keyence.spool import Spool
from drivers.timing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from drivers.base import Capture, ProveImage

__all__ = ["FtpInbox"]

_log = structlog.get_logger()

# So long the FTP thread may sleep before it looks whether it is to stop.
_TURN_S = 0.05
_STOP_TIMEOUT_S = 10.0
# As many as sockets are allowed in all.
_BACKLOG = 16
# As many as store/room.py of the agent asks the disk for before the line may be READY (docs/decisions/0067).
_MIN_FREE_IMAGES = 2


class FtpInbox:
    """Receives over FTP; answers 226 only when the image is proven complete and durable in ``spool/ready``.

    ``tells_while_storing``: an image comes as soon as it is proven, and its capture's ``storing`` is done when it is
    durable, for who has something to do meanwhile. 226 comes then, as ever.

    ``replies_when_proven`` off: 226 comes as soon as the bytes are here, for a controller that cannot wait; what the
    proof then finds the controller never hears.

    One user, no anonymous, the given peers only (addresses, networks, or names that are looked up; none given means
    any). Whose images are taken is all that tells one controller's from another's: their names do not.

    pyftpdlib runs in a thread of its own, which hands over with ``call_soon_threadsafe``. Idle and closed: nothing
    listens. ``port`` is the bound port once ``is_bound``; 0 asks for any. ``passive_ports`` (0, 0) means any.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str,
        allowed_peers: Sequence[str],
        passive_ports: tuple[int, int],
        spool: Path,
        max_bytes: int,
        prove: ProveImage,
        names: NameRule | None = None,
        replies_when_proven: bool = True,
        tells_while_storing: bool = False,
        stall_timeout_s: float = 5.0,
        idle_timeout_s: float = 3600.0,
        min_free_bytes: int | None = None,
        login_failed_wait_s: float = 2.0,
    ) -> None:
        if not password or not user or user == "anonymous":
            raise ValueError("the FTP inbox needs a user (not anonymous) and a password")
        self.port = port
        self._host = host
        self._spool = Spool(spool, prove, max_bytes)
        self._arrivals = Arrivals()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_bound = False
        self._rules = FtpRules(
            user=user,
            password=password,
            allowed_peers=AllowedPeers(allowed_peers),
            passive_ports=passive_ports,
            spool=self._spool,
            deliver=self._deliver,
            announce=self._announce if tells_while_storing else None,
            names=names or NameRule.of(),
            replies_when_proven=replies_when_proven,
            stall_timeout_s=stall_timeout_s,
            idle_timeout_s=idle_timeout_s,
            min_free_bytes=_MIN_FREE_IMAGES * max_bytes if min_free_bytes is None else min_free_bytes,
            login_failed_wait_s=login_failed_wait_s,
        )

    @property
    def is_bound(self) -> bool:
        """The listening socket is there."""
        return self._is_bound

    async def next(self) -> Capture:
        """The next image, in order of arrival. Waits for one."""
        return await self._arrivals.take()

    async def run(self) -> None:
        """Listen until cancelled.

        A port in use, a spool that cannot be written and a peer whose name nobody knows are said once and retried.
        """
        self._loop = asyncio.get_running_loop()
        # Not in the FTP thread: asking for a name may take seconds, and no image would be received meanwhile.
        following = asyncio.create_task(self._rules.allowed_peers.follow())
        try:
            await self._listen_on()
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _listen_on(self) -> None:
        backoff = Backoff()
        complaint = ""
        while True:
            try:
                self._spool.prepare()
                await self._rules.allowed_peers.look_up()
                listener = self._bind()
            except OSError as err:
                if complaint != (complaint := str(err)):
                    _log.warning("ftp_inbox_not_bound", host=self._host, port=self.port, why=complaint)
                await backoff.sleep()
                continue
            backoff.reset()
            complaint = ""
            await self._serve(listener)
            await backoff.sleep()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self.port), family=family, backlog=_BACKLOG)
        self.port = listener.getsockname()[1]
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        """Run the FTP thread until it ends by itself (a bug, or its listener broke) or we are cancelled."""
        loop = asyncio.get_running_loop()
        stop, ended = threading.Event(), asyncio.Event()

        def body() -> None:
            try:
                self._turn(listener, stop)
            except Exception:  # noqa: BLE001 - a thread's last words; run() starts another
                _log.exception("ftp_thread_failed")
            finally:
                listener.close()
                with suppress(RuntimeError):  # the loop was closed under us: nobody waits
                    loop.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=body, name="ftp-inbox", daemon=True)
        thread.start()
        self._is_bound = True
        _log.info("ftp_inbox_bound", host=self._host, port=self.port)
        try:
            await ended.wait()
            _log.error("ftp_inbox_lost", host=self._host, port=self.port)
        finally:
            self._is_bound = False
            stop.set()
            try:
                await ended.wait()
            finally:
                thread.join(_STOP_TIMEOUT_S)

    def _turn(self, listener: socket.socket, stop: threading.Event) -> None:
        # In the thread and before the server: pyftpdlib sets up logging to stderr when it finds none.
        adopt_library_log("pyftpdlib")
        with IOLoop() as ioloop:
            server = make_server(listener, self._rules, ioloop)
            while server.is_listening and not stop.is_set():
                ioloop.loop(timeout=_TURN_S, blocking=False)

    def _deliver(self, capture: Capture) -> None:
        assert self._loop is not None  # noqa: S101 - the FTP thread is started by run()
        with suppress(RuntimeError):  # the loop was closed under us: the image stays in the spool
            self._loop.call_soon_threadsafe(self._arrivals.put, capture)

    def _announce(self, capture: Capture) -> Callable[[Capture], None]:
        assert self._loop is not None  # noqa: S101 - the same
        loop = self._loop
        storing: asyncio.Future[Capture] = loop.create_future()
        self._deliver(replace(capture, storing=storing))

        def stored(found: Capture) -> None:
            with suppress(RuntimeError):  # the same
                loop.call_soon_threadsafe(storing.set_result, found)

        return stored
