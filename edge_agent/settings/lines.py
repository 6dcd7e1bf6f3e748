"""On which line of a TOML document a key stands. The document is valid: tomllib has read it."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LineIndex", "keys_of"]

Loc = tuple[str | int, ...]

# Strings first, so that quotes, brackets and hashes inside them are not taken for the document's own.
_TOKEN = re.compile(
    r"""(?P<text>"{3}(?:[^"\\]|\\.|"(?!""))*"{3,5}|'{3}(?:[^']|'(?!''))*'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
    r"""|(?P<comment>\#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<newline>\n)|(?P<assign>=)|(?P<other>[^\s"'#\[\]{}=]+)""",
    re.DOTALL,
)


class LineIndex:
    """Looks up the line of a key, or of the nearest table around it (inline tables have the line of their key)."""

    def __init__(self, document: str) -> None:
        self._line_of: dict[Loc, int] = {(): 1}
        self._array_ends: dict[Loc, int] = {}
        table: Loc = ()
        for line, is_header, text in _statements(document):
            keys = keys_of(text)
            if is_header:
                table = self._header(keys, line, is_array=text.startswith("[["))
            else:
                self._note(table, keys, line)
        self.open_table = table
        """The table that a further line of the document would belong to."""

    def has(self, loc: Loc) -> bool:
        """Whether the document has this key or table."""
        return loc in self._line_of

    def line(self, loc: Loc) -> int:
        """The 1-based line of the key at ``loc``, or of the innermost known table around it."""
        while loc not in self._line_of:
            loc = loc[:-1]
        return self._line_of[loc]

    def _header(self, keys: tuple[str, ...], line: int, *, is_array: bool) -> Loc:
        table: Loc = ()
        for depth, key in enumerate(keys, start=1):
            table = (*table, key)
            is_last = depth == len(keys)
            if is_last and is_array:
                self._line_of.setdefault(table, line)
                self._array_ends[table] = self._array_ends.get(table, -1) + 1
            if table in self._array_ends:
                table = (*table, self._array_ends[table])
            if is_last:
                self._line_of[table] = line
            else:
                self._line_of.setdefault(table, line)
        return table

    def _note(self, table: Loc, keys: tuple[str, ...], line: int) -> None:
        for key in keys:
            table = (*table, key)
            self._line_of.setdefault(table, line)


def _statements(document: str) -> Iterator[tuple[int, bool, str]]:
    """Each header and each key of the document with its line: (line, is it a header, its text)."""
    line, depth, start, in_value, is_header = 1, 0, -1, False, False
    for token in _TOKEN.finditer(document):
        kind = token.lastgroup
        if depth == 0 and start < 0 and not in_value and kind in ("text", "other", "open"):
            start, is_header = token.start(), kind == "open"
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
            if is_header and depth == 0 and start >= 0:
                yield line, True, document[start : token.end()]
                start, is_header, in_value = -1, False, True
        elif kind == "assign" and depth == 0 and start >= 0:
            yield line, False, document[start : token.start()]
            start, in_value = -1, True
        elif kind == "newline" and depth == 0:
            start, in_value = -1, False
        line += token.group().count("\n")


def keys_of(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, unquoted by the same parser that read the document."""
    node: Any = tomllib.loads(text.strip("[] \t") + " = 0")
    found = []
    while isinstance(node, dict):
        ((key, node),) = node.items()
        found.append(key)
    return tuple(found)
