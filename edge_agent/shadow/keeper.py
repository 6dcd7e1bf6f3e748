"""The agent's side of a shadow: starts its process while a candidate is to be watched, and again if it ends.

Nothing here waits for it. What it says of a shadow that ended by itself is written into the journal: the agent alone
writes there.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff, monotonic_s
from edge_agent.errors import EdgeAgentError
from edge_agent.runtime.companion import start_companion
from edge_agent.shadow.records import SHADOW_EVENT
from edge_agent.store.journal import JournalError
from edge_agent.store.shadow import ShadowFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["keep_shadow"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0
_SAID_MOST = 3
"""Lines that one life of the process may bring into the journal: it has one thing to say."""


@asynccontextmanager
async def keep_shadow(settings: Settings, note: Callable[[str, str], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep the process running while the block runs and a candidate is to be watched. Raises nothing.

    ``note(kind, detail)`` writes an event into the journal or raises JournalError.
    """
    keeper = asyncio.create_task(_keep(settings, note))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(settings: Settings, note: Callable[[str, str], Awaitable[None]]) -> None:
    backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
    said = ""
    while True:
        why = await asyncio.to_thread(_wanted, settings.store.journal)
        if why is not None:
            if why != said and why:
                log.error("shadow_not_begun", why=why)
            said = why
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        begun_mono_s = monotonic_s()
        try:
            code = await _one_life(settings, note)
            why = f"it ended with exit code {code}" if code else ""
        except (OSError, ValueError) as err:
            why = str(err)
        if not why or monotonic_s() - begun_mono_s > _RESTART_CAP_S:
            backoff.reset()
        if why:
            log.warning("shadow_ended", why=why)
            await backoff.sleep()


def _wanted(journal: Path) -> str | None:
    """None where a candidate is to be watched; else why not, empty where simply none is."""
    try:
        file = ShadowFile.open(journal)
        if file is None:
            return ""
        with file:
            return "" if file.active() is None else None
    except (EdgeAgentError, OSError) as err:
        return str(err)


async def _one_life(settings: Settings, note: Callable[[str, str], Awaitable[None]]) -> int:
    process, tell, says = await start_companion("edge_agent.shadow")
    try:
        tell.write(settings.model_dump_json().encode() + b"\n")
        await _hear(says, note)
        return await process.wait()
    finally:
        # What it has not written it judges again: one that hangs must not keep the agent from ending.
        with suppress(ProcessLookupError):
            process.kill()
        tell.close()
        await process.wait()


async def _hear(says: asyncio.StreamReader, note: Callable[[str, str], Awaitable[None]]) -> None:
    heard = 0
    while line := await says.readline():
        heard += 1
        if heard > _SAID_MOST:
            raise ValueError("it says more than it has to say")
        try:
            await note(SHADOW_EVENT, line.decode().strip())
        except JournalError as err:
            log.warning("shadow_end_not_noted", why=str(err))
