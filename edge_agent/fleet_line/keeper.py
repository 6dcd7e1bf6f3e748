"""The agent's side of a fleet: starts the line's process, again if it ends, and tells it how the agent stands.

Nothing here waits for it, and nothing that it says is listened to.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from edge_agent.feed.told_process import told_process
from edge_agent.opcua.hello import Hello

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from edge_agent.feed.telling import Looked
    from edge_agent.opcua.hello import BundleInUse
    from edge_agent.settings import Settings

__all__ = ["keep_fleet"]


@asynccontextmanager
async def keep_fleet(
    settings: Settings, look: Callable[[], Looked], bundles: Iterable[BundleInUse]
) -> AsyncIterator[None]:
    """Keep the process running while the block runs, if line.toml names a fleet. Raises nothing."""
    if settings.fleet is None:
        yield
        return
    hello = Hello(settings=settings, bundles=tuple(bundles)).model_dump_json()
    async with told_process("edge_agent.fleet_line", hello, look, ended="fleet_line_ended"):
        yield
