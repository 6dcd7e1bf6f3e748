"""The PLC with a gate, asked for elements of tags by unconnected messages over EtherNet/IP.

Written from the protocol page (ethernet_ip/PROTOCOL.md), not from our codec.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import IoFault

if TYPE_CHECKING:
    import asyncio

__all__ = ["SimulatedLogixPlc"]

_HEAD_BYTES = 24
_REGISTER, _SEND = 0x65, 0x6F
_SESSION = 0x0C1B0A5E
_FIRST, _BACK = 0, 8
_BITS = 32
_DINT, _BOOLS = b"\xc4\x00", b"\xd3\x00"


class _Status(Exception):
    """The status of an answer, with the one behind it."""

    def __init__(self, status: int, *behind: int) -> None:
        super().__init__(status, *behind)
        self.status, self.behind = status, behind


class SimulatedLogixPlc(SimulatedPlc):
    """A CPU in a slot, with a tag for the agent (DINT[8]), one of its own (DINT[5]), and one of BOOL for inputs."""

    def __init__(
        self,
        *,
        tag: str = "AgentToPlc",
        plc_tag: str = "PlcToAgent",
        inputs_tag: str | None = None,
        slot: int = 0,
        **options: float | str,
    ) -> None:
        super().__init__(first_register=_FIRST, plc_register=_BACK, **options)  # type: ignore[arg-type]
        self._agents, self._own = tag.lower(), plc_tag.lower()
        self._inputs_tag = None if inputs_tag is None else inputs_tag.lower()
        self._slot = slot

    async def _next(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
        head = await reader.readexactly(_HEAD_BYTES)
        command, length = struct.unpack_from("<HH", head)
        if command not in (_REGISTER, _SEND) or length > 600:
            return None
        return b"", head + await reader.readexactly(length)

    def _framed(self, head: bytes, reply: bytes) -> bytes:
        return head + reply

    def _answer(self, request: bytes) -> bytes:
        if request[0] == _REGISTER:
            return _frame(request, request[_HEAD_BYTES:], session=_SESSION)
        if request[4:8] != _SESSION.to_bytes(4, "little"):
            return _frame(request, b"", status=0x64)
        service = request[40] if len(request) > 40 else 0
        try:
            asked = self._at_the_cpu(request[40:])
            service = asked[0]
            return _said(request, service, self._served(asked))
        except _Status as err:
            return _said(request, service, b"", err.status, *err.behind)

    def _at_the_cpu(self, sent: bytes) -> bytes:
        """What the connection manager hands to the CPU. Raises _Status."""
        if sent[:6] != bytes.fromhex("520220062401") or len(sent) < 10:
            raise _Status(0x08)
        (length,) = struct.unpack_from("<H", sent, 8)
        asked, way = sent[10 : 10 + length], sent[10 + length + length % 2 :]
        if len(asked) != length or not length or way[:3] != b"\1\0\1" or len(way) != 4:
            raise _Status(0x01, 0x0315)
        if way[3] != self._slot:
            raise _Status(0x01, 0x0312)
        return asked

    def _served(self, asked: bytes) -> bytes:
        service, words = asked[0], asked[1]
        path, data = asked[2 : 2 + 2 * words], asked[2 + 2 * words :]
        if service not in (0x4C, 0x4D):
            raise _Status(0x08)
        tag, first = _named(path)
        if service == 0x4C:
            if len(data) != 2:
                raise _Status(0x13)
            kind, values = self._elements(tag, first, int.from_bytes(data, "little"))
            return kind + struct.pack(f"<{len(values)}I", *values)
        if len(data) < 4 or len(data) != 4 + 4 * int.from_bytes(data[2:4], "little"):
            raise _Status(0x13)
        if data[:2] != _DINT:
            raise _Status(0xFF, 0x2107)
        self._put(tag, first, struct.unpack(f"<{len(data) // 4 - 1}I", data[4:]))
        return b""

    def _elements(self, tag: str, first: int, count: int) -> tuple[bytes, list[int]]:
        if tag == self._inputs_tag:
            bits = [self._inputs[at : at + _BITS] for at in range(0, len(self._inputs), _BITS)]
            kind, values = _BOOLS, [sum(level << bit for bit, level in enumerate(some)) for some in bits]
        elif tag == self._agents:
            kind, values = _DINT, [self.words[at] for at in range(_FIRST, _BACK)]
        elif tag == self._own:
            kind, values = _DINT, [self.words[at] for at in range(_BACK, _BACK + 5)]
        else:
            raise _Status(0x05)
        if not count or first + count > len(values):
            raise _Status(0xFF, 0x2105)
        return kind, values[first : first + count]

    def _put(self, tag: str, first: int, values: tuple[int, ...]) -> None:
        """All of them at once."""
        self._elements(tag, first, len(values))
        if tag != self._agents:
            raise _Status(0x0E)  # its external access is Read Only
        if self.fault is not IoFault.STUCK:
            self.words |= dict(enumerate(values, _FIRST + first))
        self.writes += 1

    def _error(self, request: bytes) -> bytes:
        if request[0] == _REGISTER:
            return _frame(request, b"", status=0x02)
        return _said(request, 0x52, b"", 0x02)

    def _wrong_echo(self, request: bytes) -> bytes:
        """A write is answered with another request's number."""
        if request[0] == _REGISTER or 0x4D not in request[50:51]:
            return self._answer(request)
        return _said(request[:12] + b"\xff" * 8 + request[20:], 0x4D, b"")


def _named(path: bytes) -> tuple[str, int]:
    """The tag and its first element. Raises _Status."""
    names, first, at = [], 0, 0
    while at < len(path):
        if path[at] == 0x91 and at + 1 < len(path):
            size = path[at + 1]
            names.append(path[at + 2 : at + 2 + size].decode("ascii", "replace").lower())
            at += 2 + size + size % 2
        elif path[at] == 0x28 and len(path) == at + 2:
            first, at = path[at + 1], len(path)
        elif path[at] == 0x29 and len(path) == at + 4:
            first, at = int.from_bytes(path[at + 2 :], "little"), len(path)
        else:
            raise _Status(0x04)
    return ".".join(names), first


def _said(request: bytes, service: int, data: bytes, status: int = 0, *behind: int) -> bytes:
    reply = bytes((service | 0x80, 0, status, len(behind))) + struct.pack(f"<{len(behind)}H", *behind) + data
    items = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(reply))
    return _frame(request, items + reply, session=_SESSION)


def _frame(request: bytes, data: bytes, *, session: int = 0, status: int = 0) -> bytes:
    return request[:2] + struct.pack("<HII", len(data), session, status) + request[12:20] + b"\0\0\0\0" + data
