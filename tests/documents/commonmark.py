"""Markdown by CommonMark's rules, written so that MkDocs' parser reads the same from it.

That parser wants a blank line before a list, a table or a block of code, and four blanks for what is within a list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["outside_code", "set_apart"]

_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])\s+(?=\S)")
_DELIMITER_ROW = re.compile(r"\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?)?\s*")


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """The page with each line changed that is in no block of code."""
    fences = _Fences()
    return "\n".join(line if fences.holds(line) else change(line) for line in markdown.split("\n"))


def set_apart(markdown: str) -> str:
    """The page with a blank line before each list, table and block of code, and four blanks within a list."""
    page = _Page()
    lines = markdown.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        page.take(line, following)
    return "\n".join(page.made)


class _Fences:
    """Which lines are in a block of code, its first and its last one among them."""

    def __init__(self) -> None:
        self._open = ""

    def holds(self, line: str) -> bool:
        found = _FENCE.match(line)
        if self._open:
            if found and found[1].startswith(self._open):
                self._open = ""
            return True
        self._open = found[1] if found else ""
        return bool(found)


class _Page:
    """What was read so far, and the lists that the next line may be within."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._begins: list[int] = []
        """Where the text of each open item begins, outermost first."""
        self._fences = _Fences()
        self._is_code = False
        self._is_item_text = False

    def take(self, line: str, following: str) -> None:
        """The next line, and the one behind it."""
        was_code, self._is_code = self._is_code, self._fences.holds(line)
        if not line.strip():
            self._is_item_text = False
            self.made.append("")
        elif self._is_code and was_code:
            self.made.append(self._moved(line))
        else:
            self._take_text(line, following)

    def _take_text(self, line: str, following: str) -> None:
        is_behind_text = bool(self.made) and bool(self.made[-1].strip())
        item = self._item(line, is_behind_text=is_behind_text)
        indent = len(line) - len(line.lstrip())
        while self._begins and indent < self._begins[-1] and (item or self._is_code or not is_behind_text):
            self._begins.pop()
        is_table = "|" in line and _DELIMITER_ROW.fullmatch(following)
        if is_behind_text and (self._is_code or is_table or (item and not self._is_item_text)):
            self.made.append("")
        if item:
            self.made.append(" " * 4 * len(self._begins) + line.lstrip())
            self._begins.append(len(item[0]))
            self._is_item_text = True
        else:
            self.made.append(self._moved(line))

    def _item(self, line: str, *, is_behind_text: bool) -> re.Match[str] | None:
        """The mark of a list's item; a number that a line of a paragraph happens to begin with is none."""
        item = _ITEM.match(line)
        if item and is_behind_text and not self._begins and item[2][0].isdigit() and item[2][:-1] != "1":
            return None
        return item

    def _moved(self, line: str) -> str:
        """The line with four blanks for each list that it is within."""
        indent = len(line) - len(line.lstrip())
        return " " * (4 * len(self._begins) + max(0, indent - (self._begins or [0])[-1])) + line.lstrip()
