"""A process of the agent's own beside it (page, publishing, OPC UA), talked to by standard input and output."""

from __future__ import annotations

import asyncio
import sys
from typing import NamedTuple

__all__ = ["Companion", "start_companion"]


class Companion(NamedTuple):
    """The process, what it is told by, and what it says."""

    process: asyncio.subprocess.Process
    tell: asyncio.StreamWriter
    says: asyncio.StreamReader


async def start_companion(module: str) -> Companion:
    """Start ``python -m module`` with this interpreter. Raises OSError where that cannot be."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at a terminal is the agent's alone
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    return Companion(process, process.stdin, process.stdout)
