"""What a Logix controller may say instead of what it was asked, each with its words; nothing is written then."""

from __future__ import annotations

import struct

import pytest

from drivers.base import CommandRefused, DriverError, ProtocolViolation, Verdict
from drivers.output import BlockState
from tests.contract.word_devices import TagsOverEthernetIp
from tests.fault.word_peers import connected, refused_at_the_greeting

PASS = BlockState(1, Verdict.PASS)
# Whole answers to the second request, which is a write.
REFUSALS = [
    ("", "ce000000", ProtocolViolation, "it is the answer of service CE, not of CD"),
    ("", "cc000000c400", ProtocolViolation, "it is the answer of service CC, not of CD"),
    ("", "cd010000", ProtocolViolation, "it is the answer of service CD, not of CD"),
    ("", "cd000001", ProtocolViolation, "its status is none"),
    ("", "cd00ff02 0521", ProtocolViolation, "its status is none"),
    ("", "d2000000", ProtocolViolation, "it is the answer of service D2, not of CD"),
    ("", "cd00000000", ProtocolViolation, "it carries data, and answers a write"),
    ("", "cd000500", CommandRefused, r"status 05: there is no such tag: look at output\.tag"),
    ("", "cd00ff01 0521", CommandRefused, r"status FF 2105: the tag has fewer elements"),
    ("", "cd00ff01 0721", CommandRefused, r"status FF 2107: .*an array of DINT"),
    ("", "d2000101 1203 01", CommandRefused, r"status 01 0312: there is no CPU in this place .*output\.cpu_slot"),
    ("", "d2000101 0402", CommandRefused, r"status 01 0204: .*write_timeout_ms"),
    ("", "cd00ff05 0521 000000000000 0100", CommandRefused, "status FF 2105 0000 0000 0000 0001: the tag has fewer"),
    ("", "cd00ff05 0521 000000000000 0100 01", ProtocolViolation, "31 bytes follow, 30 at most"),
    ("", "cd00ee01 3412", CommandRefused, r"status EE 1234: see the list"),
    ("00000000 64000000", "", CommandRefused, "encapsulation status 0064: it does not know the session"),
    ("02000000 00000000", "cd000000", ProtocolViolation, "it is of session 2, not of 1"),
]


@pytest.mark.parametrize(("head", "answer", "error", "words"), REFUSALS)
async def test_what_a_logix_controller_says_instead_has_its_words_and_ends_the_connection(
    head: str, answer: str, error: type[DriverError], words: str
) -> None:
    said = bytes.fromhex(answer)
    items = bytes.fromhex("000000000000 0200 00000000 b200") + len(said).to_bytes(2, "little") if said else b""
    length = (len(items) + len(said)).to_bytes(2, "little")
    status = bytes.fromhex(head or "01000000 00000000")
    frame = b"\x6f\0" + length + status + b"\2" + bytes(11) + items + said
    async with connected(TagsOverEthernetIp) as (device, wire, _):

        async def other(_: bytes) -> bytes | None:
            return frame

        device.answer = other
        with pytest.raises(error, match=words):
            await wire.write(PASS)
        assert not wire.is_up
        assert not device.writes


@pytest.mark.parametrize(("at", "word", "words"), [(0, 65_536, r"\[0\]"), (1, 70_000, r"\[1\]"), (3, 2**31, r"\[3\]")])
async def test_a_number_that_is_no_word_in_the_plcs_tag_is_said(at: int, word: int, words: str) -> None:
    async with connected(TagsOverEthernetIp) as (device, wire, _):
        made = [1, 1, 5, 7, 3]
        made[at] = word

        async def bent(request: bytes) -> bytes | None:
            device._own.set_data(struct.pack("<5I", *made))
            message, _ = device._cpu._manager.try_parse(request, device.place)
            return bytes(device._cpu._dispatch_message(message, 1, "127.0.0.1"))

        device.answer = bent
        with pytest.raises(
            ProtocolViolation,
            match=rf"127.0.0.1:{device.port} has {word} in Program:Gate\.PlcToAgent{words}: expected 0 to 65535",
        ):
            await wire.read_plc()
        assert not wire.is_up


async def test_what_only_counts_in_the_plcs_tag_may_count_on_beyond_a_word() -> None:
    async with connected(TagsOverEthernetIp) as (device, wire, _):

        async def counts_on(request: bytes) -> bytes | None:
            device._own.set_data(struct.pack("<5I", 1, 1, 0x1_0005, 7, 0xFFFF_FFFF))
            message, _ = device._cpu._manager.try_parse(request, device.place)
            return bytes(device._cpu._dispatch_message(message, 1, "127.0.0.1"))

        device.answer = counts_on
        assert await wire.read_plc() == (1, 1, 5, 7, 0xFFFF)


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        ((), "within 0.15 s: .*write_timeout_ms"),
        (("6f000400 01000000 00000000 0100000000000000 00000000 01000000",), "no answer of EtherNet/IP"),
        (("65000400 01000000 00000000 0200000000000000 00000000 01000000",), "the answer to request 2, not to 1"),
        (("65000400 00000000 00000000 0100000000000000 00000000 01000000",), "it opens no session"),
        (("65000400 01000000 00000000 0100000000000000 00000000 02000000",), "it opens no session"),
        (("65000000 00000000 02000000 0100000000000000 00000000",), "encapsulation status 0002: it has no memory left"),
        (("65000000 00000000 69000000 0100000000000000 00000000",), "encapsulation status 0069: .*another version"),
        (("65000400 01000000 00000000 0100000000000000 01000000 01000000",), "its head is not that of an answer"),
        (("6500ffff 01000000",), "no connection to .* within 0.15 s"),
        (("6500ffff 01000000 00000000 0100000000000000 00000000",), "it says that 65535 bytes follow"),
        (("485454502f312e31",), "no answer of EtherNet/IP"),
    ],
)
async def test_a_controller_that_gives_no_session_is_said_with_what_to_look_at(
    hello: tuple[str, ...], why: str
) -> None:
    class Silent(TagsOverEthernetIp):
        pass

    Silent.hello = tuple(bytes.fromhex(said) for said in hello)
    await refused_at_the_greeting(Silent(), why)
