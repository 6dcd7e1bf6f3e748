"""JSON that anybody may have written: what is read is finite, bounded and printable, or refused in words."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import MOST_DEPTH, strict_json

if TYPE_CHECKING:
    from pathlib import Path

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner),
)


@given(value=json_values, is_ascii=st.booleans())
def test_what_is_written_is_read(value: object, *, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)

    assert strict_json(text, most_bytes=1 << 20) == value
    assert strict_json(text.encode(), most_bytes=1 << 20) == value


@given(data=st.binary() | st.text(st.characters(exclude_categories=())))
def test_anything_else_is_a_value_error(data: bytes | str) -> None:
    try:
        strict_json(data, most_bytes=1 << 20)
    except ValueError as err:
        str(err).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN is no number"),
        ("[Infinity]", "Infinity is no number"),
        ("1e999", "too large"),
        ("-" + "9" * 5000, "5001 digits"),
        (str(2**63), "too large"),
        ("0." + "0" * 5000 + "1", "too large"),
        ("[" * 100_000, f"more than {MOST_DEPTH} deep"),
        ("[" * 40 + "]" * 40, f"more than {MOST_DEPTH} deep"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' is there twice"),
        ('"\\ud800"', "surrogates"),
        ('{"\\udc00": 1}', "surrogates"),
        ("{} {}", "not JSON: Extra data at line 1, column 4"),
        ('"' + "x" * 2000 + '"', "2002 bytes, at most 1000"),
    ],
)
def test_the_refusal_says_what_is_wrong(text: str, words: str) -> None:
    most = 1000 if "xxx" in text else 1 << 20

    with pytest.raises(ValueError, match=words):
        strict_json(text, most_bytes=most)


def test_only_utf_8_is_read() -> None:
    with pytest.raises(ValueError, match="not UTF-8 text: byte 1 is 0xff"):
        strict_json(b'"\xff"', most_bytes=100)


def test_a_number_of_64_bits_written_out_is_read() -> None:
    assert strict_json(f"{math.ulp(0.0):.330f}", most_bytes=1000) == math.ulp(0.0)


def test_only_a_regular_file_of_the_size_that_was_asked_for_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")

    assert read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="5 bytes, at most 4"):
        read_bounded(tmp_path / "file", 4)
    with pytest.raises(ValueError, match="not a regular file"):
        read_bounded(tmp_path / "pipe", 5)
    with pytest.raises(ValueError, match="not a regular file"):
        read_bounded(tmp_path, 5)
