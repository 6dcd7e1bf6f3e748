"""pyftpdlib bent to one purpose: a camera pushes images, and 226 means that the image is proven and durable.

Everything here runs in the FTP thread. pyftpdlib calls the file's ``close`` after the data connection is closed and
before it replies: that is where an upload is judged and its reply decided.
"""

from __future__ import annotations

import hmac
import logging
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import FTPServer

from drivers.base import Reason
from drivers.keyence.codec import shown
from drivers.keyence.names import printable
from drivers.keyence.spool import IMAGE_EXTENSIONS, capture_of, extension_of
from drivers.keyence.upload import FtpRules, Upload
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from pyftpdlib.ioloop import IOLoop


__all__ = ["FtpRules", "Server", "make_server"]

_log = structlog.get_logger()
_library_log = logging.getLogger("pyftpdlib")

_SOCKETS_MAX = 16
_CONNECTIONS_PER_PEER_MAX = 4
_LOGIN_TIMEOUT_S = 30
_PATH_MAX_CHARS = 1024
# Enter, list, make folders, store, append. No r (retrieve), d (delete), f (rename), M, T.
_PERMISSIONS = "elmwa"
_REMOVED = frozenset({"REST", "REIN", "STOU", "MLSD", "MLST", "SIZE", "MDTM", "MFMT"})


class _DataChannel(DTPHandler):  # type: ignore[misc]
    """The data connection. Bytes are stored as they come, whatever TYPE was asked for."""

    stall_timeout_s: ClassVar[float]
    file_obj: Any
    _resp: tuple[Any, ...]

    def __init__(self, sock: socket.socket, cmd_channel: Any) -> None:
        self._last_bytes_mono_s = monotonic_s()
        self._why_cut = ""
        super().__init__(sock, cmd_channel)

    @property
    def why_cut(self) -> str:
        """Why the transfer is not complete, '' if the peer ended it as FTP ends a file: by closing."""
        if self._why_cut:
            return self._why_cut
        return "" if self.transfer_finished else "the transfer was aborted"

    def replace_reply(self, reply: str) -> None:
        """Answer this, where an answer was going to be sent at all."""
        if self._resp:
            self._resp = (reply, self._resp[1])

    def enable_receiving(self, type: str, cmd: str) -> None:  # noqa: A002 - pyftpdlib's name
        """Receive into the Upload that STOR opened."""
        self._last_bytes_mono_s = monotonic_s()
        if not self.connected:  # dead on arrival: pyftpdlib would wait for it for ever
            upload, self.file_obj = self.file_obj, None
            self.cmd_channel.data_channel = None
            upload.close()
            self.cmd_channel.respond("426 The data connection broke.")
            return
        if isinstance(self.file_obj, Upload):
            self.file_obj.data_channel = self
        super().enable_receiving(type, cmd)

    def handle_read(self) -> None:
        """Store what came. A reset is no end of file, unlike in pyftpdlib."""
        try:
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
        except OSError as err:
            self._cut(f"could not be stored: {err.strerror}")

    handle_read_event = handle_read

    def handle_close(self) -> None:
        """The peer closed; an error on the socket is no end of file."""
        if not self._closed and self.receive:
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
        self.cmd_channel.close_when_done()

    def _cut(self, why: str) -> None:
        self._why_cut = why
        # The text is only sent where no Upload replaces it.
        self._resp = (f"426 {why}.", _library_log.debug)
        self.close()


class _PassiveListener(FTPHandler.passive_dtp):  # type: ignore[misc]
    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """A connection that was reset before it was accepted is dropped by pyftpdlib without a word."""
        super().handle_accepted(sock, addr)
        if self._closed and self.cmd_channel.data_channel is None:
            self.cmd_channel.lose_listener()

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.abandon_upload()


class _ActiveConnector(FTPHandler.active_dtp):  # type: ignore[misc]
    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.abandon_upload()

    def handle_close(self) -> None:
        super().handle_close()
        self.cmd_channel.abandon_upload()


