"""Two streams joined end to end inside the process: for trying a driver without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from drivers.base import NotConnected

if TYPE_CHECKING:
    from drivers.base import StreamListener

__all__ = ["MemoryStream"]


class MemoryStream:
    """One end of a pair. Bytes arrive at the other end on the next turn of the event loop."""

    def __init__(self, listener: StreamListener) -> None:
        self._listener: StreamListener | None = listener
        self._other: MemoryStream | None = None
        self._is_open = True
        self._closed = asyncio.Event()

    @classmethod
    def pair(cls, one: StreamListener, other: StreamListener) -> tuple[Self, Self]:
        """Two ends, joined. Both listeners are told before this returns."""
        ends = cls(one), cls(other)
        ends[0]._other, ends[1]._other = ends[1], ends[0]  # noqa: SLF001
        one.stream_opened(ends[0])
        other.stream_opened(ends[1])
        return ends

    def write(self, data: bytes) -> None:
        """As ``ByteStream.write``."""
        if self._is_open and data and self._other is not None:
            # On the next turn of the loop, as with a socket: a listener that is called within ``write`` would hide
            # mistakes. A copy, because the writer may use its buffer again.
            asyncio.get_running_loop().call_soon(self._other._hear, bytes(data))  # noqa: SLF001 - the other end

    def abort(self) -> None:
        """As ``ByteStream.abort``: the other end sees its peer close."""
        if not self._is_open:
            return
        loop = asyncio.get_running_loop()
        self._is_open = False
        loop.call_soon(self._lose, NotConnected("aborted"))
        if self._other is not None and self._other._is_open:  # noqa: SLF001 - the other end
            self._other._is_open = False  # noqa: SLF001
            loop.call_soon(self._other._lose, None)  # noqa: SLF001

    async def wait_closed(self) -> None:
        """As ``ByteStream.wait_closed``."""
        await self._closed.wait()

    def _hear(self, data: bytes) -> None:
        if self._listener is not None and not self._closed.is_set() and self._is_open:
            self._listener.data_received(data)

    def _lose(self, why: Exception | None) -> None:
        listener, self._listener = self._listener, None
        self._closed.set()
        if listener is not None:
            listener.stream_lost(why)
