"""A PLC whose words are asked for by number, one request at a time over TCP: the block, the PLC's words, its inputs.

What it takes to speak such a protocol is to read and to write words in a row.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.base import Admit, admit_all
from drivers.output.block import BLOCK_WORDS, PLC_WORDS
from drivers.output.plc_connection import PlcConnection

if TYPE_CHECKING:
    from drivers.output.wire import OnLost

__all__ = ["WORD_BITS", "WordConnection", "WordPlaces"]

WORD_BITS = 16


@dataclass(frozen=True, slots=True)
class WordPlaces:
    """Which words of the PLC are whose: the block's first one, the PLC's first one, the first one with inputs.

    Raises ValueError where they lie over each other or below 0.
    """

    first: int
    plc: int
    inputs: int | None = None

    def __post_init__(self) -> None:
        if min(self.first, self.plc, self.inputs or 0) < 0:
            raise ValueError(f"words are counted from 0 on (got {self})")
        # Over each other the agent would write the PLC's trigger number itself, and read its own words as the PLC's.
        if self.first - PLC_WORDS < self.plc < self.first + BLOCK_WORDS:
            raise ValueError(f"the block at {self.first} and the PLC's words at {self.plc} lie over each other")


class WordConnection(PlcConnection):
    """A ``PlcConnection`` to a PLC that is asked for words by number.

    An input is a bit of a word: input 0 is bit 0 of the word ``places.inputs``, input 16 bit 0 of the next one.
    """

    block_key = "output.first_register"
    inputs_key = "output.inputs_register"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        places: WordPlaces,
        timeout_s: float,
        on_lost: OnLost,
        admit: Admit = admit_all,
        dropped_hint: str = "",
    ) -> None:
        super().__init__(host, port, timeout_s=timeout_s, on_lost=on_lost, admit=admit, dropped_hint=dropped_hint)
        self._places = places

    @abstractmethod
    async def write_range(self, first: int, words: tuple[int, ...]) -> None:
        """Words in a row, in one request; returns when the PLC has confirmed exactly that one.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """

    @abstractmethod
    async def read_range(self, first: int, count: int) -> tuple[int, ...]:
        """Words in a row, in one request. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""

    async def write_words(self, words: tuple[int, ...]) -> None:
        """As ``BlockWire.write_words``."""
        await self.write_range(self._places.first, words)

    async def read_words(self, count: int) -> tuple[int, ...]:
        """As ``BlockWire.read_words``."""
        return await self.read_range(self._places.first, count)

    async def read_plc_words(self) -> tuple[int, ...]:
        """As ``BlockWire.read_plc_words``."""
        return await self.read_range(self._places.plc, PLC_WORDS)

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        """Bits of the words that the PLC gives as inputs. Raises DriverError, also where it gives none."""
        at = self._places.inputs
        if at is None:
            raise self.no_inputs()
        skipped, last = first // WORD_BITS, (first + count - 1) // WORD_BITS
        words = await self.read_range(at + skipped, last - skipped + 1)
        return tuple(self.bits(words)[first % WORD_BITS :][:count])

    def bits(self, words: tuple[int, ...]) -> list[bool]:
        """The inputs in these words, in their order. A protocol that counts its inputs otherwise says so here."""
        return [bool(word >> bit & 1) for word in words for bit in range(WORD_BITS)]
