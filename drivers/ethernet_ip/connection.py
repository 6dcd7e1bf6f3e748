"""One connection to a Rockwell Logix controller: unconnected messages over EtherNet/IP. Single use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from drivers.base import Admit, ProtocolViolation, admit_all
from drivers.ethernet_ip.codec import (
    Way,
    check_written,
    parse_elements,
    parse_session,
    read_request,
    register_request,
    reply_size,
    tag_path,
    write_request,
)
from drivers.output.block import PLC_WORDS, PlcWords
from drivers.output.plc_connection import PlcConnection

if TYPE_CHECKING:
    from drivers.output.wire import OnLost

__all__ = ["EthernetIpConnection", "Tags"]

_DROPPED = ": all its connections may be taken, or output.port is not that of EtherNet/IP"
# The field has eight bytes; 32 bits are far more than a connection lives to ask for.
_NUMBERS = 0x1_0000_0000
_ELEMENT_BITS = 32
_WORD = 0xFFFF


@dataclass(frozen=True, slots=True)
class Tags:
    """The tag that the agent writes (DINT[8]), the one that the PLC writes (DINT[5]), and the one with inputs.

    Raises ValueError for what is no name of a tag, and for one name twice: the controller knows no capital letters.
    """

    agent: str
    plc: str
    inputs: str | None = None

    def __post_init__(self) -> None:
        named = [tag for tag in (self.agent, self.plc, self.inputs) if tag is not None]
        for tag in named:
            tag_path(tag)
        # One tag for both sides would be overwritten by both.
        if len({tag.casefold() for tag in named}) < len(named):
            raise ValueError(f"each has a tag of its own (got {self})")


class EthernetIpConnection(PlcConnection):
    """A ``PlcConnection`` to the CPU in a slot of the chassis. An element of a tag carries one word, in its low half.

    Inputs are counted as an array of BOOL counts: input 32 is bit 0 of the second element of ``tags.inputs``.
    The CPU is told to give a request up after ``timeout_s``: what waits there longer is not carried out late.
    """

    block_key = "output.tag"
    inputs_key = "output.inputs_tag"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tags: Tags,
        slot: int = 0,
        timeout_s: float,
        on_lost: OnLost,
        admit: Admit = admit_all,
    ) -> None:
        super().__init__(host, port, timeout_s=timeout_s, on_lost=on_lost, admit=admit, dropped_hint=_DROPPED)
        self._tags = tags
        # Made here and not with the first request: a wrong slot or time is told when the output is made.
        self._way = Way.to(slot, timeout_s)
        self._number = 0

    async def greet(self) -> None:
        """As ``PlcConnection.greet``: a session, which ends with the connection."""
        name, number = "the request for a session", self._next_number()
        reply = await self._wire.ask(name, register_request(number), partial(reply_size, elements=None))
        session = self.take(name, reply, partial(parse_session, number=number))
        self._way = self._way._replace(session=session)

    async def write_words(self, words: tuple[int, ...]) -> None:
        """As ``BlockWire.write_words``: service Write Tag."""
        tag = self._tags.agent
        name, number = f"the write of {tag}", self._next_number()
        request = write_request(number, self._way, tag_path(tag), words)
        reply = await self._wire.ask(name, request, partial(reply_size, elements=0))
        self.take(name, reply, partial(check_written, number=number, session=self._way.session))

    async def read_words(self, count: int) -> tuple[int, ...]:
        """As ``BlockWire.read_words``. An element with more than a word in it is handed on: it equals none."""
        return await self._read(self._tags.agent, 0, count)

    async def read_plc_words(self) -> tuple[int, ...]:
        """As ``BlockWire.read_plc_words``. What only counts may count on beyond a word: its low half is what counts."""
        found = PlcWords(*await self._read(self._tags.plc, 0, PLC_WORDS))
        # Who counts in a DINT does not think of 16 bits. A part's number above a word is refused below: cut off, it
        # would name another part (docs/decisions/0091).
        words = found._replace(heartbeat=found.heartbeat & _WORD, reject_confirm=found.reject_confirm & _WORD)
        for at, word in enumerate(words):
            if word > _WORD:
                self.fail(
                    ProtocolViolation(f"{self.peer} has {word} in {self._tags.plc}[{at}]: expected 0 to {_WORD} there")
                )
        return words

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        """Bits of the tag that the PLC gives as inputs. Raises DriverError, also where it gives none."""
        tag = self._tags.inputs
        if tag is None:
            raise self.no_inputs()
        skipped, last = first // _ELEMENT_BITS, (first + count - 1) // _ELEMENT_BITS
        elements = await self._read(tag, skipped, last - skipped + 1, may_be_bits=True)
        bits = [bool(element >> bit & 1) for element in elements for bit in range(_ELEMENT_BITS)]
        return tuple(bits[first % _ELEMENT_BITS :][:count])

    async def _read(self, tag: str, first: int, count: int, *, may_be_bits: bool = False) -> tuple[int, ...]:
        name, number = f"the read of {tag}", self._next_number()
        request = read_request(number, self._way, tag_path(tag), first, count)
        reply = await self._wire.ask(name, request, partial(reply_size, elements=count))
        parse = partial(
            parse_elements, number=number, session=self._way.session, elements=count, may_be_bits=may_be_bits
        )
        return self.take(name, reply, parse)

    def _next_number(self) -> int:
        self._number = (self._number + 1) % _NUMBERS
        return self._number
