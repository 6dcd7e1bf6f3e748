"""One connection to a PLC that speaks SLMP (MC protocol), 3E frames in binary over TCP. Single use."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from drivers.base import Admit, CommandRefused, ProtocolViolation, admit_all
from drivers.output.words import WordConnection, WordPlaces
from drivers.slmp.codec import END_CODES, parse_reply, read_request, reply_size, write_request

if TYPE_CHECKING:
    from drivers.output.wire import OnLost

__all__ = ["SlmpConnection"]

_TIMER_S = 0.25
_DROPPED = (
    ": a connection of the PLC's Ethernet settings serves one client, another one may hold it; "
    "or output.port is not one for SLMP (MC protocol)"
)


class SlmpConnection(WordConnection):
    """Words are the data registers D: ``places`` counts them, D100 is 100. On a KEYENCE KV they are its DM.

    The CPU is told to give a request up after ``timeout_s``, to the next quarter of a second: what waits there longer
    is not carried out late.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        places: WordPlaces,
        timeout_s: float,
        on_lost: OnLost,
        admit: Admit = admit_all,
    ) -> None:
        super().__init__(
            host, port, places=places, timeout_s=timeout_s, on_lost=on_lost, admit=admit, dropped_hint=_DROPPED
        )
        self._timer = max(1, math.ceil(timeout_s / _TIMER_S))

    async def write_range(self, first: int, words: tuple[int, ...]) -> None:
        """As ``WordConnection.write_range``: command 1401."""
        await self._ask(f"the write of D{first}", write_request(first, words, self._timer), 0)

    async def read_range(self, first: int, count: int) -> tuple[int, ...]:
        """As ``WordConnection.read_range``: command 0401."""
        return await self._ask(f"the read of D{first}", read_request(first, count, self._timer), count)

    async def _ask(self, name: str, request: bytes, words: int) -> tuple[int, ...]:
        reply = await self._wire.ask(name, request, partial(reply_size, words=words))
        try:
            end_code, found = parse_reply(reply, words)
        except ValueError as err:
            self.fail(ProtocolViolation(f"{self.peer} answered {name} with {reply[:40]!r}: {err}"))
        if end_code:
            meaning = END_CODES.get(end_code, "see the PLC's manual, list of end codes")
            self.fail(CommandRefused(f"{name} by {self.peer}", f"end code {end_code:04X}", meaning))
        return found
