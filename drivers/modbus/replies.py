"""What a Modbus TCP reply to this driver's requests may look like. No I/O.

Sources: MODBUS Application Protocol V1.1b3 (function codes 1, 2, 3, 15, 16; exception codes, section 7) and
MODBUS Messaging on TCP/IP V1.0b (MBAP header, section 3.1.3).
"""

from __future__ import annotations

from drivers.output.block import BLOCK_WORDS, PLC_WORDS

__all__ = ["EXCEPTION_MEANINGS", "came_instead", "reply_problem"]

EXCEPTION_MEANINGS = {
    1: "illegal function: the device has no such function code",
    2: "illegal data address: what [output] names lies outside the device's map",
    3: "illegal data value: the device refuses so many coils or registers in one request",
    4: "server device failure: often a watchdog that tripped and has to be cleared on the device",
    5: "acknowledge: the device works on it and has not done it",
    6: "server device busy",
    7: "negative acknowledge: the device cannot do it",
    8: "memory parity error in the device",
    10: "gateway path unavailable: the gateway has no route to this unit",
    11: "gateway target device failed to respond: the unit behind the gateway is silent",
}

# The MBAP length fields (unit + PDU bytes) of each reply that the requests of this driver can have.
_REPLY_LENGTHS: dict[int, tuple[int, ...]] = {
    0x01: (4,),
    0x02: tuple(range(4, 12)),
    0x03: (5, 3 + 2 * BLOCK_WORDS, 3 + 2 * PLC_WORDS),
    0x0F: (6,),
    0x10: (6,),
    **dict.fromkeys((0x81, 0x82, 0x83, 0x8F, 0x90), (3,)),
}
_ALL_LENGTHS = frozenset(length for lengths in _REPLY_LENGTHS.values() for length in lengths)


def reply_problem(buffer: bytes) -> str:
    """What is wrong with these received bytes, empty if they are whole replies or the beginning of one.

    The library drops what it cannot parse and goes on waiting, or ends in a traceback. To this output such
    bytes mean that the peer is not what it should be, so they have to be seen.
    """
    at = 0
    while len(buffer) - at >= 6:
        if buffer[at + 2 : at + 4] != b"\x00\x00":
            return f"protocol identifier 0x{buffer[at + 2 : at + 4].hex()} instead of 0: this is not Modbus TCP"
        length = int.from_bytes(buffer[at + 4 : at + 6], "big")
        if length not in _ALL_LENGTHS:
            return f"a reply of {length} bytes fits none of the requests"
        if len(buffer) - at >= 8:
            function = buffer[at + 7]
            if length not in _REPLY_LENGTHS.get(function, ()):
                return f"function code 0x{function:02x} with {length} bytes fits none of the requests"
        if len(buffer) - at >= 9 and buffer[at + 7] in (0x01, 0x02, 0x03) and buffer[at + 8] != length - 3:
            return f"byte count {buffer[at + 8]} instead of {length - 3}"
        at += 6 + length
    return ""


def came_instead(buffer: bytes, transaction: int, unit: int, *, is_rtu: bool) -> str:
    """What these received bytes are, where they are no answer to that request; empty if they may be (the begin of) one.

    A frame of another transaction or unit is passed over as the late reply to an earlier request. Where nothing else
    comes it is what tells a wrong number in the settings from a device that is silent.
    """
    if is_rtu:
        if not buffer or buffer[0] == unit:
            return ""
        return (
            f"what came, {buffer[:16].hex(' ')}, begins with {buffer[0]} and not with unit {unit}: {_ANOTHER_UNIT_RTU}"
        )
    said, at = "", 0
    while len(buffer) - at >= 7:
        came_transaction, came_unit = int.from_bytes(buffer[at : at + 2], "big"), buffer[at + 6]
        if came_unit != unit:
            said = f"it answered as unit {came_unit}, asked was unit {unit}: {_ANOTHER_UNIT.format(came_unit)}"
        elif came_transaction not in (transaction, 0):
            numbers = f"transaction {came_transaction}, asked was transaction {transaction}"
            said = f"it answered {numbers}: {_ANOTHER_TRANSACTION}"
        else:
            return ""
        at += 6 + int.from_bytes(buffer[at + 4 : at + 6], "big")
    return said


_ANOTHER_UNIT = "set output.unit to {} if that is its number"
_ANOTHER_UNIT_RTU = "look at output.unit, at baud rate and parity, and at the end resistors of the line"
_ANOTHER_TRANSACTION = (
    "an answer that comes too late (output.write_timeout_ms), or a device that does not give the number back"
)
