"""``python -m edge_agent.publishing``: started by the agent, never by a person."""

from __future__ import annotations

import sys

from edge_agent.errors import EdgeAgentError
from edge_agent.publishing.process import publish


def _main() -> int:
    try:
        publish()
    except EdgeAgentError as err:
        sys.stderr.write(f"publishing: {err}\n{err.hint}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main())
