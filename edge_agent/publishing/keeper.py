"""The agent's side of publishing: starts its process, and again if it ends. It says settings and how it stands.

What the process says of results that were set aside is written into the journal: the agent alone writes there.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff, monotonic_s
from edge_agent.feed.telling import Teller
from edge_agent.publishing.told import ASIDE, Told
from edge_agent.runtime.companion import start_companion
from edge_agent.store.journal import JournalError
from edge_agent.store.receivers import named_receivers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from edge_agent.feed.telling import Looked
    from edge_agent.settings import Settings

__all__ = ["keep_publishing"]

log = structlog.get_logger(__name__)

_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0
_END_WITHIN_S = 4.0
_BETWEEN_NOTES_S = 0.1


@asynccontextmanager
async def keep_publishing(
    settings: Settings, look: Callable[[], Looked], note: Callable[[str, str], Awaitable[None]]
) -> AsyncIterator[None]:
    """Keep the process running while the block runs, if line.toml names a receiver. Raises nothing.

    ``look`` says how the agent stands, which Sparkplug alone tells others. ``note(kind, detail)`` writes an event into
    the journal or raises JournalError.
    """
    if not named_receivers(settings):
        yield
        return
    keeper = asyncio.create_task(_keep(settings, look, note))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(settings: Settings, look: Callable[[], Looked], note: Callable[[str, str], Awaitable[None]]) -> None:
    backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
    while True:
        begun_mono_s = monotonic_s()
        try:
            why = f"it ended with exit code {await _one_life(settings, look, note)}"
        except OSError as err:
            why = str(err)
        log.warning("publishing_ended", why=why)
        if monotonic_s() - begun_mono_s > _RESTART_CAP_S:
            backoff.reset()
        await backoff.sleep()


async def _one_life(settings: Settings, look: Callable[[], Looked], note: Callable[[str, str], Awaitable[None]]) -> int:
    process, tell, says = await start_companion("edge_agent.publishing")
    hearing, telling = asyncio.create_task(_hear(says, note)), list[asyncio.Task[None]]()
    try:
        tell.write(settings.model_dump_json().encode() + b"\n")
        if settings.sparkplug is not None:
            telling.append(asyncio.create_task(Teller(look).tell(tell)))
        return await process.wait()
    finally:
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        # Its input's end tells it to stop; what it did not deliver is still in the journal.
        tell.close()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _hear(process: asyncio.StreamReader, note: Callable[[str, str], Awaitable[None]]) -> None:
    """Write down each result that was set aside. Nothing that is said here can end the agent."""
    while line := await process.readline():
        try:
            told = Told.model_validate_json(line)
            await note(ASIDE, told.model_dump_json())
        except (ValueError, JournalError) as err:  # it stands in the file of what is set aside, and in the log
            log.warning("result_aside_not_noted", why=str(err))
        await asyncio.sleep(_BETWEEN_NOTES_S)
