"""The codec is pure and total: any bytes, cut in any way, give the same lines."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.keyence.codec import (
    LINE_MAX_BYTES,
    Overlong,
    Refusal,
    Reply,
    ResultLine,
    Splitter,
    classify,
    encode,
    shown,
)

# Bytes seen on real devices (PROTOCOL.md, "Golden bytes").
GOLDEN = (
    b"T1\r00004422,0\r"
    b"RM,0\r"
    b"PR,1,022\r"
    b"MR,+0000000001.000000\r"
    b"ER,T1,03\r"
    b"+0005.047,+0005.045,+0000.003,26,07,31,17,28,42\r"
)
GOLDEN_LINES = [
    "T1",
    "00004422,0",
    "RM,0",
    "PR,1,022",
    "MR,+0000000001.000000",
    "ER,T1,03",
    "+0005.047,+0005.045,+0000.003,26,07,31,17,28,42",
]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def lines_of(pieces: list[bytes]) -> list[str | Overlong]:
    splitter = Splitter()
    return [line for piece in pieces for line in splitter.feed(piece)]


def test_golden_bytes_give_their_lines() -> None:
    assert lines_of([GOLDEN]) == GOLDEN_LINES


@pytest.mark.parametrize("delimiter", [b"\r", b"\n", b"\r\n"])
def test_every_delimiter_of_the_controller_ends_a_line(delimiter: bytes) -> None:
    assert lines_of([GOLDEN.replace(b"\r", delimiter)]) == GOLDEN_LINES


@given(st.lists(st.integers(0, len(GOLDEN)), max_size=40))
def test_no_cut_of_the_golden_stream_changes_its_lines(at: list[int]) -> None:
    assert lines_of(cut(GOLDEN, at)) == GOLDEN_LINES


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b"\r", b"\n", b"\r\n", b"ER,T1,03\r", b"x" * (LINE_MAX_BYTES - 3), b"x" * 40000]),
        ),
        max_size=12,
    ).map(b"".join),
    st.lists(st.integers(0, 10**6), max_size=12),
)
def test_any_bytes_cut_in_any_way_give_the_same_lines(data: bytes, at: list[int]) -> None:
    assert lines_of(cut(data, at)) == lines_of([data])


def test_a_line_that_never_ends_is_dropped_up_to_the_next_delimiter() -> None:
    splitter = Splitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 4096) == []
        assert len(splitter._held) <= LINE_MAX_BYTES

    assert splitter.is_dropping
    assert splitter.feed(b"x\rRM,1\r") == [Overlong(100 * 4096 + 1), "RM,1"]
    assert not splitter.is_dropping


def test_the_longest_line_is_still_a_line() -> None:
    assert lines_of([b"x" * LINE_MAX_BYTES + b"\r"]) == ["x" * LINE_MAX_BYTES]
    assert lines_of([b"x" * (LINE_MAX_BYTES + 1) + b"\r"]) == [Overlong(LINE_MAX_BYTES + 1)]


def test_bytes_that_are_no_ascii_become_escapes() -> None:
    assert lines_of([b"\x83\x4a,0\r"]) == ["\\x83J,0"]


@pytest.mark.parametrize(
    ("line", "outstanding", "expected"),
    [
        ("RM,0", "RM", Reply(("0",))),
        ("T1", "T1", Reply(())),
        ("PR,1,003", "PR", Reply(("1", "003"))),
        ("ER,T1,03", "T1", Refusal("T1", "03")),
        ("ER,XX,02", "T1", Refusal("XX", "02")),
        ("00004422,0", "T1", ResultLine(("00004422", "0"))),
        ("00004422,0", None, ResultLine(("00004422", "0"))),
        ("ER,T1,03", None, ResultLine(("ER", "T1", "03"))),
        ("ER,T1", "T1", ResultLine(("ER", "T1"))),
        ("ER,T1,3", "T1", ResultLine(("ER", "T1", "3"))),
        ("RM,0", "PR", ResultLine(("RM", "0"))),
        ("T1x", "T1", ResultLine(("T1x",))),
    ],
)
def test_a_line_is_told_apart_by_its_first_field(line: str, outstanding: str | None, expected: object) -> None:
    assert classify(line, outstanding) == expected


@given(st.text(), st.one_of(st.none(), st.sampled_from(["RM", "T1", "ER", ""])))
def test_classify_answers_any_line(line: str, outstanding: str | None) -> None:
    assert isinstance(classify(line, outstanding), Reply | Refusal | ResultLine)


def test_a_command_ends_with_cr_alone() -> None:
    assert encode("RM") == b"RM\r"
    assert encode("PW", "1", "002") == b"PW,1,002\r"
    assert encode("STW", "1", '"part 7') == b'STW,1,"part 7\r'


@pytest.mark.parametrize(
    "command",
    [("",), ("rm",), ("R M",), ("RM\r",), ("EC", "a\rT1"), ("EC", "a\nT1"), ("EC", "é"), ("EC", "x" * 2000)],
)
def test_what_could_become_two_commands_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"command name|printable ASCII|bytes"):
        encode(*command)


@given(st.binary(max_size=500))
def test_peer_bytes_are_shown_quoted_and_capped(data: bytes) -> None:
    text = shown(data)

    assert len(text) <= 123
    assert text.isprintable()
