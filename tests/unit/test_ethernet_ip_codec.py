"""Frames of EtherNet/IP: as their page prints them, and nothing else is an answer."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ethernet_ip import EthernetIpConnection, Tags, codec, codes
from drivers.output import BlockState
from drivers.output.plc_connection import Refused
from edge_agent.settings.values import TAG
from tests.unit.test_word_codecs import DRIVERS, printed

RESTING = BlockState().words
SESSION = 0x0C1B0A5E
PAGE = (DRIVERS / "ethernet_ip" / "PROTOCOL.md").read_text()
DINTS = st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=8).map(tuple)


def frame(service: int, data: bytes, number: int = 3, session: int = SESSION) -> bytes:
    """A whole answer."""
    said = bytes((service | 0x80, 0, 0, 0)) + data
    items = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(said)) + said
    return struct.pack("<HHIIQI", 0x6F, len(items), session, 0, number, 0) + items


def test_the_frames_are_those_of_their_page() -> None:
    register, session, write, written, read, found, absent, elsewhere, unknown = (
        bytes.fromhex(line) for line in printed("ethernet_ip")
    )
    way, tag = codec.Way.to(0, 0.15)._replace(session=SESSION), codec.tag_path("AgentToPlc")

    assert codec.register_request(1) == register
    assert codec.reply_size(session, None) == len(session)
    assert codec.parse_session(session, 1) == SESSION
    assert codec.write_request(2, way, tag, RESTING) == write
    assert codec.reply_size(written, 0) == len(written)
    assert codec.check_written(written, 2, SESSION) is None
    assert codec.read_request(3, way, tag, 0, 8) == read
    assert codec.reply_size(found, 8) == len(found)
    assert codec.parse_elements(found, 3, SESSION, 8) == RESTING
    assert codec.parse_elements(absent, 3, SESSION, 8) == Refused("status 05", codes.GENERAL[5])
    assert codec.check_written(elsewhere, 2, SESSION) == Refused("status 01 0312", codes.EXTENDED[1, 0x312])
    assert codec.check_written(unknown, 2, SESSION) == Refused("encapsulation status 0064", codes.ENCAPSULATION[0x64])


def test_each_code_that_has_words_is_on_its_page() -> None:
    said = [f"{code:04X}" for code in codes.ENCAPSULATION] + [f"{code:02X}" for code in codes.GENERAL]
    said += [f"{status:02X} {behind:04X}" for status, behind in codes.EXTENDED]

    assert [code for code in said if f"| {code} |" not in PAGE] == []


HEADS = [b"", frame(0x4D, b""), frame(0x4C, b"\xc4\0"), frame(0x4C, b"")[:44], frame(0x4C, b"")[:24]]


@given(st.sampled_from(HEADS), st.binary(max_size=40), st.integers(1, 8))
def test_any_bytes_are_an_answer_that_fits_or_a_value_error(head: bytes, rest: bytes, elements: int) -> None:
    data = head + rest
    for carried in (elements, 0, None):
        try:
            size = codec.reply_size(data, carried)
            if size is None or size > len(data):
                continue
            found = (
                codec.parse_session(data[:size], 3)
                if carried is None
                else codec.parse_elements(data[:size], 3, SESSION, elements)
                if carried
                else codec.check_written(data[:size], 3, SESSION)
            )
        except ValueError:
            continue
        if not isinstance(found, Refused):
            assert (len(found) == elements) if isinstance(found, tuple) else found is None or carried is None


@given(DINTS, st.data())
def test_of_an_answer_no_bit_but_that_of_an_element_may_be_another(
    values: tuple[int, ...], data: st.DataObject
) -> None:
    """Whatever bit turns before the elements: it is no answer, a refusal, or another length that is waited for.

    The time of the item is any.
    """
    whole = frame(0x4C, b"\xc4\0" + struct.pack(f"<{len(values)}I", *values))
    assert codec.parse_elements(whole, 3, SESSION, len(values)) == values
    at = data.draw(st.integers(0, len(whole) - 4 * len(values) - 1).filter(lambda at: at not in (28, 29)))
    bent = whole[:at] + bytes((whole[at] ^ 1 << data.draw(st.integers(0, 7)),)) + whole[at + 1 :]
    try:
        size = codec.reply_size(bent, len(values))
        assert (
            size is None
            or size != len(whole)
            or isinstance(codec.parse_elements(bent, 3, SESSION, len(values)), Refused)
        )
    except ValueError:
        return


@given(DINTS, st.integers(0, 23))
def test_a_part_of_an_answer_is_waited_for(values: tuple[int, ...], cut: int) -> None:
    whole = frame(0x4C, b"\xc4\0" + struct.pack(f"<{len(values)}I", *values))

    assert codec.reply_size(whole[:cut], len(values)) is None
    assert codec.reply_size(whole[:24], len(values)) == len(whole)


@pytest.mark.parametrize("carried", [None, 0, 8])
def test_an_answer_that_says_that_far_too_much_follows_is_not_waited_for(carried: int | None) -> None:
    command = b"\x65\0" if carried is None else b"\x6f\0"

    with pytest.raises(ValueError, match="65535 bytes follow"):
        codec.reply_size(command + b"\xff\xff" + bytes(20), carried)


@pytest.mark.parametrize("kind", [0xC3, 0xC2, 0xCA, 0x02A0, 0xD3])
def test_a_tag_of_another_type_is_refused_in_words(kind: int) -> None:
    found = codec.parse_elements(frame(0x4C, struct.pack("<HI", kind, 1)), 3, SESSION, 1)

    assert found == Refused(f"a tag of type {kind:04X}", "it has to be an array of DINT")


def test_inputs_may_be_an_array_of_bool() -> None:
    bits = frame(0x4C, struct.pack("<HI", 0xD3, 0x8000_0001))

    assert codec.parse_elements(bits, 3, SESSION, 1, may_be_bits=True) == (0x8000_0001,)
    other = codec.parse_elements(frame(0x4C, struct.pack("<HH", 0xC3, 1)), 3, SESSION, 1, may_be_bits=True)
    assert other == Refused("a tag of type 00C3", "it has to be an array of DINT or BOOL")


@pytest.mark.parametrize(
    ("timeout_s", "wait"),
    [(0.0001, "0001"), (0.15, "0096"), (0.255, "00ff"), (0.256, "0180"), (0.511, "0280"), (600.0, "0c93")],
)
def test_the_cpu_has_as_long_as_we_wait_and_no_tick_less(timeout_s: float, wait: str) -> None:
    tick, ticks = codec.Way.to(0, timeout_s).wait

    assert codec.Way.to(0, timeout_s).wait.hex() == wait
    assert ticks << tick >= timeout_s * 1000 > (ticks - 1) << tick


@pytest.mark.parametrize(
    ("slot", "timeout_s", "words"), [(-1, 1, "a slot is 0 to 16"), (17, 1, "a slot"), (0, 9e3, "9000")]
)
def test_a_way_that_cannot_be_is_refused_before_it_is_dialled(slot: int, timeout_s: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EthernetIpConnection(
            "127.0.0.1", 44_818, tags=Tags("A", "B"), slot=slot, timeout_s=timeout_s, on_lost=lambda: None
        )


@pytest.mark.parametrize(("first", "elements"), [(-1, 8), (65_536, 1), (0, 0), (0, 65)])
def test_elements_that_no_request_can_name_are_refused_before_it_is_sent(first: int, elements: int) -> None:
    with pytest.raises(ValueError, match="elements from"):
        codec.read_request(1, codec.Way.to(0, 1), codec.tag_path("A"), first, elements)


NAMES = [
    ("AgentToPlc", "910a4167656e74546f506c63"),
    ("Odd", "91034f646400"),
    ("_a.B_1", "91025f619103425f3100"),
    ("Program:Main.A", "910c50726f6772616d3a4d61696e91014100"),
]


@pytest.mark.parametrize(("name", "path"), NAMES)
def test_a_tag_has_a_segment_for_each_of_its_names(name: str, path: str) -> None:
    assert codec.tag_path(name).hex() == path


NO_NAMES = ["", "1A", "A-B", "A B", "A[0]", "A.", ".A", "A..B", "A__B", "__A", "A.__B", "A_", "Ä"]
NO_NAMES += ["a" * 41, "Program:", "Program:A", "Program:__M.A"]


@pytest.mark.parametrize("name", [*NO_NAMES, "Task:A.B", "A\n", ".".join(["a" * 40] * 4)])
def test_what_is_no_name_of_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a tag"):
        codec.tag_path(name)


def test_settings_take_the_names_that_the_driver_takes() -> None:
    assert TAG.pattern == codec.TAG.pattern
    assert TAG.flags == codec.TAG.flags == (re.ASCII)


@pytest.mark.parametrize(
    "tags", [("A", "A"), ("A", "a"), ("A", "B", "b"), ("A", "B", "a"), ("A-", "B"), ("A", "B", "")]
)
def test_each_has_a_tag_of_its_own(tags: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"a tag of its own|no name of a tag"):
        Tags(*tags)
