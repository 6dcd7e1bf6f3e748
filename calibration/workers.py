"""Who does what can be done apart: threads of this process, or whoever else can be handed a ``Work``.

A calibration takes images, folds and candidates one by one. What is done with each of them is told as a value and not
as a closure, so that another process, or another PC, can be given it. Nothing here knows how it gets there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from calibration.at_once import each_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ONE_THREAD", "Threads", "Work", "Workers"]

_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True, eq=False)
class Work(Generic[_Done]):
    """``function(*common, item)`` of each item; where there is a ``tool``, ``function(tool(), *common, item)``.

    The tool is made once by each thread or process that works, and stays there: a network, for instance, which cannot
    be sent. Everything else can be pickled: a function has to stand in a module. What comes of an item hangs on nothing
    but the work and the item, and on no number of threads.
    """

    function: Callable[..., _Done]
    common: tuple[Any, ...] = ()
    tool: Callable[[], Any] | None = None

    def begin(self) -> Callable[[Any], _Done]:
        """Make the tool; what comes back does one item after the other."""
        made = () if self.tool is None else (self.tool(),)
        return partial(self.function, *made, *self.common)


class Workers(Protocol):
    """Somebody who does work."""

    def each(self, work: Work[_Done], items: Iterable[Any]) -> Iterator[_Done]:
        """What comes of each item, in their order. The first that fails raises here; no more wait than are needed."""


@dataclass(frozen=True, slots=True)
class Threads:
    """So many threads of this process."""

    count: int = 1

    def each(self, work: Work[_Done], items: Iterable[Any]) -> Iterator[_Done]:
        """As ``Workers.each``; each thread has a tool of its own."""
        return each_with(_done, items, [work.begin() for _ in range(self.count)])


ONE_THREAD: Final = Threads()


def _done(do: Callable[[Any], _Done], item: object) -> _Done:
    return do(item)
