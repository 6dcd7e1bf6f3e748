"""The agent's side of publishing: starts its process, and again if it ends. It tells it the settings, nothing more."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from drivers.timing import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.settings import Settings

__all__ = ["keep_publishing"]

log = structlog.get_logger(__name__)

_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 60.0
_END_WITHIN_S = 4.0


@asynccontextmanager
async def keep_publishing(settings: Settings) -> AsyncIterator[None]:
    """Keep the process running while the block runs, if line.toml names a receiver. Raises nothing."""
    if settings.mqtt is None and settings.webhook is None:
        yield
        return
    keeper = asyncio.create_task(_keep(settings))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(settings: Settings) -> None:
    backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
    while True:
        try:
            why = f"it ended with exit code {await _one_life(settings)}"
        except OSError as err:
            why = str(err)
        log.warning("publishing_ended", why=why)
        await backoff.sleep()


async def _one_life(settings: Settings) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge_agent.publishing",
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at a terminal is the agent's alone
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    try:
        process.stdin.write(settings.model_dump_json().encode() + b"\n")
        return await process.wait()
    finally:
        # Its input's end tells it to stop; what it did not deliver is still in the journal.
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
