"""One connection to a KEYENCE KV that speaks host link (upper link) over TCP. Single use."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from drivers.base import CommandRefused, ProtocolViolation
from drivers.kv_hostlink.codec import (
    ERROR_CODES,
    error_code,
    is_done,
    parse_words,
    read_request,
    reply_size,
    write_request,
)
from drivers.output.words import WordConnection

__all__ = ["HostLinkConnection"]


class HostLinkConnection(WordConnection):
    """Words are the data memory DM: ``places`` counts them, DM100 is 100."""

    async def write_range(self, first: int, words: tuple[int, ...]) -> None:
        """As ``WordConnection.write_range``: command WRS."""
        name = f"the write of DM{first}"
        reply = await self._ask(name, write_request(first, words), 0)
        if not is_done(reply):
            self._refuse(name, reply, "OK was expected")

    async def read_range(self, first: int, count: int) -> tuple[int, ...]:
        """As ``WordConnection.read_range``: command RDS."""
        name = f"the read of DM{first}"
        reply = await self._ask(name, read_request(first, count), count)
        try:
            return parse_words(reply, count)
        except ValueError as err:
            self._refuse(name, reply, str(err))

    async def _ask(self, name: str, request: bytes, words: int) -> bytes:
        reply = await self._wire.ask(name, request, partial(reply_size, words=words))
        if code := error_code(reply):
            meaning = ERROR_CODES.get(code, "see the PLC's manual, host link communication")
            self.fail(CommandRefused(f"{name} by {self.peer}", code, meaning))
        return reply

    def _refuse(self, name: str, reply: bytes, why: str) -> NoReturn:
        self.fail(ProtocolViolation(f"{self.peer} answered {name} with {reply[:40]!r}: {why}"))
