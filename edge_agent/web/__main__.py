"""The page's process: its first line of standard input is the settings; it ends when that input ends."""

from __future__ import annotations

import sys

from edge_agent.feed.ending import run_to_its_end
from edge_agent.web.process import run_page

if __name__ == "__main__":
    sys.exit(run_to_its_end("operator page", run_page))
