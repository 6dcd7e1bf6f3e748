"""A clock that does not wait: an event loop whose time jumps to the next timer when no socket has anything to say.

An hour passes in seconds, over real sockets. Both ends have to live in the one loop: then whatever is on its way over
the loopback interface is there at the next look.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING, Any

from drivers import timing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import ModuleType

    import pytest

__all__ = ["WarpedClock"]


class _Selector(selectors.DefaultSelector):
    """Never waits for a timer."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        events = super().select(0)
        if not events and timeout > 0:
            self.jump(timeout)
        return events


class WarpedClock:
    """Time of one event loop and of the drivers in it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        """Monotonic seconds, with all that was jumped over."""
        return time.monotonic() + self._ahead_s

    def _jump(self, seconds: float) -> None:
        self._ahead_s += seconds

    def install(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        """Make this the clock of ``drivers.timing`` and of the modules that took the function from there."""
        for module in (timing, *modules):
            monkeypatch.setattr(module, "monotonic_s", self.now)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run it in a loop of this time."""

        def make_loop() -> asyncio.AbstractEventLoop:
            selector = _Selector()
            selector.jump = self._jump
            loop = asyncio.SelectorEventLoop(selector)
            loop.time = self.now  # type: ignore[method-assign]
            return loop

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main)
