"""The page's process: its first line of standard input is the settings; it ends when that input ends."""

from __future__ import annotations

import asyncio
import sys

from edge_agent.errors import EdgeAgentError
from edge_agent.web.process import run_page


def _main() -> int:
    code = 0
    try:
        asyncio.run(run_page())
    except* EdgeAgentError as group:
        for err in _leaves(group):
            sys.stderr.write(f"operator page: {err}\n{getattr(err, 'hint', '')}\n")
            code = getattr(err, "exit_code", 70)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for err in group.exceptions:
        found += _leaves(err) if isinstance(err, BaseExceptionGroup) else [err]
    return found


if __name__ == "__main__":
    sys.exit(_main())
