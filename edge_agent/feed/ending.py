"""How a process beside the agent ends: what a person can mend is said, in one line, with what to do."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from edge_agent.errors import EdgeAgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["run_to_its_end"]


def run_to_its_end(name: str, work: Callable[[], Coroutine[None, None, None]]) -> int:
    """Run the process's work; its exit code, 0 or that of the last error, each of which is said on standard error."""
    code = 0
    try:
        asyncio.run(work())
    except* EdgeAgentError as group:
        for err in _leaves(group):
            sys.stderr.write(f"{name}: {err}\n{getattr(err, 'hint', '')}\n")
            code = getattr(err, "exit_code", 70)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for err in group.exceptions:
        found += _leaves(err) if isinstance(err, BaseExceptionGroup) else [err]
    return found
