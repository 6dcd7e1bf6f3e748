"""One thread that works off calls in order, and that no exit of the process waits for."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "any_at_work"]

P = ParamSpec("P")
T = TypeVar("T")


_at_work: set[int] = set()
"""Threads, by their identity: names need not be one of a kind."""


def any_at_work() -> bool:
    """Whether a worker of this process is in a call: the interpreter must not be taken down under it."""
    return bool(_at_work)


class Worker(Executor):
    """An executor of one daemon thread.

    A ThreadPoolExecutor's threads are joined when the interpreter ends: one call that never returns would keep a
    stopped agent from ending. Here such a call ends with the process.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_open = True
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call. Raises RuntimeError after ``shutdown``."""
        if not self._is_open:
            raise RuntimeError("the worker takes no more calls")
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as err:  # noqa: BLE001 - handed to whoever waits, as every executor does
                future.set_exception(err)

        self._calls.put(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Take no more calls; what is queued is still worked off, unless ``cancel_futures``."""
        self._is_open = False
        while cancel_futures and not self._calls.empty():
            self._calls.get()
        # Behind what is queued, which is still worked off.
        self._calls.put(None)
        if wait:
            self._thread.join()

    def _work(self) -> None:
        thread = threading.get_ident()
        while (call := self._calls.get()) is not None:
            # Around the call alone: an idle worker keeps no interpreter from ending.
            _at_work.add(thread)
            call()
            _at_work.discard(thread)
