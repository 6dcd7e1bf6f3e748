"""A small MQTT broker on a real socket, 5 and 3.1.1; a test tells it how to misbehave: deny, freeze, forget, refuse."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

__all__ = ["Broker5"]

_V311, _V5 = 4, 5
_TAKEN_OVER = 0x8E


@dataclass
class _Client:
    """One connection and its will."""

    sock: socket.socket
    name: str = ""
    level: int = _V5
    will: tuple[str, bytes, bool] | None = None
    is_done: bool = False


@dataclass
class Broker5:
    """``answer`` gives the reason code of each publish. ``frozen`` set: it reads nothing and answers nothing."""

    port: int
    levels: tuple[int, ...] = (_V5, _V311)
    answer: Callable[[str, Any], int] = lambda _topic, _body: 0
    properties: bytes = b""
    connack: int = 0
    context: ssl.SSLContext | None = None
    messages: list[tuple[str, Any]] = field(default_factory=list)
    retained: dict[str, Any] = field(default_factory=dict)
    logins: list[str] = field(default_factory=list)
    peer_certificates: list[dict[str, Any] | None] = field(default_factory=list)
    frozen: threading.Event = field(default_factory=threading.Event)
    _thawed: threading.Event = field(default_factory=threading.Event)
    _clients: list[_Client] = field(default_factory=list)
    _listening: socket.socket | None = None
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def parts(self) -> list[int]:
        """The numbers of the parts that were taken."""
        return [body["part_seq"] for topic, body in list(self.messages) if topic.endswith("/part")]

    @property
    def state(self) -> bool | None:
        """What a late listener would be told of the line; None: nothing."""
        kept = [body for topic, body in list(self.retained.items()) if "/STATE/" in topic]
        return kept[0]["online"] if kept else None

    @property
    def links(self) -> int:
        """How many clients are connected now."""
        return sum(not client.is_done for client in self._clients)

    def start(self) -> None:
        """Listen. What was retained is as it was."""
        self._thawed.clear()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._run(self._accept, self._listening)

    def freeze(self) -> None:
        """Go on holding every connection, and do nothing."""
        self.frozen.set()

    def thaw(self) -> None:
        """Go on with what came meanwhile."""
        self.frozen.clear()
        self._thawed.set()

    def stop(self) -> None:
        """End without a word: every link is cut."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.thaw()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()
        self._clients.clear()

    def cut(self) -> None:
        """Cut every link."""
        for client in list(self._clients):
            with suppress(OSError):
                socket.socket.shutdown(client.sock, socket.SHUT_RDWR)

    def end_links(self, code: int) -> None:
        """End every link with a DISCONNECT and its reason."""
        for client in list(self._clients):
            with suppress(OSError):
                client.sock.sendall(bytes([0xE0, 2, code, 0]))
            client.will = None
        self.cut()

    def _run(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            self._run(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        with suppress(OSError, EOFError):
            if self.context is not None:
                sock = self.context.wrap_socket(plain, server_side=True)
                self.peer_certificates.append(sock.getpeercert())
            client = _Client(sock)
            self._clients.append(client)
            try:
                for command, body in self._packets(sock):
                    if not self._take(client, command, body):
                        break
            finally:
                client.is_done = True
                if client.will is not None:
                    self._publish(*client.will)
        sock.close()

    def _packets(self, sock: socket.socket) -> Iterator[tuple[int, bytes]]:
        while True:
            command = _exactly(sock, 1)[0]
            length = shift = 0
            while True:
                byte = _exactly(sock, 1)[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            body = _exactly(sock, length)
            if self.frozen.is_set():
                self._thawed.wait(120)
            yield command, body

    def _take(self, client: _Client, command: int, body: bytes) -> bool:
        kind = command >> 4
        if kind == 1:
            return self._connect(client, body)
        if kind == 3:
            self._take_publish(client, command, body)
        elif kind == 12:
            client.sock.sendall(b"\xd0\x00")
        elif kind == 14:
            client.will = None
            return False
        return True

    def _connect(self, client: _Client, body: bytes) -> bool:
        _, at = _text(body, 0)
        client.level, flags = body[at], body[at + 1]
        at += 4
        is_5 = client.level == _V5
        if client.level not in self.levels:
            client.sock.sendall(b"\x20\x02\x00\x01")
            return False
        at = _skip_properties(body, at) if is_5 else at
        name, at = _text(body, at)
        if flags & 0x04:
            at = _skip_properties(body, at) if is_5 else at
            topic, at = _text(body, at)
            payload, at = _text(body, at)
            client.will = topic.decode(), payload, bool(flags & 0x20)
        if self.connack:
            client.will = None
            client.sock.sendall(bytes([0x20, 3, 0, self.connack, 0]))
            return False
        client.name = name.decode()
        self.logins.append(client.name)
        for other in list(self._clients):
            if other is not client and other.name == client.name and not other.is_done:
                self._throw_out(other)
        properties = bytes([len(self.properties)]) + self.properties if is_5 else b""
        client.sock.sendall(bytes([0x20, 2 + len(properties), 0, 0]) + properties)
        return True

    def _throw_out(self, other: _Client) -> None:
        """Another client has taken its name: the will first, as brokers do."""
        if other.will is not None:
            self._publish(*other.will)
            other.will = None
        with suppress(OSError):
            if other.level == _V5:
                other.sock.sendall(bytes([0xE0, 2, _TAKEN_OVER, 0]))
            socket.socket.shutdown(other.sock, socket.SHUT_RDWR)

    def _take_publish(self, client: _Client, command: int, body: bytes) -> None:
        topic, at = _text(body, 0)
        number = body[at : at + 2]
        at = _skip_properties(body, at + 2) if client.level == _V5 else at + 2
        payload = body[at:]
        code = self.answer(topic.decode(), json.loads(payload))
        if code < 0x80:
            self._publish(topic.decode(), payload, bool(command & 1))
        if client.level == _V5 and code:
            client.sock.sendall(b"\x40\x03" + number + bytes([code]))
        else:
            client.sock.sendall(b"\x40\x02" + number)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001
        self.messages.append((topic, json.loads(payload)))
        if retain:
            self.retained[topic] = json.loads(payload)


def _exactly(sock: socket.socket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        more = sock.recv(number - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _text(body: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + length], at + 2 + length


def _skip_properties(body: bytes, at: int) -> int:
    length = shift = 0
    while True:
        byte = body[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return at + length
