"""A process beside the agent that is told how the agent stands and is never listened to: begun again when it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff, monotonic_s
from edge_agent.feed.telling import Teller
from edge_agent.runtime.companion import start_companion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge_agent.feed.telling import Looked

__all__ = ["told_process"]

log = structlog.get_logger(__name__)

_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0


@asynccontextmanager
async def told_process(module: str, hello: str, look: Callable[[], Looked], *, ended: str) -> AsyncIterator[None]:
    """Keep the process of that module running while the block runs. Raises nothing.

    ``hello`` is the first line that it reads, a JSON object; ``ended`` is the log's word for its end.
    """
    keeper = asyncio.create_task(_keep(module, hello, look, ended))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(module: str, hello: str, look: Callable[[], Looked], ended: str) -> None:
    backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
    while True:
        begun_mono_s = monotonic_s()
        try:
            why = f"it ended with exit code {await _one_life(module, hello, look)}"
        except OSError as err:
            why = str(err)
        log.warning(ended, why=why)
        if monotonic_s() - begun_mono_s > _RESTART_CAP_S:
            backoff.reset()
        await backoff.sleep()


async def _one_life(module: str, hello: str, look: Callable[[], Looked]) -> int:
    process, tell, _ = await start_companion(module)
    try:
        tell.write(hello.encode() + b"\n")
        telling = asyncio.create_task(Teller(look).tell(tell))
        try:
            return await process.wait()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    finally:
        # What it has not delivered is in the journal: one that hangs must not keep the agent from ending.
        with suppress(ProcessLookupError):
            process.kill()
        tell.close()
        await process.wait()
