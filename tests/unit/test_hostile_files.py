"""Small files and requests that anybody may have written: the project's own error in words, whatever is in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge_agent.desk.requests import request_of as _request
from edge_agent.errors import BundleRejected, ConfigError, DataError
from edge_agent.golden.clock import ChallengeClock
from edge_agent.golden.plan import Plan
from edge_agent.inspection.bundle.registry import POINTER, bundle_in_use, switches
from edge_agent.reviews.settling import word_of
from edge_agent.store.position import Position, read_position, write_position
from edge_agent.web.guard import read_token

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    b"",
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b"\xff\xfe",
    b"NaN",
    b'{"schema_version": 1, "origin": "x", "link": 1e999}',
    b'{"schema_version": 1, "origin": "x", "link": Infinity}',
    b'{"schema_version": 1, "origin": "x", "link": -1}',
    b'{"schema_version": 1, "origin": "x", "link": 2.5}',
    b'{"schema_version": 1, "origin": "x", "link": ' + b"9" * 3000 + b"}",
    b'{"schema_version": 1, "origin": "\\ud800", "link": 1}',
    b'{"schema_version": 1, "switches": [' + b"[" * 50 + b"]" * 50 + b"]}",
    b'{"schema_version": 1, "switches": [null]}',
    b'{"schema_version": 1, "switches": {"what": "activate"}}',
    b"\x00" * 10_000,
]


@pytest.mark.parametrize("data", HOSTILE)
def test_a_position_that_cannot_be_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p").write_bytes(data)

    with pytest.raises(DataError) as caught:
        read_position(tmp_path / "p")
    assert caught.value.hint


def test_a_position_is_read_as_it_was_written_and_a_pipe_is_none(tmp_path: Path) -> None:
    write_position(tmp_path / "p", Position("ab" * 32, 7, "cd" * 32))
    os.mkfifo(tmp_path / "pipe")

    assert read_position(tmp_path / "p") == Position("ab" * 32, 7, "cd" * 32)
    with pytest.raises(DataError, match="not a regular file"):
        read_position(tmp_path / "pipe")


@pytest.mark.parametrize("data", HOSTILE)
def test_a_pointer_that_cannot_be_is_no_switch(tmp_path: Path, data: bytes) -> None:
    (tmp_path / POINTER).write_bytes(data)

    with pytest.raises(BundleRejected) as caught:
        bundle_in_use(tmp_path)
    assert caught.value.hint


def test_a_pointer_that_is_a_pipe_or_has_no_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / POINTER).touch()
    os.truncate(tmp_path / POINTER, 1 << 40)
    with pytest.raises(BundleRejected, match="bytes, at most"):
        switches(tmp_path)
    (tmp_path / POINTER).unlink()
    os.mkfifo(tmp_path / POINTER)
    with pytest.raises(BundleRejected, match="not a regular file"):
        switches(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        *HOSTILE,
        b'{"v": 1, "ask": "bypass", "do": "begin", "by": "Ada", "for_s": NaN}',
        b'{"v": 1, "ask": "bypass", "do": "begin", "by": "Ada", "for_s": 1e999}',
        b'{"v": 1, "ask": "note", "kind": "CHALLENGE", "detail": "\\ud800"}',
        b'{"v": 1, "ask": "command", "name": "R0", "within_s": ' + b"9" * 5000 + b"}",
        b'{"v": 1, "v": 1, "ask": "status"}',
    ],
)
def test_a_request_that_cannot_be_is_refused_in_words(line: bytes) -> None:
    with pytest.raises(ValueError, match="a request is"):
        _request(line)


@pytest.mark.parametrize("detail", ["[" * 100_000, "", "NaN", '{"ok": [true]}', "null", "7"])
def test_a_challenge_that_cannot_be_read_proves_nothing(detail: str) -> None:
    clock = ChallengeClock(Plan(every_h=24), bundles={})

    clock.note(detail, 7)

    assert "no challenge was passed yet" in clock.standing(1, 8).overdue


@pytest.mark.parametrize("detail", ["[" * 100_000, "", "NaN", "null"])
def test_a_review_that_cannot_be_read_says_nothing(detail: str) -> None:
    assert word_of(detail) is None


def test_a_token_is_not_read_out_of_a_pipe_or_a_huge_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "huge").touch(0o600)
    os.truncate(tmp_path / "huge", 1 << 40)

    for name, words in (("pipe", "not a regular file"), ("huge", "bytes, at most")):
        with pytest.raises(ConfigError, match=words):
            read_token(tmp_path / name)
