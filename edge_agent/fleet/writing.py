"""One writer for all lines: what waits while a transaction is written goes together into the next one.

So fifty lines cost a few syncs of the disk a second, and whoever waits hears of its work when it is durable.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from sqlalchemy.exc import DataError as NotStorable
from sqlalchemy.exc import SQLAlchemyError

from edge_agent.errors import DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

__all__ = ["Writer"]

log = structlog.get_logger(__name__)

_WAITING_MOST = 256
_AT_ONCE = 64
_DoneT = TypeVar("_DoneT")


class Writer:
    """Used in one event loop; the database is written in a thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: asyncio.Queue[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = asyncio.Queue(
            _WAITING_MOST
        )

    async def do(self, work: Callable[[Connection], _DoneT]) -> _DoneT:
        """Run it in a transaction; its result, once that is durable.

        Raises Unavailable where too much waits already or the database does not take it, and what ``work`` raises:
        then nothing of it is written.
        """
        done: asyncio.Future[_DoneT] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((work, done))
        except asyncio.QueueFull:
            raise Unavailable("the fleet has more to write than it can") from None
        return await done

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            some = [await self._waiting.get()]
            while len(some) < _AT_ONCE:
                try:
                    some.append(self._waiting.get_nowait())
                except asyncio.QueueEmpty:
                    break
            results = await asyncio.to_thread(self._together, [work for work, _ in some])
            for (_, done), result in zip(some, results, strict=True):
                with suppress(asyncio.InvalidStateError):  # whoever asked has gone
                    if isinstance(result, BaseException):
                        done.set_exception(result)
                    else:
                        done.set_result(result)

    def _together(self, works: list[Callable[[Connection], Any]]) -> list[Any]:
        results: list[Any] = []
        try:
            with self._engine.begin() as connection:
                for work in works:
                    try:
                        with connection.begin_nested():
                            results.append(work(connection))
                    except NotStorable as err:  # of this work alone: the others are not held up
                        results.append(DataError(f"the database takes no such value: {str(err.orig)[:200]}"))
                    except SQLAlchemyError:
                        raise
                    except Exception as err:  # noqa: BLE001 - handed to whoever asked
                        results.append(err)
        except SQLAlchemyError as err:
            log.error("fleet_not_written", why=str(err)[:300])  # noqa: TRY400 - no bug of ours
            return [Unavailable("the fleet's database does not take it now") for _ in works]
        return results
