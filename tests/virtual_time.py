"""One event loop whose clock jumps to the next thing that is due: hours of a line in seconds, the same every time.

Everything runs in one thread. What would run in an executor runs at once, and may be told how long it takes.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from concurrent.futures import Executor, Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from drivers import timing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs a call where it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as err:  # noqa: BLE001 - handed to whoever waits, as every executor does
            future.set_exception(err)
        return future


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Where a loop would wait, its clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        assert timeout is not None, "every task waits for something that will never happen"
        self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self.clock = _Jumping()
        self.takes_s: Callable[[Executor | None], float] = lambda _executor: 0.0
        """How long a call in that executor (None: the default one) takes."""
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        return asyncio.ensure_future(self._later(self.takes_s(executor), func, *args), loop=self)

    async def _later(self, takes_s: float, func: Callable[..., T], *args: Any) -> T:
        if takes_s:
            await asyncio.sleep(takes_s)
        return func(*args)


def run_in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end; ``drivers.timing`` and the loop share the virtual clock."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        patch.setattr(timing, "time", SimpleNamespace(monotonic=loop.time, clock_gettime=lambda _which: loop.time()))
        patch.setattr(timing, "random", random.Random(0))  # how long a broken link waits is drawn, too
        return runner.run(main())
