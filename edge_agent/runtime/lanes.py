"""Two threads one behind the other: the next image is prepared while this one is judged. See docs/decisions/0084."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from drivers.timing import monotonic_s
from edge_agent.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Lane"]

P = TypeVar("P")
T = TypeVar("T")


class Lane:
    """Images in the order in which they come: each is prepared, waits for the one before, and is judged.

    The next one is prepared only when none waits prepared: with the one that is being judged there are two in memory.
    Both threads are daemons that no exit of the process waits for.
    """

    def __init__(self, name: str) -> None:
        self._preparing = Worker(f"{name}-prepare")
        self._judging = Worker(name)
        self._place = asyncio.Lock()
        """Held from before an image is prepared until its turn to be judged has come."""
        self._turn = asyncio.Lock()
        self._running: dict[str, float] = {}

    @property
    def running_s(self) -> float:
        """For how long the older of the two steps that run has been running, seconds; 0.0 if none runs."""
        began = tuple(self._running.values())
        return monotonic_s() - min(began) if began else 0.0

    async def inspect(
        self, is_worth_it: Callable[[], bool], prepare: Callable[[], P], judge: Callable[[P], T]
    ) -> T | None:
        """What ``judge`` finds; None where ``is_worth_it``, asked in the threads before each step, says no.

        Raises what a step raises.
        """
        loop = asyncio.get_running_loop()

        def first() -> tuple[P] | None:
            with self._timed("prepare"):
                # In a tuple of its own, so that None is always "not worth it".
                return (prepare(),) if is_worth_it() else None

        def second(prepared: P) -> T | None:
            with self._timed("judge"):
                return judge(prepared) if is_worth_it() else None

        # Held over both waits: so images are judged in the order in which they came.
        async with self._place:
            prepared = await loop.run_in_executor(self._preparing, first)
            if prepared is None:
                return None
            # Before the place is left: the next one is prepared only while this one is judged, never two ahead.
            await self._turn.acquire()
        try:
            return await loop.run_in_executor(self._judging, second, *prepared)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Take no more images; does not wait for those that are being prepared or judged."""
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._judging.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        self._running[step] = monotonic_s()
        try:
            yield
        finally:
            del self._running[step]
