"""The PLC with a gate, asked for its words by number: D over SLMP, or DM over the KV's host link.

Written from the protocol pages (slmp/PROTOCOL.md, kv_hostlink/PROTOCOL.md), not from our codecs.
"""

from __future__ import annotations

import asyncio

from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import IoFault

__all__ = ["SimulatedHostLinkPlc", "SimulatedSlmpPlc"]

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
