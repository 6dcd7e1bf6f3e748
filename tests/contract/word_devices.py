"""PLCs of which words are asked for, for the contract: D (SLMP), DM (host link), a data block (S7), tags (EtherNet/IP).

What the SLMP device answers is aslmp's: its frames, its dispatcher, its memory of D. What the S7 device answers is
python-snap7's server's, which has the data block. What the EtherNet/IP device answers is cm-ethernetip's, which has the
tags and hands requests on to the slot. Of the host link there is no server that somebody else wrote, so its
device is ours, as the Modbus ones are.
"""

from __future__ import annotations

import re
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from aslmp.profile import Encoding
from aslmp.testing import PEDANTIC, Dispatcher, Reply
from aslmp.wire.codec import BINARY
from aslmp.wire.frames import THREE_E, response_body
from ethernetip.cip.identity_info import IdentityInfo
from ethernetip.logix.data_types import DINT, DWORD
from ethernetip.logix.logix_dispatcher import LogixDispatcher
from ethernetip.protocol.eip_adapter import EipAdapter
from snap7.server import Server
from snap7.type import SrvArea

from drivers.ethernet_ip import EthernetIpConnection, Tags
from drivers.kv_hostlink import HostLinkConnection
from drivers.output import BlockOutput, BlockState, WordPlaces, write_resting
from drivers.s7 import S7Connection
from drivers.slmp import SlmpConnection
from tests.contract.output_devices import OPTIONS, Device, Plc, Tcp

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from drivers.base import LineDevice
    from drivers.output import PlcConnection

__all__ = ["WORD_DEVICES", "block_output"]

BLOCK, BACK, INPUTS = 100, 120, 140
PLACES = WordPlaces(BLOCK, BACK, INPUTS)
DB = 7


def block_output(wire: Callable[..., PlcConnection], place: tuple[str, int], **options: Any) -> BlockOutput:
    """An output over such a wire."""
    options = {"plc_timeout_s": 5.0} | OPTIONS | options
    given = {"admit": options.pop("admit")} if "admit" in options else {}
    connection = partial(wire, *place, timeout_s=options["write_timeout_s"], **given)
    return BlockOutput(f"{place[0]}:{place[1]}", connection, plc_place=str(BACK), **options)


class _Words(Plc, Tcp):
    wire: ClassVar[Callable[..., PlcConnection]]
    wire_without_inputs: ClassVar[Callable[..., PlcConnection]]

    def output(self, **options: Any) -> LineDevice:
        return block_output(self.wire, self.place, **options)

    async def fail_safe(self) -> None:
        await write_resting(partial(self.wire, *self.place, timeout_s=1.0), BlockState())

    @property
    def words_of_inputs(self) -> tuple[int, ...]:
        """Two words, bit 0 of the first one is input 0."""
        return tuple(sum(self.inputs.get(16 * at + bit, False) << bit for bit in range(16)) for at in range(2))


class WordsOverSlmp(_Words):
    """D of a simulated Mitsubishi CPU. Requests and answers are whole 3E frames."""

    wire = partial(SlmpConnection, places=PLACES)
    wire_without_inputs = partial(SlmpConnection, places=WordPlaces(BLOCK, BACK))

    def __init__(self) -> None:
        super().__init__()
        self._cpu = Dispatcher(target=PEDANTIC, memory=PEDANTIC.memory())

    async def request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        head = await reader.readexactly(9)
        return b"", head + await reader.readexactly(int.from_bytes(head[7:9], "little"))

    def framed(self, head: bytes, reply: bytes) -> bytes:
        return reply

    def bent(self, reply: bytes) -> bytes:
        return reply[:11] + bytes((reply[11] ^ 2,)) + reply[12:]

    def is_write(self, request: bytes) -> bool:
        return request[11:13] == b"\x01\x14"

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and request[23:25] == b"\x5a\x00"

    def is_read_back(self, request: bytes) -> bool:
        return request[11:13] == b"\x01\x04" and request[15:18] == BLOCK.to_bytes(3, "little")

    def overwrite_with_pass(self) -> None:
        super().overwrite_with_pass()
        self._cpu.memory.write_words("D", BLOCK, self._block)

    def echo_of(self, request: bytes) -> bytes:
        return self._framed_reply(Reply(0), request)

    def carry_out(self, request: bytes) -> bytes:
        memory = self._cpu.memory
        memory.write_words("D", BACK, self.words_of_the_plc)
        memory.write_words("D", INPUTS, self.words_of_inputs)
        reply = self._cpu.handle(THREE_E.parse_request(request, BINARY), codec=BINARY, encoding=Encoding.BINARY)
        assert isinstance(reply, Reply)
        if self.is_write(request):
            assert not reply.end_code
            self.write_block(tuple(memory.read_words("D", BLOCK, 8)))
        return self._framed_reply(reply, request)

    def _framed_reply(self, reply: Reply, request: bytes) -> bytes:
        route = THREE_E.parse_request(request, BINARY).route
        body = response_body(BINARY, end_code=reply.end_code, payload=reply.payload)
        return THREE_E.build_response(route=route, body=body, codec=BINARY)


