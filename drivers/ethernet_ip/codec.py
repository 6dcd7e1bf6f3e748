"""Frames of EtherNet/IP: elements of a tag, read and written in a row by unconnected messages. No I/O.

Sources and worked bytes: PROTOCOL.md.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from drivers.ethernet_ip.codes import ENCAPSULATION, EXTENDED, GENERAL
from drivers.output.plc_connection import Refused

__all__ = [
    "LAST_SLOT",
    "MOST_ELEMENTS",
    "TAG",
    "Way",
    "check_written",
    "parse_elements",
    "parse_session",
    "read_request",
    "register_request",
    "reply_size",
    "tag_path",
    "write_request",
]

MOST_ELEMENTS = 64
"""In one request: it and its answer are then well below the 500 bytes that go unconnected."""
LAST_SLOT = 16
# 40 characters of letters, digits and underscores, the first no digit, never two underscores in a row nor one at the
# end. What the controller would refuse is refused here, at the start and with words.
_NAME_OF_TAG = r"(?!\w*__)[A-Za-z_]\w{0,39}(?<!_)"
TAG = re.compile(rf"(?=.{{1,128}}$)(?:Program:{_NAME_OF_TAG}\.)?{_NAME_OF_TAG}(?:\.{_NAME_OF_TAG})*", re.ASCII)
"""A tag of the controller, or of one of its programs, or a member of a structure; names as IEC 61131-3 has them."""

# The encapsulation: command, length behind these 24 bytes, session, status, sender context, options. All numbers of
# this protocol are little-endian (PROTOCOL.md, "Frames").
_HEAD = struct.Struct("<HHII8sI")
# PROTOCOL.md, "How sure this is", says where each of the codes from here on is known from.
_REGISTER, _SEND = 0x65, 0x6F
_VERSION = struct.pack("<HH", 1, 0)
_ITEMS = struct.Struct("<IHHHHHH")
"""Interface, time, two items: an empty address, and unconnected data of this length."""
_NO_ADDRESS, _UNCONNECTED = 0x0000, 0x00B2
# The path to class 6, instance 1: the object that hands a request on to another module.
_SEND_ON, _CONNECTION_MANAGER = 0x52, bytes.fromhex("20062401")
# An answer names the service that was asked, with its highest bit set.
_READ, _WRITE, _REPLY = 0x4C, 0x4D, 0x80
_SYMBOL, _ELEMENT_8, _ELEMENT_16 = 0x91, 0x28, 0x29
# An array of BOOL is kept in words of 32 bits, and is read as such.
_DINT, _BITS_OF_DINT = 0xC4, 0xD3
# The port of a module that leads into its chassis.
_BACKPLANE = 0x01
_SIZE = 4
_STATUS = 4
"""The answer of a service before its data: which one, a reserved byte, its status, how many words are behind that."""
# Bytes, five words: no answer that is known has more. A length beyond that is no answer's.
_MOST_BEHIND_STATUS = 10
_MOST_TICKS, _MOST_TICK = 255, 15


class Way(NamedTuple):
    """Where a request goes: the session of the connection, the CPU's slot, and how long it has there."""

    session: int
    slot: int
    wait: bytes

    @classmethod
    def to(cls, slot: int, timeout_s: float) -> Way:
        """Before there is a session. Raises ValueError for a slot that no chassis has, and for more than two hours."""
        if not 0 <= slot <= LAST_SLOT:
            raise ValueError(f"a slot is 0 to {LAST_SLOT} (got {slot})")
        return cls(0, slot, _time_to_wait(timeout_s))


def tag_path(tag: str) -> bytes:
    """A tag as requests name it. Raises ValueError for what is no tag's name."""
    if TAG.fullmatch(tag) is None:
        raise ValueError(f"{tag!r} is no name of a tag")
    # A member of a structure is a path of its own, and each name begins at an even byte.
    return b"".join(_padded(bytes((_SYMBOL, len(name))) + name.encode()) for name in tag.split("."))