class _OneUser(DummyAuthorizer):  # type: ignore[misc]
    def validate_authentication(self, username: str, password: str, handler: Any) -> None:  # noqa: ARG002
        known = self.user_table.get(username, {}).get("pwd", "")
        if not hmac.compare_digest(known.encode(), password.encode("utf-8", "replace")) or not known:
            raise AuthenticationFailed("Authentication failed.")


class _VirtualFolders(AbstractedFS):  # type: ignore[misc]
    """Folders that exist because somebody names them: nothing of a peer's path ever reaches the disk."""

    def ftp2fs(self, ftppath: str) -> str:
        return str(self.ftpnorm(ftppath))

    def fs2ftp(self, fspath: str) -> str:
        return fspath

    def validpath(self, path: str) -> bool:
        return len(path) <= _PATH_MAX_CHARS

    def chdir(self, path: str) -> None:
        self.cwd = path

    def mkdir(self, path: str) -> None:
        """Nothing to make: the folder exists from now on as it did before."""

    def isdir(self, path: str) -> bool:  # noqa: ARG002
        return True

    def listdir(self, path: str) -> list[str]:  # noqa: ARG002
        return []

    def lstat(self, path: str) -> os.stat_result:  # noqa: ARG002
        raise FilesystemError("Files cannot be looked at")


