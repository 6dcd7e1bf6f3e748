"""One connection to the controller: one command in flight, results told apart and stamped when seen."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING

from drivers.base import CommandRefused, DeadlineMissed, NotConnected, ProtocolViolation
from drivers.keyence.clock import SessionClock
from drivers.keyence.codec import Overlong, Refusal, Reply, Splitter, classify, encode, refused, shown
from drivers.keyence.commands import COMMANDS
from drivers.keyence.controller_commands import ControllerCommands
from drivers.timing import Deadline, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import ByteStream, Dial, DriverError

__all__ = ["Session", "open_session"]

_PROMPT_S = 0.1
"""A reply that takes longer was held up on its way, or else the controller is slow: nothing here tells which."""
# Of about a second: the quickest of them is the controller's own time.
_RECENT_REPLIES = 8
# A cable that was pulled times out instead: only a peer that is there closes or resets.
_ENDED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class Session(ControllerCommands):
    """A connection that is dropped for good at the first thing that cannot be trusted.

    There is no request id on this wire: after a missed deadline the late reply could be taken for the next
    command's, so a missed deadline, a cancelled wait and an answer to another command all end the connection.

    Replies and results come in one stream, in their order: while a reply is held up on its way, so is every result.
    A result that comes while a reply is overdue, or right behind one that was, is therefore stamped with the time at
    which that command was sent.

    ``was_ended_by_peer``: the controller closed or reset the connection. Never so on a serial line, which has none.
    """

    def __init__(
        self,
        peer: str,
        on_result: Callable[[tuple[str, ...], float], None],
        *,
        reply_timeout_s: float,
        delimiter: str = "\r",
    ) -> None:
        self._peer = peer
        self._on_result = on_result
        self._reply_timeout_s = reply_timeout_s
        self._delimiter = delimiter.encode("ascii")
        self._splitter = Splitter()
        self._stream: ByteStream | None = None
        self._in_flight = asyncio.Lock()
        self._outstanding: str | None = None
        self._reply: asyncio.Future[Reply | Refusal] | None = None
        self._sent_mono_s = 0.0
        self._overdue_sent_mono_s = 0.0
        # No reply was overdue yet: the comparison with any time says so.
        self._overdue_seen_mono_s = float("-inf")
        self._replies_s: deque[float] = deque(maxlen=_RECENT_REPLIES)
        self._error: DriverError | None = None
        self._lost = asyncio.Event()
        self._stirred = asyncio.Event()
        self.clock = SessionClock(self, peer)
        self._nonce = ""
        self.was_ended_by_peer = False

    @property
    def error(self) -> DriverError:
        """Why the connection is unusable."""
        return self._error or NotConnected(f"{self._peer}: the connection is closed")

    @property
    def is_lost(self) -> bool:
        """The connection is gone or was given up."""
        return self._error is not None or self._lost.is_set()

    @property
    def quickest_reply_s(self) -> float:
        """Of the last few replies: what the controller needs for one, without what the network added now and then."""
        return min(self._replies_s, default=0.0)

    async def wait_lost(self) -> None:
        """Return when the connection is gone."""
        await self._lost.wait()

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a connection that is gone. Raises why it is."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait_lost()
        except TimeoutError:
            return
        raise self.error

    async def wait_stirred(self) -> None:
        """Return when a line of result output came, or the connection is gone."""
        self._stirred.clear()
        if not self.is_lost:
            await self._stirred.wait()

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """Send one command; the values of its reply.

        Without ``by`` the time runs from the moment of sending: the command in flight has its own deadline.

        Raises:
            DeadlineMissed: the connection is dropped, unless the command was never sent.
            CommandRefused: the controller answered ``ER``.
            NotConnected: the connection went away.
            ProtocolViolation: it answered something else's command.
        """
        data = encode(name, *args, delimiter=self._delimiter)
        if by is None:
            async with self._in_flight:
                row = COMMANDS.get(name)
                within_s = max(self._reply_timeout_s, 0.0 if row is None else row.within_s)
                return await self._exchange(name, data, Deadline.after(within_s))
        try:
            async with asyncio.timeout(by.left_s()):
                await self._in_flight.acquire()
        except TimeoutError:
            raise DeadlineMissed(f"{self._peer}: {name} was not sent: another command was in flight") from None
        try:
            return await self._exchange(name, data, by)
        finally:
            self._in_flight.release()

    async def find_beginning(self) -> None:
        """On a line that has no connection of its own: skip everything up to the answer to a question of ours.

        What half a command of an earlier program left in the controller is ended by the delimiter in front. A
        controller without ``EC`` refuses it, which is an answer as well.
        """
        # Random, so that the echo of an earlier start of this program is not taken for that of now.
        self._nonce = f"edge-agent {secrets.token_hex(4)}"
        data = self._delimiter + encode("EC", self._nonce, delimiter=self._delimiter)
        async with self._in_flight:
            try:
                await self._exchange("EC", data, Deadline.after(self._reply_timeout_s))
            except CommandRefused:
                return
            finally:
                self._nonce = ""

    async def _exchange(self, name: str, data: bytes, by: Deadline) -> tuple[str, ...]:
        if self.is_lost or self._stream is None:
            raise self.error
        if by.has_passed:
            raise DeadlineMissed(f"{self._peer}: {name} was not sent: its deadline had passed")
        reply: asyncio.Future[Reply | Refusal] = asyncio.get_running_loop().create_future()
        # Stamped before the write: a result is never taken for younger than it may be.
        self._outstanding, self._reply, self._sent_mono_s = name, reply, monotonic_s()
        self._stream.write(data)
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
            raise refused(name, answer.code)
        return answer.values

    def drop(self, why: DriverError) -> None:
        """Give the connection up. Whoever waits for a reply gets ``why``; the first reason stands."""
        if self._error is None:
            self._error = why
        if self._stream is not None:
            self._stream.abort()
        self._settle()

    async def aclose(self) -> None:
        """Drop the connection and wait until its socket is closed. Idempotent."""
        self.drop(NotConnected(f"{self._peer}: closed by the agent"))
        if self._stream is not None:
            await self._stream.wait_closed()

    def _settle(self) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self.error)

    # StreamListener

    def stream_opened(self, stream: ByteStream) -> None:
        """The stream that this session speaks over."""
        self._stream = stream

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
        if self._nonce and line != f"EC,{self._nonce}" and not line.startswith("ER,EC,"):
            return  # of a time before this session
        kind = classify(line, self._outstanding if waiting else None)
        if isinstance(kind, Refusal) and kind.command != self._outstanding:
            self.drop(ProtocolViolation(f"{self._peer} answered {shown(line)} while {self._outstanding} was in flight"))
        elif isinstance(kind, Reply | Refusal):
            assert self._reply is not None  # noqa: S101 - classify was given a command in flight
            self._reply.set_result(kind)
            self._note_reply(at_mono_s)
        else:
            self._on_result(kind.fields, self._sent_at_earliest_mono_s(at_mono_s, is_waiting=waiting))
            self._stirred.set()

    def _note_reply(self, at_mono_s: float) -> None:
        took_s = at_mono_s - self._sent_mono_s
        self._replies_s.append(took_s)
        if took_s > _PROMPT_S:
            self._overdue_sent_mono_s, self._overdue_seen_mono_s = self._sent_mono_s, at_mono_s

    def _sent_at_earliest_mono_s(self, at_mono_s: float, *, is_waiting: bool) -> float:
        """When a result that is seen now may have been sent."""
        # Right behind an overdue reply: both were held up together, and left at some time after that command was sent.
        # The earliest is taken, so that its part is rather called late than passed late.
        if at_mono_s - self._overdue_seen_mono_s <= _PROMPT_S:
            return self._overdue_sent_mono_s
        if is_waiting and at_mono_s - self._sent_mono_s > _PROMPT_S:
            return self._sent_mono_s
        return at_mono_s

    def stream_lost(self, why: Exception | None) -> None:
        """The peer closed, the line failed, or drop() gave it up."""
        if self._error is None:
            self.was_ended_by_peer = why is None or isinstance(why, _ENDED)
            lost = f"{self._peer} closed the connection" if why is None else f"{self._peer}: {why}"
            self._error = NotConnected(lost)
        self._settle()
        self._lost.set()
        self._stirred.set()


async def open_session(
    dial: Dial,
    peer: str,
    on_result: Callable[[tuple[str, ...], float], None],
    *,
    reply_timeout_s: float,
    delimiter: str = "\r",
) -> Session:
    """Connect to the command port. Raises NotConnected."""
    session = Session(peer, on_result, reply_timeout_s=reply_timeout_s, delimiter=delimiter)
    try:
        await dial(session)
    except NotConnected as err:
        raise NotConnected(f"{peer}: {err}") from err
    return session
