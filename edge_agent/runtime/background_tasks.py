"""Loops that run beside the supervisor's. One that fails ends the agent: a bug must not be survived silently."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

__all__ = ["beside"]


@asynccontextmanager
async def beside(*runs: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run each of these until the block ends. What the block raises comes out as it is, not in a group of one.

    Whoever catches InferenceHung by its class has to leave a thread behind; in a group nobody would catch it.
    """
    raised: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(run()) for run in runs]
        try:
            yield
        except Exception as err:  # noqa: BLE001 - raised again behind the group
            raised = err
        finally:
            for task in work:
                task.cancel()
    if raised is not None:
        raise raised
