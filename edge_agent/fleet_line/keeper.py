"""The agent's side of a fleet: starts the line's process, again if it ends, and tells it how the agent stands.

Nothing here waits for it, and nothing that it says is listened to.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff, monotonic_s
from edge_agent.feed.telling import Teller
from edge_agent.opcua.hello import Hello
from edge_agent.runtime.companion import start_companion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from edge_agent.feed.telling import Looked
    from edge_agent.opcua.hello import BundleInUse
    from edge_agent.settings import Settings

__all__ = ["keep_fleet"]

log = structlog.get_logger(__name__)

_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0


@asynccontextmanager
async def keep_fleet(
    settings: Settings, look: Callable[[], Looked], bundles: Iterable[BundleInUse]
) -> AsyncIterator[None]:
    """Keep the process running while the block runs, if line.toml names a fleet. Raises nothing."""
    if settings.fleet is None:
        yield
        return
    keeper = asyncio.create_task(_keep(Hello(settings=settings, bundles=tuple(bundles)), look))
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
        log.warning("fleet_line_ended", why=why)
        if monotonic_s() - begun_mono_s > _RESTART_CAP_S:
            backoff.reset()
        await backoff.sleep()


async def _one_life(hello: Hello, look: Callable[[], Looked]) -> int:
    process, tell, _ = await start_companion("edge_agent.fleet_line")
    try:
        tell.write(hello.model_dump_json().encode() + b"\n")
        telling = asyncio.create_task(Teller(look).tell(tell))
        try:
            return await process.wait()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    finally:
        # What it has not delivered is still in the journal: one that hangs must not keep the agent from ending.
        with suppress(ProcessLookupError):
            process.kill()
        tell.close()
        await process.wait()
