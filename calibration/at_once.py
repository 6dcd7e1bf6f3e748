"""Several images at a time, one a thread, and what comes of them in their order.

Reading, OpenCV, NumPy's large products and networks let other threads run meanwhile. Two images side by side keep two
cores busier than one image on both of them does, and what comes of an image hangs on no number of threads.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

__all__ = ["at_once", "each_with"]

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")
_Tool = TypeVar("_Tool")


def at_once(work: Callable[[_Item], _Done], items: Iterable[_Item], *, threads: int) -> Iterator[_Done]:
    """``work(item)`` of each item, in their order, so many at a time. The first that fails raises here."""
    return each_with(lambda _number, item: work(item), items, range(threads))


def each_with(work: Callable[[_Tool, _Item], _Done], items: Iterable[_Item], tools: Sequence[_Tool]) -> Iterator[_Done]:
    """``work(tool, item)`` of each item, in their order; as many at a time as there are tools, each by one thread.

    No more results wait than there are tools: full-size pictures never pile up.
    """
    if len(tools) == 1:
        yield from (work(tools[0], item) for item in items)
        return
    free: SimpleQueue[_Tool] = SimpleQueue()
    for tool in tools:
        free.put(tool)

    def run(item: _Item) -> _Done:
        tool = free.get()
        try:
            return work(tool, item)
        finally:
            free.put(tool)

    under_way: deque[Future[_Done]] = deque()
    pool = ThreadPoolExecutor(len(tools), thread_name_prefix="at-once")
    try:
        for item in items:
            under_way.append(pool.submit(run, item))
            if len(under_way) > len(tools):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
