"""The agent's side of the OPC UA server: starts its process, again if it ends, and tells it how the agent stands.

Nothing here waits for it, and nothing comes back: it has no way to ask for anything.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from edge_agent.errors import Unavailable
from edge_agent.feed.told_process import told_process
from edge_agent.opcua.hello import Hello
from edge_agent.opcua.library import need_library

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from edge_agent.feed.telling import Looked
    from edge_agent.opcua.hello import BundleInUse
    from edge_agent.settings import Settings

__all__ = ["keep_opcua"]

log = structlog.get_logger(__name__)


@asynccontextmanager
async def keep_opcua(
    settings: Settings, look: Callable[[], Looked], bundles: Iterable[BundleInUse]
) -> AsyncIterator[None]:
    """Keep the server running while the block runs, if line.toml asks for one. Raises nothing.

    Without the library there is no server, and the log says what to do: the line works all the same.
    """
    if settings.opcua is None:
        yield
        return
    try:
        need_library()
    except Unavailable as err:
        log.error("opcua_not_started", why=str(err), hint=err.hint)  # noqa: TRY400 - no bug
        yield
        return
    source = settings.source
    hello = Hello(
        settings=settings,
        config_sha256="" if source is None else source.sha256,
        config_saved_utc="" if source is None else source.saved_utc,
        bundles=tuple(bundles),
    )
    async with told_process("edge_agent.opcua", hello.model_dump_json(), look, ended="opcua_ended"):
        yield
