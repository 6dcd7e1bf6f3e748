"""``python -m edge_agent.publishing``: started by the agent, never by a person."""

from __future__ import annotations

from edge_agent.publishing.process import publish

if __name__ == "__main__":
    publish()
