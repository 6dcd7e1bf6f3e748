"""The PLC with a gate, asked for its words by number: D over SLMP, DM over the KV's host link, or a data block over S7.

Written from the protocol pages (slmp/PROTOCOL.md, kv_hostlink/PROTOCOL.md, s7/PROTOCOL.md), not from our codecs.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import IoFault

__all__ = ["SimulatedHostLinkPlc", "SimulatedS7Plc", "SimulatedSlmpPlc"]

_BITS = 16


class _WordPlc(SimulatedPlc):
    """Words by number; those from ``inputs_register`` on hold the inputs, input 0 is bit 0 of the first one."""

    def __init__(self, *, inputs_register: int | None = None, **options: float | str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._inputs_register = inputs_register

    def _words(self, first: int, count: int) -> list[int] | None:
        """What stands there; None where there are no such words."""
        found = [self._word(number) for number in range(first, first + count)]
        known = [word for word in found if word is not None]
        return known if len(known) == count else None

    def _word(self, number: int) -> int | None:
        at = -1 if self._inputs_register is None else number - self._inputs_register
        if 0 <= at * _BITS < len(self._inputs):
            return sum(level << bit for bit, level in enumerate(self._inputs[at * _BITS :][:_BITS]))
        return self.words.get(number)

    def _write(self, first: int, words: list[int]) -> bool:
        """All of them at once; false where they are not all the agent's to write."""
        numbers = range(first, first + len(words))
        if not (numbers and self._first <= numbers[0] and numbers[-1] < self._first + len(self.block)):
            return False
        if self.fault is not IoFault.STUCK:
            self.words |= dict(zip(numbers, words, strict=True))
        self.writes += 1
        return True


