"""What is known of the codes that a Logix controller, or the module before it, answers with instead of data."""

from __future__ import annotations

__all__ = ["ENCAPSULATION", "EXTENDED", "GENERAL"]

_NO_TAG = "look at output.tag, plc_tag and inputs_tag, and at their External Access"
_TOO_FEW = "the tag has fewer elements: the agent's is DINT[8], the PLC's DINT[5], and inputs as many as are named"

ENCAPSULATION = {
    0x0001: "it does not take this command",
    0x0002: "it has no memory left for another connection",
    0x0003: "it calls the data of the request wrong",
    0x0064: "it does not know the session any more",
    0x0065: "it calls the length of the request wrong",
    0x0069: "it speaks another version of EtherNet/IP",
}
"""The status in the head of a frame."""

# Each number is one of CIP; the words are ours, and name the key of line.toml that a person can change.
GENERAL = {
    0x01: "the way to the CPU fails: look at output.cpu_slot",
    0x02: "the controller has no room for the request at the moment",
    0x03: f"it calls a value in the request wrong: {_NO_TAG}",
    0x04: f"there is no such tag: {_NO_TAG}",
    0x05: f"there is no such tag: {_NO_TAG}",
    0x08: "it reads and writes no tags: it is no ControlLogix or CompactLogix, or output.cpu_slot is another module",
    0x0E: "the tag cannot be written: its External Access has to be Read/Write",
    0x0F: "access is denied: the tag's External Access has to be Read/Write, that of plc_tag at least Read Only",
    0x10: "the controller does not take it in its present state: look at its key switch, and at a lock",
    0x13: "it finds too little data in the request",
    0x26: "it calls the name of the tag wrong in its length",
    0xFF: f"it cannot carry it out: {_NO_TAG}",
}
"""The status of an answer."""

EXTENDED = {
    (
        0x01,
        0x0204,
    ): "the CPU did not answer in time: look at output.cpu_slot, or give it more time with write_timeout_ms",
    (0x01, 0x0311): "there is no such way on: is this a controller with a backplane?",
    (0x01, 0x0312): "there is no CPU in this place of the chassis: look at output.cpu_slot",
    (0x01, 0x0318): "the place of the chassis is that of the module itself: look at output.cpu_slot",
    # Two codes of Logix for an access beyond the end of a tag (1756-PM020).
    (0xFF, 0x2104): _TOO_FEW,
    (0xFF, 0x2105): _TOO_FEW,
    (0xFF, 0x2107): "the tag is of another type: it has to be an array of DINT",
}
"""The status of an answer with the one behind it."""
