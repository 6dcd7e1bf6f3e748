"""Frames of SLMP and lines of the host link: as their pages print them, and nothing else is taken for an answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.kv_hostlink import codec as hostlink
from drivers.output import BlockState, WordPlaces
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


@pytest.mark.parametrize(
    ("codec", "page"), [(slmp.END_CODES, "slmp"), (hostlink.ERROR_CODES, "kv_hostlink")], ids=["slmp", "hostlink"]
)
def test_each_code_that_has_words_is_on_its_page(codec: dict[object, str], page: str) -> None:
    text = (DRIVERS / page / "PROTOCOL.md").read_text()
    for code in codec:
        assert f"| {code:04X} |" in text if isinstance(code, int) else f"| {code} |" in text


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