def register_request(number: int) -> bytes:
    """The first request on a connection. ``number`` comes back with the answer, as it does of the others."""
    return _framed(_REGISTER, 0, number, _VERSION)


def read_request(number: int, way: Way, tag: bytes, first: int, elements: int) -> bytes:
    """Read elements in a row. ``tag`` is a ``tag_path``."""
    return _sent(number, way, _service(_READ, tag, first, elements) + struct.pack("<H", elements))


def write_request(number: int, way: Way, tag: bytes, values: tuple[int, ...]) -> bytes:
    """Write DINTs from the tag's first element on, all of them at once."""
    data = struct.pack(f"<HH{len(values)}I", _DINT, len(values), *values)
    return _sent(number, way, _service(_WRITE, tag, 0, len(values)) + data)


def _time_to_wait(timeout_s: float) -> bytes:
    """A tick as a power of two of ms, and how many of them."""
    wait_ms = max(1, round(timeout_s * 1000))
    # The finest tick that fits: the time that the CPU is told is as near as can be to ``write_timeout_ms``, and rounded
    # up.
    for tick in range(_MOST_TICK + 1):
        if (ticks := -(-wait_ms >> tick)) <= _MOST_TICKS:
            return bytes((tick, ticks))
    raise ValueError(f"no request may take {timeout_s} s")


