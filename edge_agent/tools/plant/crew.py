"""The workers of Dask as a calibration's ``Workers``: a few items of a work are a task, and its worker may die.

A task hangs on nothing but its work and its items: done again by another worker it gives the same bits. What came of
each item is kept until the calibration is done, so that a client that died goes on where it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge_agent.errors import DataError, Unavailable
from edge_agent.tools.plant.parcels import do_items, packed
from edge_agent.tools.plant.proof import arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from calibration.workers import Work
    from edge_agent.tools.plant.kept import Kept
    from edge_agent.tools.plant.parcels import Parcel

__all__ = ["GOES_ON", "Crew"]

_Done = TypeVar("_Done")
_DEATHS: Final = 3
"""Of workers, after which a task is not tried again."""
_LOOK_S, _PATIENCE = 10.0, 60
"""How often it is looked whether any worker is left, and how often there may be none."""
_FOR_EACH: Final = 3
"""Tasks on their way for each worker: one at work, one behind it, and one that is waited for in its turn."""
_TASKS_EACH, _MOST_ITEMS = 4, 8
"""Tasks of a work for each worker, where items are many; and items of a task at most: so many a kill costs. Every task
takes some ten ms of the client, an item often no more.
"""
GOES_ON: Final = "nothing is written; what was worked out is kept, and the same command goes on"


@dataclass(slots=True, eq=False)
class _Task:
    """Some items in their turn, and where each is kept; what is not ``found`` yet is on its way as ``future``."""

    items: list[Any]
    paths: list[Path]
    found: list[tuple[Any] | None]
    future: Any = None

    missing: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.missing = [place for place, found in enumerate(self.found) if found is None]

    @property
    def left(self) -> list[Any]:
        """The items that are not found yet."""
        return [self.items[place] for place in self.missing]


class Crew:
    """All workers of a Dask ``client``; what they find is ``kept``."""

    def __init__(self, client: Any, kept: Kept) -> None:
        self._client, self._kept = client, kept

    def each(self, work: Work[_Done], items: Iterable[Any]) -> Iterator[_Done]:
        """As ``Workers.each``. Raises Unavailable where no worker or scheduler is left, DataError for other bits."""
        posted, name = _Posted(self._client, work), self._kept.name(work)
        every, workers = list(items), max(1, _workers(self._client))
        size = max(1, min(_MOST_ITEMS, len(every) // (_TASKS_EACH * workers)))
        in_turn: deque[_Task] = deque()
        try:
            for begin in range(0, len(every), size):
                in_turn.append(self._sent(posted, name, every[begin : begin + size]))
                if len(in_turn) >= _FOR_EACH * workers:
                    yield from self._results(posted, in_turn.popleft())
            while in_turn:
                yield from self._results(posted, in_turn.popleft())
        finally:
            for one in in_turn:
                if one.future is not None:
                    one.future.release()
            posted.forget()

    def _sent(self, posted: _Posted, name: bytes, items: list[Any]) -> _Task:
        paths = [self._kept.path(name, item) for item in items]
        one = _Task(items, paths, [self._kept.read(path) for path in paths])
        if one.missing:
            one.future = posted.send(one.left)
        return one

    def _results(self, posted: _Posted, one: _Task) -> Iterator[Any]:
        if one.missing:
            for place, value in zip(one.missing, self._done(posted, one), strict=True):
                self._kept.write(one.paths[place], value)
                one.found[place] = (value,)
        for found in one.found:
            if found is not None:
                yield found[0]

    def _done(self, posted: _Posted, one: _Task) -> list[Any]:
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - an extra
        from distributed.comm import CommClosedError  # noqa: PLC0415 - an extra

        for _ in range(_DEATHS):
            try:
                proof, found = self._awaited(one.future)
            except KilledWorker:
                one.future = posted.send(one.left)
                continue
            except (CancelledError, CommClosedError) as err:
                raise Unavailable("the scheduler was lost during the calibration", hint=GOES_ON) from err
            one.future.release()
            if proof != arithmetic():
                raise DataError(
                    "a worker computes other bits than this machine: the bundle would be another one",
                    hint="take workers with processors of this machine's kind",
                )
            return list(found)
        raise Unavailable(
            f"one and the same piece of the calibration ended {_DEATHS} workers, one after the other",
            hint="have they enough memory? Without --workers and --scheduler one process does all of it",
        )

    def _awaited(self, future: Any) -> Any:
        lonely = 0
        while lonely < _PATIENCE:
            try:
                return future.result(timeout=_LOOK_S)
            except TimeoutError:
                lonely = 0 if _workers(self._client) else lonely + 1
        raise Unavailable("no worker has come back for ten minutes", hint=GOES_ON)


class _Posted:
    """A work at the scheduler, once anybody needs it: a worker that loses it is given it again."""

    def __init__(self, client: Any, work: Work[Any]) -> None:
        self._client, self._work = client, work
        self._parcel: Parcel | None = None
        self._kept: Any = None

    def send(self, items: list[Any]) -> Any:
        """The future of some items."""
        if self._client.status != "running":
            raise Unavailable("the scheduler was lost during the calibration", hint=GOES_ON)
        if self._kept is None or self._kept.status == "error":  # its worker ended while it came
            self._parcel = self._parcel or packed(self._work)
            # A task and no scattered data: the scheduler can have it done again where its worker is gone.
            self._kept = self._client.submit(_itself, self._parcel, pure=False)
        return self._client.submit(do_items, self._kept, items, pure=False)

    def forget(self) -> None:
        """Let scheduler and workers forget it."""
        if self._kept is not None:
            self._kept.release()


def _itself(parcel: Parcel) -> Parcel:
    return parcel


def _workers(client: Any) -> int:
    """How many there are. Raises Unavailable where the scheduler is gone."""
    try:
        return len(client.scheduler_info(n_workers=-1)["workers"])
    except OSError as err:
        raise Unavailable("the scheduler was lost during the calibration", hint=GOES_ON) from err
