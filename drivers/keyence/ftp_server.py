"""pyftpdlib bent to one purpose: a camera pushes images, and 226 means that the image is proven and durable.

Everything here runs in the FTP thread. pyftpdlib calls the file's ``close`` after the data connection is closed and
before it replies: that is where an upload is judged and its reply decided.
"""

from __future__ import annotations

import hmac
import socket
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from drivers.base import Reason
from drivers.keyence.codec import shown
from drivers.keyence.ftp_data import ActiveConnector, DataChannel, OwnDescriptor, PassiveListener
from drivers.keyence.names import printable
from drivers.keyence.spool import IMAGE_EXTENSIONS, capture_of, extension_of
from drivers.keyence.upload import FtpRules, Upload
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    import os

    from pyftpdlib.ioloop import IOLoop


__all__ = ["FtpRules", "Server", "make_server"]

_log = structlog.get_logger()

# Data connections included. A new one takes the place of the one that was silent longest (docs/decisions/0048).
_SOCKETS_MAX = 16
# PROTOCOL.md, "Image output over FTP": a controller uses one, and leaves dead ones behind when its cable is pulled.
_CONNECTIONS_PER_PEER_MAX = 4
# Who takes a place without a login gives it back soon.
_LOGIN_TIMEOUT_S = 30
# A peer that asks and never reads would fill the memory with answers.
_UNREAD_ANSWERS_MAX = 100
_LINGER_S = 5.0
"""So long a peer may take to fetch its last answer."""
# 20 s of silence and three questions five seconds apart: a dead peer is given up after 35 s (docs/decisions/0048).
_KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_GIVE_UP_MS = 35_000
"""Keep-alive does not look while an answer is on its way: it would be sent again for a quarter of an hour."""
# No path of a controller is near it; a name is kept in memory and in the log.
_PATH_MAX_CHARS = 1024
# Enter, list, make folders, store, append. No r (retrieve), d (delete), f (rename), M, T.
_PERMISSIONS = "elmwa"
# Commands that resume, rename by themselves or look at files: an image is sent whole and is gone from here at once.
_REMOVED = frozenset({"REST", "REIN", "STOU", "MLSD", "MLST", "SIZE", "MDTM", "MFMT"})


class _OneUser(DummyAuthorizer):  # type: ignore[misc]
    def validate_authentication(self, username: str, password: str, handler: Any) -> None:  # noqa: ARG002
        known = self.user_table.get(username, {}).get("pwd", "")
        # In constant time, so that how long a refusal takes tells nothing of the password.
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


