"""The table of docs/everyday-questions.md: each question of a person at a line with the command that answers it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Question", "questions", "with_line"]

_TABLE = Path(__file__).parents[1] / "docs" / "everyday-questions.md"
_ROW = re.compile(r"\| (?P<words>[^|`]+) \| `(?P<command>edge-agent [^`]+)` \| (?P<seconds>[^|]+) \|")


@dataclass(frozen=True, slots=True)
class Question:
    """One row: the question, the command as it stands there, and what it took."""

    words: str
    command: str
    seconds: str


def questions() -> list[Question]:
    """Every row of the table."""
    return [Question(**found.groupdict()) for found in _ROW.finditer(_TABLE.read_text())]


def with_line(question: Question, part: int) -> list[str]:
    """The command's words for a line.toml in this folder, and for a part that its journal has."""
    words = shlex.split(question.command)[1:]
    words = [word.replace("4711", str(part)) for word in words]
    return words if words[0] == "version" else [*words, "--config", "line.toml"]
