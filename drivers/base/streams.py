"""Bytes to and from one peer, whatever carries them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = [
    "ByteStream",
    "Dial",
    "StreamListener",
]


class ByteStream(Protocol):
    """Bytes to and from one peer: a TCP connection, a serial line, memory. Used from one event loop."""

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent in order; never blocks. After a loss it does nothing."""
        ...

    def abort(self) -> None:
        """Give the stream up at once; what was not sent yet never will be. Idempotent."""
        ...

    async def wait_closed(self) -> None:
        """Return when its socket, file and threads are gone, and the listener was told."""
        ...


class StreamListener(Protocol):
    """Whoever hears a ByteStream. Called on the event loop, in this order, the last one exactly once."""

    def stream_opened(self, stream: ByteStream) -> None:
        """The stream is there; comes before any byte."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take bytes as they came from the peer: they may be cut anywhere, and hold half a line or several."""
        ...

    def stream_lost(self, why: Exception | None) -> None:
        """It is gone: the peer closed (None), it failed, or ``abort`` was called."""
        ...


Dial = Callable[[StreamListener], Awaitable[ByteStream]]
"""Opens a stream to the peer it was made for. Raises NotConnected."""
