"""``python -m edge_agent.fleet_line``: started by the agent, never by a person."""

from __future__ import annotations

from edge_agent.fleet_line.process import run_fleet_line

if __name__ == "__main__":
    run_fleet_line()
