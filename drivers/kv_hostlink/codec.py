"""Lines of the KV host link (upper link): words of the data memory DM, read and written in a row. No I/O.

Sources and worked lines: PROTOCOL.md.
"""

from __future__ import annotations

import re

__all__ = [
    "ERROR_CODES",
    "LAST_DEVICE",
    "MOST_WORDS",
    "error_code",
    "is_done",
    "parse_words",
    "read_request",
    "reply_size",
    "write_request",
]

MOST_WORDS = 1000
"""In one request."""
LAST_DEVICE = 65_534

_END = b"\r\n"
_WORD_MOST = 65_535
_DIGITS = 5
_DONE = b"OK" + _END
_ERROR = re.compile(rb"E[0-9]\r\n")
_WORDS = re.compile(rb"[0-9]{1,5}(?: [0-9]{1,5})*\r\n")

ERROR_CODES = {
    "E0": "no such DM: look at output.first_register, plc_register and inputs_register",
    "E1": "the PLC does not know this command, or takes fewer words in one request",
    "E2": "there is no program in the PLC",
    "E4": "the PLC takes no writes: a write protection is set",
    "E5": "the unit has an error",
}
"""What is known of error codes."""


def read_request(first: int, count: int) -> bytes:
    """RDS: words in a row, as unsigned decimal numbers. Raises ValueError for words that no line can name."""
    _checked(first, count)
    return f"RDS DM{first}.U {count}\r".encode()


def write_request(first: int, words: tuple[int, ...]) -> bytes:
    """WRS: all of them at once. Raises ValueError for words that no line can name, or that are none."""
    _checked(first, len(words))
    if not all(0 <= word <= _WORD_MOST for word in words):
        raise ValueError(f"a word is 0 to {_WORD_MOST} (got {words})")
    return f"WRS DM{first}.U {len(words)} {' '.join(map(str, words))}\r".encode()


def _checked(first: int, count: int) -> None:
    if not (first >= 0 and 1 <= count <= MOST_WORDS and first + count - 1 <= LAST_DEVICE):
        raise ValueError(f"DM{first} and {count} words: from DM0 to DM{LAST_DEVICE}, {MOST_WORDS} words at most")


def reply_size(buffer: bytes, words: int) -> int | None:
    """How many bytes the answer has that should carry so many words; None while its end is not there.

    Raises ValueError for what is longer than such an answer.
    """
    at = buffer.find(_END)
    longest = max(len(_DONE), words * (_DIGITS + 1) - 1 + len(_END))
    if len(buffer if at < 0 else buffer[: at + len(_END)]) > longest:
        raise ValueError(f"the answer should have at most {longest} bytes")
    return None if at < 0 else at + len(_END)


def error_code(reply: bytes) -> str:
    """E0 to E9, empty for an answer that is no error."""
    return reply[:2].decode() if _ERROR.fullmatch(reply) else ""


def is_done(reply: bytes) -> bool:
    """Whether it says that a write was carried out."""
    return reply == _DONE


def parse_words(reply: bytes, count: int) -> tuple[int, ...]:
    """The words of an answer. Raises ValueError for one that does not fit the request."""
    if not _WORDS.fullmatch(reply):
        raise ValueError(f"it is no row of {count} numbers")
    words = tuple(int(token) for token in reply[: -len(_END)].split(b" "))
    if len(words) != count or max(words) > _WORD_MOST:
        raise ValueError(f"it is no row of {count} numbers up to {_WORD_MOST}")
    return words
