"""One request at a time over TCP, each with its one answer. Whatever else comes ends the connection at once."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from drivers.base import Admit, DeadlineMissed, DriverError, NotConnected, ProtocolViolation, admit_all
from drivers.transport.tcp import quick_and_alive

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

__all__ = ["Exchange", "SizeOf"]

SizeOf: TypeAlias = Callable[[bytes], int | None]
"""How many bytes the answer has, by its first bytes; None while that is not known yet. Raises ValueError for bytes that
can be no answer: also for what would never end."""

# SO_LINGER, on with 0 seconds: the socket ends by RST, and what still waits in its send buffer, a PASS perhaps, is
# thrown away. An orderly close would deliver it (docs/decisions/0008, 0088).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Exchange(asyncio.Protocol):
    """A connection that is used once, for protocols whose answers carry no number of their request.

    There an answer is known by its place alone: it is the one that comes next. So nothing may come late: a request that
    was not answered in ``timeout_s``, or that was cancelled, ends the connection, and so do bytes that nobody asked for
    and bytes behind an answer. It is reset then, not closed: what was not delivered yet never will be.

    ``admit`` has the last word on who is written to; ``on_lost`` is called when the connection is lost.
    ``dropped_hint`` says what to look at when the peer takes a connection and drops it before its first answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        on_lost: Callable[[], None],
        admit: Admit = admit_all,
        dropped_hint: str = "",
    ) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._admit = admit
        self._dropped_hint = dropped_hint
        self._transport: asyncio.Transport | None = None
        self._broken: DriverError | None = None
        self._received = b""
        self._waiting: asyncio.Future[bytes] | None = None
        self._size_of: SizeOf = len
        self._was_answered = False
        self.peer = f"{host}:{port}"
        """The device, as messages call it."""

    @property
    def is_up(self) -> bool:
        """Connected, and nothing went wrong so far."""
        return self._broken is None and self._transport is not None

    async def open(self) -> None:
        """Connect, and ask ``admit``. Raises NotConnected."""
        try:
            async with asyncio.timeout(self._timeout_s):
                # This very object, because it is one connection and is never opened again.
                await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)
        except TimeoutError:
            self.fail(NotConnected(f"no connection to {self.peer} within {self._timeout_s:g} s: {_LOOK_AT}"))
        except (OSError, UnicodeError) as err:  # UnicodeError: a name that nobody can be asked for
            self.fail(NotConnected(f"no connection to {self.peer} ({err}): {_LOOK_AT}"))
        except BaseException:
            self.abort()
            raise
        sock = self._socket()
        if self._broken is not None or sock is None:
            self.fail(self._broken or NotConnected(f"{self.peer} closed the connection"))
        try:
            # The address that answered and not the name that was asked for: two names may lead to one device
            # (docs/decisions/0049).
            address, port = sock.getpeername()[:2]
        except OSError as err:
            self.fail(NotConnected(f"{self.peer} closed the connection: {err}"))
        if why := self._admit(address, port):
            self.fail(NotConnected(why))

    async def ask(self, name: str, request: bytes, size_of: SizeOf) -> bytes:
        """Send it, and return its whole answer. ``name`` is what messages call it.

        Raises NotConnected, DeadlineMissed, ProtocolViolation. RuntimeError while another request is out.
        """
        if self._broken is not None:
            raise self._broken
        if self._transport is None:
            raise NotConnected(f"{self.peer} is not connected")
        if self._waiting is not None:
            raise RuntimeError("one request at a time")
        self._size_of = size_of
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._transport.write(request)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await waiting
        except DriverError:
            raise
        except TimeoutError:
            came = f"; what came is {self._received[:40]!r}" if self._received else ""
            self.fail(DeadlineMissed(f"{self.peer} did not answer {name} within {self._timeout_s:g} s{came}"))
        except BaseException:
            # Cancelled with the request on the wire: whether the device carries it out is not known.
            self.abort()
            self._on_lost()
            raise
        finally:
            self._waiting = None
        if self._broken is not None:
            raise self._broken
        self._was_answered = True
        return answer

    def fail(self, err: DriverError) -> NoReturn:
        """End the connection at once, and raise this."""
        self._broken = err
        self.abort()
        raise err

    def close(self) -> None:
        """End the connection in order; nothing is outstanding. Idempotent."""
        self._end(NotConnected(f"the connection to {self.peer} was closed"))
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once; what was not delivered yet never will be. Idempotent."""
        self._end(NotConnected(f"the connection to {self.peer} was closed"))
        sock = self._socket()
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream protocol gets no other
        self._transport = transport
        quick_and_alive(transport)
        if self._broken is not None:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """As ``asyncio.Protocol``."""
        self._received += data
        if self._broken is not None:
            return
        if self._waiting is None or self._waiting.done():
            self._break(ProtocolViolation(f"{self.peer} sent {self._received[:40]!r}, which nobody had asked for"))
            return
        try:
            # Looked at with every piece, and not only with a whole answer: bytes that can be no answer end the wait at
            # once.
            size = self._size_of(self._received)
        except ValueError as err:
            self._break(ProtocolViolation(f"{self.peer} answered {self._received[:40]!r}: {err}"))
            return
        # More than one answer, though one request is out: one of the two is of another time.
        if size is not None and len(self._received) > size:
            behind = self._received[size:][:40]
            self._break(ProtocolViolation(f"{self.peer} sent {behind!r} behind its answer"))
        elif len(self._received) == size:
            answer, self._received = self._received, b""
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """As ``asyncio.Protocol``."""
        why = "" if exc is None else f" ({exc})"
        # A device whose connections are all taken mostly accepts one more and drops it.
        hint = "" if self._was_answered else self._dropped_hint
        self._end(NotConnected(f"{self.peer} closed the connection{why}{hint}"))
        self._on_lost()

    def _break(self, err: DriverError) -> None:
        """Something came that was no answer: whoever waits is woken, and nothing more is said or heard."""
        self._end(err)
        self.abort()
        self._on_lost()

    def _end(self, err: DriverError) -> None:
        self._broken = self._broken or err
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(self._broken)

    def _socket(self) -> TransportSocket | None:
        """The open socket of this connection, None if there is none."""
        found: TransportSocket | None = None if self._transport is None else self._transport.get_extra_info("socket")
        return None if found is None or found.fileno() < 0 else found


_LOOK_AT = "look at its power, its cable, and at output.host and output.port"
