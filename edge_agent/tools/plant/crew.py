"""The workers of Dask as a calibration's ``Workers``: an item of a work is a task, and its worker may die.

A task hangs on nothing but its work and its item: done again by another worker it gives the same bits. What came of
each is kept until the calibration is done, so that a client that died goes on where it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge_agent.errors import DataError, Unavailable
from edge_agent.tools.plant.parcels import do_item, packed
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
"""Of workers, after which an item is not tried again."""
_LOOK_S, _PATIENCE = 10.0, 60
"""How often it is looked whether any worker is left, and how often there may be none."""
_FOR_EACH: Final = 3
"""Items on their way for each worker: one at work, one behind it, and one that is waited for in its turn."""
GOES_ON: Final = "nothing is written; what was worked out is kept, and the same command goes on"


@dataclass(slots=True, eq=False)
class _Item:
    """An item in its turn: on its way as ``future``, or already ``found``. ``path`` is where it is kept."""

    item: Any
    path: Path
    future: Any = None
    found: tuple[Any] | None = None


class Crew:
    """All workers of a Dask ``client``; what they find is ``kept``."""

    def __init__(self, client: Any, kept: Kept) -> None:
        self._client, self._kept = client, kept

    def each(self, work: Work[_Done], items: Iterable[Any]) -> Iterator[_Done]:
        """As ``Workers.each``. Raises Unavailable where no worker or scheduler is left, DataError for other bits."""
        posted, name = _Posted(self._client, work), self._kept.name(work)
        in_turn: deque[_Item] = deque()
        try:
            for item in items:
                path = self._kept.path(name, item)
                one = _Item(item, path, found=self._kept.read(path))
                if one.found is None:
                    one.future = posted.send(item)
                in_turn.append(one)
                if len(in_turn) >= _FOR_EACH * max(1, _workers(self._client)):
                    yield self._result(posted, in_turn.popleft())
            while in_turn:
                yield self._result(posted, in_turn.popleft())
        finally:
            for one in in_turn:
                if one.future is not None:
                    one.future.release()
            posted.forget()

    def _result(self, posted: _Posted, one: _Item) -> Any:
        if one.found is None:
            one.found = (self._done(posted, one),)
            self._kept.write(one.path, one.found[0])
        return one.found[0]

    def _done(self, posted: _Posted, one: _Item) -> Any:
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - an extra

        for _ in range(_DEATHS):
            try:
                proof, found = self._awaited(one.future)
            except KilledWorker:
                one.future = posted.send(one.item)
                continue
            except CancelledError as err:
                raise Unavailable("the scheduler was lost during the calibration", hint=GOES_ON) from err
            one.future.release()
            if proof != arithmetic():
                raise DataError(
                    "a worker computes other bits than this machine: the bundle would be another one",
                    hint="take workers with processors of this machine's kind",
                )
            return found
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

    def send(self, item: Any) -> Any:
        """The future of an item."""
        if self._client.status != "running":
            raise Unavailable("the scheduler was lost during the calibration", hint=GOES_ON)
        if self._kept is None or self._kept.status == "error":  # its worker ended while it came
            self._parcel = self._parcel or packed(self._work)
            # A task and no scattered data: the scheduler can have it done again where its worker is gone.
            self._kept = self._client.submit(_itself, self._parcel, pure=False)
        return self._client.submit(do_item, self._kept, item, pure=False)

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
