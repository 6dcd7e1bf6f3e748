"""One TCP connection to the command port: one command in flight, results told apart and stamped when seen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from drivers.base import CommandRefused, DeadlineMissed, NotConnected, ProtocolViolation
from drivers.keyence.codec import Overlong, Refusal, Reply, Splitter, classify, encode, refusal_meaning, shown
from drivers.timing import Deadline, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import DriverError

__all__ = ["Session", "open_session"]

# The protocol has no keep-alive of its own; these find a dead peer where the polls cannot: during a long command.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 3000))


class Session(asyncio.Protocol):
    """A connection that is dropped for good at the first thing that cannot be trusted.

    There is no request id on this wire: after a missed deadline the late reply could be taken for the next
    command's, so a missed deadline, a cancelled wait and an answer to another command all end the connection.
    """

    def __init__(self, peer: str, on_result: Callable[[tuple[str, ...], float], None]) -> None:
        self._peer = peer
        self._on_result = on_result
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._in_flight = asyncio.Lock()
        self._outstanding: str | None = None
        self._reply: asyncio.Future[Reply | Refusal] | None = None
        self._error: DriverError | None = None
        self._lost = asyncio.Event()

    @property
    def error(self) -> DriverError:
        """Why the connection is unusable."""
        return self._error or NotConnected(f"{self._peer}: the connection is closed")

    @property
    def is_lost(self) -> bool:
        """The connection is gone or was given up."""
        return self._error is not None or self._lost.is_set()

    async def wait_lost(self) -> None:
        """Return when the connection is gone."""
        await self._lost.wait()

    async def command(self, name: str, *args: str, by: Deadline) -> tuple[str, ...]:
        """Send one command; the values of its reply.

        Raises:
            DeadlineMissed: the connection is dropped, unless the command was never sent.
            CommandRefused: the controller answered ``ER``.
            NotConnected: the connection went away.
            ProtocolViolation: it answered something else's command.
        """
        data = encode(name, *args)
        try:
            async with asyncio.timeout(by.left_s()):
                await self._in_flight.acquire()
        except TimeoutError:
            raise DeadlineMissed(f"{self._peer}: {name} was not sent: another command was in flight") from None
        try:
            return await self._exchange(name, data, by)
        finally:
            self._in_flight.release()

    async def ask(self, name: str, *args: str, reply_within_s: float) -> tuple[str, ...]:
        """As ``command``, but the time runs from the moment of sending: the one in flight has its own deadline."""
        data = encode(name, *args)
        async with self._in_flight:
            return await self._exchange(name, data, Deadline.after(reply_within_s))

    async def _exchange(self, name: str, data: bytes, by: Deadline) -> tuple[str, ...]:
        if self.is_lost or self._transport is None:
            raise self.error
        if by.has_passed:
            raise DeadlineMissed(f"{self._peer}: {name} was not sent: its deadline had passed")
        reply: asyncio.Future[Reply | Refusal] = asyncio.get_running_loop().create_future()
        self._outstanding, self._reply = name, reply
        self._transport.write(data)
        try:
            async with asyncio.timeout(by.left_s()):
                answer = await reply
        except TimeoutError:
            missed = DeadlineMissed(f"{self._peer}: no reply to {name} in time; the connection is dropped")
            self.drop(missed)
            raise missed from None
        except asyncio.CancelledError:
            self.drop(NotConnected(f"{self._peer}: the wait for the reply to {name} was cancelled"))
            raise
        finally:
            self._outstanding, self._reply = None, None
        if isinstance(answer, Refusal):
            raise CommandRefused(name, answer.code, refusal_meaning(answer.code))
        return answer.values

    def drop(self, why: DriverError) -> None:
        """Give the connection up. Whoever waits for a reply gets ``why``; the first reason stands."""
        if self._error is None:
            self._error = why
        if self._transport is not None:
            self._transport.abort()
        self._settle()

    async def aclose(self) -> None:
        """Drop the connection and wait until its socket is closed. Idempotent."""
        self.drop(NotConnected(f"{self._peer}: closed by the agent"))
        if self._transport is not None:
            await self._lost.wait()

    def _settle(self) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self.error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; small commands leave at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream protocol gets no other
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            if hasattr(socket, option):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def data_received(self, data: bytes) -> None:
        """Sort what came: the reply to the command in flight, or result output."""
        at_mono_s = monotonic_s()
        for line in self._splitter.feed(data):
            if self._error is not None:
                return
            if isinstance(line, Overlong):
                self.drop(ProtocolViolation(f"{self._peer} sent {line.dropped_bytes} bytes without a delimiter"))
            else:
                self._take(line, at_mono_s)
        if self._splitter.is_dropping:
            self.drop(ProtocolViolation(f"{self._peer} sends without a delimiter: {shown(data)}"))

    def _take(self, line: str, at_mono_s: float) -> None:
        waiting = self._reply is not None and not self._reply.done()
        kind = classify(line, self._outstanding if waiting else None)
        if isinstance(kind, Refusal) and kind.command != self._outstanding:
            self.drop(ProtocolViolation(f"{self._peer} answered {shown(line)} while {self._outstanding} was in flight"))
        elif isinstance(kind, Reply | Refusal):
            assert self._reply is not None  # noqa: S101 - classify was given a command in flight
            self._reply.set_result(kind)
        else:
            self._on_result(kind.fields, at_mono_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer closed, reset, or drop() aborted."""
        if self._error is None:
            self._error = NotConnected(f"{self._peer} {'closed the connection' if exc is None else str(exc)}")
        self._settle()
        self._lost.set()


async def open_session(
    host: str, port: int, timeout_s: float, on_result: Callable[[tuple[str, ...], float], None]
) -> Session:
    """Connect to the command port.

    Raises:
        NotConnected: refused, unreachable, or not within ``timeout_s``.
    """
    peer = f"controller {host}:{port}"
    try:
        async with asyncio.timeout(timeout_s):
            _, session = await asyncio.get_running_loop().create_connection(
                lambda: Session(peer, on_result), host, port
            )
    except TimeoutError:
        raise NotConnected(f"{peer} did not accept the connection within {timeout_s:g} s") from None
    except OSError as err:
        raise NotConnected(f"{peer} cannot be reached: {err}") from err
    return session
