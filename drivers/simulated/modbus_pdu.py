"""Modbus requests, from the specification: functions 1, 2, 3, 5, 6, 15, 16; all others are exception 1."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ModbusFault", "Request", "parse_request", "read_bits_reply", "read_words_reply"]

_TWO_WORDS = struct.Struct(">HH")
_ON, _OFF = 0xFF00, 0x0000
_MOST = {1: 2000, 2: 2000, 3: 125, 15: 1968, 16: 123}


class ModbusFault(Exception):
    """Answered with an exception: 1 function, 2 address, 3 value, 4 device failure."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """A well-formed request. ``bits`` and ``words`` are what it writes."""

    function: int
    first: int
    count: int
    bits: tuple[bool, ...] = ()
    words: tuple[int, ...] = ()
    value: int = 0

    @property
    def echo(self) -> bytes:
        """The reply of a write that was carried out."""
        second = self.value if self.function in (5, 6) else self.count
        return bytes((self.function,)) + _TWO_WORDS.pack(self.first, second)

    @property
    def wrong_echo(self) -> bytes:
        """A well-formed reply to another write."""
        return bytes((self.function,)) + _TWO_WORDS.pack((self.first + 7) & 0xFFFF, self.count)


def parse_request(pdu: bytes) -> Request:
    """Read a request. Raises ModbusFault."""
    function = pdu[0]
    if function not in (1, 2, 3, 5, 6, 15, 16):
        raise ModbusFault(1)
    if len(pdu) < 5 or (function < 15 and len(pdu) != 5):
        raise ModbusFault(3)
    first, second = _TWO_WORDS.unpack(pdu[1:5])
    if function == 5 and second not in (_ON, _OFF):
        raise ModbusFault(3)
    if function == 5:
        return Request(5, first, 1, bits=(second == _ON,), value=second)
    if function == 6:
        return Request(6, first, 1, words=(second,), value=second)
    if not 1 <= second <= _MOST[function]:
        raise ModbusFault(3)
    if first + second > 65536:
        raise ModbusFault(2)
    return Request(function, first, second) if function < 15 else _multiple_write(pdu, first, second)


def _multiple_write(pdu: bytes, first: int, count: int) -> Request:
    data = pdu[6:]
    expected = (count + 7) // 8 if pdu[0] == 15 else 2 * count
    if len(pdu) < 6 or pdu[5] != expected or len(data) != expected:
        raise ModbusFault(3)
    if pdu[0] == 15:
        return Request(15, first, count, bits=tuple(bool(data[at // 8] >> at % 8 & 1) for at in range(count)))
    return Request(16, first, count, words=struct.unpack(f">{count}H", data))


def read_bits_reply(function: int, values: Sequence[bool]) -> bytes:
    """The reply to functions 1 and 2: eight values a byte, the first in the lowest bit."""
    packed = bytearray((len(values) + 7) // 8)
    for at, value in enumerate(values):
        packed[at // 8] |= value << at % 8
    return bytes((function, len(packed))) + bytes(packed)


def read_words_reply(words: Sequence[int]) -> bytes:
    """The reply to function 3."""
    return bytes((3, 2 * len(words))) + struct.pack(f">{len(words)}H", *words)