class _Control(FTPHandler):  # type: ignore[misc]
    """The control connection: STOR and APPE into Uploads, folders that are names, nothing else."""

    rules: ClassVar[FtpRules]
    data_channel: Any
    _in_dtp_queue: tuple[Upload, str] | None
    _dtp_acceptor: Any
    _dtp_connector: Any
    banner = "ready."
    abstracted_fs = _VirtualFolders
    # A controller may stay logged in over a night without a part; a dead one is found by TCP keep-alive.
    timeout = 0
    proto_cmds: ClassVar[dict[str, Any]] = {
        name: rule
        for name, rule in FTPHandler.proto_cmds.items()
        if name not in _REMOVED and not name.startswith("SITE")
    }

    def on_connect(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                self.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self.call_later(_LOGIN_TIMEOUT_S, self._end_without_login)

    def _end_without_login(self) -> None:
        if not self.authenticated:
            self.respond("421 No login.")
            self.close_when_done()

    def on_login(self, username: str) -> None:
        _log.info("ftp_login", peer=self.remote_ip, user=printable(username, 32))

    def on_login_failed(self, username: str, password: str) -> None:  # noqa: ARG002
        tally = self.rules.failed_logins
        if tally.is_worth_saying():
            _log.warning("ftp_login_failed", peer=self.remote_ip, user=printable(username, 32), times=tally.count)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        # pyftpdlib would read "SITE CHMOD" and "...STOR" variants; what is not in proto_cmds is answered 500.
        if cmd == "SITE":
            self.respond("502 SITE is not done here.")
            return
        super().pre_process_command(line, cmd, arg)

    def ftp_USER(self, line: str) -> None:  # noqa: N802 - pyftpdlib's names
        if self.authenticated:
            self.respond("503 Already logged in.")
        else:
            super().ftp_USER(line)

    def ftp_STOR(self, file: str, mode: str = "w") -> None:  # noqa: N802
        """Open an Upload, or say why not; a refused image surfaces as well."""
        refusal = self._refusal(file, is_append="a" in mode)
        if not refusal:
            try:
                upload = Upload(self.rules, file)
            except OSError as err:
                refusal = f"451 could not be stored: {err.strerror}"
        if refusal:
            self.respond(refusal + ".")
            if extension_of(file) in IMAGE_EXTENSIONS and not self.rules.names.is_beside(file):
                blank = capture_of(file, self.rules.names, monotonic_s())
                capture = self.rules.spool.refuse(None, blank, Reason.IMAGE_BROKEN, f"STOR was refused: {refusal}")
                self.rules.deliver(capture)
        elif self.data_channel is not None:
            self.respond("125 Data connection already open. Transfer starting.")
            self.data_channel.file_obj = upload
            self.data_channel.enable_receiving("i", "STOR")
        else:
            self.respond("150 File status okay. About to open data connection.")
            self._in_dtp_queue = (upload, "STOR")

    def _refusal(self, file: str, *, is_append: bool) -> str:
        if self._in_dtp_queue is not None or (self.data_channel is not None and self.data_channel.file_obj is not None):
            return "450 Another transfer is in progress"
        if self.data_channel is None and self._dtp_acceptor is None and self._dtp_connector is None:
            return "425 Use PORT or PASV first"
        if is_append and extension_of(file) in IMAGE_EXTENSIONS:
            return "550 An image is sent whole, by STOR"
        try:
            free_bytes = self.rules.spool.free_bytes()
        except OSError as err:
            return f"451 The spool cannot be read: {err.strerror}"
        if free_bytes < self.rules.min_free_bytes:
            return f"452 Disk full: {free_bytes} bytes are free"
        return ""

    def ftp_ABOR(self, line: str) -> None:  # noqa: N802
        self.abandon_upload()
        super().ftp_ABOR(line)

    def lose_listener(self) -> None:
        """The data connection was dead on arrival: for the STOR that waits for it, and for one that comes now."""
        self._dtp_acceptor = None
        self.abandon_upload("426 The data connection broke.")

    def abandon_upload(self, reply: str = "") -> None:
        """No data connection came for the STOR that was answered 150."""
        if not self._closed and self._in_dtp_queue is not None:
            upload, _ = self._in_dtp_queue
            self._in_dtp_queue = None
            upload.close()
            if reply:
                self.respond(reply)


class Server(FTPServer):  # type: ignore[misc]
    """Refuses peers that are not on the list before they get a word."""

    max_cons = _SOCKETS_MAX
    max_cons_per_ip = _CONNECTIONS_PER_PEER_MAX

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> Any:
        """Accept, or close without a word."""
        rules: FtpRules = self.handler.rules
        if rules.allowed_peers and not any(_is_in(str(addr[0]), network) for network in rules.allowed_peers):
            sock.close()
            if rules.refused_peers.is_worth_saying():
                _log.warning("ftp_peer_refused", peer=shown(str(addr[0])), times=rules.refused_peers.count)
            return None
        return super().handle_accepted(sock, addr)

    @property
    def is_listening(self) -> bool:
        """False after any error of accept: pyftpdlib closes its listener then."""
        return not self._closed


def _is_in(peer: str, network: IPv4Network | IPv6Network) -> bool:
    return ip_address(peer.removeprefix("::ffff:")) in network


def make_server(listener: socket.socket, rules: FtpRules, ioloop: IOLoop) -> Server:
    """The server on a listening socket. pyftpdlib is configured by class attributes, hence the classes made here."""
    authorizer = _OneUser()
    authorizer.add_user(rules.user, rules.password, str(rules.spool.root), perm=_PERMISSIONS)
    first, last = rules.passive_ports
    attributes = {
        "rules": rules,
        "authorizer": authorizer,
        "auth_failed_timeout": rules.login_failed_wait_s,
        "passive_ports": list(range(first, last + 1)) if first else None,
        "dtp_handler": type(
            "DataChannel",
            (_DataChannel,),
            {"stall_timeout_s": rules.stall_timeout_s, "timeout": rules.stall_timeout_s / 4},
        ),
        "passive_dtp": type("PassiveListener", (_PassiveListener,), {"timeout": rules.stall_timeout_s}),
        "active_dtp": type("ActiveConnector", (_ActiveConnector,), {"timeout": rules.stall_timeout_s}),
    }
    return Server(listener, type("Control", (_Control,), attributes), ioloop=ioloop)
