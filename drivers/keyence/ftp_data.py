"""The data connections of the FTP server: listening, connecting, receiving.

pyftpdlib knows a connection by its descriptor's number. A number is given out again as soon as it is free, so a handler
that lives on after its socket was closed would take the next connection of that number out of the loop: that one goes
deaf. ``OwnDescriptor`` takes out of the loop only what is its own.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from pyftpdlib.handlers import DTPHandler, FTPHandler

from drivers.base import Reason
from drivers.keyence.upload import TooLarge, Upload
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from pyftpdlib.ioloop import IOLoop

__all__ = ["ActiveConnector", "DataChannel", "OwnDescriptor", "PassiveListener"]

_library_log = logging.getLogger("pyftpdlib")


class OwnDescriptor:
    """For every handler of pyftpdlib: it leaves the loop, and nobody else does in its name."""

    ioloop: IOLoop
    _fileno: int | None

    def del_channel(self, map: object = None) -> None:  # noqa: A002, ARG002 - pyftpdlib's name
        """Leave the loop, unless another handler has our descriptor's number by now."""
        if self._fileno is not None and self.ioloop.socket_map.get(self._fileno) is self:
            self.ioloop.unregister(self._fileno)


class DataChannel(OwnDescriptor, DTPHandler):  # type: ignore[misc]
    """The data connection. Bytes are stored as they come, whatever TYPE was asked for."""

    stall_timeout_s: ClassVar[float]
    # Few reads for an image of megabytes: each costs a turn of the FTP thread.
    ac_in_buffer_size: ClassVar[int] = 256 * 1024
    file_obj: Any
    _resp: tuple[Any, ...]

    def __init__(self, sock: socket.socket, cmd_channel: Any) -> None:
        self._last_bytes_mono_s = monotonic_s()
        self._why_cut, self._cut_by = "", Reason.IMAGE_BROKEN
        super().__init__(sock, cmd_channel)

    @property
    def why_cut(self) -> str:
        """Why the transfer is not complete, '' if the peer ended it as FTP ends a file: by closing."""
        if self._why_cut:
            return self._why_cut
        return "" if self.transfer_finished else "the transfer was aborted"

    @property
    def cut_by(self) -> Reason:
        """Whose fault the cut is: DISK for our own disk, IMAGE_BROKEN for everything else."""
        return self._cut_by

    def replace_reply(self, reply: str) -> None:
        """Answer this, where an answer was going to be sent at all."""
        if self._resp:
            self._resp = (reply, self._resp[1])

    def enable_receiving(self, type: str, cmd: str) -> None:  # noqa: A002 - pyftpdlib's name
        """Receive into the Upload that STOR opened."""
        self._last_bytes_mono_s = monotonic_s()
        if isinstance(self.file_obj, Upload):
            self.file_obj.data_channel = self
        super().enable_receiving(type, cmd)

    def handle_read(self) -> None:
        """Store what came. A reset is no end of file, unlike in pyftpdlib."""
        try:
            # pyftpdlib's own reading takes a reset for the end of the file, and an upload that was cut for a whole one
            # (docs/decisions/0006).
            chunk = self.socket.recv(self.ac_in_buffer_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as err:
            self._cut(f"the data connection broke ({err.strerror})")
            return
        if not chunk:
            self.handle_close()
            return
        self._last_bytes_mono_s = monotonic_s()
        self.tot_bytes_received += len(chunk)
        try:
            self.file_obj.write(chunk)
        except TooLarge as err:
            self._cut(f"could not be stored: {err.strerror}")
        except OSError as err:
            self._cut(f"could not be stored: {err.strerror}", Reason.DISK)

    handle_read_event = handle_read

    def handle_close(self) -> None:
        """The peer closed; an error on the socket is no end of file."""
        if not self._closed and self.receive:
            # A broken connection may be told as a close; the error is still there to be asked for.
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._cut(f"the data connection broke ({os.strerror(code)})")
                return
        super().handle_close()

    def handle_timeout(self) -> None:
        """Asked a few times per stall time-out: end a transfer on which nothing came for that long."""
        if monotonic_s() - self._last_bytes_mono_s < self.stall_timeout_s:
            return
        self._cut(f"nothing came for {self.stall_timeout_s:g} s")
        self.cmd_channel.end("")

    def _cut(self, why: str, by: Reason = Reason.IMAGE_BROKEN) -> None:
        self._why_cut, self._cut_by = why, by
        # The text is only sent where no Upload replaces it.
        self._resp = (f"426 {why}.", _library_log.debug)
        self.close()


class PassiveListener(OwnDescriptor, FTPHandler.passive_dtp):  # type: ignore[misc]
    """Waits for the peer to connect, after PASV."""

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """A connection that was reset before it was accepted is dropped by pyftpdlib without a word."""
        super().handle_accepted(sock, addr)
        # Without a word the controller would wait for an answer to its STOR until its own time-out.
        if self._closed and self.cmd_channel.data_channel is None:
            self.cmd_channel.lose_data_connection()

    def handle_timeout(self) -> None:
        """The peer did not come in time."""
        super().handle_timeout()
        self.cmd_channel.abandon_transfer()


class ActiveConnector(OwnDescriptor, FTPHandler.active_dtp):  # type: ignore[misc]
    """In FTP's active mode: connects to the port that the peer named with PORT."""

    def handle_timeout(self) -> None:
        """The peer did not answer in time: the transfer that waited for it is given up."""
        super().handle_timeout()
        self.cmd_channel.abandon_transfer()

    def handle_close(self) -> None:
        """The peer refused the connection: the transfer that waited for it is given up."""
        super().handle_close()
        self.cmd_channel.abandon_transfer()