class WordsOverHostLink(_Words):
    """DM of a KV. Requests and answers are lines."""

    wire = partial(HostLinkConnection, places=PLACES)
    wire_without_inputs = partial(HostLinkConnection, places=WordPlaces(BLOCK, BACK))
    _RANGE = re.compile(rb"(?P<name>RDS|WRS) DM(?P<first>\d+)\.U (?P<count>\d+)(?P<words>(?: \d+)*)\r")

    async def request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        return b"", await reader.readuntil(b"\r")

    def framed(self, head: bytes, reply: bytes) -> bytes:
        return reply

    def bent(self, reply: bytes) -> bytes:
        return bytes((reply[0] ^ 1,)) + reply[1:]

    def is_write(self, request: bytes) -> bool:
        return request.startswith(b"WRS ")

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and request.split()[4] == b"90"

    def is_read_back(self, request: bytes) -> bool:
        return request.startswith(b"RDS DM%d.U " % BLOCK)

    def echo_of(self, request: bytes) -> bytes:
        return b"OK\r\n"

    def carry_out(self, request: bytes) -> bytes:
        asked = self._RANGE.fullmatch(request)
        assert asked is not None, request
        first, count, words = int(asked["first"]), int(asked["count"]), tuple(map(int, asked["words"].split()))
        if asked["name"] == b"WRS":
            assert (first, count, len(words)) == (BLOCK, 8, 8)
            self.write_block(words)
            return self.echo_of(request)
        rows = {BLOCK: self._block, BACK: self.words_of_the_plc, INPUTS: self.words_of_inputs}
        return " ".join(f"{word:05}" for word in rows[first][:count]).encode() + b"\r\n"


