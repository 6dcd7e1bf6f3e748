"""A call that may block for long, in a thread of its own that no exit of the process waits for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_own_thread"]

T = TypeVar("T")


def in_own_thread(call: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start the call now; its result, or what it raised, comes to the loop that runs now.

    asyncio's own pool is joined when the loop ends, so that a port which does not open would keep an agent from
    ending; and it has few threads, which others wait for.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, err: BaseException | None) -> None:
        if future.cancelled():
            return
        if err is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(err)

    def work() -> None:
        result, failed = None, None
        try:
            result = call()
        except BaseException as err:  # noqa: BLE001 - handed to whoever waits
            failed = err
        with suppress(RuntimeError):  # the loop was closed under us: nobody waits
            loop.call_soon_threadsafe(settle, result, failed)

    # A daemon: a call that never returns must not keep the process from ending.
    threading.Thread(target=work, name=name, daemon=True).start()
    return future
