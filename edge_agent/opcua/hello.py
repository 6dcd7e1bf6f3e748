"""The first line that the agent says to the server's process; after it come lines of ``feed.state``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edge_agent.settings import Settings

__all__ = ["BundleInUse", "Hello"]


class BundleInUse(BaseModel):
    """The reference bundle that judges one program and camera until the agent's next start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: int
    camera: int
    bundle_id: str


class Hello(BaseModel):
    """What does not change while the agent runs. ``config_sha256`` is of line.toml; empty where there was no file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: Settings
    config_sha256: str = ""
    config_saved_utc: str = ""
    bundles: tuple[BundleInUse, ...] = ()
