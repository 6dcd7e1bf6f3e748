"""Frames of S7 communication over ISO-on-TCP: words of one data block, read and written in a row. No I/O.

Sources and worked bytes: PROTOCOL.md.
"""

from __future__ import annotations

import struct

from drivers.output.plc_connection import Refused

__all__ = [
    "HEADER_ERRORS",
    "ITEM_CODES",
    "LAST_BYTE",
    "LAST_DB",
    "MOST_WORDS",
    "Refused",
    "check_confirm",
    "check_setup",
    "check_written",
    "confirm_size",
    "connect_request",
    "parse_words",
    "read_request",
    "reply_size",
    "setup_request",
    "write_request",
]

MOST_WORDS = 16
"""In one request: it and its answer are then well below the smallest size that a CPU agrees to."""
LAST_DB = 0xFFFF
LAST_BYTE = 0xFFFF

_TPKT = b"\x03\x00"
_TPKT_SIZE = 4
_DATA = b"\x02\xf0\x80"
"""COTP: data, whole in this frame."""
_CONNECT, _CONFIRM, _DISCONNECT = 0xE0, 0xD0, 0x80
_CONFIRM_LEAST, _CONFIRM_MOST = 7, 128
_OUR_REFERENCE, _OUR_TSAP = 0x0001, 0x0100
_TO_PLC = 0x03
"""S7 basic: neither of the connections that a CPU keeps free for a programming device and for a panel."""
_TPDU_1024 = 0x0A
_S7 = 0x32
_JOB, _ACK, _ACK_DATA = 1, 2, 3
_JOB_HEADER, _REPLY_HEADER = 10, 12
_SETUP, _READ, _WRITE = 0xF0, 0x04, 0x05
_PDU_WANTED, _PDU_LEAST = 480, 112
_BY_BYTE, _DATA_BLOCK = 0x02, 0x84
_IN_BITS = 0x04
_DONE = 0xFF
_BEFORE = _TPKT_SIZE + len(_DATA)
_ITEM_HEAD = 4

ITEM_CODES = {
    0x01: "the CPU reports a hardware error",
    0x03: (
        "access is denied: permit PUT/GET in the CPU's protection settings (S7-1200, S7-1500); no write protection "
        "may be set for the block"
    ),
    0x05: "the data block has no such bytes: look at output.first_byte, plc_byte and inputs_byte, and at its length",
    0x06: "the CPU does not take this kind of data",
    0x07: "the CPU finds kind and length of the data at odds",
    0x0A: (
        "there is no such data block, or it has optimised block access: look at output.db, and switch the optimised "
        "access off in the block's attributes (S7-1200, S7-1500)"
    ),
}
"""What is known of the code that stands with a place of memory."""

HEADER_ERRORS = {
    0x8001: "the CPU does not take this request in its present state",
    0x8104: (
        "the CPU does not permit it: permit PUT/GET in its protection settings (S7-1200, S7-1500); look at output.db"
    ),
    0x8404: "the CPU cannot carry it out: look at output.db, first_byte, plc_byte and inputs_byte",
    0x8500: "the CPU calls the request wrong in its length",
    0xD241: "a password or a protection level of the CPU keeps it from being written",
}
"""What is known of the error in the head of an answer."""


def connect_request(rack: int, slot: int) -> bytes:
    """COTP: connect to the CPU in this place of the rack. Raises ValueError for a place that no rack has."""
    if not (0 <= rack <= 7 and 0 <= slot <= 31):
        raise ValueError(f"a rack is 0 to 7 and a slot 0 to 31 (got {rack} and {slot})")
    options = struct.pack(">BBB", 0xC0, 1, _TPDU_1024) + struct.pack(">BBH", 0xC1, 2, _OUR_TSAP)
    options += struct.pack(">BBBB", 0xC2, 2, _TO_PLC, rack << 5 | slot)
    body = struct.pack(">BHHB", _CONNECT, 0, _OUR_REFERENCE, 0) + options
    return _framed(bytes((len(body),)) + body)


def confirm_size(buffer: bytes) -> int | None:
    """How many bytes the answer to ``connect_request`` has; None while its head is not there.

    Raises ValueError for what cannot be the begin of one.
    """
    return _size(buffer, _TPKT_SIZE + _CONFIRM_LEAST, _CONFIRM_MOST)


def check_confirm(reply: bytes) -> Refused | None:
    """None for a connection that was confirmed. Raises ValueError for what is no answer to ``connect_request``."""
    length, kind = reply[_TPKT_SIZE], reply[_TPKT_SIZE + 1]
    if length != len(reply) - _TPKT_SIZE - 1:
        raise ValueError("its length is not that of its frame")
    if kind == _DISCONNECT:
        meaning = "there is no CPU at output.rack and output.slot, or all its connections are taken"
        return Refused(f"reason {reply[_BEFORE + 3]}", meaning)
    if kind != _CONFIRM:
        raise ValueError("it confirms no connection")
    return None


def setup_request(number: int) -> bytes:
    """The first request on a connection: one at a time, so many bytes in each."""
    return _job(number, struct.pack(">BBHHH", _SETUP, 0, 1, 1, _PDU_WANTED), b"")


def read_request(number: int, db: int, first_byte: int, words: int) -> bytes:
    """Read words in a row. ``number`` comes back with the answer."""
    return _job(number, _item(_READ, db, first_byte, words), b"")


