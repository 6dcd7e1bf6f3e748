"""One connection to a Siemens CPU that speaks S7 communication over ISO-on-TCP. Single use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from drivers.base import Admit, admit_all
from drivers.output.words import WordConnection, WordPlaces
from drivers.s7.codec import (
    check_confirm,
    check_setup,
    check_written,
    confirm_size,
    connect_request,
    parse_words,
    read_request,
    reply_size,
    setup_request,
    write_request,
)

if TYPE_CHECKING:
    from drivers.output.wire import OnLost

__all__ = ["S7Connection"]

_DROPPED = ": there may be no CPU at output.rack and output.slot, all its connections may be taken, or PUT/GET is off"
_NUMBERS = 0x10000
_BITS = 8


class S7Connection(WordConnection):
    """Words are those of one data block: ``places`` counts them, word 20 is DBW40. An input is a bit of its bytes.

    Input 0 is bit 0 of the first byte of the word ``places.inputs``, input 8 bit 0 of the next byte: the elements of
    an Array of Bool. ``timeout_s`` bounds all that it takes to connect together, and each request.
    """

    block_key = "output.first_byte"
    inputs_key = "output.inputs_byte"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        db: int,
        rack: int = 0,
        slot: int = 1,
        places: WordPlaces,
        timeout_s: float,
        on_lost: OnLost,
        admit: Admit = admit_all,
    ) -> None:
        super().__init__(
            host, port, places=places, timeout_s=timeout_s, on_lost=on_lost, admit=admit, dropped_hint=_DROPPED
        )
        self._db = db
        self._connect = connect_request(rack, slot)
        self._number = 0

    async def greet(self) -> None:
        """As ``WordConnection.greet``: the CPU in its place of the rack, then the size of requests."""
        name = "the request to connect"
        reply = await self._wire.ask(name, self._connect, confirm_size)
        self.take(name, reply, check_confirm)
        name, number = "the setup of communication", self._next_number()
        reply = await self._wire.ask(name, setup_request(number), partial(reply_size, words=0))
        self.take(name, reply, partial(check_setup, number=number))

    async def write_range(self, first: int, words: tuple[int, ...]) -> None:
        """As ``WordConnection.write_range``: write var of one place."""
        name, number = f"the write of {self._named(first)}", self._next_number()
        request = write_request(number, self._db, 2 * first, words)
        reply = await self._wire.ask(name, request, partial(reply_size, words=0))
        self.take(name, reply, partial(check_written, number=number))

    async def read_range(self, first: int, count: int) -> tuple[int, ...]:
        """As ``WordConnection.read_range``: read var of one place."""
        name, number = f"the read of {self._named(first)}", self._next_number()
        reply = await self._wire.ask(
            name, read_request(number, self._db, 2 * first, count), partial(reply_size, words=count)
        )
        return self.take(name, reply, partial(parse_words, number=number, words=count))

    def bits(self, words: tuple[int, ...]) -> list[bool]:
        """As ``WordConnection.bits``: by bytes, as the CPU counts them."""
        return [bool(byte >> bit & 1) for word in words for byte in word.to_bytes(2, "big") for bit in range(_BITS)]

    def _named(self, first: int) -> str:
        return f"DB{self._db}.DBW{2 * first}"

    def _next_number(self) -> int:
        self._number = (self._number + 1) % _NUMBERS
        return self._number
