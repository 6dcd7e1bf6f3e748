"""The simulated controller at the other end of a memory stream: no socket, no port, the same bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from drivers.transport import MemoryStream

if TYPE_CHECKING:
    from drivers.base import ByteStream, StreamListener
    from drivers.simulated.controller import SimulatedController

__all__ = ["MemoryWire"]


class _End:
    """Hears a memory stream for the controller, and is what it writes to."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.transport = self
        self._stream: ByteStream | None = None

    # StreamListener

    def stream_opened(self, stream: ByteStream) -> None:
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        self.reader.feed_data(data)

    def stream_lost(self, why: Exception | None) -> None:
        self.reader.feed_eof()

    # what the command port uses of a StreamWriter

    def write(self, data: bytes) -> None:
        assert self._stream is not None
        self._stream.write(data)

    async def drain(self) -> None: ...

    def get_extra_info(self, _: str) -> None:
        return None

    def abort(self) -> None:
        assert self._stream is not None
        self._stream.abort()

    async def wait_closed(self) -> None:
        assert self._stream is not None
        await self._stream.wait_closed()


class MemoryWire:
    """Dials a simulated controller without a socket; ``cut`` is a pulled cable."""

    def __init__(self, peer: SimulatedController) -> None:
        self._peer = peer
        self._end: _End | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def dial(self, listener: StreamListener) -> ByteStream:
        self._end = end = _End()
        ours, _ = MemoryStream.pair(listener, end)
        talk = asyncio.create_task(self._peer.wire.talk_over(end.reader, cast("asyncio.StreamWriter", end)))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return ours

    def cut(self) -> None:
        if self._end is not None:
            self._end.abort()

    async def aclose(self) -> None:
        self.cut()
        await asyncio.gather(*self._talks)
