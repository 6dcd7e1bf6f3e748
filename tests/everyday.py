"""The table of docs/everyday-questions.md: each question of a person at a line with the command that answers it."""

from __future__ import annotations

import asyncio
import re
import shlex
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge_agent.desk.client import desk_path
from edge_agent.desk.desk import serve_desk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.desk.desk import Desk

__all__ = ["Question", "answering", "questions", "with_line"]

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


class _Desk:
    """A desk at which an agent that stands well is asked; nothing else is asked here."""

    def status(self) -> dict[str, object]:
        return {
            "state": "READY",
            "health": "all conditions hold",
            "bypass": None,
            "simulated": False,
            "dry_run": False,
            "degraded": {"challenge": "the challenge is overdue"},
            "archive": {
                "passes": {"size_bytes": 10, "oldest_seq": None},
                "others": {"size_bytes": 5, "oldest_seq": 4711},
            },
        }


@contextmanager
def answering(journal: Path) -> Iterator[None]:
    """The desk of an agent with this journal, over its real socket, for as long as the block runs."""
    loop, is_open, may_end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serve_desk(desk_path(journal), cast("Desk", _Desk())):
            is_open.set()
            await may_end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert is_open.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(may_end.set)
        thread.join()
        loop.close()
