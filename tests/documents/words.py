"""Text of the code as Markdown: what it says, and nothing of it read as a mark."""

from __future__ import annotations

import re

__all__ = ["code", "table", "text"]

_MARKS = re.compile(r"([\\*<|\[\]])")


def text(words: str) -> str:
    """A sentence of the code on one line, with the characters that Markdown would take for marks made plain."""
    return _MARKS.sub(r"\\\1", " ".join(words.split()))


def code(words: str) -> str:
    """A piece of code in a table's cell; empty for nothing."""
    plain = " ".join(words.split()).replace("|", "\\|")
    return (f"`` {plain} ``" if "`" in plain else f"`{plain}`") if plain else ""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
