"""Connections that do not say in time what they want are closed: five hundred idle ones would keep every line out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["Hurried"]

_LOOK_EVERY_S = 5.0


class Hurried(H11Protocol):
    """Uvicorn's protocol, which alone would wait for a request, and for the end of one, as long as a client likes.

    A connection is looked at every five seconds. One that has waited since the last look is closed.
    """

    _looking: asyncio.TimerHandle | None = None
    _waited: tuple[object] | None = None
    """The request that it waited behind at the last look; None: it was at work, or there was no look yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        super().connection_made(transport)
        self._looking = self.loop.call_later(_LOOK_EVERY_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        is_at_work = self.cycle is not None and not self.cycle.response_complete
        waits = None if is_at_work else (self.cycle,)
        if waits is not None and waits == self._waited:
            self.transport.abort()
            return
        self._waited = waits
        self._looking = self.loop.call_later(_LOOK_EVERY_S, self._look)
