"""``python -m edge_agent.shadow``: started by the agent, never by a person."""

from __future__ import annotations

import sys

from edge_agent.shadow.process import run_shadow

if __name__ == "__main__":
    sys.exit(run_shadow())
