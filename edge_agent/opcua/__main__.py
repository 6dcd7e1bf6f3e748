"""``python -m edge_agent.opcua``: started by the agent, never by a person; it ends when its standard input ends."""

from __future__ import annotations

import sys

from edge_agent.feed.ending import run_to_its_end
from edge_agent.opcua.process import run_server

if __name__ == "__main__":
    sys.exit(run_to_its_end("OPC UA server", run_server))