def write_request(number: int, db: int, first_byte: int, words: tuple[int, ...]) -> bytes:
    """Write words in a row, all of them at once."""
    item = _item(_WRITE, db, first_byte, len(words))
    data = struct.pack(f">{len(words)}H", *words)
    return _job(number, item, struct.pack(">BBH", 0, _IN_BITS, 8 * len(data)) + data)


def _item(function: int, db: int, first_byte: int, words: int) -> bytes:
    if not (1 <= db <= LAST_DB and first_byte >= 0 and 1 <= words <= MOST_WORDS):
        raise ValueError(f"DB{db}, byte {first_byte} and {words} words: DB1 to DB{LAST_DB}, {MOST_WORDS} words at most")
    if first_byte + 2 * words - 1 > LAST_BYTE:
        raise ValueError(f"the last byte of a data block is {LAST_BYTE} (got {words} words from byte {first_byte} on)")
    place = struct.pack(">BBBBHHB", 0x12, 0x0A, 0x10, _BY_BYTE, 2 * words, db, _DATA_BLOCK)
    return bytes((function, 1)) + place + (8 * first_byte).to_bytes(3, "big")


def _job(number: int, asked: bytes, data: bytes) -> bytes:
    return _framed(_DATA + struct.pack(">BBHHHH", _S7, _JOB, 0, number, len(asked), len(data)) + asked + data)


def _framed(body: bytes) -> bytes:
    return _TPKT + struct.pack(">H", _TPKT_SIZE + len(body)) + body


def reply_size(buffer: bytes, words: int) -> int | None:
    """How many bytes the answer has that should carry so many words; None while its head is not there.

    Raises ValueError for what cannot be the begin of one.
    """
    # Without words: to a write, or to the first request. An item that was refused may have a head without data.
    most = _BEFORE + _REPLY_HEADER + (2 + _ITEM_HEAD + 2 * words if words else 8)
    return _size(buffer, _BEFORE + _REPLY_HEADER, most)


def _size(buffer: bytes, least: int, most: int) -> int | None:
    head = buffer[: len(_TPKT)]
    if head != _TPKT[: len(head)]:
        raise ValueError(f"this is no frame of ISO-on-TCP, which begins {_TPKT.hex(' ')}")
    if len(buffer) < _TPKT_SIZE:
        return None
    size = int.from_bytes(buffer[len(_TPKT) : _TPKT_SIZE], "big")
    if not least <= size <= most:
        raise ValueError(f"it says that it has {size} bytes, {least} to {most} fit the request")
    return size


def check_setup(reply: bytes, number: int) -> Refused | None:
    """None where the CPU agreed to frames that are large enough. Raises ValueError for what is no such answer."""
    asked, data = _parts(reply, number)
    if isinstance(asked, Refused):
        return asked
    if len(asked) != 8 or asked[0] != _SETUP or data:
        raise ValueError("it is no answer to the setup of communication")
    size = int.from_bytes(asked[6:], "big")
    if not _PDU_LEAST <= size <= _PDU_WANTED:
        raise ValueError(f"the CPU wants requests of {size} bytes, {_PDU_LEAST} to {_PDU_WANTED} were offered")
    return None


def check_written(reply: bytes, number: int) -> Refused | None:
    """None where the write with this number was carried out. Raises ValueError for what is no answer to it."""
    asked, data = _parts(reply, number)
    if isinstance(asked, Refused):
        return asked
    if asked != bytes((_WRITE, 1)) or len(data) != 1:
        raise ValueError("it is no answer to a write of one place")
    return None if data[0] == _DONE else _item_refused(data[0])


def parse_words(reply: bytes, number: int, words: int) -> tuple[int, ...] | Refused:
    """The words of the read with this number. Raises ValueError for what is no answer to it."""
    asked, data = _parts(reply, number)
    if isinstance(asked, Refused):
        return asked
    if asked != bytes((_READ, 1)) or not data:
        raise ValueError("it is no answer to a read of one place")
    if data[0] != _DONE:
        if len(data) > _ITEM_HEAD:
            raise ValueError("it carries data and says that there are none")
        return _item_refused(data[0])
    if data[:_ITEM_HEAD] != struct.pack(">BBH", _DONE, _IN_BITS, 16 * words) or len(data) != _ITEM_HEAD + 2 * words:
        raise ValueError(f"it carries something else than {words} words")
    return struct.unpack(f">{words}H", data[_ITEM_HEAD:])


def _parts(reply: bytes, number: int) -> tuple[bytes | Refused, bytes]:
    """What stands behind the head of a whole answer: what was asked, and data. Raises ValueError."""
    if reply[_TPKT_SIZE:_BEFORE] != _DATA:
        raise ValueError("it is not one whole piece of data")
    protocol, kind, _, its, asked, data, error = struct.unpack_from(">BBHHHHH", reply, _BEFORE)
    if protocol != _S7 or kind not in (_ACK, _ACK_DATA):
        raise ValueError("it is no answer of S7 communication")
    if its != number:
        raise ValueError(f"it is the answer to request {its}, not to {number}")
    if len(reply) != _BEFORE + _REPLY_HEADER + asked + data:
        raise ValueError("the lengths in it are not that of its frame")
    if error:
        meaning = HEADER_ERRORS.get(error, "see the list of error codes of S7 communication")
        return Refused(f"error {error:04X}", meaning), b""
    if kind != _ACK_DATA:
        raise ValueError("it carries nothing of what was asked")
    at = _BEFORE + _REPLY_HEADER
    return reply[at : at + asked], reply[at + asked :]


def _item_refused(code: int) -> Refused:
    return Refused(f"code {code:02X}", ITEM_CODES.get(code, "see the list of return codes of S7 communication"))
