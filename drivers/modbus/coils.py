"""The coil map as data, and what a Modbus TCP reply to it may look like. No I/O.

Sources: MODBUS Application Protocol V1.1b3 (function codes 1, 2, 15; exception codes, section 7) and
MODBUS Messaging on TCP/IP V1.0b (MBAP header, section 3.1.3). The map and worked bytes are in PROTOCOL.md.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COIL_NAMES", "EXCEPTION_MEANINGS", "RESTING", "CoilState", "reply_problem"]

COIL_NAMES = ("PASS", "REJECT", "READY", "HEARTBEAT")
"""In the order of their addresses, from ``first_coil`` on."""


@dataclass(frozen=True, slots=True)
class CoilState:
    """What the four coils say. The defaults are the resting state; REJECT is always the opposite of PASS.

    Both coils equal is no state of ours: it means that the remote I/O dropped its outputs, or is wired wrong.
    """

    is_pass: bool = False
    is_ready: bool = False
    heartbeat: bool = False

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT."""
        return self.is_pass, not self.is_pass, self.is_ready, self.heartbeat

    def __str__(self) -> str:
        return " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, self.bits, strict=True))


RESTING = CoilState()
"""Nothing passes: PASS 0, REJECT 1, READY 0, HEARTBEAT 0."""

EXCEPTION_MEANINGS = {
    1: "illegal function: the device has no such function code",
    2: "illegal data address: first_coil or part_present_input lies outside the device's map",
    3: "illegal data value: the device refuses four coils in one request",
    4: "server device failure: often a watchdog that tripped and has to be cleared on the device",
    5: "acknowledge: the device works on it and has not done it",
    6: "server device busy",
    7: "negative acknowledge: the device cannot do it",
    8: "memory parity error in the device",
    10: "gateway path unavailable: the gateway has no route to this unit",
    11: "gateway target device failed to respond: the unit behind the gateway is silent",
}

# The MBAP length field (unit + PDU bytes) of each reply that the three requests of this driver can have.
_REPLY_LENGTHS = {0x01: 4, 0x02: 4, 0x0F: 6, 0x81: 3, 0x82: 3, 0x8F: 3}


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
        if length not in _REPLY_LENGTHS.values():
            return f"a reply of {length} bytes fits none of the requests"
        if len(buffer) - at >= 8:
            function = buffer[at + 7]
            if _REPLY_LENGTHS.get(function) != length:
                return f"function code 0x{function:02x} with {length} bytes fits none of the requests"
        if len(buffer) - at >= 9 and buffer[at + 7] in (0x01, 0x02) and buffer[at + 8] != 1:
            return f"byte count {buffer[at + 8]} instead of 1"
        at += 6 + length
    return ""
