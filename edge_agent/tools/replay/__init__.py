"""Recorded images through the production engine: the same inspection, the same decision, the same verdicts."""

from __future__ import annotations

from edge_agent.tools.replay.folder import replay_folder
from edge_agent.tools.replay.image import ReplayedImage
from edge_agent.tools.replay.result import ReplayResult

__all__ = ["ReplayResult", "ReplayedImage", "replay_folder"]
