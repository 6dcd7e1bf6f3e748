"""A remote I/O on a pseudo terminal that speaks Modbus RTU, written from the protocol, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import os
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def crc(data: bytes) -> bytes:
    """Low byte first, as it goes over the line."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


class RtuPeer:
    """A remote I/O on a pseudo terminal: writes and reads coils. ``spoil`` changes a reply, or makes it b''.

    ``is_faulty_for`` says by function code whose replies are spoilt; ``chunk`` cuts every reply into pieces of so many
    bytes; ``does`` switches off that requests are carried out.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self.coils: dict[int, bool] = {}
        self.requests: list[bytes] = []
        self.spoil: Callable[[bytes], bytes] = lambda reply: reply
        self.is_faulty_for: Callable[[int], bool] = lambda _function: True
        self.chunk = 0
        self.does = True
        self._held = b""
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def close(self) -> None:
        self.unplug()
        os.close(self._theirs)

    def unplug(self) -> None:
        """The adapter is pulled out: the other end reads the end of the line. Idempotent."""
        if self._ours >= 0:
            asyncio.get_running_loop().remove_reader(self._ours)
            os.close(self._ours)
            self._ours = -1

    def say(self, data: bytes) -> None:
        os.write(self._ours, data)

    def _read(self) -> None:
        self._held += os.read(self._ours, 4096)
        while self._ours >= 0 and len(self._held) >= 8:
            size = 9 + self._held[6] if self._held[1] == 15 else 8
            if len(self._held) < size:
                return
            frame, self._held = self._held[:size], self._held[size:]
            assert crc(frame[:-2]) == frame[-2:]
            self.requests.append(frame)
            reply = self._carry_out(frame)
            reply += crc(reply)
            if self.is_faulty_for(frame[1]):
                reply = self.spoil(reply)
            for at in range(0, len(reply), self.chunk or len(reply) or 1):
                self.say(reply[at : at + (self.chunk or len(reply))])

    def _carry_out(self, frame: bytes) -> bytes:
        first, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        if frame[1] == 15:
            bits = {first + at: bool(frame[7 + at // 8] >> at % 8 & 1) for at in range(count)}
            self.coils |= bits if self.does else {}
            return frame[:6]
        packed = sum(self.coils.get(first + at, False) << at for at in range(count))
        return bytes((frame[0], frame[1], 1, packed))
