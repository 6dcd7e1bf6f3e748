"""The workers of Dask as a calibration's ``Workers``: an item of a work is a task, and its worker may die.

A task hangs on nothing but its work and its item: done again by another worker it gives the same bits.
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

    from calibration.workers import Work
    from edge_agent.tools.plant.parcels import Parcel

__all__ = ["Crew"]

_Done = TypeVar("_Done")
_DEATHS: Final = 3
"""Of workers, after which an item is not tried again."""
_LOOK_S, _PATIENCE = 10.0, 60
"""How often it is looked whether any worker is left, and how often there may be none."""
_FOR_EACH: Final = 3
"""Items on their way for each worker: one at work, one behind it, and one that is waited for in its turn."""
_ANEW: Final = "nothing is written; the same command begins anew"


@dataclass(slots=True, eq=False)
class _Sent:
    """An item on its way."""

    item: Any
    future: Any


class Crew:
    """All workers of a Dask ``client``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def each(self, work: Work[_Done], items: Iterable[Any]) -> Iterator[_Done]:
        """As ``Workers.each``. Raises Unavailable where no worker or scheduler is left, DataError for other bits."""
        parcel = _Posted(self._client, packed(work))
        under_way: deque[_Sent] = deque()
        try:
            for item in items:
                under_way.append(_Sent(item, parcel.send(item)))
                if len(under_way) >= _FOR_EACH * max(1, _workers(self._client)):
                    yield self._result(parcel, under_way.popleft())
            while under_way:
                yield self._result(parcel, under_way.popleft())
        finally:
            for sent in under_way:
                sent.future.cancel()
            parcel.forget()

    def _result(self, parcel: _Posted, sent: _Sent) -> Any:
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - an extra

        for _ in range(_DEATHS):
            try:
                proof, found = self._awaited(sent.future)
            except KilledWorker:
                sent.future = parcel.send(sent.item)
                continue
            except CancelledError as err:
                raise Unavailable(f"the scheduler was lost during the calibration: {err}", hint=_ANEW) from err
            sent.future.release()
            if proof != arithmetic():
                raise DataError(
                    "a worker computes other bits than this machine: its bundle would not be that of one process",
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
        raise Unavailable("no worker has come back for ten minutes", hint=_ANEW)


class _Posted:
    """A parcel that the scheduler keeps for the workers: one that loses it is given it again."""

    def __init__(self, client: Any, parcel: Parcel) -> None:
        self._client, self._parcel = client, parcel
        self._kept = self._post()

    def send(self, item: Any) -> Any:
        """The future of an item."""
        _check_there(self._client)
        if self._kept.status == "error":  # its worker ended while it was unpacked
            self._kept = self._post()
        return self._client.submit(do_item, self._kept, item, pure=False)

    def forget(self) -> None:
        """Let the workers forget it."""
        self._kept.release()

    def _post(self) -> Any:
        # A task and no scattered data: the scheduler can have it done again where its worker is gone.
        _check_there(self._client)
        return self._client.submit(_itself, self._parcel, pure=False)


def _itself(parcel: Parcel) -> Parcel:
    return parcel


def _check_there(client: Any) -> None:
    if client.status != "running":
        raise Unavailable("the scheduler was lost during the calibration", hint=_ANEW)


def _workers(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])
