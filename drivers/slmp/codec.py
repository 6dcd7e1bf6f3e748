"""Frames of SLMP (MC protocol), 3E, binary: words of the data registers D, read and written in a row. No I/O.

Sources and worked bytes: PROTOCOL.md.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "END_CODES",
    "LAST_DEVICE",
    "MOST_WORDS",
    "Reply",
    "parse_reply",
    "read_request",
    "reply_size",
    "write_request",
]

MOST_WORDS = 960
"""In one request."""
LAST_DEVICE = 0xFFFFFF

_ROUTE = bytes.fromhex("00ffff0300")
"""Network 0, station 0xFF, module 0x03FF, multidrop station 0: the CPU that the connection leads to."""
_REQUEST, _RESPONSE = b"\x50\x00" + _ROUTE, b"\xd0\x00" + _ROUTE
_READ, _WRITE = 0x0401, 0x1401
_BY_WORD = 0x0000
_D = 0xA8
_HEADER = len(_RESPONSE) + 2
_END_CODE = 2
_ERROR_MOST = 64
"""More than an end code and what any CPU says beside it: 9 bytes, mostly."""

END_CODES = {
    0x0055: "the CPU takes no writes while it is in RUN: enable online change in the PLC's Ethernet settings",
    0x4030: "the CPU has no such device",
    0x4031: "the CPU has no D with such a number: look at output.first_register, plc_register and inputs_register",
    0xC050: "the port is set to ASCII: set the communication data code to binary in the PLC's Ethernet settings",
    0xC052: "the CPU takes fewer words in one request",
    0xC056: "that is beyond the last D of the CPU: look at output.first_register, plc_register and inputs_register",
    0xC059: "the CPU does not know this command",
    0xC05B: "the CPU cannot read or write D at this place",
    0xC05C: "the CPU calls the request wrong in its contents",
    0xC05F: "the CPU cannot carry the request out for this destination",
    0xC061: "the CPU calls the request wrong in its length",
    0xC201: "the port is locked by a remote password",
}
"""What is known of end codes; a PLC has more."""


class Reply(NamedTuple):
    """What a CPU answered. ``end_code`` is 0 if it did what it was asked; else ``words`` are empty."""

    end_code: int
    words: tuple[int, ...]


def read_request(first: int, count: int, timer: int) -> bytes:
    """Batch read. ``timer``: how long the CPU may take, in 250 ms. Raises ValueError for words no frame can name."""
    return _request(_READ, first, count, timer, b"")


def write_request(first: int, words: tuple[int, ...], timer: int) -> bytes:
    """Batch write, of all of them at once; otherwise as ``read_request``. Raises ValueError."""
    return _request(_WRITE, first, len(words), timer, struct.pack(f"<{len(words)}H", *words))


def _request(command: int, first: int, count: int, timer: int, data: bytes) -> bytes:
    if not (first >= 0 and 1 <= count <= MOST_WORDS and first + count - 1 <= LAST_DEVICE):
        raise ValueError(f"D{first} and {count} words: from D0 to D{LAST_DEVICE}, {MOST_WORDS} words at most")
    device = first.to_bytes(3, "little") + bytes((_D,))
    body = struct.pack("<HHH", timer, command, _BY_WORD) + device + struct.pack("<H", count) + data
    return _REQUEST + struct.pack("<H", len(body)) + body


def reply_size(buffer: bytes, words: int) -> int | None:
    """How many bytes the answer has that should carry so many words; None while its head is not there.

    Raises ValueError for what cannot be the begin of one.
    """
    head = buffer[: len(_RESPONSE)]
    if head != _RESPONSE[: len(head)]:
        raise ValueError(f"this is no 3E answer in binary of the CPU that was asked, which begins {_RESPONSE.hex(' ')}")
    if len(buffer) < _HEADER:
        return None
    length = int.from_bytes(buffer[len(_RESPONSE) : _HEADER], "little")
    expected = _END_CODE + 2 * words
    if length != expected and not _END_CODE <= length <= _ERROR_MOST:
        raise ValueError(f"it says that {length} bytes follow, {expected} fit the request")
    return _HEADER + length


def parse_reply(reply: bytes, words: int) -> Reply:
    """A whole answer, as ``reply_size`` measured it. Raises ValueError for one that does not fit the request."""
    end_code = int.from_bytes(reply[_HEADER : _HEADER + _END_CODE], "little")
    if end_code:
        return Reply(end_code, ())
    data = reply[_HEADER + _END_CODE :]
    if len(data) != 2 * words:
        raise ValueError(f"it carries {len(data)} bytes of data, {2 * words} fit the request")
    return Reply(0, struct.unpack(f"<{words}H", data))