class _Control(OwnDescriptor, FTPHandler):  # type: ignore[misc]
    """The control connection: STOR and APPE into Uploads, folders that are names, nothing else."""

    rules: ClassVar[FtpRules]
    data_channel: Any
    server: Server
    _in_dtp_queue: tuple[Upload, str] | None
    _out_dtp_queue: tuple[Any, ...] | None
    _dtp_acceptor: Any
    _dtp_connector: Any
    _closed: bool
    last_word_mono_s: float
    banner = "ready."
    abstracted_fs = _VirtualFolders
    proto_cmds: ClassVar[dict[str, Any]] = {
        name: rule
        for name, rule in FTPHandler.proto_cmds.items()
        if name not in _REMOVED and not name.startswith("SITE")
    }

    @property
    def is_idle(self) -> bool:
        """Nothing is being transferred, and nothing waits to be."""
        return self._is_nothing_queued and (self.data_channel is None or self.data_channel.cmd is None)

    @property
    def _is_nothing_queued(self) -> bool:
        return self._in_dtp_queue is None and self._out_dtp_queue is None

    def on_connect(self) -> None:
        self.last_word_mono_s = monotonic_s()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (_KEEP_ALIVE | {"TCP_USER_TIMEOUT": _GIVE_UP_MS}).items():
            if hasattr(socket, option):
                self.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self.call_later(_LOGIN_TIMEOUT_S, self._end_without_login)

    def end(self, reply: str) -> None:
        """Say a last word, if any, and close: at the latest when the peer did not fetch it in time."""
        if reply:
            self.respond(reply)
        self.close_when_done()
        if not self._closed:
            self.call_later(_LINGER_S, self.close)

    def handle_timeout(self) -> None:
        """The peer was silent for pyftpdlib's ``timeout``, and no transfer was under way."""
        self.end("421 Nothing was asked for a long time. Log in again.")

    def _end_without_login(self) -> None:
        if not self.authenticated:
            self.end("421 No login.")

    def on_login(self, username: str) -> None:
        _log.info("ftp_login", peer=self.remote_ip, user=printable(username, 32))

    def on_login_failed(self, username: str, password: str) -> None:  # noqa: ARG002
        tally = self.rules.failed_logins
        if tally.is_worth_saying():
            _log.warning("ftp_login_failed", peer=self.remote_ip, user=printable(username, 32), times=tally.count)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        if self._closed:  # what else came in the same read
            return
        self.last_word_mono_s = monotonic_s()
        if len(self.producer_fifo) > _UNREAD_ANSWERS_MAX:
            _log.warning("ftp_answers_not_read", peer=self.remote_ip)
            self.close()
            return
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
        # The peer's own mistakes first: whoever has to send another command needs no room on the disk for it.
        reason, refusal = Reason.IMAGE_BROKEN, self._refusal(file, is_append="a" in mode)
        if not refusal:
            reason, refusal = Reason.DISK, self._why_no_room()
        if not refusal:
            try:
                upload = Upload(self.rules, file)
            except OSError as err:
                refusal = f"451 could not be stored: {err.strerror}"
        if refusal:
            self.respond(refusal + ".")
            if extension_of(file) in IMAGE_EXTENSIONS and not self.rules.names.is_beside(file):
                blank = capture_of(file, self.rules.names, monotonic_s())
                capture = self.rules.spool.refuse(None, blank, reason, f"STOR was refused: {refusal}")
                self.rules.deliver(capture)
        elif self.data_channel is not None:
            self.respond("125 Data connection already open. Transfer starting.")
            self.data_channel.file_obj = upload
            # "i" is binary, whatever TYPE the peer asked for: in ASCII mode bytes would be dropped
            # (docs/decisions/0006).
            self.data_channel.enable_receiving("i", "STOR")
        else:
            self.respond("150 File status okay. About to open data connection.")
            self._in_dtp_queue = (upload, "STOR")

    def _refusal(self, file: str, *, is_append: bool) -> str:
        if not self.is_idle:
            return "450 Another transfer is in progress"
        if not self._has_data_connection:
            return "425 Use PORT or PASV first"
        if is_append and extension_of(file) in IMAGE_EXTENSIONS:
            return "550 An image is sent whole, by STOR"
        return ""

    def _why_no_room(self) -> str:
        try:
            free_bytes = self.rules.spool.free_bytes()
        except OSError as err:
            return f"451 The spool cannot be read: {err.strerror}"
        if free_bytes < self.rules.min_free_bytes:
            return f"452 Disk full: {free_bytes} bytes are free"
        return ""

    @property
    def _has_data_connection(self) -> bool:
        """One is there, or may still come."""
        coming = (self._dtp_acceptor, self._dtp_connector)
        return self.data_channel is not None or any(it is not None and not it._closed for it in coming)  # noqa: SLF001

    def push_dtp_data(self, data: Any, isproducer: bool = False, file: Any = None, cmd: Any = None) -> None:  # noqa: FBT001, FBT002
        """A listing. pyftpdlib would queue it without a data connection, and push it into an upload."""
        if not self.is_idle:
            self.respond("450 Another transfer is in progress.")
        elif not self._has_data_connection:
            self.respond("425 Use PORT or PASV first.")
        else:
            super().push_dtp_data(data, isproducer, file, cmd)

    def ftp_ABOR(self, line: str) -> None:  # noqa: N802
        self.abandon_transfer()
        super().ftp_ABOR(line)

    def _make_eport(self, ip: str, port: int) -> None:
        self.server.make_room_for_data(self)
        super()._make_eport(ip, port)

    def _make_epasv(self, extmode: bool = False) -> None:  # noqa: FBT001, FBT002 - pyftpdlib's
        self.server.make_room_for_data(self)
        super()._make_epasv(extmode)

    def _on_dtp_connection(self) -> None:
        # The socket is the data channel's from now on. A connector that is kept would close it a second time.
        self._dtp_connector = None
        if self.data_channel.connected:
            super()._on_dtp_connection()
        else:
            self.data_channel = None
            self.lose_data_connection()

    def lose_data_connection(self) -> None:
        """It was dead on arrival: for the STOR that waits for it, and for one that comes now."""
        # A listener that is kept would make the next STOR wait for a connection that nobody makes.
        self._dtp_acceptor = None
        self.abandon_transfer("426 The data connection broke.")

    def abandon_transfer(self, reply: str = "") -> None:
        """No data connection came for what was answered 150."""
        if self._closed or self._is_nothing_queued:
            return
        waiting, self._in_dtp_queue, self._out_dtp_queue = self._in_dtp_queue, None, None
        if waiting is not None:
            waiting[0].close()
        if reply:
            self.respond(reply)


