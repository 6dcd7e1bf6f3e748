"""JSON from files and sockets that anybody may have written: read within bounds, or refused in words.

The standard reader takes more than JSON is: NaN, a key twice (the last one wins, whatever a person read first), half of
a surrogate pair, numbers that become infinite, UTF-16. Each of these breaks later, far from the file.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, Final, NoReturn

__all__ = ["MOST_DEPTH", "strict_json"]

MOST_DEPTH: Final = 32
"""Objects and lists within each other. What this program writes is at most six deep."""
_MOST_NUMBER: Final = 2**63
"""The largest whole number that a database column and an arithmetic of 64 bits still hold."""
_MOST_DIGITS: Final = 400
"""Characters of one number. The smallest number of 64 bits takes 330 when it is written out."""


def strict_json(data: bytes | str, *, most_bytes: int) -> Any:
    """The value that ``data`` holds, every number in it finite and every text one that can be written out.

    Raises ValueError, in words, for anything else: also for more than ``most_bytes``.
    """
    if len(data) > most_bytes:
        raise ValueError(f"it has {len(data)} bytes, at most {most_bytes} are read")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ValueError(f"it is not UTF-8 text: byte {err.start} is 0x{err.object[err.start]:02x}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_fraction,
        )
    except RecursionError:
        raise ValueError(f"brackets are nested more than {MOST_DEPTH} deep") from None
    except json.JSONDecodeError as err:
        raise ValueError(f"it is not JSON: {err.msg} at line {err.lineno}, column {err.colno}") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {_short(twice)} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _whole(digits: str) -> int:
    # Asked before the conversion: Python's own refusal of thousands of digits speaks of its settings.
    number = int(digits) if len(digits) <= _MOST_DIGITS else _MOST_NUMBER
    if abs(number) >= _MOST_NUMBER:
        raise ValueError(f"a whole number of {len(digits)} digits is too large: {_short(digits)}")
    return number


def _fraction(digits: str) -> float:
    number = float(digits) if len(digits) <= _MOST_DIGITS else math.inf
    if not math.isfinite(number):
        raise ValueError(f"a number is too large: {_short(digits)}")
    return number


def _check(value: Any) -> None:
    """Depth and texts. Not by recursion: this is what bounds it."""
    todo = [(value, 1)]
    while todo:
        node, depth = todo.pop()
        if depth > MOST_DEPTH and isinstance(node, dict | list):
            raise ValueError(f"brackets are nested more than {MOST_DEPTH} deep")
        if isinstance(node, dict):
            todo += [(inner, depth + 1) for pair in node.items() for inner in pair]
        elif isinstance(node, list):
            todo += [(inner, depth + 1) for inner in node]
        elif isinstance(node, str) and not node.isascii():
            _check_text(node)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the text {_short(text)} holds half of a pair of surrogates, which is no character") from None


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")
