"""The agent's side of the OPC UA server: starts its process, again if it ends, and tells it how the agent stands.

Nothing here waits for it, and nothing comes back: it has no way to ask for anything.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff, monotonic_s
from edge_agent.errors import Unavailable
from edge_agent.feed.telling import Teller
from edge_agent.opcua.hello import Hello
from edge_agent.opcua.library import need_library
from edge_agent.runtime.companion import start_companion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from edge_agent.feed.telling import Looked
    from edge_agent.opcua.hello import BundleInUse
    from edge_agent.settings import Settings

__all__ = ["keep_opcua"]

log = structlog.get_logger(__name__)

_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0


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
    keeper = asyncio.create_task(_keep(hello, look))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(hello: Hello, look: Callable[[], Looked]) -> None:
    backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
    while True:
        begun_mono_s = monotonic_s()
        try:
            why = f"it ended with exit code {await _one_life(hello, look)}"
        except OSError as err:
            why = str(err)
        log.warning("opcua_ended", why=why)
        if monotonic_s() - begun_mono_s > _RESTART_CAP_S:
            backoff.reset()
        await backoff.sleep()


async def _one_life(hello: Hello, look: Callable[[], Looked]) -> int:
    process, tell, _ = await start_companion("edge_agent.opcua")
    try:
        tell.write(hello.model_dump_json().encode() + b"\n")
        telling = asyncio.create_task(Teller(look).tell(tell))
        try:
            return await process.wait()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    finally:
        # It holds nothing that could be lost, and one that hangs must not keep the agent from ending.
        with suppress(ProcessLookupError):
            process.kill()
        tell.close()
        await process.wait()
