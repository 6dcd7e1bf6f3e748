"""Frames of SLMP and S7, lines of the host link: as their pages print them, and nothing else is an answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.kv_hostlink import codec as hostlink
from drivers.output import BlockState, WordPlaces
from drivers.s7 import codec as s7
from drivers.slmp import codec as slmp

DRIVERS = Path(__file__).parents[2] / "drivers"
WORDS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8).map(tuple)
RESTING = BlockState().words


def printed(page: str) -> list[str]:
    """What its worked bytes are, requests and answers in their order."""
    return re.findall(r"^[<>] (.+)$", (DRIVERS / page / "PROTOCOL.md").read_text(), re.MULTILINE)


def test_the_frames_of_slmp_are_those_of_its_page() -> None:
    write, written, read, found, refused = (bytes.fromhex(line) for line in printed("slmp"))

    assert slmp.write_request(100, RESTING, 1) == write
    assert slmp.read_request(100, 8, 1) == read
    assert slmp.reply_size(written, 0) == len(written)
    assert slmp.parse_reply(written, 0) == (0, ())
    assert slmp.reply_size(found, 8) == len(found)
    assert slmp.parse_reply(found, 8) == (0, RESTING)
    assert slmp.reply_size(refused, 8) == len(refused)
    assert slmp.parse_reply(refused, 8) == (0x4031, ())


def test_the_lines_of_the_host_link_are_those_of_its_page() -> None:
    write, written, read, found, refused = (line.encode() for line in printed("kv_hostlink"))

    assert hostlink.write_request(100, RESTING) == write + b"\r"
    assert hostlink.read_request(100, 8) == read + b"\r"
    assert hostlink.is_done(written + b"\r\n")
    assert hostlink.parse_words(found + b"\r\n", 8) == RESTING
    assert hostlink.error_code(refused + b"\r\n") == "E0"


def test_the_frames_of_s7_are_those_of_its_page() -> None:
    connect, confirmed, setup, agreed, write, written, read, found, absent, denied = (
        bytes.fromhex(line) for line in printed("s7")
    )

    assert s7.connect_request(0, 1) == connect
    assert s7.confirm_size(confirmed) == len(confirmed)
    assert s7.check_confirm(confirmed) is None
    assert s7.setup_request(1) == setup
    assert s7.check_setup(agreed, 1) is None
    assert s7.write_request(2, 7, 40, RESTING) == write
    assert s7.reply_size(written, 0) == len(written)
    assert s7.check_written(written, 2) is None
    assert s7.read_request(3, 7, 40, 8) == read
    assert s7.reply_size(found, 8) == len(found)
    assert s7.parse_words(found, 3, 8) == RESTING
    assert s7.parse_words(absent, 3, 8) == s7.Refused("code 0A", s7.ITEM_CODES[0x0A])
    assert s7.check_written(denied, 2) == s7.Refused("error 8104", s7.HEADER_ERRORS[0x8104])


@pytest.mark.parametrize(
    ("codec", "page", "digits"),
    [
        (slmp.END_CODES, "slmp", 4),
        (hostlink.ERROR_CODES, "kv_hostlink", 0),
        (s7.ITEM_CODES, "s7", 2),
        (s7.HEADER_ERRORS, "s7", 4),
    ],
    ids=["slmp", "hostlink", "s7 item", "s7 head"],
)
def test_each_code_that_has_words_is_on_its_page(codec: dict[object, str], page: str, digits: int) -> None:
    text = (DRIVERS / page / "PROTOCOL.md").read_text()
    for code in codec:
        assert f"| {code:0{digits}X} |" in text if isinstance(code, int) else f"| {code} |" in text


S7_HEADS = [
    b"",
    bytes.fromhex("0300001602f08032030000000200020001000005 01".replace(" ", "")),
    bytes.fromhex("0300001d02f080320300000002000200080000040 1ff04".replace(" ", "")),
    bytes.fromhex("0300001b02f0803203000000020008000000 00f000".replace(" ", "")),
]


@given(st.sampled_from(S7_HEADS), st.binary(max_size=40), st.integers(1, 8))
def test_any_bytes_are_an_answer_of_s7_that_fits_or_a_value_error(head: bytes, rest: bytes, words: int) -> None:
    data = head + rest
    for check, carried in ((s7.check_setup, 0), (s7.check_written, 0), (s7.parse_words, words)):
        try:
            size = s7.reply_size(data, carried)
            if size is None or size > len(data):
                continue
            found = check(data[:size], 2, words) if carried else check(data[:size], 2)  # type: ignore[operator]
        except ValueError:
            continue
        assert isinstance(found, s7.Refused) or (len(found) == words if carried else found is None)
    try:
        size = s7.confirm_size(data)
        if size is not None and size <= len(data):
            assert s7.check_confirm(data[:size]) is None or data[5] == 0x80
    except ValueError:
        return


@given(WORDS, st.data())
def test_of_an_s7_answer_no_bit_but_that_of_a_word_may_be_another(words: tuple[int, ...], data: st.DataObject) -> None:
    """Whatever bit turns before the words: it is no answer, a refusal, or another length that is waited for."""
    body = b"\xff\x04" + (16 * len(words)).to_bytes(2, "big") + b"".join(word.to_bytes(2, "big") for word in words)
    lengths = b"\x00\x02" + len(body).to_bytes(2, "big")
    pdu = bytes.fromhex("3203000000 03".replace(" ", "")) + lengths + b"\0\0\x04\x01" + body
    frame = b"\3\0" + (7 + len(pdu)).to_bytes(2, "big") + b"\2\xf0\x80" + pdu
    assert s7.parse_words(frame, 3, len(words)) == words
    at = data.draw(st.integers(0, len(frame) - 2 * len(words) - 1).filter(lambda at: at not in (9, 10)))
    bent = frame[:at] + bytes((frame[at] ^ 1 << data.draw(st.integers(0, 7)),)) + frame[at + 1 :]
    try:
        size = s7.reply_size(bent, len(words))
        assert size is None or size != len(frame) or isinstance(s7.parse_words(bent, 3, len(words)), s7.Refused)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("db", "first", "words"), [(0, 0, 8), (65_536, 0, 8), (1, -2, 8), (1, 0, 0), (1, 0, 17), (1, 65_522, 8)]
)
def test_a_place_that_no_s7_request_can_name_is_refused_before_it_is_sent(db: int, first: int, words: int) -> None:
    with pytest.raises(ValueError, match=r"DB|data block"):
        s7.read_request(1, db, first, words)


@pytest.mark.parametrize(("rack", "slot"), [(-1, 0), (8, 0), (0, 32), (0, -1)])
def test_a_cpu_can_only_be_in_a_rack_and_slot_that_there_are(rack: int, slot: int) -> None:
    with pytest.raises(ValueError, match="a rack is 0 to 7 and a slot 0 to 31"):
        s7.connect_request(rack, slot)


@given(st.binary(max_size=60), st.integers(0, 8))
def test_any_bytes_are_an_answer_of_slmp_that_fits_or_a_value_error(data: bytes, words: int) -> None:
    try:
        size = slmp.reply_size(data, words)
        if size is None or size > len(data):
            return
        end_code, found = slmp.parse_reply(data[:size], words)
    except ValueError:
        return
    assert len(found) == (0 if end_code else words)


@given(st.binary(max_size=60), st.integers(1, 8))
def test_any_bytes_are_a_row_of_numbers_or_a_value_error(data: bytes, words: int) -> None:
    assert not (hostlink.is_done(data) and hostlink.error_code(data))
    try:
        size = hostlink.reply_size(data, words)
        found = hostlink.parse_words(data, words)
    except ValueError:
        return
    assert size == len(data)
    assert len(found) == words
    assert all(0 <= word <= 0xFFFF for word in found)


@given(WORDS, st.integers(0, 11))
def test_a_part_of_an_answer_is_waited_for(words: tuple[int, ...], cut: int) -> None:
    length = 2 + 2 * len(words)
    frame = bytes.fromhex("d00000ffff0300") + length.to_bytes(2, "little") + b"\0\0"
    frame += b"".join(word.to_bytes(2, "little") for word in words)
    line = " ".join(f"{word:05}" for word in words).encode() + b"\r\n"

    assert slmp.parse_reply(frame, len(words)).words == words
    assert hostlink.parse_words(line, len(words)) == words
    part = frame[:cut]
    assert slmp.reply_size(part, len(words)) in (None, len(frame))
    assert hostlink.reply_size(line[: len(line) - 1], len(words)) is None


@pytest.mark.parametrize(
    "row",
    [
        b"00001\r\n",
        b"00001 2 3\r\n",
        b"00001  2\r\n",
        b"1 65536\r\n",
        b"1 -1\r\n",
        b"1 2 \r\n",
        b"1,2\r\n",
        b"OK\r\n",
        b"1 \xb2\r\n",
        b"1 2\n",
    ],
)
def test_another_row_than_that_which_was_asked_for_is_none(row: bytes) -> None:
    with pytest.raises(ValueError, match="row of 2 numbers"):
        hostlink.parse_words(row, 2)


@pytest.mark.parametrize(
    "answer",
    [
        "500000ffff030002000000",  # a request
        "d40000ffff030002000000",  # 4E
        "d00001ffff030002000000",  # another station
        "d00000ffff0300",  # not whole
    ],
)
def test_another_frame_than_an_answer_of_the_cpu_that_was_asked_is_none(answer: str) -> None:
    data = bytes.fromhex(answer)
    if len(data) < 9:
        assert slmp.reply_size(data, 0) is None
        return
    with pytest.raises(ValueError, match="no 3E answer"):
        slmp.reply_size(data, 0)


def test_an_answer_that_says_that_far_too_much_follows_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="65535 bytes follow"):
        slmp.reply_size(bytes.fromhex("d00000ffff0300ffff"), 8)
    with pytest.raises(ValueError, match="at most"):
        hostlink.reply_size(b"0" * 60, 8)


@pytest.mark.parametrize(("first", "count"), [(-1, 8), (0, 0), (0, 961), (0xFFFFFF, 2)])
def test_words_that_no_request_can_name_are_refused_before_they_are_sent(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="D"):
        slmp.read_request(first, count, 1)


@pytest.mark.parametrize(("first", "count"), [(-1, 8), (0, 0), (0, 1001), (65_534, 2)])
def test_memory_that_no_line_can_name_is_refused_before_it_is_sent(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="DM"):
        hostlink.read_request(first, count)


@pytest.mark.parametrize(("first", "plc"), [(0, 7), (0, 0), (10, 6), (-1, 20), (0, -5)])
def test_a_block_and_the_plcs_words_never_lie_over_each_other(first: int, plc: int) -> None:
    with pytest.raises(ValueError, match=r"lie over each other|from 0 on"):
        WordPlaces(first, plc)
    WordPlaces(0, 8)
    WordPlaces(10, 5)
