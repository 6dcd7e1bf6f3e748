"""An event loop that does nothing by itself: each call is made, and each tick of its clock goes by, when it is told.

``tests.virtual_time`` jumps to the next thing that is due. Here what comes next is a choice, so the loop waits for it.
A tick is a sixteenth of a second: floating point knows every multiple of it exactly.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextvars import Context

__all__ = ["TICK_S", "Call", "SteppedLoop"]

TICK_S = 1 / 16


class Call:
    """Something to be called, soon or at a time; it can be cancelled until then."""

    def __init__(self, when_s: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when_s = when_s
        self.callback = callback
        self.args = args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.when_s


class SteppedLoop(asyncio.AbstractEventLoop):
    """What tasks, futures, locks and time-outs ask of an event loop, and no more: there are no files and no threads."""

    def __init__(self) -> None:
        self.ticks = 0
        self.ready: deque[Call] = deque()
        self.timers: list[Call] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[dict[str, Any]] = []

    # what asyncio asks for

    def time(self) -> float:
        return 1024 + self.ticks * TICK_S

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Call:  # type: ignore[override]
        call = Call(self.time(), callback, args)
        self.ready.append(call)
        return call

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        call = Call(when, callback, args)
        self.timers.append(call)
        return call

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        return self.call_at(self.time() + delay, callback, *args)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)

    # what the explorer does

    @contextmanager
    def current(self) -> Iterator[None]:
        """This is the loop of this thread as long as the block lasts."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def make_one_call(self) -> None:
        """The call that is next."""
        call = self.ready.popleft()
        if not call.is_cancelled:
            call.callback(*call.args)

    def settle(self) -> None:
        """Make calls until every task waits for something from outside."""
        while self.ready:
            self.make_one_call()

    def tick(self) -> None:
        """A sixteenth of a second goes by; what is due by then is called next, the earliest first."""
        self.ticks += 1
        self.timers = [call for call in self.timers if not call.is_cancelled]
        due = sorted((call for call in self.timers if call.when_s <= self.time()), key=Call.when)
        self.timers = [call for call in self.timers if call.when_s > self.time()]
        self.ready.extend(due)

    def throw_away(self) -> None:
        """Nobody goes on with this loop: end its coroutines without a word."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                # What they await on their way out has nobody to answer it.
                with contextlib.suppress(RuntimeError):
                    task.get_coro().close()  # type: ignore[union-attr]
            elif not task.cancelled():
                task.exception()