class Server(OwnDescriptor, FTPServer):  # type: ignore[misc]
    """Refuses peers that are not on the list before they get a word."""

    max_cons = _SOCKETS_MAX
    max_cons_per_ip = _CONNECTIONS_PER_PEER_MAX

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> Any:
        """Accept, or close without a word. Who is new gets the place of who was silent longest."""
        rules: FtpRules = self.handler.rules
        # The address is all that tells whose images these are (docs/decisions/0048). The peer hears nothing: who has to
        # correct the list reads this log.
        if not rules.allowed_peers.admits(str(addr[0])):
            sock.close()
            if rules.refused_peers.is_worth_saying():
                _log.warning(
                    "ftp_peer_refused",
                    peer=shown(str(addr[0])),
                    allowed=str(rules.allowed_peers),
                    times=rules.refused_peers.count,
                    hint="images of another controller must not be taken for this line's; if this is the line's own "
                    "controller, correct [controller] host or name the address in [images.ftp] allowed_peers",
                )
            return None
        if self.ip_map.count(addr[0]) >= self.max_cons_per_ip:
            self._make_room(peer=addr[0])
        if self._map_len() >= self.max_cons:
            self._make_room()
        return super().handle_accepted(sock, addr)

    def make_room_for_data(self, asking: _Control) -> None:
        """Before PORT and PASV: one more socket has to be within the limit."""
        if not self._accept_new_cons():
            self._make_room(besides=asking)

    def _make_room(self, peer: str | None = None, besides: _Control | None = None) -> None:
        """End the connection that was silent longest: dead ones must not lock a live one out.

        Those without a login go first; one in the middle of a transfer never goes.
        """
        idle = [
            it
            for it in self.ioloop.socket_map.values()
            if isinstance(it, _Control) and it.is_idle and it is not besides and peer in (None, it.remote_ip)
        ]
        if not idle:
            return
        # False sorts before True: without a login first, and among equals the one that spoke longest ago.
        longest = min(idle, key=lambda it: (it.authenticated, it.last_word_mono_s))
        longest.respond("421 Another connection takes this place. Log in again.")
        longest.close()
        displaced = self.handler.rules.displaced
        if displaced.is_worth_saying():
            _log.warning(
                "ftp_connection_displaced",
                peer=longest.remote_ip,
                silent_s=round(monotonic_s() - longest.last_word_mono_s),
                times=displaced.count,
            )

    @property
    def is_listening(self) -> bool:
        """False after any error of accept: pyftpdlib closes its listener then."""
        return not self._closed


def make_server(listener: socket.socket, rules: FtpRules, ioloop: IOLoop) -> Server:
    """The server on a listening socket. pyftpdlib is configured by class attributes, hence the classes made here."""
    authorizer = _OneUser()
    authorizer.add_user(rules.user, rules.password, str(rules.spool.root), perm=_PERMISSIONS)
    first, last = rules.passive_ports
    attributes = {
        "rules": rules,
        "authorizer": authorizer,
        "timeout": rules.idle_timeout_s,
        "auth_failed_timeout": rules.login_failed_wait_s,
        "passive_ports": list(range(first, last + 1)) if first else None,
        "dtp_handler": type(
            "DataChannel",
            (DataChannel,),
            # Asked four times within the stall time-out, so that a stall is noticed a quarter late at most.
            {"stall_timeout_s": rules.stall_timeout_s, "timeout": rules.stall_timeout_s / 4},
        ),
        "passive_dtp": type("PassiveListener", (PassiveListener,), {"timeout": rules.stall_timeout_s}),
        "active_dtp": type("ActiveConnector", (ActiveConnector,), {"timeout": rules.stall_timeout_s}),
    }
    return Server(listener, type("Control", (_Control,), attributes), ioloop=ioloop)