def _service(service: int, tag: bytes, first: int, elements: int) -> bytes:
    if not (0 <= first <= 0xFFFF and 1 <= elements <= MOST_ELEMENTS):
        raise ValueError(f"{elements} elements from {first} on: {MOST_ELEMENTS} at most, the first up to 65535")
    # Both forms are allowed. cm-ethernetip takes the short one where the number fits, and so do we, byte for byte.
    at = struct.pack("<BB", _ELEMENT_8, first) if first <= 0xFF else struct.pack("<BxH", _ELEMENT_16, first)
    return bytes((service, len(tag + at) // 2)) + tag + at


def _sent(number: int, way: Way, asked: bytes) -> bytes:
    """An unconnected message through the module that was connected to, over the backplane, to the CPU in its slot."""
    sent = bytes((_SEND_ON, len(_CONNECTION_MANAGER) // 2)) + _CONNECTION_MANAGER + way.wait
    sent += struct.pack("<H", len(asked)) + _padded(asked) + bytes((1, 0, _BACKPLANE, way.slot))
    return _framed(_SEND, way.session, number, _ITEMS.pack(0, 0, 2, _NO_ADDRESS, 0, _UNCONNECTED, len(sent)) + sent)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _framed(command: int, session: int, number: int, data: bytes) -> bytes:
    return _HEAD.pack(command, len(data), session, 0, struct.pack("<Q", number), 0) + data


def reply_size(buffer: bytes, elements: int | None) -> int | None:
    """How many bytes the answer has that should carry so many elements; None while its head is not there.

    Without elements: to a write. None for ``elements``: to the register request. Raises ValueError for what cannot be
    the begin of an answer.
    """
    command, most = _SEND, _ITEMS.size + _STATUS + max(_MOST_BEHIND_STATUS, 2 + _SIZE * (elements or 0))
    if elements is None:
        command, most = _REGISTER, len(_VERSION)
    head = struct.pack("<H", command)
    # Of as many bytes as are here: a wrong first byte ends the wait at once, instead of at the time-out.
    if buffer[: len(head)] != head[: len(buffer)]:
        raise ValueError(f"this is no answer of EtherNet/IP to this request, which begins {head.hex(' ')}")
    if len(buffer) < _HEAD.size:
        return None
    length = int.from_bytes(buffer[2:4], "little")
    # Without this bound a wrong length would be waited for until the time-out, or fill the memory.
    if length > most:
        raise ValueError(f"it says that {length} bytes follow, {most} at most fit the request")
    return _HEAD.size + length


def parse_session(reply: bytes, number: int) -> int | Refused:
    """The number of the session. Raises ValueError for what is no answer to ``register_request``."""
    session, data = _parts(reply, _REGISTER, number)
    if isinstance(data, Refused):
        return data
    # Session 0 is what a request says that has none.
    if data != _VERSION or not session:
        raise ValueError("it opens no session of version 1")
    return session


def check_written(reply: bytes, number: int, session: int) -> Refused | None:
    """None where the write with this number was carried out. Raises ValueError for what is no answer to it."""
    data = _answered(reply, number, session, _WRITE)
    if isinstance(data, Refused):
        return data
    if data:
        raise ValueError("it carries data, and answers a write")
    return None


def parse_elements(
    reply: bytes, number: int, session: int, elements: int, *, may_be_bits: bool = False
) -> tuple[int, ...] | Refused:
    """The elements of the read with this number, without a sign; 32 BOOL of an array are one where they may be.

    Raises ValueError for what is no answer to it.
    """
    data = _answered(reply, number, session, _READ)
    if isinstance(data, Refused):
        return data
    kinds = (_DINT, _BITS_OF_DINT) if may_be_bits else (_DINT,)
    kind = int.from_bytes(data[:2], "little")
    # Before the length: with a tag of another type both are wrong, and the type is what a person can mend.
    if len(data) >= 2 and kind not in kinds:
        what = "DINT or BOOL" if may_be_bits else "DINT"
        return Refused(f"a tag of type {kind:04X}", f"it has to be an array of {what}")
    if len(data) != 2 + _SIZE * elements:
        raise ValueError(f"it carries something else than {elements} elements")
    return struct.unpack(f"<{elements}I", data[2:])


def _parts(reply: bytes, command: int, number: int) -> tuple[int, bytes | Refused]:
    """The session, and what stands behind the head of a whole frame. Raises ValueError."""
    its, length, session, status, context, options = _HEAD.unpack_from(reply)
    if its != command or options or length != len(reply) - _HEAD.size:
        raise ValueError("its head is not that of an answer to this request")
    # Each request has a number of its own beside "one at a time": two proofs that an answer is not late
    # (docs/decisions/0091).
    if context != struct.pack("<Q", number):
        raise ValueError(f"it is the answer to request {int.from_bytes(context, 'little')}, not to {number}")
    if status:
        meaning = ENCAPSULATION.get(status, "see the list of status codes of EtherNet/IP")
        return session, Refused(f"encapsulation status {status:04X}", meaning)
    return session, reply[_HEAD.size :]


def _answered(reply: bytes, number: int, session: int, service: int) -> bytes | Refused:
    """What a service answers. Raises ValueError."""
    its, data = _parts(reply, _SEND, number)
    if isinstance(data, Refused):
        return data
    if its != session:
        raise ValueError(f"it is of session {its}, not of {session}")
    if len(data) < _ITEMS.size + _STATUS:
        raise ValueError("it carries no answer of a service")
    interface, _, *items, size = _ITEMS.unpack_from(data)
    if interface or items != [2, _NO_ADDRESS, 0, _UNCONNECTED] or size != len(data) - _ITEMS.size:
        raise ValueError("it is not one piece of unconnected data")
    said, reserved, status, behind = data[_ITEMS.size : _ITEMS.size + _STATUS]
    # A module that could not hand the request on answers by itself, in the name of "send on"; then it has to say why.
    if reserved or said not in (service | _REPLY, _SEND_ON | _REPLY) or (said == _SEND_ON | _REPLY and not status):
        raise ValueError(f"it is the answer of service {said:02X}, not of {service | _REPLY:02X}")
    rest = data[_ITEMS.size + _STATUS :]
    return _refused(status, behind, rest) if status or behind else rest


def _refused(status: int, behind: int, rest: bytes) -> Refused:
    extended = rest[: 2 * behind]
    if not status or len(extended) < 2 * behind or len(rest) > _MOST_BEHIND_STATUS:
        raise ValueError("its status is none")
    said = [int.from_bytes(extended[at : at + 2], "little") for at in range(0, len(extended), 2)]
    code = " ".join([f"status {status:02X}", *(f"{one:04X}" for one in said)])
    known = EXTENDED.get((status, said[0])) if said else None
    return Refused(code, known or GENERAL.get(status, "see the list of status codes of CIP"))
