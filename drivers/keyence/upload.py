"""What the FTP server is told, and one file that it receives."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from drivers.base import Reason
from drivers.keyence.names import printable
from drivers.keyence.spool import capture_of, is_image
from drivers.keyence.tally import Tally
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Capture
    from drivers.keyence.ftp_peers import AllowedPeers
    from drivers.keyence.names import NameRule
    from drivers.keyence.spool import Spool

__all__ = ["DataChannel", "FtpRules", "TooLarge", "Upload"]

# Enough for every signature that ``is_image`` knows.
_HEAD_BYTES = 16
_DONE = "226 Transfer complete."


class TooLarge(OSError):
    """A file of more bytes than are taken: the peer's fault, not the disk's."""


class DataChannel(Protocol):
    """The data connection that an upload comes over."""

    cmd_channel: Any

    @property
    def why_cut(self) -> str:
        """Why the transfer is not complete, '' if the peer ended it as FTP ends a file: by closing."""
        ...

    @property
    def cut_by(self) -> Reason:
        """Whose fault the cut is: DISK for our own disk, IMAGE_BROKEN for everything else."""
        ...

    def replace_reply(self, reply: str) -> None:
        """Answer this, where an answer was going to be sent at all."""
        ...


@dataclass(frozen=True, slots=True)
class FtpRules:
    """What the server needs to know; shared by all its connections. ``deliver`` is called in the FTP thread.

    ``announce``, where there is one, is told of an image that is proven and not durable yet; what it gives is called
    with the capture once it is, in the place of ``deliver``.
    """

    user: str
    password: str
    allowed_peers: AllowedPeers
    passive_ports: tuple[int, int]
    spool: Spool
    deliver: Callable[[Capture], None]
    names: NameRule
    replies_when_proven: bool
    stall_timeout_s: float
    idle_timeout_s: float
    min_free_bytes: int
    login_failed_wait_s: float
    announce: Callable[[Capture], Callable[[Capture], None]] | None = None
    refused_peers: Tally = field(default_factory=Tally)
    failed_logins: Tally = field(default_factory=Tally)
    displaced: Tally = field(default_factory=Tally)


class Upload:
    """A file being received. Whatever becomes of it, an image comes out as exactly one Capture."""

    def __init__(self, rules: FtpRules, virtual_path: str) -> None:
        self.name = printable(virtual_path)
        self.closed = False
        self.data_channel: DataChannel | None = None
        self._rules = rules
        self._is_beside = rules.names.is_beside(virtual_path)
        self._blank = capture_of(virtual_path, rules.names, monotonic_s())
        self._file = rules.spool.new_incoming()
        # Without a buffer of Python's: a full disk then fails in the write that it belongs to, while the sender still
        # sends, and not in ``close`` (docs/decisions/0006).
        self._fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._head = b""
        self._size_bytes = 0
        self._sha256 = hashlib.sha256()
        """Of what came, taken while the sender sends: it costs the part no time behind the last byte."""

    def write(self, chunk: bytes) -> None:
        """Append. Raises TooLarge, or the disk's own OSError."""
        self._size_bytes += len(chunk)
        if self._size_bytes > self._rules.spool.max_bytes:
            raise TooLarge(errno.EFBIG, f"larger than the {self._rules.spool.max_bytes} bytes that are taken")
        if len(self._head) < _HEAD_BYTES:
            self._head = (self._head + chunk)[:_HEAD_BYTES]
        self._sha256.update(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        """Judge what came and decide the reply. Idempotent; never raises."""
        if self.closed:
            return
        self.closed = True
        channel = self.data_channel
        cut = "no data connection was made" if channel is None else channel.why_cut
        by = Reason.IMAGE_BROKEN if channel is None else channel.cut_by
        try:
            os.close(self._fd)
        except OSError as err:  # some disks say only here that they have no room
            cut, by = f"could not be stored: {err.strerror}", Reason.DISK
        if is_image(self._blank.name, self._head) and not self._is_beside:
            # In the loop's next turn, when pyftpdlib has sent its reply; the proof takes longer than this controller
            # waits.
            if channel is not None and not cut and not self._rules.replies_when_proven:
                channel.cmd_channel.ioloop.call_later(0, self._settle_image, "", by)
                reply = _DONE
            else:
                reply = self._settle_image(cut, by)
        else:
            self._rules.spool.drop(self._file)
            reply = _DONE if not cut else f"426 {printable(cut)}."
        if channel is not None:
            channel.replace_reply(reply)

    def _settle_image(self, cut: str, by: Reason) -> str:
        spool, deliver = self._rules.spool, self._rules.deliver
        if cut:
            detail = f"{cut}, after {self._size_bytes} bytes"
            capture = spool.refuse(self._file, self._blank, by, detail)
            reply = "552" if self._size_bytes > spool.max_bytes else "426"
        else:
            capture = spool.place(self._file, replace(self._blank, sha256=self._sha256.hexdigest()))
            # Told before it is durable: the inspection begins while the disk still works (docs/decisions/0082).
            if capture.broken is None and self._rules.announce is not None:
                deliver = self._rules.announce(capture)
            (capture,) = spool.secure([capture])
            reply = "451"
        deliver(capture)
        return _DONE if capture.broken is None else f"{reply} {capture.broken.value}: {capture.detail}."
