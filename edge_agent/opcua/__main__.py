"""``python -m edge_agent.opcua``: started by the agent, never by a person; it ends when its standard input ends."""

from __future__ import annotations

import asyncio
import sys

from edge_agent.errors import EdgeAgentError
from edge_agent.opcua.process import run_server


def _main() -> int:
    code = 0
    try:
        asyncio.run(run_server())
    except* EdgeAgentError as group:
        for err in _leaves(group):
            sys.stderr.write(f"OPC UA server: {err}\n{getattr(err, 'hint', '')}\n")
            code = getattr(err, "exit_code", 70)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for err in group.exceptions:
        found += _leaves(err) if isinstance(err, BaseExceptionGroup) else [err]
    return found


if __name__ == "__main__":
    sys.exit(_main())