class SimulatedSlmpPlc(_WordPlc):
    """3E frames in binary: batch read (0401) and batch write (1401) of D."""

    _ASKED, _ANSWERED = bytes.fromhex("500000ffff0300"), bytes.fromhex("d00000ffff0300")
    _NO_SUCH_DEVICE, _NO_SUCH_COMMAND, _WRONG_LENGTH = 0x4031, 0xC059, 0xC061

    async def _next(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
        head = await reader.readexactly(9)
        if head[:7] != self._ASKED:
            return None  # a CPU says nothing to what it does not know
        return head, await reader.readexactly(head[7] | head[8] << 8)

    def _framed(self, head: bytes, reply: bytes) -> bytes:
        del head
        return self._ANSWERED + len(reply).to_bytes(2, "little") + reply

    def _answer(self, request: bytes) -> bytes:
        if len(request) < 12:
            return self._end_code(self._WRONG_LENGTH, request)
        command, device, count = request[2:6].hex(), request[9], request[10] | request[11] << 8
        first, data = int.from_bytes(request[6:9], "little"), request[12:]
        if command not in ("01040000", "01140000"):
            return self._end_code(self._NO_SUCH_COMMAND, request)
        if len(data) != (2 * count if command == "01140000" else 0):
            return self._end_code(self._WRONG_LENGTH, request)
        if device != 0xA8:
            return self._end_code(self._NO_SUCH_DEVICE, request)
        if command == "01140000":
            words = [data[at] | data[at + 1] << 8 for at in range(0, len(data), 2)]
            return b"\0\0" if self._write(first, words) else self._end_code(self._NO_SUCH_DEVICE, request)
        found = self._words(first, count)
        if found is None:
            return self._end_code(self._NO_SUCH_DEVICE, request)
        return b"\0\0" + b"".join(word.to_bytes(2, "little") for word in found)

    def _error(self, request: bytes) -> bytes:
        return self._end_code(self._NO_SUCH_COMMAND, request)

    def _wrong_echo(self, request: bytes) -> bytes:
        return b"\0\0\0\0" if request[2:4] == b"\x01\x14" else self._answer(request)

    def _end_code(self, code: int, request: bytes) -> bytes:
        """The code, who says it, and what it was asked."""
        return code.to_bytes(2, "little") + self._ANSWERED[2:] + request[2:6]


class SimulatedHostLinkPlc(_WordPlc):
    """Lines of the host link: RDS and WRS of DM, unsigned decimal."""

    async def _next(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
        try:
            return b"", (await reader.readuntil(b"\r")).strip()
        except asyncio.LimitOverrunError:
            return None

    def _framed(self, head: bytes, reply: bytes) -> bytes:
        del head
        return reply + b"\r\n"

    def _answer(self, request: bytes) -> bytes:
        name, *rest = request.decode("ascii", "replace").split(" ")
        if name not in ("RDS", "WRS") or len(rest) < 2 or not rest[1].isdecimal():
            return b"E1"
        device, count = rest[0], int(rest[1])
        if not (device.startswith("DM") and device.endswith(".U") and device[2:-2].isdecimal()):
            return b"E0"
        first, words = int(device[2:-2]), rest[2:]
        if name == "RDS":
            found = None if words else self._words(first, count)
            return b"E0" if found is None else " ".join(f"{word:05}" for word in found).encode()
        if len(words) != count or not all(word.isdecimal() and int(word) <= 0xFFFF for word in words):
            return b"E1"
        return b"OK" if self._write(first, [int(word) for word in words]) else b"E0"

    def _error(self, request: bytes) -> bytes:
        del request
        return b"E5"

    def _wrong_echo(self, request: bytes) -> bytes:
        return b"00001" if request.startswith(b"WRS") else self._answer(request)


class SimulatedS7Plc(_WordPlc):
    """One data block over ISO-on-TCP: read var and write var. Word 20 is DBW40, and an input a bit of a byte."""

    _OK, _NO_SUCH_PLACE, _NO_SUCH_BLOCK = 0xFF, 0x05, 0x0A
    _SERVICE_FAILED = 0x8404
    _SIZES: ClassVar[dict[int, int]] = {0x02: 1, 0x04: 2}
    """Bytes and words, how many bytes each has."""

    def __init__(self, *, db: int = 1, **options: float | str | None) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._db = db

    def _word(self, number: int) -> int | None:
        word, first = super()._word(number), self._inputs_register
        if word is None or first is None or not 0 <= (number - first) * _BITS < len(self._inputs):
            return word
        return (word & 0xFF) << 8 | word >> 8  # inputs 0 to 7 are the first byte

    async def _next(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
        head = await reader.readexactly(4)
        size = head[2] << 8 | head[3]
        return (head, await reader.readexactly(size - 4)) if head[0] == 3 and size > 10 else None

    def _framed(self, head: bytes, reply: bytes) -> bytes:
        return head[:2] + (4 + len(reply)).to_bytes(2, "big") + reply

    def _answer(self, request: bytes) -> bytes:
        if request[1] == 0xE0:  # who connects is asked for no place: all racks and slots lead here
            return b"\x09\xd0" + request[4:6] + b"\x00\x07\x00\xc0\x01\x0a"
        if request[:4] != b"\x02\xf0\x80\x32" or len(request) < 15:
            return self._error(request)
        at = 13 + (request[9] << 8 | request[10])
        asked, data = request[13:at], request[at:]
        if asked[0] == 0xF0:
            return self._said(request, b"\xf0\x00\x00\x01\x00\x01\x00\xf0")
        if len(asked) != 14 or asked[1:5] != b"\x01\x12\x0a\x10" or asked[5] not in self._SIZES or asked[10] != 0x84:
            return self._error(request)
        count, db = (asked[at] << 8 | asked[at + 1] for at in (6, 8))
        count *= self._SIZES[asked[5]]
        bit = int.from_bytes(asked[11:], "big")
        if bit % 16 or count % 2:
            return self._error(request)
        if asked[0] == 0x05:
            code = self._written(db, bit // 16, count, data)
            return self._said(request, b"\x05\x01", bytes((code,)))
        found = self._words(bit // 16, count // 2) if db == self._db else None
        if found is None:
            code = self._NO_SUCH_PLACE if db == self._db else self._NO_SUCH_BLOCK
            return self._said(request, b"\x04\x01", bytes((code, 0, 0, 0)))
        words = b"".join(word.to_bytes(2, "big") for word in found)
        return self._said(request, b"\x04\x01", b"\xff\x04" + (8 * count).to_bytes(2, "big") + words)

    def _written(self, db: int, first: int, count: int, data: bytes) -> int:
        if db != self._db:
            return self._NO_SUCH_BLOCK
        if data[:4] != b"\x00\x04" + (8 * count).to_bytes(2, "big") or len(data) != 4 + count:
            return self._NO_SUCH_PLACE
        words = [data[at] << 8 | data[at + 1] for at in range(4, len(data), 2)]
        return self._OK if self._write(first, words) else self._NO_SUCH_PLACE

    def _said(self, request: bytes, asked: bytes, data: bytes = b"") -> bytes:
        lengths = len(asked).to_bytes(2, "big") + len(data).to_bytes(2, "big")
        return b"\x02\xf0\x80\x32\x03\x00\x00" + request[7:9] + lengths + b"\0\0" + asked + data

    def _error(self, request: bytes) -> bytes:
        if request[1] == 0xE0:
            return b"\x06\x80" + request[4:6] + b"\x00\x00\x80"
        code = self._SERVICE_FAILED.to_bytes(2, "big")
        return b"\x02\xf0\x80\x32\x02\x00\x00" + request[7:9] + b"\0\0\0\0" + code

    def _wrong_echo(self, request: bytes) -> bytes:
        """The answer to a read, with another request's number."""
        if request[:4] != b"\x02\xf0\x80\x32" or request[13:14] != b"\x05":
            return self._answer(request)
        return self._said(request[:7] + b"\xff\xff", b"\x05\x01", b"\xff")
