"""Tasks that go on by themselves, and the first error of any of them: a bug of the simulation is never kept quiet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Background"]


class Background:
    """Tasks that run beside the caller, and the first error of any of them. Used from one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.crash: BaseException | None = None
        """The first error; ``raise_crash`` tells it once."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start a task that runs until it ends by itself or ``cancel`` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """End all of them and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def raise_crash(self) -> None:
        """Raise what went wrong, if anything, once."""
        crash, self.crash = self.crash, None
        if crash is not None:
            raise crash

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.crash = self.crash or task.exception()