class WordsOverS7(_Words):
    """A data block of a simulated Siemens CPU. Requests and answers are whole frames of ISO-on-TCP."""

    wire = partial(S7Connection, db=DB, places=PLACES)
    wire_without_inputs = partial(S7Connection, db=DB, places=WordPlaces(BLOCK, BACK))
    # The CPU confirms the connection, then it agrees to requests of 240 bytes.
    hello = (
        bytes.fromhex("0300000e09d00001000700c0010a"),
        bytes.fromhex("0300001b02f080320300000001000800000000f0000001000100f0"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._memory = bytearray(600)
        self._cpu = Server(log=False)
        self._cpu.register_area(SrvArea.DB, DB, self._memory)

    async def request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        head = await reader.readexactly(4)
        return b"", head + await reader.readexactly(int.from_bytes(head[2:], "big") - 4)

    def framed(self, head: bytes, reply: bytes) -> bytes:
        return reply

    def bent(self, reply: bytes) -> bytes:
        return reply[:-1] + bytes((reply[-1] ^ 2,))

    def is_write(self, request: bytes) -> bool:
        return request[17] == 0x05

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and request[37:39] == b"\x00\x5a"

    def is_read_back(self, request: bytes) -> bool:
        return request[17] == 0x04 and request[28:31] == (16 * BLOCK).to_bytes(3, "big")

    def overwrite_with_pass(self) -> None:
        super().overwrite_with_pass()
        struct.pack_into(">8H", self._memory, 2 * BLOCK, *self._block)

    def echo_of(self, request: bytes) -> bytes:
        return bytes.fromhex("0300001602f08032030000") + request[11:13] + bytes.fromhex("000200010000 0501 ff")

    def carry_out(self, request: bytes) -> bytes:
        struct.pack_into(">5H", self._memory, 2 * BACK, *self.words_of_the_plc)
        struct.pack_into("<2H", self._memory, 2 * INPUTS, *self.words_of_inputs)
        reply = self._ask(request)
        if self.is_write(request):
            assert reply == self.echo_of(request)
            self.write_block(struct.unpack_from(">8H", self._memory, 2 * BLOCK))
        return reply

    def _ask(self, frame: bytes) -> bytes:
        answer = self._cpu._process_request(frame[7:], self.place)
        assert answer is not None
        return b"\x03\x00" + (7 + len(answer)).to_bytes(2, "big") + frame[4:7] + answer


class TagsOverEthernetIp(_Words):
    """Tags of a simulated Logix controller. Requests and answers are whole frames."""

    tags = Tags("AgentToPlc", "Program:Gate.PlcToAgent", "Line1.Inputs")
    wire = partial(EthernetIpConnection, tags=tags, slot=3)
    wire_without_inputs = partial(EthernetIpConnection, tags=Tags(tags.agent, tags.plc), slot=3)
    # A session, with the number of the first request.
    hello = (bytes.fromhex("65000400 01000000 00000000 0100000000000000 00000000 01000000"),)

    def __init__(self) -> None:
        super().__init__()
        dispatcher = LogixDispatcher()
        self._agents = dispatcher.tags.add_tag(self.tags.agent, DINT, 8)
        self._own = dispatcher.tags.add_tag(self.tags.plc, DINT, 5)
        self._bits = dispatcher.tags.add_tag("Line1.Inputs", DWORD, 2)
        self._cpu = EipAdapter(dispatcher, IdentityInfo())
        assert self._cpu._sessions.register() == 1

    async def request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        head = await reader.readexactly(24)
        return b"", head + await reader.readexactly(int.from_bytes(head[2:4], "little"))

    def framed(self, head: bytes, reply: bytes) -> bytes:
        return reply

    def bent(self, reply: bytes) -> bytes:
        return reply[:40] + bytes((reply[40] ^ 2,)) + reply[41:]

    def is_write(self, request: bytes) -> bool:
        return request[50] == 0x4D

    def says_pass(self, request: bytes) -> bool:
        return self.is_write(request) and request[-32:-28] == b"\x5a\0\0\0"  # eight DINTs, and four bytes of the way

    def is_read_back(self, request: bytes) -> bool:
        return request[50] == 0x4C and self.tags.agent.encode() in request

    def overwrite_with_pass(self) -> None:
        super().overwrite_with_pass()
        self._agents.set_data(struct.pack("<8I", *self._block))

    def echo_of(self, request: bytes) -> bytes:
        items = bytes.fromhex("000000000000 0200 00000000 b2000400 cd000000")
        return request[:2] + struct.pack("<H", len(items)) + request[4:24] + items

    def carry_out(self, request: bytes) -> bytes:
        self._own.set_data(struct.pack("<5I", *self.words_of_the_plc))
        self._bits.set_data(struct.pack("<I", sum(self.inputs.get(bit, False) << bit for bit in range(32))))
        message, size = self._cpu._manager.try_parse(request, self.place)
        assert message is not None
        assert size == len(request)
        reply = self._cpu._dispatch_message(message, 1, "127.0.0.1")
        assert reply is not None
        if self.is_write(request):
            assert reply == self.echo_of(request)
            self.write_block(struct.unpack("<8I", self._agents.get_data()))
        return bytes(reply)


WORD_DEVICES: dict[str, type[Device]] = {
    "words over SLMP": WordsOverSlmp,
    "words over host link": WordsOverHostLink,
    "words over S7": WordsOverS7,
    "tags over EtherNet/IP": TagsOverEthernetIp,
}
